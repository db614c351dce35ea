"""What a lock file is compared with: the spec, its models on this host, and the Python packages that it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from bentod.daemon.weights import BAKED
from bentod.errors import Problem, SpecError
from bentod.lock.apis import api_digests
from bentod.lock.drift import AGAIN, Current, drift
from bentod.lock.file import LockFile, lock_path, read
from bentod.lock.pin import pinned
from bentod.plan.image_build import base_image
from bentod.plan.models import Located, ModelPlan, planned
from bentod.spec.load import Loaded


def refuse_drift(loaded: Loaded, environ: Mapping[str, str], located: Mapping[str, Located]) -> None:
    """Raises SpecError, which names every line of the lock file from which something differs now. `located` are models
    that were looked at already: to read them once more takes its time."""
    if problems := drifted(loaded, environ, located):
        raise SpecError(problems)


def drifted(
    loaded: Loaded, environ: Mapping[str, str], located: Mapping[str, Located] = MappingProxyType({})
) -> list[Problem]:
    """All that differs from the lock file, or that there is none. Nothing is asked over a network."""
    path = lock_path(loaded.files[0])
    try:
        lock = read(path)
    except SpecError as error:
        return list(error.problems)
    if lock is None:
        message = f"there is no lock file {path.name}"
        return [Problem("no-lock", message, str(path), hint="`bentod lock` makes it")]
    models = tuple(replace(model, locked="") for model in pinned(planned(loaded.spec), lock))  # it is judged below
    here = {**lie_here(tuple(model for model in models if model.name not in located), environ), **located}
    now = Current(
        apis=api_digests(loaded.spec),
        models=planned(loaded.spec),
        digests={name: one.digest for name, one in here.items()},
        base=base_of(loaded),
    )
    return [*drift(now, lock), *_packages(loaded, lock)]


def base_of(loaded: Loaded) -> str:
    """What the image is made from; "" if the spec says nothing of an image. Raises SpecError."""
    return base_image(loaded.spec) if loaded.spec.build.model_fields_set else ""


def asks(loaded: Loaded) -> bool:
    """Whether the spec may ask for Python packages: a file that it names may be empty."""
    build = loaded.spec.build
    return bool(build.packages or build.requirements or build.lock)


def lie_here(models: tuple[ModelPlan, ...], environ: Mapping[str, str]) -> dict[str, Located]:
    """The models that lie on this host, complete."""
    if not models:
        return {}
    from bentod.models.home import default_home
    from bentod.models.locate import locate

    baked = environ.get(BAKED)
    found = locate(models, default_home(environ), Path(baked) if baked else None)
    return {name: one for name, one in found.items() if isinstance(one, Located)}


def _packages(loaded: Loaded, lock: LockFile) -> list[Problem]:
    """What is asked for against what is locked."""
    build = loaded.spec.build
    if not asks(loaded):
        none = lock.problem("python", "drift", "Python packages are locked, and `build` asks for none", AGAIN)
        return [none] if lock.python is not None else []
    from bentod.lock.pip import pip_input, python_drift
    from bentod.lock.requirements import requirements

    try:
        asked = requirements(build, loaded.directory, loaded.origins)
        if lock.python is None:
            wanted = bool(asked.packages or build.lock)
            return [lock.problem("python", "drift", "`build` asks for packages, and none are locked", AGAIN)] * wanted
        if found := python_drift(build, asked, lock):
            return found
        pip_input(build, loaded.directory, loaded.origins, lock)
    except SpecError as error:
        return list(error.problems)
    return []

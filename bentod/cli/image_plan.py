"""The image that a spec asks for, from what this host knows: of `bentod build-image` and `bentod render dockerfile`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bentod
from bentod.daemon import git
from bentod.errors import Problem, SpecError
from bentod.lock import file as lock_file
from bentod.lock.pip import PipInput, pip_input
from bentod.plan.image import ImagePlan
from bentod.plan.image_build import ImageFacts, image_plan
from bentod.spec.load import Loaded
from bentod.spec.model import Spec
from bentod.spec.node import dotted
from bentod.spec.variables import constant


@dataclass(frozen=True, slots=True)
class Planned:
    """The image, and the lock file that it is pinned by, if there is one."""

    image: ImagePlan
    lock: Path | None


def planned(loaded: Loaded, environ: Mapping[str, str]) -> Planned:
    """What a Dockerfile is rendered from. Raises SpecError with all that is wrong with `build` and what it names."""
    problems = _stored(loaded.as_written)
    specs = _specs(loaded, problems)
    path = lock_file.lock_path(loaded.files[0])
    lock, pip = None, PipInput((), locked=False)
    try:
        lock = lock_file.read(path)
        pip = pip_input(loaded.spec.build, loaded.directory, loaded.origins, lock)
    except SpecError as error:
        problems += error.problems
    facts = ImageFacts(
        bentod=bentod.__version__,
        requirements=pip.lines,
        locked=pip.locked,
        specs=specs,
        commit=_commit(loaded.directory, environ),
        spec_digest=spec_digest(loaded),
        locked_base=lock.image.base if lock and lock.image else "",
        base_digest=lock.image.digest if lock and lock.image else "",
    )
    try:
        image = image_plan(_public(loaded), facts)
    except SpecError as error:
        raise SpecError([*problems, *(placed(one, loaded) for one in error.problems)]) from None
    if problems:
        raise SpecError([placed(one, loaded) for one in problems])
    return Planned(image, path if lock else None)


def _stored(as_written: Mapping[str, Any]) -> list[Problem]:
    """What would store in the image, for everybody who has it, what the environment says here."""
    build = as_written.get("build") or {}
    env = {dotted(("build", "env", name)): [text] for name, text in (build.get("env") or {}).items()}
    run = {dotted(("build", "run", index)): words for index, words in enumerate(build.get("run") or [])}
    hint = "give it where the container runs; while the image is built, as one of `secrets`"
    message = "a value of the environment would be stored in the image"
    return [
        Problem("from-environment", message, path=path, hint=hint)
        for path, texts in {**env, **run}.items()
        if not all(constant(text) for text in texts if isinstance(text, str))
    ]


def _public(loaded: Loaded) -> Spec:
    """The spec without the labels and the description that hold what the environment says: they are for who runs it."""
    said = loaded.as_written.get("labels") or {}
    labels = {name: text for name, text in loaded.spec.labels.items() if constant(said.get(name))}
    description = loaded.spec.description if constant(loaded.as_written.get("description", "")) else ""
    return loaded.spec.model_copy(update={"labels": labels, "description": description})


def spec_digest(loaded: Loaded) -> str:
    """`sha256:<hex>` of the spec as it is written: the same on every host, and nothing of what `${…}` stands for."""
    written = json.dumps(loaded.as_written, sort_keys=True, ensure_ascii=False, default=str)
    return "sha256:" + hashlib.sha256(written.encode("utf-8", "backslashreplace")).hexdigest()


def placed(problem: Problem, loaded: Loaded) -> Problem:
    """A problem with the place of the key that it names."""
    if problem.file or not problem.path:
        return problem
    path = problem.path
    while path and path not in loaded.origins:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    place = loaded.origins.get(path)
    if place is None:
        return Problem(problem.code, problem.message, str(loaded.files[0]), 0, 0, problem.path, problem.hint)
    return Problem(problem.code, problem.message, place.file, place.line, place.column, problem.path, problem.hint)


def _specs(loaded: Loaded, problems: list[Problem]) -> tuple[str, ...]:
    """The spec's files, from the project's folder."""
    names = []
    for file in loaded.files:
        name = os.path.relpath(file, loaded.directory)
        if name.startswith("../"):
            hint = f"put it into {loaded.directory}, or name a file in a folder around all of them first"
            problems.append(Problem("outside-project", f"{file} lies outside the project", str(file), hint=hint))
        names.append(Path(name).as_posix())
    return tuple(names)


def _commit(project: Path, environ: Mapping[str, str]) -> str:
    """What git has checked out; with `-dirty` if the project has what is not committed."""
    found = git.describe(project, environ)
    if found is None or not found.commit:
        return ""
    return f"{found.commit}-dirty" if found.dirty else found.commit

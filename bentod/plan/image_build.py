"""Spec → ImagePlan: what `build` says, with all that it leaves open decided. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from bentod.errors import Problem, SpecError
from bentod.plan import times
from bentod.plan.image import ENVIRONMENT, USER, CondaPlan, ImagePlan
from bentod.spec.bases import Base
from bentod.spec.check_image import chosen, faults
from bentod.spec.model import Spec
from bentod.spec.model_build import Build
from bentod.spec.node import dotted

_OCI = "org.opencontainers.image"
SPEC_LABEL = "dev.bentod.spec"
"""The label with the digest of the spec that an image was made from."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image is made from besides the spec. `bentod`: the version that is installed into it. `requirements`: the
    lines of the file that pip installs; `locked`: they are all there is, with hashes. `specs`: the spec's files, from
    the project's folder. `commit` is git's, `spec_digest` is `sha256:<hex>` of the resolved spec; both may be "".
    `locked_base` and `base_digest` are an image and its digest, as the lock file has them."""

    bentod: str
    requirements: tuple[str, ...] = ()
    locked: bool = False
    specs: tuple[str, ...] = ("bentofile.yaml",)
    commit: str = ""
    spec_digest: str = ""
    locked_base: str = ""
    base_digest: str = ""


def image_plan(spec: Spec, facts: ImageFacts) -> ImagePlan:
    """The image of a spec. Raises SpecError with all that cannot be built."""
    build = spec.build
    cuda, base = _base(build)
    digest = facts.base_digest if facts.locked_base == base.image else ""
    return ImagePlan(
        name=spec.name,
        version=spec.version,
        image=build.image or spec.name,
        python=_python(build),
        distro=build.distro,
        wheel=f"bentod-{facts.bentod}-py3-none-any.whl",
        cuda=cuda,
        conda=_conda(build),
        base_image=build.base_image or "",
        base_digest=digest,
        requirements=facts.requirements,
        locked=facts.locked,
        index_url=build.index_url or "",
        extra_index_urls=build.extra_index_urls,
        system_packages=build.system_packages,
        run=build.run,
        specs=facts.specs,
        models=tuple(spec.models) if build.models == "bake" else (),
        models_mode=build.models,
        env=build.env,
        secrets=build.secrets,
        user=build.user or USER,
        platforms=build.platforms,
        labels=_labels(spec, facts, base.image, digest),
        start_s=times.start_s(service.start_timeout_s for service in spec.services.values()),
        stop_s=times.stop_s(spec.server.drain_timeout_s),
    )


def base_image(spec: Spec) -> str:
    """The reference of the image that a spec's image begins with. Raises SpecError if there is none."""
    return _base(spec.build)[1].image


def _base(build: Build) -> tuple[str, Base]:
    """The full version of CUDA, and the base."""
    problems = [
        Problem(fault.code, str(fault), path=dotted(("build", *path)), hint=fault.hint) for path, fault in faults(build)
    ]
    if problems:
        raise SpecError(problems)
    return chosen(build)


def _python(build: Build) -> str:
    """The version that was asked for. An image that the user named has its own, unless one is asked for."""
    return "" if build.base_image and "python" not in build.model_fields_set else build.python


def _conda(build: Build) -> CondaPlan | None:
    if build.conda is None:
        return None
    return CondaPlan(ENVIRONMENT if build.conda.environment else "", build.conda.channels, build.conda.dependencies)


def _labels(spec: Spec, facts: ImageFacts, base: str, digest: str) -> dict[str, str]:
    """OCI's labels, the spec's and the image's own, each over those before. Raises SpecError for a name that no label
    has."""
    for name in spec.labels:
        if not name or "=" in name:
            message = f"an image has no label with the name `{name}`: it is empty, or has a `=`"
            raise SpecError([Problem("wrong-value", message, path=dotted(("labels", name)), hint="name it otherwise")])
    about = {
        f"{_OCI}.title": spec.name,
        f"{_OCI}.version": spec.version,
        f"{_OCI}.description": " ".join(spec.description.split()),
        f"{_OCI}.revision": facts.commit,
        f"{_OCI}.base.name": base,
        f"{_OCI}.base.digest": digest,
        SPEC_LABEL: facts.spec_digest,
    }
    return {**{name: text for name, text in about.items() if text}, **spec.labels, **spec.build.labels}

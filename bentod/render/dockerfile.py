"""An ImagePlan as a Dockerfile, and the .dockerignore beside it. Pure: the same plan gives the same bytes.

The order and the comments are in `recipes/dockerfile`, the values are here; docs/images.md tells what the image is.
"""

from __future__ import annotations

import re

from bentod.plan.image import (
    BAKED,
    CODE_AT,
    ENVIRONMENT,
    MODELS,
    MODELS_AT,
    PORT,
    PYTHON_AT,
    REQUIREMENTS,
    SOURCE,
    WHEELS,
    ImagePlan,
)
from bentod.render import distribution, packages
from bentod.render.instructions import (
    Comment,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    PrependToPath,
    Run,
    StopSignal,
    Syntax,
    User,
    Workdir,
    written,
)
from bentod.render.recipes import Unwritable, Written, rendered
from bentod.spec import bases
from bentod.spec.bases import Base
from bentod.spec.report import Fault

FRONTEND = "docker/dockerfile:1.2"
"""The oldest frontend that reads these files. Newer engines have it built in."""

_ASKED_EVERY_S, _ANSWERS_WITHIN_S, _FAULTS = 10.0, 6.0, 3
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


def dockerfile(plan: ImagePlan, *, syntax: bool = False, cache: bool = True) -> str:
    """The Dockerfile of a plan's context. `syntax`: with a first line that names the frontend, which the engine then
    has to pull. `cache`: downloads are kept from build to build, outside the image; needs BuildKit or Buildah, as
    secrets do. Raises Unwritable."""
    base = base_of(plan)
    parts: dict[str, list[Instruction]] = {
        "syntax": [Syntax(FRONTEND)] if syntax else [],
        "sources": _sources(base),
        "base": _base(plan, base, cache),
        "build": _build(plan, base, cache),
        "packages": [
            From("base", "final"),
            Copy((PYTHON_AT,), PYTHON_AT, stage="build"),
            PrependToPath(f"{PYTHON_AT}/bin"),
        ],
        "commands": [Run(words, packages.secrets(plan)) for words in plan.run],
        "models": _models(plan),
        "code": [Copy((f"{SOURCE}/",), f"{CODE_AT}/"), Workdir(CODE_AT)],
        "surroundings": [Env(name, value) for name, value in _environ(plan).items()],
        "labels": [Label(name, value) for name, value in sorted(plan.labels.items())],
        "start": _start(plan),
    }
    return rendered("dockerfile/Dockerfile.j2", parts, {"instruction": written})


def dockerignore(plan: ImagePlan) -> str:
    """The .dockerignore of a plan's context: all but what the Dockerfile copies. Raises Unwritable."""
    copied = [SOURCE, REQUIREMENTS, f"{WHEELS}/{plan.wheel}"]
    copied += [ENVIRONMENT] if plan.conda and plan.conda.environment else []
    copied += [MODELS] if plan.models else []
    return rendered("dockerfile/dockerignore.j2", {"copied": sorted(copied)}, {"kept": _kept})


def base_of(plan: ImagePlan) -> Base:
    """What the image is made from. Raises Unwritable if there is no such base."""
    if plan.base_image:
        return bases.named(plan.base_image)
    if plan.conda:
        return bases.conda()
    try:
        return bases.base_of(plan.distro, plan.python, plan.cuda)
    except Fault as fault:
        raise Unwritable(f"{fault}: {fault.hint}") from None


def _sources(base: Base) -> list[Instruction]:
    """Images from which files are taken."""
    given = {"python": base.python_image, "micromamba": base.micromamba_image}
    return [From(image, stage) for stage, image in given.items() if image]


def _base(plan: ImagePlan, base: Base, cache: bool) -> list[Instruction]:
    found: list[Instruction] = [From(_pinned(base.image, plan.base_digest), "base")]
    if base.manager == "found":
        found += [
            Comment("Packages are installed by root, whoever runs the base image; the last stage has its own user.")
        ]
        found += [Comment("hadolint ignore=DL3002"), User("0:0")]
    found += distribution.installed(base.manager, tuple(dict.fromkeys((*base.packages, *plan.system_packages))), cache)
    if base.python_image:
        folders = [f"/usr/local/{name}/" for name in ("bin", "include", "lib")]
        found += [*(Copy((folder,), folder, stage="python") for folder in folders), Run(("ldconfig",))]
    return found


def _pinned(image: str, digest: str) -> str:
    return f"{image}@{digest}" if digest and "@" not in image else image


def _build(plan: ImagePlan, base: Base, cache: bool) -> list[Instruction]:
    found: list[Instruction] = [From("base", "build")]
    found += distribution.installed(base.manager, packages.tools(base, plan.requirements), cache)
    if base.micromamba_image:
        found.append(Copy(("/bin/micromamba",), "/usr/local/bin/micromamba", stage="micromamba"))
    return [*found, *packages.environment(plan, base, cache), *packages.installed(plan, cache)]


def _models(plan: ImagePlan) -> list[Instruction]:
    if not plan.models:
        return []
    names = [_name(name) for name in plan.models]
    copies: list[Instruction] = [Copy((f"{MODELS}/{name}/",), f"{MODELS_AT}/{name}/") for name in names]
    return [*copies, Copy((f"{MODELS}/{BAKED}",), f"{MODELS_AT}/{BAKED}")]


def _environ(plan: ImagePlan) -> dict[str, str]:
    """The image's environment; what the spec says wins."""
    ours = {
        "HOME": "/tmp",  # noqa: S108 - the one folder that can be written
        "LANG": "C.UTF-8",
        "LOGNAME": "bentod",  # a number has no name, and libraries ask for one
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "BENTOD_LISTEN": f"0.0.0.0:${{PORT:-{PORT}}}",
        "BENTOD_LOG_FORMAT": "json",
        "BENTOD_STATE": "/tmp/bentod-state",  # noqa: S108
        "BENTOD_WATCH": "false",
        **_where_models_are(plan),
    }
    return {**ours, **dict(sorted(plan.env.items()))}


def _where_models_are(plan: ImagePlan) -> dict[str, str]:
    if plan.models_mode == "mount":
        return {"BENTOD_MODELS": MODELS_AT, "HF_HOME": f"{MODELS_AT}/huggingface"}
    if plan.models_mode == "fetch":
        return {"BENTOD_MODELS": "/tmp/bentod-models", "HF_HOME": "/tmp/huggingface"}  # noqa: S108
    return {"BENTOD_BAKED_MODELS": MODELS_AT} if plan.models else {}


def _start(plan: ImagePlan) -> list[Instruction]:
    files = tuple(word for file in plan.specs for word in ("-f", f"{CODE_AT}/{file}"))
    return [
        Expose(PORT),
        User(plan.user),
        StopSignal(),
        Healthcheck(("bentod", "health", *files), _ASKED_EVERY_S, _ANSWERS_WITHIN_S, plan.start_s, _FAULTS),
        Entrypoint(("bentod", "up", *files)),
    ]


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise Unwritable(f"{text!r} is not the name of a model")
    return text


def _kept(path: str) -> Written:
    """A line of a .dockerignore that takes back what `*` said."""
    if not all(map(_NAME.fullmatch, path.split("/"))):
        raise Unwritable(f"{path!r} is no path that a .dockerignore can name")
    return Written(f"!{path}")

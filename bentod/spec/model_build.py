"""The sections `models` and `build`: weights, and the container image."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from pydantic import Field

from bentod.spec.build_fields import (
    Argv,
    CudaVersion,
    Digest,
    Endpoint,
    GlobPattern,
    ImageName,
    ImageUser,
    IndexUrl,
    LabelKey,
    ModelSource,
    PathText,
    Platform,
    Reference,
    Requirement,
    Revision,
    SecretName,
    SystemPackage,
)
from bentod.spec.fields import Given, Line, List, Patterns, Variable
from bentod.spec.section import Section

PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def _running_python() -> Literal["3.11", "3.12", "3.13", "3.14"]:
    running = f"3.{sys.version_info.minor}"
    return running if running in PYTHONS else PYTHONS[-1]  # type: ignore[return-value]


class Model(Section):
    """Weights: what to fetch, pin and hand to services as `${models.NAME.path}`."""

    source: ModelSource = Field(
        description="`hf://org/name`, `store://name[:version]`, or the path of a folder or file."
    )
    revision: Annotated[Revision | None, Given] = Field(
        default=None, description="Branch, tag or commit of a Hugging Face repository. Default: `main`."
    )
    include: Annotated[tuple[GlobPattern, ...], List] = Field(
        default=(), description="Which files of the repository, as `huggingface_hub` has patterns. Default: all."
    )
    exclude: Annotated[tuple[GlobPattern, ...], List] = Field(
        default=(), description="Which files of the repository not."
    )
    endpoint: Annotated[Endpoint | None, Given] = Field(default=None, description="Another hub: its URL.")
    digest: Annotated[Digest | None, Given] = Field(
        default=None, description="`sha256:…` of the sorted lines `sha256  path` of its files; checked before use."
    )


class Conda(Section):
    """What conda installs into the image."""

    environment: Annotated[PathText | None, Given] = Field(
        default=None, description="An environment file; then nothing else may be said."
    )
    channels: Annotated[tuple[Line, ...], List] = Field(
        default=(), description="Where packages come from. Default: conda-forge."
    )
    dependencies: Annotated[tuple[Line, ...], List] = Field(default=(), description="Packages, as conda writes them.")


class Build(Section):
    """The container image."""

    image: Annotated[ImageName | None, Given] = Field(
        default=None, description="Its repository. Default: `name`. The tag is `version`."
    )
    python: Literal["3.11", "3.12", "3.13", "3.14"] = Field(
        default_factory=_running_python, description="The version of Python. Default: the one that runs bentod."
    )
    distro: Literal["debian", "alpine", "ubi", "amazonlinux"] = Field(default="debian", description="The distribution.")
    cuda: Annotated[CudaVersion | None, Given] = Field(
        default=None, description="CUDA, as `12`, `12.8` or `12.8.1`: the newest supported version that begins so."
    )
    conda: Annotated[Conda | None, Given] = Field(default=None, description="What conda installs; excludes `cuda`.")
    base_image: Annotated[Reference | None, Given] = Field(
        default=None, description="Use exactly this image, which has Python; best with its digest."
    )
    requirements: Annotated[PathText | None, Given] = Field(
        default=None, description="A requirements file; what it includes must be in the project, too."
    )
    packages: Annotated[tuple[Requirement, ...], List] = Field(
        default=(), description="Python packages, as in a requirements file."
    )
    lock: Annotated[PathText | None, Given] = Field(
        default=None, description="`pylock.toml`, `uv.lock` or hashed requirements: all that is installed."
    )
    index_url: Annotated[IndexUrl | None, Given] = Field(
        default=None, description="The package index. Credentials only through `secrets`."
    )
    extra_index_urls: Annotated[tuple[IndexUrl, ...], List] = Field(default=(), description="Further package indexes.")
    system_packages: Annotated[tuple[SystemPackage, ...], List] = Field(
        default=(), description="Packages of the distribution."
    )
    run: Annotated[tuple[Argv, ...], List] = Field(
        default=(), description="Commands that run after the packages, each a list of words; there is no shell."
    )
    include: Patterns = Field(
        default=(), description="Files of the project, as in a .gitignore. Default: what git tracks."
    )
    exclude: Patterns = Field(default=(), description="Files that are left out; `.bentoignore` files add to it.")
    models: Literal["bake", "mount", "fetch"] = Field(
        default="bake",
        description="`bake`: models are part of the image; `mount`: they are mounted; `fetch`: fetched at the start.",
    )
    env: dict[Variable, Line] = Field(default={}, description="Environment of the image.")
    secrets: Annotated[tuple[SecretName, ...], List] = Field(
        default=(), description="Names of build secrets: mounted while packages are installed, never stored."
    )
    user: Annotated[ImageUser | None, Given] = Field(
        default=None, description="User and group, as numbers. Default: 65532:65532."
    )
    platforms: Annotated[tuple[Platform, ...], List] = Field(
        default=(), description="Such as `linux/amd64`. Default: the engine's own."
    )
    labels: dict[LabelKey, Line] = Field(default={}, description="Labels of the image, besides the spec's own.")

"""The container image that a spec asks for, decided completely. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

SOURCE = "src"
"""The folder of a build context that holds the project's files."""
WHEELS = "bentod"
"""The folder that holds bentod's own wheel."""
REQUIREMENTS = "requirements.txt"
ENVIRONMENT = "environment.yml"
MODELS = "models"
BAKED = "baked.json"
"""What says which models are in the image, beside them."""

PYTHON_AT = "/opt/venv"
CODE_AT = "/app"
MODELS_AT = "/models"
PORT = 3000
USER = "65532:65532"

Distro = Literal["debian", "alpine", "ubi", "amazonlinux"]


@dataclass(frozen=True, slots=True)
class CondaPlan:
    """What conda installs: an `environment` file of the context, or packages from channels."""

    environment: str = ""
    channels: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """All that a Dockerfile is rendered from.

    `base_image` is what the user named, "" for the one that fits `distro`, `python` and `cuda` (a full version, or "");
    `python` may be "" with it: any that works. `base_digest` is what the base is pinned to, as `sha256:<hex>`, or "".
    `requirements` are the lines of the file that pip installs; `locked`: they are all there is, with hashes.
    `specs` are the spec's files, from the project's folder. `models` are the names of those that are baked in.
    `labels` are complete: what the spec says, and OCI's own. `stop_s` is how long a stop may take.
    """

    name: str
    version: str
    image: str
    python: str
    distro: Distro
    wheel: str
    cuda: str = ""
    conda: CondaPlan | None = None
    base_image: str = ""
    base_digest: str = ""
    requirements: tuple[str, ...] = ()
    locked: bool = False
    index_url: str = ""
    extra_index_urls: tuple[str, ...] = ()
    system_packages: tuple[str, ...] = ()
    run: tuple[tuple[str, ...], ...] = ()
    specs: tuple[str, ...] = ("bentofile.yaml",)
    models: tuple[str, ...] = ()
    models_mode: Literal["bake", "mount", "fetch"] = "bake"
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    user: str = USER
    platforms: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    start_s: float = 60.0
    stop_s: float = 30.0

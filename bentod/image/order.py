"""What is asked of an engine, and the errors of building."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bentod.errors import BentodError
from bentod.image.context import Context
from bentod.image.secrets import Secret

BACKENDS = ("docker", "buildx", "podman", "buildah", "buildctl")

Tell = Callable[[str], None]
"""Is told of every line that a person who waits wants to see."""


class BuildFailed(BentodError):
    """The engine could not build or push the image."""


class NoEngine(BentodError):
    """No engine that could build the image is there, or none that could do what was asked."""


@dataclass(frozen=True, slots=True)
class Order:
    """An image to build. `dockerfile` is the text of the one in the context. `tags` have at least one name."""

    context: Context
    dockerfile: str
    tags: tuple[str, ...]
    platforms: tuple[str, ...] = ()
    push: bool = False
    secrets: tuple[Secret, ...] = ()
    build_args: Mapping[str, str] = field(default_factory=dict)
    no_cache: bool = False
    network: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """A command line. `context` says how it gets the build context: as a tar archive on its stdin, as a folder in whose
    place `argv` has FOLDER, or not at all. `environ` is added to the environment."""

    argv: tuple[str, ...]
    context: Literal["stdin", "folder", "none"] = "none"
    environ: Mapping[str, str] = field(default_factory=dict)


FOLDER = "\0context"


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of an image: the instruction it came from, and its bytes."""

    made_by: str
    size: int


@dataclass(frozen=True, slots=True)
class Image:
    """What an engine says of an image; `layers` from the first to the last. Empty and 0 for what it does not say."""

    id: str = ""
    size: int = 0
    layers: tuple[Layer, ...] = ()

"""`@path` in an example: a file of the project, in place of the base64 or the numbers of a special value."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentod.codec.folder import check_media_type
from bentod.iotypes.layout import Layout
from bentod.iotypes.special import BinaryType, FileType, SpecialType, TensorType
from bentod.spec.found import did_you_mean
from bentod.spec.node import Path as Route
from bentod.spec.project import PathError, Project

MAX_BYTES = 1024 * 1024
"""An example is shown in the docs and sent before traffic is: it should be small."""


@dataclass(frozen=True, slots=True)
class ExampleFile:
    """A file that an example names at `path`: as `@path` from the project's folder, and what is in it, for JSON."""

    path: Route
    text: str
    value: Any


def named(value: Any, place: Layout | None, path: Route = ()) -> Iterator[tuple[Route, str, SpecialType]]:
    """Every `@path` in a value, with the type that it shall have."""
    if place is None:
        return
    if place.special is not None:
        if isinstance(value, str) and value.startswith("@"):
            yield path, value, place.special
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from named(item, place.properties.get(name, place.additional), (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            below = place.prefix[index] if index < len(place.prefix) else place.items
            yield from named(item, below, (*path, index))


def read(text: str, kind: SpecialType, path: Route, project: Project) -> ExampleFile:
    """The file that `text`, written at `path`, names. Raises PathError if it cannot be the value."""
    relative = project.relative(text[1:], path)
    data = _bytes(project.inside(relative), relative)
    value = _tensor(data, kind, relative) if isinstance(kind, TensorType) else base64.b64encode(data).decode()
    if isinstance(kind, (FileType, BinaryType)):
        try:
            check_media_type(kind, "", relative)
        except ValueError as error:
            raise PathError("example-mismatch", f"`{relative}` {error}") from None
    return ExampleFile(path, f"@{relative}", value)


def _bytes(file: Path, relative: str) -> bytes:
    if file.is_dir():
        raise PathError("missing-file", f"`{relative}` is a folder", f"such as `@{relative}/FILE`")
    if not file.is_file():
        what = f"there is no file `{relative}`"
        names = [other.name for other in file.parent.iterdir()] if file.parent.is_dir() else []
        close = did_you_mean(file.name, names)
        raise PathError("missing-file", what, close if close.startswith("did") else f"looked in {file.parent}")
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise PathError("unreadable", f"`{relative}` cannot be read: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        message = f"`{relative}` has {file.stat().st_size:,} bytes; a file in an example has at most {MAX_BYTES:,}"
        raise PathError("too-large", message, "choose a smaller example")
    return data


def _tensor(data: bytes, kind: TensorType, relative: str) -> dict[str, Any]:
    """The JSON form of an array in a `.npy` file. Raises PathError."""
    from bentod.codec import npy

    try:
        found = npy.decode(data, kind)
    except ValueError as error:
        raise PathError("example-mismatch", f"`{relative}`: {error}") from None
    return {"dtype": found.dtype, "shape": list(found.shape), "data": base64.b64encode(found.data).decode()}

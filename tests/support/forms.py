"""Writes `multipart/form-data`, as a browser or curl does."""

from __future__ import annotations

from typing import NamedTuple

BOUNDARY = "no-part-has-this-line"


class Part(NamedTuple):
    """One part; with a file name, it is a file."""

    name: str
    data: bytes
    media_type: str = ""
    file_name: str = ""


def form(*parts: Part) -> tuple[bytes, dict[str, str]]:
    """The body, and the header that goes with it."""
    lines: list[bytes] = []
    for part in parts:
        file_name = f'; filename="{part.file_name}"' if part.file_name else ""
        lines += [b"--" + BOUNDARY.encode(), f'content-disposition: form-data; name="{part.name}"{file_name}'.encode()]
        lines += [f"content-type: {part.media_type}".encode()] if part.media_type else []
        lines += [b"", part.data]
    body = b"\r\n".join([*lines, b"--" + BOUNDARY.encode() + b"--", b""])
    return body, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}

"""Bodies as clients send them, in chunks of any size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from bentod.codec.bodies import Bodies
from bentod.codec.folder import CallFolder
from bentod.codec.reader import Input

BOUNDARY = "XbX"
FORM = f"multipart/form-data; boundary={BOUNDARY}".encode()


class Sent:
    """A body that arrives in chunks of one size."""

    def __init__(self, body: bytes, size: int = 0) -> None:
        self._body = body
        self._size = size or max(1, len(body))

    async def whole(self) -> bytes:
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._body), self._size):
            yield self._body[at : at + self._size]


def part(name: str, data: bytes | str, *, file: str | None = None, type_: str = "", more: str = "") -> bytes:
    """One part of a form."""
    head = f'Content-Disposition: form-data; name="{name}"'
    head += f'; filename="{file}"' if file is not None else ""
    head += f"\r\nContent-Type: {type_}" if type_ else ""
    head += f"\r\n{more}" if more else ""
    return head.encode() + b"\r\n\r\n" + (data.encode() if isinstance(data, str) else data)


def multipart(*parts: bytes, end: bool = True) -> bytes:
    """A body of parts."""
    body = b"".join(f"--{BOUNDARY}\r\n".encode() + one + b"\r\n" for one in parts)
    return body + f"--{BOUNDARY}--\r\n".encode() if end else body


def received(
    schema: Any, content_type: bytes | None, body: bytes, parent: Path, *, size: int = 0, **types: Any
) -> Input:
    """What a body is to an API; its files lie in the folder `call` of `parent`. The media type must be taken."""
    bodies = Bodies(schema, types)
    form = bodies.form(content_type)
    assert form is not None, f"{content_type!r} is not taken, but {bodies.takes}"
    return asyncio.run(bodies.read(form, Sent(body, size), CallFolder(parent, "call")))

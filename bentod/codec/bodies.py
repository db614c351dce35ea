"""Which media types an API takes, and reading a body of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bentod.codec import json, negotiate
from bentod.codec.reader import Folder, Input, Reader
from bentod.errors import UnsupportedMediaType


class Source(Protocol):
    """The body of a request; reading it applies its limits and raises what they say."""

    async def whole(self) -> bytes | bytearray:
        """All of it."""

    def chunks(self) -> AsyncIterator[bytes]:
        """All of it, as it comes."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a body is to be read."""

    kind: str
    media_type: str = ""
    boundary: bytes = b""


JSON = Form("json", negotiate.JSON)


class Bodies:
    """The bodies that an API takes. `plain`: nothing in its schema is special, so JSON may be read in a faster way."""

    def __init__(self, schema: Any, types: Mapping[str, Any]) -> None:
        """Raises ValueError for an invalid schema."""
        self.reader = Reader(schema, types)
        self.plain = self.reader.layout is None
        self.takes: tuple[str, ...] = (negotiate.JSON,)

    def form(self, content_type: bytes | None) -> Form | None:
        """How to read a body of this type; None for what the API does not take. Without a type it is JSON."""
        if content_type is None:
            return JSON
        kind, _ = negotiate.essence(content_type)
        return JSON if kind == negotiate.JSON else None

    async def read(self, form: Form, source: Source, folder: Folder) -> Input:
        """The input. Raises MalformedBody, InvalidInput, BodyTooLarge, UnsupportedMediaType."""
        if form is not JSON:
            raise UnsupportedMediaType
        body = bytes(await source.whole())
        return self.reader.read(json.decode(body), folder)

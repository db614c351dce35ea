"""Which media types an API takes, and reading a body of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bentod.codec import json, msgpack, multipart, negotiate
from bentod.codec.folder import default_name
from bentod.codec.forms import fields, urlencoded
from bentod.codec.inbound import Folder, Piece
from bentod.codec.reader import Input, Reader
from bentod.codec.spool import Spool, Together
from bentod.errors import MalformedBody, UnsupportedMediaType
from bentod.iotypes.media_types import (
    JSON,
    MSGPACK,
    MSGPACK_NAMES,
    MULTIPART,
    NPY,
    OCTETS,
    TEXT,
    URLENCODED,
    UTF_8,
    lies_in,
)
from bentod.iotypes.parts import Stored
from bentod.iotypes.references import resolved
from bentod.iotypes.special import FileType, SpecialType, TensorType


class Source(Protocol):
    """The body of a request; reading it applies its limits and raises what they say."""

    async def whole(self) -> bytes | bytearray:
        """All of it."""

    def chunks(self) -> AsyncIterator[bytes]:
        """All of it, as it comes."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a body is to be read: as what, which media type its sender said, and what separates its parts."""

    kind: str
    media_type: str
    boundary: bytes = b""


_PLAIN_JSON = JSON.encode()

JSON_FORM = Form(JSON, JSON)
_MSGPACK_FORM = Form(MSGPACK, MSGPACK)
_URLENCODED_FORM = Form(URLENCODED, URLENCODED)
_TEXT_FORM = Form(TEXT, TEXT)


class Bodies:
    """The bodies that an API takes.

    `plain`: nothing in its schema is special, so that a JSON body may be read in a faster way. `takes` are the media
    types, some of them ranges, the natural ones first.
    """

    def __init__(self, schema: Any, types: Mapping[str, Any]) -> None:
        """Raises ValueError if the schema is invalid or refers to what does not exist."""
        self.reader = Reader(schema, types)
        self.plain = self.reader.layout is None
        self._root = self.reader.layout.special if self.reader.layout is not None else None
        self._fields = fields(schema, types)
        self._raw = _raw(self._root)
        self._text = _text(resolved(schema, types)) if self.plain else ()
        self.takes = tuple(dict.fromkeys(self._listed()))

    def _listed(self) -> list[str]:
        always = [JSON, MSGPACK]
        if self._fields is None:
            return [*self._raw, *always, *self._text]
        forms = [MULTIPART, URLENCODED] if self._fields.flat else [MULTIPART]
        return [*always, *forms] if self.plain else [MULTIPART, *always]

    def form(self, content_type: bytes | None) -> Form | None:
        """How to read a body of this type; None for what the API does not take. Without a type it is JSON."""
        if content_type is None or content_type == _PLAIN_JSON:
            return JSON_FORM
        media_type, parameters = negotiate.essence(content_type)
        utf_8 = parameters.get("charset", "utf-8").lower() in UTF_8
        if media_type == JSON:
            return JSON_FORM if utf_8 else None
        if media_type in MSGPACK_NAMES:
            return _MSGPACK_FORM
        if media_type == MULTIPART and self._fields is not None:
            return Form(MULTIPART, MULTIPART, parameters.get("boundary", "").encode("latin-1"))
        if media_type == URLENCODED and URLENCODED in self.takes:
            return _URLENCODED_FORM if utf_8 else None
        if media_type in self._text:
            return _TEXT_FORM if utf_8 else None
        if media_type in (MULTIPART, URLENCODED) and media_type not in self._raw:  # `*/*` does not mean forms
            return None
        return (
            Form(OCTETS, media_type) if any(media_type and lies_in(media_type, taken) for taken in self._raw) else None
        )

    async def read(self, form: Form, source: Source, folder: Folder) -> Input:
        """The input that a body is, its files written.

        Raises MalformedBody, InvalidInput, BodyTooLarge, UnsupportedMediaType, StorageFailed, and what `source` raises.
        """
        with Together(folder) as files:
            if form.kind == JSON:
                body = await source.whole()
                found = self.reader.read(json.decode(body), files, booleans=self.plain or json.booleans(body))
            else:
                found = self.reader.read(await self._value(form, source, folder), files)
            await files.written()
        return found

    async def _value(self, form: Form, source: Source, folder: Folder) -> Any:
        """What a body that is not JSON holds."""
        if form.kind == MSGPACK:
            return msgpack.decode(await source.whole())
        if form.kind == MULTIPART and self._fields is not None:
            return self._fields.value(await multipart.read(form.boundary, source.chunks(), self._fields, folder))
        if form.kind == URLENCODED and self._fields is not None:
            return self._fields.value(list(urlencoded(await source.whole())))
        if form.kind == TEXT:
            return _decoded(await source.whole())
        if form.kind == OCTETS and self._root is not None:
            return await _special(self._root, form, source, folder)
        raise UnsupportedMediaType(f"the API takes {', '.join(self.takes)}")


async def _special(kind: SpecialType, form: Form, source: Source, folder: Folder) -> Piece | Stored:
    """A body that is one special value; a file goes to disk as it arrives."""
    if not isinstance(kind, FileType):
        return Piece(await source.whole(), form.media_type)
    said = form.media_type if form.media_type != OCTETS else kind.media_type
    with Spool(folder.new(default_name(said))) as spool:
        async for chunk in source.chunks():
            spool.put(chunk)
            await spool.written()
        await spool.written(all_=True)
    return Stored(str(spool.path), form.media_type)


def _decoded(body: bytes | bytearray) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise MalformedBody(f"the body is not UTF-8: byte {error.start} is wrong") from None


def _raw(kind: SpecialType | None) -> tuple[str, ...]:
    """The media types, or ranges, of bodies that are the special value itself."""
    if kind is None:
        return ()
    return (NPY, OCTETS) if isinstance(kind, TensorType) else (kind.media_type, OCTETS)


def _text(schema: Any) -> tuple[str, ...]:
    """The media types of bodies that are the string itself."""
    kinds = schema.get("type") if isinstance(schema, dict) else None
    if kinds != "string" and not (isinstance(kinds, list) and "string" in kinds):
        return ()
    said = str(schema.get("contentMediaType", TEXT)).lower()
    return (TEXT, said) if said.startswith("text/") and "*" not in said else (TEXT,)

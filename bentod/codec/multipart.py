"""Bodies of type multipart/form-data (RFC 7578), taken apart while they arrive; files go to disk meanwhile."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from bentod.codec import negotiate, npy
from bentod.codec.folder import safe_name
from bentod.codec.forms import MOST_FIELDS, Field, Fields, Text
from bentod.codec.inbound import Folder, Piece
from bentod.codec.spool import Spool
from bentod.errors import BodyTooLarge, MalformedBody
from bentod.iotypes.media_types import JSON, TEXT, UTF_8
from bentod.iotypes.parts import Stored
from bentod.iotypes.special import FileType, SpecialType, TensorType

_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{1,70}(?<! )")
_MOST_HEADERS, _LONGEST_HEADER = 8, 16 * 1024
_TOO_MANY = f"the form has more than {MOST_FIELDS} parts"
_SLICE, _MOST_PADDED = 64 * 1024, 8
_SILENT = logging.Logger("multipart", logging.CRITICAL)  # noqa: LOG001 - the parser's would warn of every broken body
_EXTENDED_NAME = re.compile(r"filename\*\s*=\s*utf-8'[^';]*'([^;\s]+)", re.IGNORECASE)
_AS_IT_IS = frozenset((b"", b"7bit", b"8bit", b"binary"))
_TEXT = frozenset(("", TEXT, JSON))
_LONGEST_WORD = 16


@dataclass(slots=True)
class _Part:
    """A part whose headers have arrived."""

    name: str
    file_name: str
    media_type: str
    kind: SpecialType | None
    words: frozenset[bytes] = frozenset()
    data: bytearray = field(default_factory=bytearray)
    spool: Spool | None = None


async def read(
    boundary: bytes, chunks: AsyncIterator[bytes], fields: Fields, folder: Folder
) -> list[tuple[str, Field]]:
    """The fields of a body, in their order.

    Raises MalformedBody, BodyTooLarge, and whatever `chunks` raises.
    """
    if not _BOUNDARY.fullmatch(boundary):
        raise MalformedBody("the Content-Type has no valid boundary")
    form = _Form(fields, folder)
    feed = _Feed(form.parser(boundary), boundary)
    try:
        async for chunk in chunks:
            for at in range(0, len(chunk), _SLICE):
                feed.write(chunk[at : at + _SLICE])
                await form.spooled()
                await asyncio.sleep(0)  # others get their turn, however much has arrived at once
    except FormParserError:
        raise MalformedBody("the body is not well-formed multipart/form-data") from None
    finally:
        form.close()
    if not form.complete:
        raise MalformedBody("the body ends before its last boundary")
    return form.fields


class _Feed:
    """Gives a parser what it can read fast. It steps byte by byte through what is nearly a boundary, of which there is
    no more in an honest body than there are parts."""

    def __init__(self, parser: MultipartParser, boundary: bytes) -> None:
        self._parser = parser
        self._delimiter = b"\r\n--" + boundary
        self._left = MOST_FIELDS + 1
        self._padded = 0

    def write(self, data: bytes) -> None:
        """Raises FormParserError, MalformedBody, BodyTooLarge."""
        if self._parser.state != MultipartState.END:
            self._left -= data.count(self._delimiter)
        if self._left < 0:
            raise BodyTooLarge(_TOO_MANY)
        self._parser.write(data)
        self._padded = self._padded + 1 if self._parser.state == MultipartState.BOUNDARY_PADDING else 0
        if self._padded > _MOST_PADDED:
            raise MalformedBody("a boundary does not end")


class _Form:
    """What has been read of a form."""

    def __init__(self, fields: Fields, folder: Folder) -> None:
        self.fields: list[tuple[str, Field]] = []
        self.complete = False
        self._known = fields
        self._folder = folder
        self._parts = 0
        self._counts: dict[str, int] = {}
        self._headers: dict[bytes, bytes] = {}
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._part: _Part | None = None
        self._spools: list[Spool] = []

    def parser(self, boundary: bytes) -> MultipartParser:
        """A parser that tells this form what it meets."""
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._head,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._finish,
            },
            max_header_count=_MOST_HEADERS,
            max_header_size=_LONGEST_HEADER,
        )
        parser.logger = _SILENT
        return parser

    async def spooled(self) -> None:
        """Write to disk what has arrived of files; those that are complete are closed."""
        open_ = self._part.spool if self._part is not None else None
        for spool in self._spools:
            await spool.written(all_=spool is not open_)
            if spool is not open_:
                spool.close()
        self._spools = [open_] if open_ is not None else []

    def close(self) -> None:
        """Close all files."""
        for spool in self._spools:
            spool.close()

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_FIELDS:
            raise BodyTooLarge(_TOO_MANY)
        self._headers = {}

    def _end_header(self) -> None:
        name, value = bytes(self._header[0]).lower(), bytes(self._header[1])
        self._header = (bytearray(), bytearray())
        if name in self._headers:
            raise MalformedBody("a part has a header twice")
        self._headers[name] = value

    def _head(self) -> None:
        """All headers of a part are known."""
        disposition = self._headers.get(b"content-disposition", b"")
        kind, options = parse_options_header(disposition)
        if kind != b"form-data" or b"name" not in options:
            raise MalformedBody("a part has no name")
        if self._headers.get(b"content-transfer-encoding", b"").strip().lower() not in _AS_IT_IS:
            raise MalformedBody("a part is encoded, and must be sent as it is")
        name = _text(options[b"name"])
        file_name = safe_name(_file_name(options, disposition)) if b"filename" in disposition.lower() else ""
        media_type, parameters = negotiate.essence(self._headers.get(b"content-type", b""))
        if media_type.startswith("multipart/"):
            raise MalformedBody(f"the part {name!r} is a form itself")
        if parameters.get("charset", "utf-8").lower() not in UTF_8:
            raise MalformedBody(f"the part {name!r} is not UTF-8")
        before = self._counts.get(name, 0)
        self._counts[name] = before + 1
        special = self._known.kind(name, before)
        plain = not file_name and media_type in _TEXT
        words = self._known.words(name, before) if special is not None and plain else frozenset()
        self._part = part = _Part(name, file_name, media_type, special, words)
        if isinstance(special, FileType):
            part.spool = Spool(self._folder.new(file_name))
            self._spools.append(part.spool)

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        assert part is not None
        if part.spool is not None:
            part.spool.put(data[start:end])
            if part.words and len(part.data) <= _LONGEST_WORD:
                part.data += data[start : min(end, start + _LONGEST_WORD + 1)]
        else:
            part.data += memoryview(data)[start:end]

    def _end(self) -> None:
        assert self._part is not None
        part, self._part = self._part, None
        self.fields.append((part.name, _field(part)))

    def _finish(self) -> None:
        self.complete = True


def _text(given: bytes) -> str:
    """A name. Raises MalformedBody if it is not UTF-8."""
    try:
        return given.decode()
    except UnicodeDecodeError:
        raise MalformedBody("a part's name is not UTF-8") from None


def _file_name(options: dict[bytes, bytes], disposition: bytes) -> str:
    """The file name that a client said, plainly or by the older `filename*`."""
    if b"filename" in options:
        return options[b"filename"].decode(errors="replace")
    found = _EXTENDED_NAME.search(disposition.decode("latin-1"))
    return unquote(found[1], errors="replace") if found else ""


def _field(part: _Part) -> Field:
    """What a complete part holds. Raises MalformedBody."""
    if part.words and len(part.data) <= _LONGEST_WORD and bytes(part.data.strip()) in part.words:
        return Text(part.data.decode(), strict=True)
    if part.spool is not None:
        return Stored(str(part.spool.path), part.media_type)
    if part.kind is not None and not (isinstance(part.kind, TensorType) and _is_text(part)):
        return Piece(part.data, part.media_type, part.file_name)
    try:
        return Text(part.data.decode(), strict=part.media_type == JSON)
    except UnicodeDecodeError:
        if part.kind is not None:
            return Piece(part.data, part.media_type, part.file_name)
        raise MalformedBody(f"the part {part.name!r} is not UTF-8") from None


def _is_text(part: _Part) -> bool:
    """Whether a tensor is sent as JSON: said so, or said nothing and not `.npy`."""
    if part.media_type in ("", TEXT):
        return not part.file_name and not part.data.startswith(npy.MAGIC)
    return part.media_type == JSON

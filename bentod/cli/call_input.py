"""The input of `bentod call`: words of the command line → the body of a request."""

from __future__ import annotations

import io
import json
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bentod.codec.folder import check_media_type
from bentod.codec.npy import MAGIC
from bentod.errors import BentodError
from bentod.iotypes.layout import Layout, layout
from bentod.iotypes.media_types import JSON, MSGPACK, MULTIPART, NPY, OCTETS, URLENCODED
from bentod.iotypes.references import resolved
from bentod.iotypes.special import FileType, ImageType, SpecialType, TensorType, special

_PAIR = re.compile(r"([^\W\d][\w.-]*)=(.*)", re.DOTALL)
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_OF_TENSORS = {".npy": NPY, ".msgpack": MSGPACK}
_LONGEST_TOLD = 60
_WORDS = (b"null", b"[]")
_FORMS = (JSON, MSGPACK, MULTIPART, URLENCODED)


class UnusableInput(BentodError):
    """The words of the command line make no body."""


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes, or an open file, of a media type. `name` is the field's in a form, `file` the file's."""

    media_type: str
    data: bytes | BinaryIO
    name: str = ""
    file: str = ""


Body = Content | tuple[Content, ...]
"""A body, or the fields of a form."""


def body(words: Sequence[str], api: Mapping[str, Any], stdin: Callable[[], bytes], files: ExitStack) -> Body:
    """What is sent to an API that the daemon described as `api`. Files that are opened are `files`' to close.

    Raises UnusableInput.
    """
    if not words:
        return _example(api)
    pairs = [_PAIR.fullmatch(word) for word in words]
    kind = special(api["input"], api["types"])
    if all(pairs) and kind is not None:
        raise UnusableInput("the API's input has no properties: give the value itself, as `@FILE`")
    if all(pairs):
        return _object([(pair[1], pair[2]) for pair in pairs if pair], api, files)
    if len(words) > 1:
        raise UnusableInput("several words of input must all be NAME=VALUE; JSON is one word: put it in quotes")
    [word] = words
    if word == "-":
        return _bytes(stdin(), "the input", kind)
    if word.startswith("@"):
        file = _opened(word[1:], files)
        return _raw(word[1:], file, kind) if kind else _read(word[1:], file)
    return Content(JSON, _json(_encoded(word), "the input", _meant(word)))


def header(text: str) -> tuple[str, str]:
    """A header as the command line has it, its name in lower case. Raises UnusableInput."""
    found = _HEADER.fullmatch(text)
    if found is None:
        raise UnusableInput(f"{text!r} is no header: it should be NAME:VALUE")
    return found[1].lower(), found[2].rstrip()


def _example(api: Mapping[str, Any]) -> Content:
    if not api["examples"]:
        raise UnusableInput("the API has no example: give an input")
    return Content(JSON, json.dumps(api["examples"][0]["input"]).encode())


def _json(data: bytes, what: str, hint: str = "") -> bytes:
    try:
        json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnusableInput(f"{what} is no JSON: {error}{hint}") from None
    return data


def _meant(word: str) -> str:
    """What a word that is no JSON may have been meant as."""
    if word[:1] in "[{\"'" or len(word) > _LONGEST_TOLD:
        return ""
    if Path(word).is_file():
        return f"; did you mean `@{word}`?"
    return f"; NAME=VALUE is a property, @FILE a file, and text has quotes of its own: '{json.dumps(word)}'"


def _encoded(word: str) -> bytes:
    try:
        return word.encode()
    except UnicodeEncodeError:
        raise UnusableInput("the input is not UTF-8") from None


# ── files and stdin ──────────────────────────────────────────────────────────────────────────────


def _bytes(data: bytes, what: str, kind: SpecialType | None) -> Content:
    """What came without a name, read already."""
    if kind is None:
        return Content(JSON, _json(data, what))
    if not isinstance(kind, TensorType):
        return Content(OCTETS, data)
    return Content(NPY, data) if data.startswith(MAGIC) else Content(JSON, _json(data, what))


def _opened(name: str, files: ExitStack) -> BinaryIO:
    """A file open for reading; what is no regular file, such as a pipe, is read whole at once."""
    try:
        file: BinaryIO = files.enter_context(Path(name).expanduser().open("rb"))
        if not stat.S_ISREG(Path(name).expanduser().stat().st_mode):
            return io.BytesIO(file.read())
    except OSError as error:
        raise UnusableInput(f"cannot read {name or 'a file without a name'}: {error.strerror}") from None
    return file


def _raw(name: str, file: BinaryIO, kind: SpecialType | None) -> Content:
    """A file that is the value of a special type."""
    return Content(_media_type(name, kind), file, file=Path(name).name)


def _read(name: str, file: BinaryIO) -> Content:
    """A file that holds the value in an encoding."""
    data = file.read()
    return Content(MSGPACK, data) if Path(name).suffix == ".msgpack" else Content(JSON, _json(data, name))


def _media_type(name: str, kind: SpecialType | None) -> str:
    """What a file's name says. For a file or bytes, `.json` is just another kind of file; a tensor can be in one."""
    suffix = Path(name).suffix.lower()
    if isinstance(kind, TensorType) and suffix in _OF_TENSORS:
        return _OF_TENSORS[suffix]
    guessed = check_media_type(FileType(), "", Path(name).name)
    return OCTETS if guessed in ("", *_FORMS) and not isinstance(kind, ImageType | TensorType) else guessed or OCTETS


# ── NAME=VALUE ───────────────────────────────────────────────────────────────────────────────────


def _object(pairs: Sequence[tuple[str, str]], api: Mapping[str, Any], files: ExitStack) -> Body:
    """A JSON object; a form as soon as a file is in it."""
    places = layout(api["input"], api["types"]) or Layout()
    kinds = [_kind(places.properties.get(name) or places.additional) for name, _ in pairs]
    fields = [_field(*pair, kind, api, files) for pair, kind in zip(pairs, kinds, strict=True)]
    if any(field.file for field in fields):
        for field, kind in zip(fields, kinds, strict=True):
            told = field.data in _WORDS  # which a form can say in place of a file
            if not field.file and not told and kind is not None and not isinstance(kind, TensorType):
                raise UnusableInput(f"{field.name}: where one value is a file, this must be a file, too")
        return tuple(fields)
    values: dict[str, list[bytes]] = {}
    for field in fields:
        assert isinstance(field.data, bytes)
        values.setdefault(field.name, []).append(field.data)
    members = (_quoted(name) + b": " + _listed(several) for name, several in values.items())
    return Content(JSON, b"{" + b", ".join(members) + b"}")


def _kind(place: Layout | None) -> SpecialType | None:
    """What a value is if it is special, or what the items of a list are."""
    while place is not None and place.special is None:
        place = place.items or (place.prefix[0] if place.prefix else None)
    return place.special if place is not None else None


def _listed(several: list[bytes]) -> bytes:
    """A name that is given more than once has a list."""
    return several[0] if len(several) == 1 else b"[" + b", ".join(several) + b"]"


def _field(name: str, value: str, kind: SpecialType | None, api: Mapping[str, Any], files: ExitStack) -> Content:
    """One pair. `name=@path` is the file itself where the schema wants something special; else what it holds."""
    found = resolved(api["input"], api["types"])
    properties = found.get("properties", {}) if isinstance(found, dict) else {}
    schema = resolved(properties.get(name), api["types"], found)
    text = isinstance(schema, dict) and schema.get("type") == "string"
    if not value.startswith("@"):
        return Content(JSON, _value(_encoded(value), text=text), name)
    file = _opened(value[1:], files)
    if kind is None:
        return Content(JSON, _value(file.read(), text=text), name)
    raw = _raw(value[1:], file, kind)
    return Content(raw.media_type, raw.data, name, raw.file)


def _value(data: bytes, *, text: bool) -> bytes:
    """JSON as it is written, anything else as a string; all but strings, too, where the schema wants `text`."""
    try:
        value = json.loads(data, parse_constant=_refused)
    except (ValueError, RecursionError):
        return _quoted(_decoded(data))
    return _quoted(_decoded(data)) if text and not isinstance(value, str) else data


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UnusableInput("a value is neither JSON nor UTF-8 text") from None


def _refused(_: str) -> None:
    raise ValueError


def _quoted(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()

"""Answers: checked against their schema, then encoded as what the client accepts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bentod.codec import json, msgpack, negotiate, npy, outbound
from bentod.codec.folder import check_media_type
from bentod.codec.offers import offers, pictures, texts
from bentod.codec.places import emptied, judge, told
from bentod.errors import InvalidOutput, OutputUnserializable
from bentod.iotypes.layout import layout, specials
from bentod.iotypes.media_types import JSON, MSGPACK_NAMES, NPY, OCTETS
from bentod.iotypes.parts import Memory, Part, Picture, Stored, Tensor
from bentod.iotypes.special import BinaryType, FileType, TensorType
from bentod.iotypes.tensor import Dimensions, Misfit

_ENCODED = (JSON, *MSGPACK_NAMES)
_MISMATCH = "the answer does not match the API's output schema"


@contextmanager
def _told() -> Iterator[None]:
    """Raises what a client may know of an OutputUnserializable."""
    try:
        yield
    except OutputUnserializable as error:
        raise _told_of(error) from None


def _told_of(error: OutputUnserializable) -> InvalidOutput | OutputUnserializable:
    """What JSON cannot hold is for the operator's log; only that it was NaN or Infinity is for the client."""
    if error.not_finite:
        return InvalidOutput("the answer holds NaN or Infinity", log=error.detail)
    return OutputUnserializable(log=error.log or error.detail)


class Body(NamedTuple):
    """The body of an answer: its parts one after the other, or a file that is sent from disk."""

    media_type: str
    parts: tuple[Memory, ...]
    file: Stored | None = None


class Writer:
    """Checks and encodes the answers of one API."""

    def __init__(self, schema: Any, types: Mapping[str, Any], *, check: bool) -> None:
        """Raises ValueError if the schema is invalid or refers to what does not exist."""
        self.layout = layout(schema, types)
        self._validator = judge(schema, types, self.layout)
        self._check = check
        self._pictures = pictures(self.layout)
        self.offers = offers(schema, types, self.layout)
        self._has_files = any(isinstance(kind, FileType) for kind in specials(self.layout))
        self._texts = texts(schema, types) if self.layout is None else ()

    def image_type(self, chosen: str) -> str:
        """The media type in which pictures are encoded if `chosen` is what the client gets; empty if there are none."""
        if chosen in self._pictures:
            return chosen
        return self._pictures[0] if self._pictures else ""

    def accept(self, accept: bytes | None) -> str | None:
        """What the client likes best of the offers; None if it accepts none."""
        return self.offers[0] if accept is None else negotiate.accepted(accept, self.offers)

    def check(self, value: Any, dimensions: Mapping[str, int]) -> Any:
        """The value with parts in its special places. Raises InvalidOutput or OutputUnserializable."""
        if self.layout is None:
            self._validate(value)
            return value
        root, places = emptied(value, self.layout)
        bound = Dimensions(dimensions)
        parts = []
        for place in places:
            try:
                parts.append(outbound.part(place, bound, check=self._check))
            except ValueError as error:
                raise InvalidOutput(_MISMATCH, log=f"{place.at(error) or '/'}: {error}") from None
        self._validate(root[0])
        for place, part in zip(places, parts, strict=True):
            place.fill(part)
        return root[0]

    def _validate(self, value: Any) -> None:
        try:
            if self._check and not self._validator.valid(value):
                first = self._validator.errors(value)[:1]
                raise InvalidOutput(
                    _MISMATCH, log="; ".join(f"{one.pointer or '/'}: {one.detail}" for one in map(told, first))
                )
        except (ValueError, TypeError) as error:  # it met what is not JSON, such as a number as a name
            raise OutputUnserializable(log=str(error)) from None

    def json(self, value: Any, dimensions: Mapping[str, int]) -> bytes:
        """A value, or one chunk of a stream, as JSON. Raises InvalidOutput or OutputUnserializable."""
        if self.layout is not None:
            return self._json(self.check(value, dimensions))
        self._validate(value)
        try:
            return json.encode(value)
        except OutputUnserializable as error:
            raise _told_of(error) from None

    def _json(self, value: Any) -> bytes:
        """The JSON of a checked value with parts."""
        assert self.layout is not None
        with _told():
            root, places = emptied(value, self.layout)
            for place in places:
                place.fill(outbound.json_form(place.value) if isinstance(place.value, Part) else place.value)
            return json.encode(root[0], arrays=True)

    def reads_files(self, value: Any, chosen: str, accept: bytes | None = None) -> bool:
        """Whether `body` may read files for this answer, up to 64 MiB of them: on another thread, where others wait."""
        if not self._has_files or self.layout is None:
            return False
        if isinstance(self.layout.special, FileType) and chosen in (self.layout.special.media_type, OCTETS):
            return isinstance(value, Stored) and "*" in chosen and accept is not None
        return any(isinstance(place.value, Stored) for place in emptied(value, self.layout)[1])

    def body(self, value: Any, chosen: str, dimensions: Mapping[str, int], accept: bytes | None = None) -> Body:
        """The answer as what was chosen of the offers. Raises InvalidOutput or OutputUnserializable.

        `accept` decides again where a range was chosen, as soon as it is known what the answer is. This takes a while
        where it `reads_files`.
        """
        if self.layout is None and chosen == JSON:
            return Body(chosen, (self.json(value, dimensions),))
        checked = self.check(value, dimensions)
        kind = self.layout.special if self.layout is not None else None
        if isinstance(kind, FileType | BinaryType) and (chosen in (kind.media_type, OCTETS)):  # even if that is JSON
            return self._as_it_is(kind, checked, chosen, accept)
        if chosen in _ENCODED:
            return self._encoded(checked, chosen)
        if chosen in self._texts:
            return self._text(checked, chosen)
        return self._natural(checked, dimensions)

    def _encoded(self, checked: Any, chosen: str) -> Body:
        """A checked value as JSON or MessagePack, with its files inside."""
        if self._has_files and self.layout is not None:
            places = emptied(checked, self.layout)[1]
            outbound.check_files([place.value for place in places if isinstance(place.value, Stored)])
        return Body(chosen, (self._json(checked),) if chosen == JSON else self._msgpack(checked))

    def _as_it_is(self, kind: FileType | BinaryType, value: Any, chosen: str, accept: bytes | None) -> Body:
        """A file or bytes; null is JSON whatever was chosen. What turns out to be of a type that the client does not
        take is encoded, if it takes that and it is not too large; else it is sent all the same."""
        if value is None:
            return Body(JSON, (self._json(value),))
        file = value if isinstance(value, Stored) else None
        media_type = chosen
        if "*" in chosen:
            media_type = _sent(kind, file) or (accept and negotiate.named(accept, chosen)) or OCTETS
            if file is not None and accept and not negotiate.accepts(accept, media_type):
                other = negotiate.accepted(accept, (*_ENCODED, OCTETS))
                if other == OCTETS:
                    media_type = other
                elif other is not None and outbound.fit_inside([file]):
                    return self._encoded(value, other)
        return Body(media_type, () if file else (value.data,), file)

    def _msgpack(self, value: Any) -> tuple[Memory, ...]:
        """The MessagePack of a checked value; what is plain in it is what JSON could hold too."""
        with _told():
            json.encode(value if self.layout is None else emptied(value, self.layout)[0][0])
        return msgpack.encode(value, self.layout)

    def _text(self, value: Any, chosen: str) -> Body:
        if not isinstance(value, str):
            raise InvalidOutput(_MISMATCH, log=f"{chosen} was chosen, and the answer is no string")
        try:
            return Body(f"{chosen}; charset=utf-8" if chosen.startswith("text/") else chosen, (value.encode(),))
        except UnicodeEncodeError as error:
            raise OutputUnserializable(log=str(error)) from None

    def _natural(self, value: Any, dimensions: Mapping[str, int]) -> Body:
        """An answer that is one tensor or image, as itself; null is JSON whatever was chosen."""
        kind = self.layout.special if self.layout is not None else None
        if kind is None or value is None:
            return Body(JSON, (self._json(value),))
        if isinstance(kind, TensorType):
            if not isinstance(value, Tensor):
                try:
                    value = outbound.tensor(kind, value, Dimensions(dimensions), "")
                except Misfit as error:
                    raise InvalidOutput(_MISMATCH, log=str(error)) from None
            return Body(NPY, (npy.head(value), value.data))
        assert isinstance(value, Picture)
        return Body(value.media_type, (value.data,))


def _sent(kind: FileType | BinaryType, file: Stored | None) -> str:
    """The media type of a file: its own, else what its name suggests; empty if neither says one that is declared."""
    try:
        found = check_media_type(kind, file.media_type, Path(file.path).name) if file else ""
    except ValueError:
        return ""
    return found if found != OCTETS else ""

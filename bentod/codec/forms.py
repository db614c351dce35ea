"""The fields of a form made one value, by what the schema says of each: they come as text, and their order is free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from bentod.codec import json
from bentod.codec.inbound import Piece
from bentod.errors import MISMATCH, BodyTooLarge, InvalidInput, MalformedBody, Pointed
from bentod.iotypes.layout import Layout, layout
from bentod.iotypes.parts import Stored
from bentod.iotypes.pointers import escaped
from bentod.iotypes.references import object_schema, resolved
from bentod.iotypes.special import SpecialType

MOST_FIELDS = 64
"""Fields or parts that a form may have."""

_MOST_ESCAPES = 200_000  # Python needs half a second for a million
_OBJECT = "object"


@dataclass(frozen=True, slots=True)
class Text:
    """A field that is text. `strict`: its sender says that it is JSON."""

    text: str
    strict: bool = False


Field = Text | Piece | Stored


@dataclass(frozen=True, slots=True)
class _Place:
    """What a schema says of one field. `types` is None where any is allowed."""

    types: frozenset[str] | None = None
    special: SpecialType | None = None
    prefix: Sequence[_Place] = ()
    items: _Place | None = None

    def item(self, index: int) -> _Place:
        return self.prefix[index] if index < len(self.prefix) else self.items or _ANY

    @property
    def repeats(self) -> bool:
        """Whether several fields of the name are one value."""
        return self.special is None and (self.types is None or "array" in self.types)


_ANY = _Place()


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields that the forms of an object schema may have. `flat`: text alone can hold them."""

    places: Mapping[str, _Place]
    others: _Place
    flat: bool

    def kind(self, name: str, before: int) -> SpecialType | None:
        """What a field is if it is special, after so many others of its name."""
        place = self.places.get(name, self.others)
        return place.special or (place.item(before).special if place.repeats else None)

    def words(self, name: str, before: int) -> frozenset[bytes]:
        """What a part says, if it is no file, that cannot be said with files: that there is none, or an empty list."""
        place = self.places.get(name, self.others)
        kind = self.kind(name, before)
        null = (kind is not None and kind.nullable) or (
            place.types is not None and "null" in place.types and not before
        )
        empty = place.repeats and not before
        return frozenset(word for word, allowed in ((b"null", null), (b"[]", empty)) if allowed)

    def value(self, fields: Sequence[tuple[str, Field]]) -> dict[str, Any]:
        """The object that the fields make. Raises InvalidInput, MalformedBody."""
        by_name: dict[str, list[Field]] = {}
        for name, one in fields:
            by_name.setdefault(name, []).append(one)
        twice = [
            Pointed(f"/{escaped(name)}", "was sent twice")
            for name, several in by_name.items()
            if len(several) > 1 and not self.places.get(name, self.others).repeats
        ]
        if twice:
            raise InvalidInput(MISMATCH, errors=tuple(twice))
        return {name: _value(name, several, self.places.get(name, self.others)) for name, several in by_name.items()}


def fields(schema: Any, types: Mapping[str, Any]) -> Fields | None:
    """The fields of a schema's forms; None if it is no object."""
    found = object_schema(schema, types) or resolved(schema, types)
    if not isinstance(found, dict) or found.get("type", _OBJECT if "properties" in found else "") != _OBJECT:
        return None
    where = layout(schema, types) or Layout()
    reader = _Reader(schema, types)
    places = {
        name: reader.place(inner, where.properties.get(name)) for name, inner in found.get("properties", {}).items()
    }
    others = reader.place(found.get("additionalProperties", True), where.additional)
    return Fields(places, others, flat=all(map(_is_flat, places.values() or [others])))


def _is_flat(place: _Place) -> bool:
    """Whether a place holds a scalar or a list of them."""
    if place.special is not None or (place.types is not None and _OBJECT in place.types):
        return False
    inner = [*place.prefix, *([place.items] if place.items else [])]
    return all(_is_flat(one) and not (one.types and "array" in one.types) for one in inner)


class _Reader:
    """Reads places off one schema."""

    def __init__(self, root: Any, types: Mapping[str, Any]) -> None:
        self._root = root
        self._types = types

    def place(self, schema: Any, where: Layout | None, *, deep: bool = True) -> _Place:
        """What stands at a schema; of a list's items too."""
        if where is not None and where.special is not None:
            return _Place(special=where.special)
        schema = resolved(schema, self._types, self._root)
        if not isinstance(schema, dict):
            return _ANY
        allowed = self._allowed(schema, 0)
        if not deep:
            return _Place(allowed)
        below = where or Layout()
        prefix = [
            self.place(inner, below.prefix[at] if at < len(below.prefix) else None, deep=False)
            for at, inner in enumerate(schema.get("prefixItems", []))
        ]
        return _Place(allowed, None, prefix, self.place(schema.get("items", True), below.items, deep=False))

    def _allowed(self, schema: Any, depth: int) -> frozenset[str] | None:
        """The JSON types that a schema allows, as far as it says so plainly; None for any."""
        schema = resolved(schema, self._types, self._root)
        if not isinstance(schema, dict) or depth > json.MAX_DEPTH:
            return None
        if "type" in schema:
            kinds = schema["type"]
            return frozenset([kinds] if isinstance(kinds, str) else kinds)
        if "const" in schema or "enum" in schema:
            return frozenset(_type(value) for value in schema.get("enum", [schema.get("const")]))
        for key in ("anyOf", "oneOf"):
            if key in schema:
                branches = [self._allowed(inner, depth + 1) for inner in schema[key]]
                known = [one for one in branches if one is not None]
                return frozenset[str]().union(*known) if len(known) == len(branches) else None
        return None


def _value(name: str, several: Sequence[Field], place: _Place) -> Any:
    """The value of the fields of one name: a list where there are several, or where there must be one."""
    if len(several) > 1:
        return [_one(name, each, place.item(at)) for at, each in enumerate(several)]
    (one,) = several
    value = _one(name, one, place)
    if not place.repeats or place.types is None or (isinstance(one, Text) and _fits(value, place.types)):
        return value
    return [_one(name, one, place.item(0))]


def _one(name: str, one: Field, place: _Place) -> Any:
    """The value of one field by itself."""
    if not isinstance(one, Text):
        return one
    try:
        value = json.decode(one.text.encode())
    except MalformedBody as error:
        if one.strict:
            raise MalformedBody(f"the part {name!r}: {error.detail}") from None
        return one.text
    if one.strict or place.special is not None or place.types is None or _fits(value, place.types):
        return value
    return one.text if "string" in place.types else value


def _fits(value: Any, types: frozenset[str]) -> bool:
    """Whether a JSON value has one of the types."""
    kind = _type(value)
    return kind in types or (kind == "integer" and "number" in types)


def _type(value: Any) -> str:
    """The JSON type of a value."""
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    kinds = ((bool, "boolean"), (int, "integer"), (str, "string"), (list, "array"), (dict, _OBJECT))
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")


def urlencoded(body: bytes | bytearray) -> Iterator[tuple[str, Field]]:
    """The fields of an `application/x-www-form-urlencoded` body. Raises MalformedBody, BodyTooLarge."""
    if _is_json_object(body):  # `curl -d '{…}'` calls it a form
        raise MalformedBody("the body is JSON, and called a form: send it with Content-Type: application/json")
    if body.count(b"&") >= MOST_FIELDS:
        raise BodyTooLarge(f"the form has more than {MOST_FIELDS} fields")
    if body.count(b"%") > _MOST_ESCAPES:
        raise BodyTooLarge(f"the form has more than {_MOST_ESCAPES} escapes; multipart/form-data needs none")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise MalformedBody("the form is not UTF-8") from None
    return ((name, Text(text)) for name, text in pairs)


def _is_json_object(body: bytes | bytearray) -> bool:
    if not body.lstrip().startswith(b"{"):
        return False
    try:
        return isinstance(json.decode(body), dict)
    except MalformedBody:
        return False

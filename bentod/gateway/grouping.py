"""Which calls of an API can share a batch, and how much each counts there: worked out when a call is admitted."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from hashlib import blake2b
from typing import Any

import orjson

from bentod.errors import InvalidInput, Pointed
from bentod.iotypes.layout import Layout, layout
from bentod.iotypes.parts import Blob, Part, Picture, Tensor
from bentod.iotypes.pointers import escaped
from bentod.iotypes.references import object_schema
from bentod.iotypes.special import TensorType

_PASSED_ON = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_SORT_KEYS
_LONG = 64  # longer keys are digests


class Grouping:
    """The groups of one API's calls. If it is `trivial`, every call is of the group None and weighs 1: no need to ask.

    `takes` and `max_size` (0 if calls are not batched) are the route's; `closed` promises that the callable gets no
    properties but those that the schema declares.
    """

    __slots__ = ("_closed", "_max_size", "_named", "_rows", "trivial")

    def __init__(
        self, takes: str, max_size: int, schema: Any, types: Mapping[str, Any], *, closed: bool = False
    ) -> None:
        named = object_schema(schema, types)
        self._max_size = max_size
        self._named = named is not None
        self._rows = takes == "rows"
        self._closed = closed and takes != "items"  # whose objects are passed as they came
        unbatched = takes == "item" or not max_size
        self.trivial = not self._rows and (unbatched or self._uniform(named, layout(schema, types)))

    def _uniform(self, named: Mapping[str, Any] | None, place: Layout | None) -> bool:
        """Whether all calls have the same properties, and tensors of the same shape."""
        if named is None:
            return place is None or not _varies(place)
        names, required = named["properties"].keys(), named.get("required", ())
        closed = self._closed or (named.get("additionalProperties") is False and "patternProperties" not in named)
        varying = place is not None and any(_varies(place.properties[name]) for name in names & place.properties.keys())
        return closed and names <= set(required) and not varying

    def place(self, value: Any) -> tuple[Hashable, int]:
        """The group of a call, and its weight. `value` is its argument, read and valid: a dictionary of keyword
        arguments, or the positional one.

        Raises InvalidInput if the call shall bring rows, and its arrays are not equally long, there is none, or there
        are more rows than a batch takes.
        """
        if self._rows:
            return self._of_rows(value.items() if self._named else (("", value),))
        if self.trivial:
            return None, 1
        if self._named and type(value) is dict:
            return frozenset([(name, _kind(item)) for name, item in value.items()]), 1
        return _kind(value), 1

    def _of_rows(self, items: Iterable[tuple[str, Any]]) -> tuple[Hashable, int]:
        kinds: list[Hashable] = []
        lengths: dict[str, int] = {}
        others: dict[str, Any] = {}
        for name, item in items:
            if type(item) is list:
                kinds.append(name)
                lengths[name] = len(item)
            elif type(item) is Tensor and item.shape:
                kinds.append((name, item.dtype, item.shape[1:]))
                lengths[name] = item.shape[0]
            else:
                others[name] = item
        rows = self._checked(lengths)
        if not self._max_size:
            return None, rows or 1
        return (frozenset(kinds), _equality(others) if others else b""), rows or 1

    def _checked(self, lengths: Mapping[str, int]) -> int:
        """How many rows a call has. Raises InvalidInput."""
        if not lengths:
            detail = "one array at least is needed, and its entries are the rows"
            raise InvalidInput("the input has no rows", errors=(Pointed("", detail),))
        first, rows = next(iter(lengths.items()))
        if len(lengths) > 1 and (errors := _unequal(lengths, first, rows)):
            raise InvalidInput("the arrays of the input have different lengths", errors=errors)
        if rows > self._max_size > 0:
            pointed = Pointed(
                _pointer(first) if self._named else "", f"{_counted(rows)}, and {self._max_size} are the most"
            )
            raise InvalidInput("the input has too many rows", errors=(pointed,))
        return rows


def _unequal(lengths: Mapping[str, int], first: str, rows: int) -> tuple[Pointed, ...]:
    """Which arrays have not as many rows as the first one."""
    return tuple(
        Pointed(_pointer(name), f"{_counted(length)} here, and {_counted(rows)} in {first[:60]!r}")
        for name, length in lengths.items()
        if length != rows
    )


def _varies(place: Layout) -> bool:
    """Whether the shapes at a place may differ, or null may be there."""
    kind = place.special
    if not isinstance(kind, TensorType):
        return False
    return kind.nullable or any(not isinstance(length, int) or length < 0 for length in kind.shape)


def _kind(value: Any) -> Hashable:
    """What makes tensors fit together. Other values go together anyway, null with a tensor does not."""
    return (value.dtype, value.shape) if type(value) is Tensor else None


def _equality(values: Mapping[str, Any]) -> bytes:
    """What is the same for equal values only: their JSON, or a digest of it. 1, 1.0 and true are not equal."""
    text = orjson.dumps(values, default=_digest, option=_PASSED_ON)
    return text if len(text) <= _LONG else blake2b(text, digest_size=32).digest()


def _digest(part: Part) -> str:
    """What stands for a special value. Two files are never equal, unless they are the same."""
    match part:
        case Tensor():
            head, data = f"{part.dtype} {part.shape}", part.data
        case Picture():
            head, data = part.media_type, part.data
        case Blob():
            head, data = "", part.data
        case _:
            return f"{part.media_type} {part.path}"
    return f"{head} {blake2b(data, digest_size=32).hexdigest()}"


def _pointer(name: str) -> str:
    return f"/{escaped(name)}"


def _counted(rows: int) -> str:
    return f"{rows} row{'' if rows == 1 else 's'}"

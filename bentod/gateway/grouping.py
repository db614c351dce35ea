"""Which calls of an API can share a batch, and how much each counts there: worked out when a call is admitted."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from hashlib import blake2b
from typing import Any

import orjson

from bentod.iotypes import rows
from bentod.iotypes.layout import Layout, layout
from bentod.iotypes.parts import Blob, Part, Picture, Tensor
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
        self._closed = closed
        unbatched = takes in ("item", "items") or not max_size  # nothing is put together
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
            length = rows.length(item)
            if length is None:
                others[name] = item
            else:
                lengths[name] = length
                kinds.append(name if type(item) is list else (name, item.dtype, item.shape[1:]))
        weight = rows.counted(lengths, self._max_size, named=self._named) or 1
        if not self._max_size:
            return None, weight
        return (frozenset(kinds), _equality(others) if others else b""), weight


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

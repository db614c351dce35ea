"""Whether an API answers as its example says: what is wrong with an answer, in a few lines whatever its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from bentod.codec import expect_special, msgpack
from bentod.codec.chunks import DECODERS, StreamFailed
from bentod.codec.expect_words import NOTHING, Unlike, shown, texts
from bentod.errors import CallError
from bentod.iotypes.layout import Layout, layout
from bentod.iotypes.media_types import JSON, MSGPACK, OCTETS
from bentod.iotypes.pointers import escaped
from bentod.iotypes.special import BinaryType, FileType, TensorType

MOST_SHOWN = 10
"""Differences that are told; of the others only their number."""

_STREAMS = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}
_MOST_DETAIL = 1_000


@dataclass(frozen=True, slots=True)
class Difference:
    """A place in an answer, as a JSON Pointer that is empty for all of it, what was expected there, and what came."""

    pointer: str
    expected: str
    got: str
    note: str = ""

    def __str__(self) -> str:
        note = f" ({self.note})" if self.note else ""
        return f"{self.pointer or 'the answer'}: expected {self.expected}, got {self.got}{note}"


@dataclass(frozen=True, slots=True)
class Differences:
    """The first differences, and how many there are in all. False if there is none."""

    shown: tuple[Difference, ...]
    count: int

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        more = self.count - len(self.shown)
        return "\n".join([*map(str, self.shown), *([f"… and {more} more"] if more else [])])


class Expectation:
    """What one API's answers are compared with. The schema is that of its `output`, `stream` as in its route."""

    def __init__(self, schema: Any, types: Mapping[str, Any], stream: str = "") -> None:
        self.layout = layout(schema, types)
        self._stream = stream

    @property
    def special(self) -> bool:
        """Whether tensors, pictures, files or bytes are compared: that may take a while."""
        return self.layout is not None

    def accept(self, expected: Any, *, has_output: bool) -> str | None:
        """The media type to ask for: JSON where that can be compared; None for what the API likes best."""
        if self._stream:
            return None
        kind = self.layout.special if self.layout is not None else None
        if kind is not None and not isinstance(kind, TensorType) and not has_output:
            return None  # of any size: it need not fit into JSON
        as_it_is = isinstance(kind, FileType | BinaryType) and kind.media_type == JSON
        return MSGPACK if as_it_is or (has_output and expect_special.infinite(expected, self.layout)) else JSON

    def fault(self, body: bytes, media_type: str, expected: Any, tolerance: float | None, *, has_output: bool) -> str:
        """What is wrong with a good answer, in lines; empty if it is as expected, or nothing is but an answer."""
        if not has_output and not self._stream:
            return ""
        try:
            got = self.read(body, media_type)
        except (ValueError, CallError, StreamFailed) as error:
            return str(error)
        return str(self.differences(expected, got, tolerance)) if has_output else ""

    def read(self, body: bytes, media_type: str) -> Any:
        """The value of an answer; of a stream the list of its chunks, or bytes if it is raw.

        Raises ValueError, StreamFailed or CallError for what is none.
        """
        kind = media_type.partition(";")[0].strip()
        if self._stream == "raw":
            return body
        if self._stream:
            if kind != _STREAMS[self._stream]:
                raise ValueError(f"the answer is {kind}, and not {_STREAMS[self._stream]}")
            decoder = DECODERS[kind]()
            chunks = list(decoder.feed(body))
            decoder.end()
            return chunks
        if kind == MSGPACK:
            return msgpack.decode(body)
        if kind != JSON:
            raise ValueError(f"the answer is {kind or OCTETS}, and not {JSON}")
        return orjson.loads(body)

    def differences(self, expected: Any, got: Any, tolerance: float | None = None) -> Differences:
        """Where an answer is not what its example says. Both are JSON values; of a raw stream `got` may be bytes."""
        place = self.layout
        if self._stream == "raw":
            got, place = _raw(expected, got, place)
        elif self._stream and place is not None:
            place = Layout(items=place)
        walk = _Walk(tolerance)
        walk.compare(expected, got, place)
        return Differences(tuple(walk.shown), walk.count)


def differences(
    expected: Any, got: Any, schema: Any, types: Mapping[str, Any], tolerance: float | None = None
) -> Differences:
    """Where a value is not what is expected under a schema."""
    return Expectation(schema, types).differences(expected, got, tolerance)


def _raw(expected: Any, got: Any, place: Layout | None) -> tuple[Any, Layout | None]:
    """A raw stream's bytes in the form in which its example is written."""
    data = got if isinstance(got, bytes) else str(got).encode()
    if place is not None and isinstance(place.special, BinaryType):
        return data, place
    return data.decode("utf-8", "replace"), None


class _Walk:
    """Goes through two values side by side, and keeps what differs."""

    def __init__(self, tolerance: float | None) -> None:
        self.shown: list[Difference] = []
        self.count = 0
        self._tolerance = tolerance
        self._path: list[str | int] = []

    def compare(self, expected: Any, got: Any, place: Layout | None) -> None:
        """Compare what stands here and below."""
        if place is not None and place.special is not None and expected is not None and got is not None:
            unlike = expect_special.compared(place.special, expected, got, self._tolerance)
            if unlike is not None:
                self._differ(unlike)
        elif isinstance(expected, dict) and isinstance(got, dict):
            self._objects(expected, got, place or Layout())
        elif isinstance(expected, list | tuple) and isinstance(got, list | tuple):
            self._arrays(expected, got, place or Layout())
        elif not self._alike(expected, got):
            self._differ(self._scalars(expected, got))

    def _objects(self, expected: Mapping[str, Any], got: Mapping[str, Any], place: Layout) -> None:
        for name, item in expected.items():
            self._path.append(name)
            if name in got:
                self.compare(item, got[name], place.properties.get(name, place.additional))
            else:
                self._differ(Unlike(shown(item), NOTHING))
            self._path.pop()
        for name in got.keys() - expected.keys() if got.keys() != expected.keys() else ():
            self._differ(Unlike(NOTHING, shown(got[name]), path=(name,)))

    def _arrays(self, expected: Sequence[Any], got: Sequence[Any], place: Layout) -> None:
        if len(expected) != len(got):
            self._differ(Unlike(_items(expected), _items(got)))
        for index, (one, other) in enumerate(zip(expected, got, strict=False)):
            self._path.append(index)
            self.compare(one, other, place.prefix[index] if index < len(place.prefix) else place.items)
            self._path.pop()

    def _alike(self, expected: Any, got: Any) -> bool:
        """Whether two values, not both objects or both arrays, are the same: a boolean is no number."""
        if _number(expected) and _number(got):
            return near(expected, got, self._tolerance)
        return type(expected) is type(got) and bool(expected == got)

    def _scalars(self, expected: Any, got: Any) -> Unlike:
        if isinstance(expected, str) and isinstance(got, str):
            return texts(expected, got)
        near_by = f" ± {self._tolerance:g}" if self._tolerance and _number(expected) and _number(got) else ""
        return Unlike(shown(expected) + near_by, shown(got))

    def _differ(self, unlike: Unlike) -> None:
        self.count += 1
        if len(self.shown) < MOST_SHOWN:
            pointer = "".join(f"/{escaped(step)}" for step in (*self._path, *unlike.path))
            self.shown.append(Difference(pointer, unlike.expected, unlike.got, unlike.note))


def near(expected: float, got: float, tolerance: float | None) -> bool:
    """Whether two numbers are the same up to `tolerance`. NaN is like NaN."""
    if expected == got:
        return True
    if expected != expected or got != got:  # one of them is NaN
        return expected != expected and got != got
    try:
        return tolerance is not None and abs(expected - got) <= tolerance
    except OverflowError:  # a whole number beyond all floats
        return False


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _items(value: Sequence[Any]) -> str:
    return f"{len(value):,} item{'' if len(value) == 1 else 's'}"


def refusal(status: int, body: bytes) -> str:
    """An answer that is a problem, in lines."""
    try:
        problem = orjson.loads(body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        return f"{status} {shown(body.decode('utf-8', 'replace'))}"
    detail = str(problem.get("detail", ""))[:_MOST_DETAIL]
    first = f"{status} {problem.get('title', '')}"
    errors = problem.get("errors")
    listed = [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
    lines = [f"{one.get('pointer') or 'the input'}: {one.get('detail', '')}" for one in listed[:MOST_SHOWN]]
    return "\n".join([f"{first}: {detail}" if detail else first, *lines])

"""Streams as their readers see them: pieces of bytes → the chunks' values. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol

from bentod.errors import BentodError

_PROBLEM = {"type", "title", "status", "code"}


class StreamFailed(BentodError):
    """The stream ended with an error, or without its end; the text is for people."""


class Decoder(Protocol):
    """Reads one stream."""

    def feed(self, data: bytes) -> Iterator[Any]:
        """The values that `data` completes. Raises StreamFailed after those before the failure."""

    def end(self) -> None:
        """The connection has ended. Raises StreamFailed if the stream has not."""


class _Lines:
    """Cuts pieces into lines."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        if b"\n" not in data:
            self._pieces.append(data)
            return []
        *lines, rest = b"".join((*self._pieces, data)).split(b"\n")
        self._pieces = [rest]
        return [line.removesuffix(b"\r") for line in lines]

    @property
    def rest(self) -> bytes:
        """What has no line end yet."""
        return b"".join(self._pieces)


class Events:
    """Server-sent events: JSON in each, and an event `end` or `error` at the end."""

    def __init__(self) -> None:
        self._lines = _Lines()
        self._event = ""
        self._data: list[bytes] = []
        self._ended = False

    def feed(self, data: bytes) -> Iterator[Any]:
        """The values of the events that `data` completes. Raises StreamFailed."""
        for line in self._lines.feed(data):
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"event":
                self._event = value.decode("utf-8", "replace")
            elif name == b"data":
                self._data.append(value)
            elif not line:
                yield from self._dispatched()

    def _dispatched(self) -> Iterator[Any]:
        event, data = self._event, b"\n".join(self._data)
        has_data, self._event, self._data = bool(self._data), "", []
        if event == "end":
            self._ended = True
        elif event == "error":
            raise StreamFailed(readable(data))
        elif has_data:
            yield _value(data)

    def end(self) -> None:
        """Raises StreamFailed if there was no event `end`."""
        if not self._ended:
            raise StreamFailed("the stream broke off: it has no end event")


class Ndjson:
    """A JSON value a line; a problem in the last one is the failure of the stream."""

    def __init__(self) -> None:
        self._lines = _Lines()
        self._problem: Any = None

    def feed(self, data: bytes) -> Iterator[Any]:
        """The values of the lines that `data` completes. Raises StreamFailed."""
        for line in self._lines.feed(data):
            if not line.strip():
                continue
            if self._problem is not None:  # it was not the last line
                yield self._problem
            value = _value(line)
            self._problem = value if _is_problem(value) else None
            if self._problem is None:
                yield value

    def end(self) -> None:
        """Raises StreamFailed for a problem in the last line, and for half a line."""
        if self._problem is not None:
            raise StreamFailed(json.dumps(self._problem["error"], indent=2, ensure_ascii=False))
        if self._lines.rest.strip():
            raise StreamFailed("the stream broke off within a line")


DECODERS: dict[str, type[Events | Ndjson]] = {"text/event-stream": Events, "application/x-ndjson": Ndjson}
"""By media type."""


def readable(data: bytes) -> str:
    """JSON for people; anything else as it is."""
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError):
        return data.decode("utf-8", "replace")
    return json.dumps(value, indent=2, ensure_ascii=False)


def _value(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StreamFailed(f"a chunk of the stream is no JSON: {error}") from None


def _is_problem(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and list(value) == ["error"]
        and isinstance(value["error"], dict)
        and value["error"].keys() >= _PROBLEM
    )

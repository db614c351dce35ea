"""Reads answers that come chunk by chunk, as they come."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.support.http import Connection, Ended, request


class Event(NamedTuple):
    """One server-sent event."""

    name: str
    data: Any


class Stream:
    """The answer that comes next over `connection`. Its methods raise Ended if it is cut off."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        start, *lines = connection._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        self.status = int(start.split()[1])
        self.headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        self.chunked = self.headers.get("transfer-encoding") == "chunked"
        self.complete = False
        self._read = b""

    def until(self, end: bytes) -> bytes:
        """What comes before `end`, which is taken too."""
        while end not in self._read:
            if not self._more():
                raise EOFError(self._read)
        found, _, self._read = self._read.partition(end)
        return found

    def rest(self) -> bytes:
        """All up to the end that the server says."""
        while self._more():
            pass
        found, self._read = self._read, b""
        return found

    def event(self) -> Event:
        """The next event; comments are passed over."""
        while True:
            lines = [line for line in self.until(b"\n\n").split(b"\n") if not line.startswith(b":")]
            if lines:
                fields = dict(line.split(b": ", 1) for line in lines)
                return Event(fields.get(b"event", b"message").decode(), json.loads(fields[b"data"]))

    def line(self) -> Any:
        """The next line of JSON."""
        return json.loads(self.until(b"\n"))

    def _more(self) -> bool:
        if self.complete:
            return False
        if not self.chunked:
            return self._more_to_the_end()
        size = int(self.connection._until(b"\r\n"), 16)
        self._read += self.connection._exactly(size)
        self.connection._until(b"\r\n")
        self.complete = size == 0
        return size > 0

    def _more_to_the_end(self) -> bool:
        """Of an answer that ends with its connection."""
        if not self.connection._read:
            try:
                self.connection._more()
            except Ended as error:
                if not str(error).startswith("the end"):
                    raise
                self.complete = True
        self._read, self.connection._read = self._read + self.connection._read, b""
        return not self.complete


def stream(connection: Connection, path: str, value: Any, headers: Mapping[str, str] | None = None) -> Stream:
    """Ask for a stream."""
    connection.send(request(path, value, headers=headers))
    return Stream(connection)

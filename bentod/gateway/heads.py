"""The heads of requests that can be answered directly, and those seen lately: a client on a kept connection sends the
same bytes again and again, so most heads need no parser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bentod.codec.bodies import JSON_FORM
from bentod.errors import CallError
from bentod.gateway import head
from bentod.gateway.app import App
from bentod.gateway.record import Header, decimal, given_id
from bentod.gateway.routes import Operation
from bentod.iotypes.media_types import JSON

_ELSEWHERE = frozenset((b"expect", b"transfer-encoding", b"upgrade"))
_END = b"\r\n\r\n"
_LONGEST, _MOST = 2048, 1024


class Head(NamedTuple):
    """The head of a request that can be answered directly."""

    operation: Operation
    target: bytes
    path: str
    headers: Mapping[bytes, bytes]
    length: int
    request_id: str


class Heads:
    """Judges heads, and remembers those that fit. An application's routes may change meanwhile."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._seen: dict[bytes, Head] = {}
        app.changed.append(self._seen.clear)

    def fitting(self, target: bytes, headers: Sequence[Header]) -> Head | None:
        """The head of a POST that asks for nothing unusual; None if the request must go the ordinary way."""
        operation = self._app.plain(target)
        if operation is None:
            return None
        found = dict(headers)
        length = found.get(b"content-length", b"")
        if len(found) != len(headers) or not _ELSEWHERE.isdisjoint(found) or not decimal(length):
            return None
        try:
            form, media_type = head.forms(operation, found)
        except CallError:
            return None
        if form is not JSON_FORM or media_type != JSON or int(length) > operation.api.max_body:
            return None
        request_id = given_id(found.get(b"x-request-id"))
        if request_id and (operation.api.name, request_id) in self._app.killers:
            return None
        return Head(operation, target, target.decode("ascii"), found, int(length), request_id)

    def seen(self, data: bytes) -> Head | None:
        """The head of the request that `data` is, if it is exactly one and its head has been seen before. Its body is
        at the end of `data`."""
        end = data.find(_END) + 4
        found = self._seen.get(data[:end])
        if found is None or len(data) - end != found.length:
            return None
        if self._app.plain(found.target) is not found.operation:
            self._seen.clear()  # the routes have changed
            return None
        return found

    def remember(self, data: bytes, found: Head, body: bytes) -> None:
        """A parser has found this head, and this body, in `data`, which begins with the head."""
        end = data.find(_END) + 4
        if end <= _LONGEST and data.startswith(b"POST %b " % found.target) and data[end:] == body:
            if len(self._seen) >= _MOST:
                self._seen.clear()
            self._seen[data[:end]] = found

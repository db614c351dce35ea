"""What is known of a request and of its answer: for the callable, for the answer's head, for the log."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bentod.errors import CallError, MalformedBody
from bentod.gateway import problems

Header = tuple[bytes, bytes]

_PREFIX = os.urandom(6).hex()
_COUNTER = itertools.count(1)
_LONGEST_ID, _MOST_DIGITS = 128, 4096


class Problem(NamedTuple):
    """A problem, ready to be sent."""

    status: int
    body: bytes
    headers: list[Header]


class Record:
    """A request and its answer. `status`, `code`, `bytes_out` and the times are what the log will say;
    `batch` is how many calls, or rows, ran together, 0 where none ever do."""

    status = 0
    code = ""
    log = ""
    bytes_in = bytes_out = 0
    queue_s = run_s = first_s = 0.0
    batch = 0

    def __init__(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> None:
        self.started = time.monotonic()
        self.method = method
        self.path = path
        self.headers = headers
        self.request_id = given_id(headers.get(b"x-request-id")) or new_request_id()

    def announced(self) -> int | None:
        """The body's length as the client announced it. Raises MalformedBody."""
        length = self.headers.get(b"content-length")
        if length is None:
            return None
        if not decimal(length):
            raise MalformedBody("Content-Length is not a number")
        return int(length)

    def timing(self) -> bytes:
        """How long it took: W3C Server Timing, in milliseconds."""
        timing = b"queue;dur=%.3f, run;dur=%.3f" % (self.queue_s * 1e3, self.run_s * 1e3)
        if self.batch:
            timing += b', batch;desc="%d"' % self.batch
        if self.first_s:
            timing += b", ttfc;dur=%.3f" % (self.first_s * 1e3)
        return timing

    def head(self, media_type: bytes, size: Header | None, headers: Iterable[Header]) -> list[Header]:
        """The headers of the answer, in their order."""
        request_id = self.request_id.encode()
        head = [(b"content-type", media_type), (b"x-request-id", request_id), (b"server-timing", self.timing())]
        if size is not None:
            head.append(size)
        head += headers
        return head

    def whole(self, status: int, length: int, media_type: bytes, headers: Iterable[Header] = ()) -> list[Header]:
        """The headers of an answer of `length` bytes, which is what will be sent."""
        self.status = status
        self.bytes_out = length
        return self.head(media_type, (b"content-length", b"%d" % length), headers)

    def failed(self, error: CallError) -> Problem:
        """The request ends with this error: what is to be sent, unless the client is gone."""
        kind = problems.kind_of(error)
        self.code, self.status = kind.code, kind.status
        headers = [(name.encode(), value.encode()) for name, value in error.headers.items()]
        return Problem(kind.status, problems.body(error, self.request_id), headers)


def joined(headers: Iterable[Header]) -> dict[bytes, bytes]:
    """Headers by name; those with one name are one list (RFC 9110, 5.3)."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        found[name] = found[name] + b", " + value if name in found else value
    return found


def given_id(given: bytes | None) -> str:
    """The client's id if it is printable and short enough, else none."""
    if given and len(given) <= _LONGEST_ID:
        text = given.decode("latin-1")
        if text.isascii() and text.isprintable():
            return text
    return ""


def new_request_id() -> str:
    """An id that no other request has."""
    return f"{_PREFIX}{next(_COUNTER):08x}"


def decimal(length: bytes) -> bool:
    """Whether this is a length in digits, and not so many of them that reading it would be work."""
    return length.isdigit() and len(length) <= _MOST_DIGITS

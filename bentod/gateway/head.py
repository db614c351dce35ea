"""The heads of requests and answers: what is refused before a body is read, and what a callable may set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from bentod.codec.bodies import Form
from bentod.codec.negotiate import essence
from bentod.dispatch.call import Answer
from bentod.errors import InvalidOutput, MethodNotAllowed, NotAcceptable, UnsupportedMediaType
from bentod.gateway.exchange import too_large
from bentod.gateway.record import Header, Record
from bentod.gateway.routes import Operation
from bentod.iotypes.media_types import MULTIPART, URLENCODED

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,4096}")
_OURS = frozenset(
    (
        "connection", "content-encoding", "content-length", "content-type", "date", "keep-alive", "server-timing", "te",
        "trailer", "transfer-encoding", "upgrade", "x-request-id",
    )
)  # fmt: skip
_BODILESS = frozenset({204, 205, 304})


class Wanted(NamedTuple):
    """How a request's body is to be read, and in which media type its answer is wanted."""

    form: Form
    media_type: str


def wanted(operation: Operation, exchange: Record) -> Wanted:
    """The checks that cost nothing, in the order: method, length, media type, acceptable answer. Raises CallError."""
    if exchange.method != "POST":
        raise MethodNotAllowed("the route takes POST", headers={"allow": "POST"})
    announced = exchange.announced()
    if announced is not None and announced > operation.api.max_body:
        raise too_large(operation.api.max_body)
    return forms(operation, exchange.headers)


def forms(operation: Operation, headers: Mapping[bytes, bytes]) -> Wanted:
    """The checks of media types. Raises CallError."""
    content_type = headers.get(b"content-type")
    form = operation.bodies.form(content_type)
    if form is None:
        raise _unsupported(operation, *_refused(content_type or b""))
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise _unsupported(operation, "the body is compressed")
    media_type = operation.accept(headers.get(b"accept"))
    if media_type is None:
        raise NotAcceptable(f"the answer is {' or '.join(operation.offers)}, and `Accept` takes none of these")
    return Wanted(form, media_type)


def _refused(content_type: bytes) -> tuple[str, str]:
    """What the body is, and that no form is taken: `*/*` does not mean forms, and nobody can guess that."""
    media_type = essence(content_type)[0]
    if media_type in (MULTIPART, URLENCODED):
        return f"the body is a form ({media_type})", "no form, but "
    return f"the body is {content_type.decode('latin-1')!r}", ""


def _unsupported(operation: Operation, fault: str, but: str = "") -> UnsupportedMediaType:
    taken = ", ".join(operation.bodies.takes)
    return UnsupportedMediaType(
        f"{fault}, and the API takes {but}{taken}", headers={"accept-post": taken, "accept-encoding": "identity"}
    )


def chosen(answer: Answer) -> tuple[int, list[Header]]:
    """Status and headers that the callable set. Raises InvalidOutput for those that it may not set."""
    if answer.status is None and not answer.headers:
        return 200, []
    status = 200 if answer.status is None else answer.status
    if type(status) is not int or not 200 <= status <= 599 or status in _BODILESS:
        raise _unsettable("the callable set a status that an answer with a body cannot have")
    headers: list[Header] = []
    given: Any = answer.headers  # from the user's code: any type is possible
    if not isinstance(given, dict):
        raise _unsettable("the callable set headers that are no dict")
    for name, value in given.items():
        if not (isinstance(name, str) and isinstance(value, str | int)):
            raise _unsettable("the callable set a header that is no text")
        if not (_NAME.fullmatch(name) and _VALUE.fullmatch(str(value))):
            raise _unsettable("the callable set a header that cannot be sent")
        if name.lower() in _OURS:
            raise _unsettable(f"the callable set the header {name}, which the server sets")
        headers.append((name.lower().encode(), str(value).encode("latin-1")))
    return status, headers


def _unsettable(fault: str) -> InvalidOutput:
    return InvalidOutput(fault, log=fault)

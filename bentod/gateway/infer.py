"""A request to an API: checked, decoded, validated, dispatched, validated again, answered."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from bentod.codec import json, negotiate
from bentod.dispatch.call import Answer, Call, TargetFailure
from bentod.errors import (
    BodyTooLarge,
    ClientGone,
    DeadlineExceeded,
    InvalidInput,
    InvalidOutput,
    MethodNotAllowed,
    NotAcceptable,
    OutputUnserializable,
    UnsupportedMediaType,
)
from bentod.gateway.exchange import Exchange, Header, too_large
from bentod.gateway.problems import from_worker
from bentod.gateway.routes import Operation
from bentod.wire import frames
from bentod.wire.entries import EntryPacker

_JSON = negotiate.JSON
_OFFERS = (_JSON,)
_IDS = itertools.count(1)
_PACKER = EntryPacker()
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,4096}")
_OURS = frozenset(
    {"connection", "content-length", "content-type", "date", "server-timing", "transfer-encoding", "x-request-id"}
)
_BODILESS = frozenset({204, 205, 304})


async def infer(operation: Operation, exchange: Exchange, body_timeout_s: float) -> None:
    """Serve one call. Raises CallError for everything that is not an answer."""
    _check_head(operation, exchange)
    body = await exchange.body(operation.api.max_body, min(body_timeout_s, operation.api.timeout_s))
    value = json.decode(body)
    if not operation.input.valid(value):
        raise InvalidInput("the input does not match the API's schema", errors=operation.input.errors(value))
    answer = await _call(operation, exchange, operation.argument(value))
    exchange.queue_s, exchange.run_s = answer.queue_s, answer.run_s
    payload = _encode(operation, exchange, answer.value)
    status, headers = _head(answer) if answer.headers or answer.status is not None else (200, [])
    exchange.code = "ok"
    await exchange.answer(status, payload, b"application/json", headers)


def _check_head(operation: Operation, exchange: Exchange) -> None:
    """The checks that cost nothing, in the order: method, length, media type, acceptable answer."""
    if exchange.method != "POST":
        raise MethodNotAllowed("the route takes POST", headers={"allow": "POST"})
    announced = exchange.announced()
    if announced is not None and announced > operation.api.max_body:
        raise too_large(operation.api.max_body)
    headers = exchange.headers
    content_type = headers.get(b"content-type")
    if content_type is not None:
        kind, parameters = negotiate.essence(content_type)
        if kind != _JSON or parameters.get("charset", "utf-8").lower() not in {"utf-8", "utf8", "us-ascii"}:
            raise _unsupported(f"the API takes {_JSON} in UTF-8, and the body is {content_type.decode('latin-1')!r}")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise _unsupported("the API takes no compressed bodies")
    accept = headers.get(b"accept")
    if accept is not None and negotiate.accepted(accept, _OFFERS) is None:
        raise NotAcceptable(f"the answer is {_JSON}")


def _unsupported(detail: str) -> UnsupportedMediaType:
    return UnsupportedMediaType(detail, headers={"accept-post": _JSON, "accept-encoding": "identity"})


async def _call(operation: Operation, exchange: Exchange, argument: Any) -> Answer:
    """Admit the call and wait for its end. Raises CallError."""
    api = operation.api
    deadline = exchange.started + api.timeout_s
    if deadline <= time.monotonic():
        raise DeadlineExceeded("the call's time was over before it could begin")
    extra = (exchange.request_id, _text_headers(exchange.headers)) if operation.takes_context else None
    id_ = next(_IDS)
    entry = _PACKER.entry((operation.kind, id_, operation.method, deadline, argument, extra))
    if len(entry) > frames.LIMIT - 8:
        raise BodyTooLarge("the input is too large for a worker")
    call = Call(
        id_, entry, deadline, exchange.started, operation.counts.quota, is_async=operation.is_async, retry=api.retry
    )
    operation.dispatcher.submit(call)
    operation.deadlines.watch(call)
    if exchange.connection is not None:
        exchange.connection.on_gone = partial(operation.dispatcher.abandon, call)
    try:
        return await call.finished
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            operation.dispatcher.cut_off(call)
            raise
        raise ClientGone from None
    except TargetFailure as failure:
        exchange.log, exchange.run_s = failure.log, failure.run_s
        raise from_worker(failure, api.errors) from None


def _text_headers(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}


def _encode(operation: Operation, exchange: Exchange, value: Any) -> bytes:
    """The answer's body. Raises InvalidOutput or OutputUnserializable; the reasons go to the log only."""
    try:
        if operation.api.output_check and not operation.output.valid(value):
            first = operation.output.errors(value)[:1]
            exchange.log = "; ".join(f"{one.pointer or '/'}: {one.detail}" for one in first)
            raise InvalidOutput("the answer does not match the API's output schema")
        return json.encode(value)
    except OutputUnserializable as error:
        exchange.log = str(error)
        raise (
            InvalidOutput("the answer holds NaN or Infinity") if "NaN" in error.detail else OutputUnserializable
        ) from None
    except (ValueError, TypeError) as error:  # the validator met what is not JSON, such as a number as a name
        exchange.log = str(error)
        raise OutputUnserializable from None


def _head(answer: Answer) -> tuple[int, list[Header]]:
    """Status and headers that the callable set. Raises InvalidOutput for those that it may not set."""
    status = 200 if answer.status is None else answer.status
    if type(status) is not int or not 200 <= status <= 599 or status in _BODILESS:
        raise InvalidOutput("the callable set a status that an answer with a body cannot have")
    headers: list[Header] = []
    given: Any = answer.headers  # from the user's code: any type is possible
    if not isinstance(given, dict):
        raise InvalidOutput("the callable set headers that are no dict")
    for name, value in given.items():
        if not (isinstance(name, str) and isinstance(value, str | int)):
            raise InvalidOutput("the callable set a header that is no text")
        if not (_NAME.fullmatch(name) and _VALUE.fullmatch(str(value))):
            raise InvalidOutput("the callable set a header that cannot be sent")
        if name.lower() in _OURS:
            raise InvalidOutput(f"the callable set the header {name}, which the server sets")
        headers.append((name.lower().encode(), str(value).encode("latin-1")))
    return status, headers

"""A request to an API: checked, decoded, validated, dispatched, validated again, answered."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgpack

from bentod.codec import json
from bentod.codec.bodies import JSON_FORM
from bentod.codec.parcels import Parcel
from bentod.dispatch.call import Answer, Call, StreamCall, TargetFailure
from bentod.errors import MISMATCH, BodyTooLarge, CallError, DeadlineExceeded, InvalidInput
from bentod.gateway import files, head
from bentod.gateway.exchange import Exchange
from bentod.gateway.files import Tenancy
from bentod.gateway.head import Wanted
from bentod.gateway.problems import from_worker
from bentod.gateway.record import Record
from bentod.gateway.routes import Operation
from bentod.gateway.source import Source
from bentod.gateway.stream import stream
from bentod.iotypes.media_types import JSON
from bentod.wire import frames
from bentod.wire.entries import EntryPacker, Terms
from bentod.wire.intake import MOST_ATTACHMENTS, Memory

_IDS = itertools.count(1)
_PACKER = EntryPacker()
_NO_DIMENSIONS: dict[str, int] = {}
_NO_FOLDER = Tenancy(Path(), "")
_JSON_CALL = Wanted(JSON_FORM, JSON)


@dataclass(frozen=True, slots=True)
class Limits:
    """What all calls of a gateway share. `files` is the folder of those that have files."""

    body_timeout_s: float
    files: Path


async def infer(operation: Operation, exchange: Exchange, limits: Limits) -> None:
    """Serve one call. Raises CallError for everything that is not an answer."""
    wanted = head.wanted(operation, exchange)
    if not operation.has_files:
        await _serve(operation, exchange, wanted, limits, _NO_FOLDER)
        return
    folder = Tenancy(limits.files, f"{next(_IDS)}")
    try:
        await _serve(operation, exchange, wanted, limits, folder)
    finally:
        folder.leave()


async def _serve(operation: Operation, exchange: Exchange, wanted: Wanted, limits: Limits, folder: Tenancy) -> None:
    operation.dispatcher.expect(operation.queue)  # the pool may be replaced before the body is here
    try:
        value, dimensions = await _value(operation, exchange, wanted, limits, folder)
        call = _call(operation, exchange, wanted, value, folder)
        operation.dispatcher.submit(call)
    finally:
        operation.dispatcher.expected(operation.queue)
    operation.deadlines.watch(call)
    if operation.has_files:
        folder.call = call
    if exchange.connection is not None:
        exchange.connection.on_gone = partial(operation.dispatcher.abandon, call)
        if exchange.connection.gone:  # it left while its body was read
            operation.dispatcher.abandon(call)
    if isinstance(call, StreamCall):
        await stream(operation, exchange, call, wanted.media_type, dimensions)
        return
    answer = await _finished(operation, exchange, call)
    given = (answer.value, wanted.media_type, dimensions, exchange.headers.get(b"accept"))
    if operation.has_files and operation.writer.reads_files(given[0], given[1], given[3]):
        body = await asyncio.to_thread(operation.writer.body, *given)
    else:
        body = operation.writer.body(*given)
    status, headers = head.chosen(answer)
    if body.file is not None:
        await files.send(exchange, status, body, headers)
    else:
        exchange.code = "ok"
        await exchange.answer(status, body.parts, body.media_type.encode("latin-1"), headers)


async def _value(
    operation: Operation, exchange: Exchange, wanted: Wanted, limits: Limits, folder: Tenancy
) -> tuple[Any, dict[str, int]]:
    """What the body says, validated, and what its tensors' dimensions are. Raises CallError."""
    timeout_s = min(limits.body_timeout_s, operation.api.timeout_s)
    if not (wanted.form is JSON_FORM and operation.bodies.plain):
        return await operation.bodies.read(wanted.form, Source(exchange, operation.api.max_body, timeout_s), folder)
    value = json.decode(await exchange.body(operation.api.max_body, timeout_s))
    if not operation.input.valid(value):
        raise _invalid(operation, value)
    return value, _NO_DIMENSIONS


async def _finished(operation: Operation, exchange: Exchange, call: Call) -> Answer:
    """What a worker answers. Raises CallError."""
    try:
        with suppress(CallError):  # `taken` says what a client may know of it
            await call.wait()
    except asyncio.CancelledError:
        operation.dispatcher.abandon(call)
        raise
    return taken(operation, exchange, call)


def admitted(operation: Operation, record: Record, body: bytes) -> Call:
    """The call that a body of plain JSON makes. Raises CallError."""
    value = json.decode(body)
    if not operation.input.valid(value):
        raise _invalid(operation, value)
    return _call(operation, record, _JSON_CALL, value, _NO_FOLDER)


def taken(operation: Operation, record: Record, call: Call) -> Answer:
    """What a call was finished with: taken from it, since the deadlines still hold it. Raises CallError."""
    outcome, call.outcome = call.outcome, None
    if isinstance(outcome, TargetFailure):
        record.log, record.run_s = outcome.log, outcome.run_s
        raise from_worker(outcome, operation.api.errors)
    if isinstance(outcome, CallError):
        raise outcome
    assert outcome is not None
    record.queue_s, record.run_s = outcome.queue_s, outcome.run_s
    record.batch = outcome.batch if operation.api.max_size else 0
    return outcome


def _invalid(operation: Operation, value: Any) -> InvalidInput:
    return InvalidInput(MISMATCH, errors=operation.input.errors(value))


def _call(operation: Operation, exchange: Record, wanted: Wanted, value: Any, folder: Tenancy) -> Call:
    """The call, packed. Raises CallError."""
    api = operation.api
    deadline = exchange.started + api.timeout_s
    if deadline <= time.monotonic():
        raise DeadlineExceeded("the call's time was over before it could begin")
    argument = operation.argument(value)
    place = None if operation.grouping.trivial else operation.grouping.place(argument)
    memory: Sequence[Memory] = ()
    extra = (exchange.request_id, _text_headers(exchange.headers)) if operation.takes_context else None
    terms: Terms | None = None
    if not operation.plain:
        if not operation.bodies.plain:
            argument, memory = _packed(argument)
        terms = operation.terms(wanted.media_type, str(folder.path) if operation.has_files else "")
    id_ = next(_IDS)
    entry = _PACKER.entry((operation.kind, id_, operation.method, deadline, argument, extra, terms))
    if memory or len(entry) > frames.LIMIT - 8:
        _check_size(entry, memory)
    kind, queue = StreamCall if api.stream else Call, operation.queue
    call = kind(id_, entry, deadline, exchange.started, queue, is_async=operation.is_async, retry=api.retry)
    call.request_id = exchange.request_id
    if place is not None:
        call.group, call.weight = place
    if (priority := exchange.headers.get(b"x-priority")) is not None:
        call.level = operation.level(priority)
    if not operation.plain:
        call.memory, call.idle_s = memory, api.stream_idle_s
    return call


def _check_size(entry: bytes, memory: Sequence[Memory]) -> None:
    """Raises BodyTooLarge for what does not fit into a frame."""
    size = len(entry) + sum(memoryview(piece).nbytes for piece in memory)
    if size > frames.LIMIT - 8 or len(memory) > MOST_ATTACHMENTS:
        raise BodyTooLarge("the input is too large for a worker")


def _packed(argument: Any) -> tuple[bytes, Sequence[Memory]]:
    """An argument with parts: the MessagePack, and what travels beside it."""
    parcel = Parcel()
    return msgpack.packb(argument, default=parcel.extension), parcel.clear()


def _text_headers(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}

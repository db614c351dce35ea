"""`python -m bentod.gateway FD`: one gateway process, driven over the inherited control channel FD."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bentod.gateway.app import App
from bentod.gateway.files import own_folder
from bentod.gateway.gateway import Gateway
from bentod.gateway.infer import Limits
from bentod.gateway.rehearsal import Rehearsals
from bentod.gateway.server import Server
from bentod.gateway.shared import shared
from bentod.observe.access import access_log
from bentod.wire.channel import Channel
from bentod.wire.frames import LENGTH_SIZE, length_in
from bentod.wire.messages import (
    Acknowledged,
    Drain,
    Drained,
    Rehearse,
    RouteTable,
    ServerLimits,
    StatsRequest,
    decode,
)

_COLLECT_EVERY = 50_000  # objects; at Python's 700 a twentieth of a gateway's time goes into looking for cycles
_MOST_SOCKETS = 64


async def main() -> int:
    """Serve until drained (0) or until the daemon is gone (1)."""
    end = socket.socket(fileno=int(sys.argv[1]))
    end.set_inheritable(False)
    orders = _orders(end)
    if orders is None:
        return 1
    limits, sockets = orders
    channel = await Channel.open(end)
    log = access_log(limits.access_log, limits.access_file)
    files = own_folder(Path(limits.files), limits.index)
    bounds = Limits(limits.body_timeout_s, files)
    app = App(bounds, log.add if log is not None else None)
    gateway = Gateway(app, channel.send, limits.index, limits.gateways)
    rehearsals = Rehearsals(bounds, channel.send)
    connections = shared(app, limits.header_timeout_s, limits.keep_alive_s, limits.body_timeout_s)
    server = Server(app, connections)
    draining: asyncio.Task[None] | None = None
    while (message := await channel.receive()) is not None:
        if isinstance(message, RouteTable):
            first = gateway.table is None
            await gateway.apply(message)
            if first:
                await _begin(server, sockets)
            channel.send(Acknowledged(message.number))
        elif isinstance(message, ServerLimits):
            app.limit(Limits(message.body_timeout_s, files))
            connections.limit(message.header_timeout_s, message.keep_alive_s, message.body_timeout_s)
        elif isinstance(message, StatsRequest):
            channel.send(gateway.stats(message.number, server.connections))
        elif isinstance(message, Rehearse):
            rehearsals.begin(message)
        elif isinstance(message, Drain):
            draining = asyncio.create_task(_drain(server, channel, message))
    if log is not None:
        log.close()
    return _ended(draining, [gateway.table, *rehearsals.tables])


async def _begin(server: Server, sockets: Sequence[int]) -> None:
    """Serve. What start-up left is there to stay; what a call leaves needs no collector."""
    await server.start(sockets)
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY, 20, 100)


async def _drain(server: Server, channel: Channel, order: Drain) -> None:
    """Finish; meanwhile the daemon is still heard, above all its end."""
    channel.send(Drained(await server.drain(order.timeout_s, order.linger_s)))
    channel.close()


def _orders(end: socket.socket) -> tuple[ServerLimits, list[int]] | None:
    """The first message and the listening sockets that come with it; None if the daemon is gone before."""
    sockets: list[int] = []
    head = b""
    while len(head) < LENGTH_SIZE:  # not a byte more than the message: the next one may be there already
        data, received, _, _ = socket.recv_fds(end, LENGTH_SIZE - len(head), _MOST_SOCKETS)
        if not data:
            return None
        sockets += received
        head += data
    body = b""
    while len(body) < length_in(head):
        data = end.recv(length_in(head) - len(body))
        if not data:
            return None
        body += data
    limits = decode(body)
    assert isinstance(limits, ServerLimits)
    return limits, sockets


def _ended(draining: asyncio.Task[None] | None, tables: Sequence[RouteTable | None]) -> int:
    """The exit code, once the daemon is heard no more."""
    if draining is not None and draining.done():
        return 0
    _end_workers(tables)
    return 1


def _end_workers(tables: Sequence[RouteTable | None]) -> None:
    """The daemon is gone: a worker whose user code holds the interpreter cannot notice by itself."""
    services = [service for table in tables if table is not None for service in table.services]
    for worker in [worker for service in services for worker in service.workers]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(worker.pid, signal.SIGKILL)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the daemon, which then drains us
    code = uvloop.run(main())
    sys.stderr.flush()
    os._exit(code)

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
from bentod.wire.frames import Splitter
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
_FIRST, _MOST_SOCKETS = 65536, 64


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
    server = Server(app, shared(app, limits.header_timeout_s, limits.keep_alive_s, limits.body_timeout_s))
    draining: asyncio.Task[None] | None = None
    while (message := await channel.receive()) is not None:
        if isinstance(message, RouteTable):
            first = gateway.table is None
            await gateway.apply(message)
            if first:
                await server.start(sockets)
                gc.freeze()  # what start-up left is there to stay; what a call leaves needs no collector
                gc.set_threshold(_COLLECT_EVERY, 20, 100)
            channel.send(Acknowledged(message.number))
        elif isinstance(message, StatsRequest):
            channel.send(gateway.stats(message.number, server.connections))
        elif isinstance(message, Rehearse):
            rehearsals.begin(message)
        elif isinstance(message, Drain):
            draining = asyncio.create_task(_drain(server, channel, message.timeout_s))
    if log is not None:
        log.close()
    if draining is not None and draining.done():
        return 0
    _end_workers([*([gateway.table] if gateway.table is not None else []), *rehearsals.tables])
    return 1


async def _drain(server: Server, channel: Channel, timeout_s: float) -> None:
    """Finish; meanwhile the daemon is still heard, above all its end."""
    channel.send(Drained(await server.drain(timeout_s)))
    channel.close()


def _orders(end: socket.socket) -> tuple[ServerLimits, list[int]] | None:
    """The first message and the listening sockets that come with it; None if the daemon is gone before."""
    splitter = Splitter()
    sockets: list[int] = []
    payloads: list[bytes] = []
    while not payloads:
        data, received, _, _ = socket.recv_fds(end, _FIRST, _MOST_SOCKETS)
        if not data:
            return None
        sockets += received
        payloads = splitter.feed(data)
    limits = decode(payloads[0])
    assert isinstance(limits, ServerLimits)
    assert len(payloads) == 1, "descriptors end a read: nothing else can have come with them"
    return limits, sockets


def _end_workers(tables: Sequence[RouteTable]) -> None:
    """The daemon is gone: a worker whose user code holds the interpreter cannot notice by itself."""
    for worker in [worker for table in tables for service in table.services for worker in service.workers]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(worker.pid, signal.SIGKILL)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the daemon, which then drains us
    code = uvloop.run(main())
    sys.stderr.flush()
    os._exit(code)

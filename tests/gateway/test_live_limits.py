"""Limits of connections that change while these are open."""

from __future__ import annotations

import socket

from bentod.gateway.server import Server
from bentod.gateway.shared import shared
from tests.support.asgi import echo, serving
from tests.support.http import request
from tests.support.listening import Reader
from tests.support.loops import run


def test_a_connection_that_is_open_is_kept_as_long_as_is_said_now():
    async def main():
        async with serving(answer=echo) as bench:
            listener = socket.create_server(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            connections = shared(bench.app, 20.0, 20.0, 20.0)
            server = Server(bench.app, connections)
            await server.start([listener.detach()])
            async with Reader(port) as idle, Reader(port) as late:
                await idle.send(request("/f", b"1"))
                _, headers = await idle.head()
                assert await idle.body(headers) == b"1"
                connections.limit(0.01, 0.01, 20.0)
                assert await idle.ended()
                await late.send(request("/f", b"2"))
                _, headers = await late.head()
                assert await late.body(headers) == b"2"
                assert await late.ended()
            await server.drain(5.0)

    run(main())

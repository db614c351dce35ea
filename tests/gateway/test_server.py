"""What a gateway that stops leaves to those that go on listening on the same sockets."""

import asyncio
import socket

import pytest

from bentod.gateway.server import Server
from bentod.gateway.shared import shared
from tests.support.asgi import serving
from tests.support.loops import LOOPS, run


@pytest.mark.parametrize("loop", LOOPS)
def test_a_unix_socket_is_reached_after_a_gateway_has_left(tmp_path, loop):
    async def main():
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "s"))
            listener.listen()
            async with serving() as bench:
                server = Server(bench.app, shared(bench.app, 20.0, 20.0, 20.0))
                await server.start([listener.dup().detach()])
                await server.drain(5.0)
            _, writer = await asyncio.open_unix_connection(tmp_path / "s")
            writer.close()
            await writer.wait_closed()

    run(main(), loop)

"""The HTTP server on inherited sockets: start, drain, stop."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Sequence
from typing import Any, cast

from bentod.gateway.app import App
from bentod.gateway.protocol import HttpProtocol, factory
from bentod.gateway.shared import Shared

_BACKLOG = 2048
_LAST_WORDS_S = 1.0
_LEAVES_FILE: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
"""A loop of Python 3.13 removes a Unix socket's file when it stops listening; others listen on it still."""


class Server:
    """Accepts connections for an application."""

    def __init__(self, app: App, shared: Shared) -> None:
        self._app = app
        self._shared = shared
        self._servers: list[asyncio.Server] = []

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._shared.state.connections)

    async def start(self, descriptors: Sequence[int]) -> None:
        """Accept on listening sockets; they stay open in the daemon, too."""
        loop = asyncio.get_running_loop()
        for descriptor in descriptors:
            listener = socket.socket(fileno=descriptor)
            listener.setblocking(False)
            make = factory(self._shared)
            if listener.family == socket.AF_UNIX:
                server = await loop.create_unix_server(make, sock=listener, backlog=_BACKLOG, **_LEAVES_FILE)
            else:
                server = await loop.create_server(make, sock=listener, backlog=_BACKLOG)
            self._servers.append(server)

    async def drain(self, timeout_s: float, linger_s: float = 0.0) -> int:
        """Accept nothing more, finish what has begun. Returns how many requests were cut off after `timeout_s`.

        For `linger_s` what comes on open connections is still answered, and ends them: no client loses a request that
        was on its way.
        """
        for server in self._servers:
            server.close()
        await self._see_off(min(linger_s, timeout_s))
        self._app.draining = True
        self._hang_up()
        try:
            async with asyncio.timeout(timeout_s):
                while self._shared.state.connections or self._shared.state.tasks:
                    await asyncio.sleep(0.01)  # uvicorn's connections tell nobody when they end
                    self._hang_up()
        except TimeoutError:
            pass
        return await self._cut_off()

    async def _see_off(self, linger_s: float) -> None:
        """Let the connections end by themselves for a while."""
        if linger_s <= 0:
            return
        self._shared.leaving = True
        for connection in list(self._shared.state.connections):
            cast(HttpProtocol, connection).see_off()
        deadline = asyncio.get_running_loop().time() + linger_s
        while self._shared.state.connections and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def _cut_off(self) -> int:
        """Tell those that still wait that it is too late. Returns how many they are."""
        running, tasks = self._app.running, list(self._shared.state.tasks)
        for connection in list(self._shared.state.connections):
            cast(HttpProtocol, connection).cut_off()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_LAST_WORDS_S)
        return running

    def _hang_up(self) -> None:
        """Close idle connections, and let the others close after their answer."""
        for connection in list(self._shared.state.connections):
            assert isinstance(connection, HttpProtocol)
            connection.shutdown()

"""The control socket: HTTP and JSON for the command line, and for `curl --unix-socket` too. Quart on Hypercorn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart


class Controlled(Protocol):
    """What can be controlled."""

    settled: asyncio.Event
    stop_seconds: float

    async def status(self) -> dict[str, Any]:
        """The whole state."""

    def apis(self) -> dict[str, Any]:
        """What a client needs to know of each API, by its name."""


class Control:
    """Serves the control socket. `stop` is called to shut the daemon down; it must not wait for that."""

    def __init__(self, path: Path, daemon: Controlled, stop: Callable[[str], None]) -> None:
        self._path = path
        self._app = _app(daemon, stop)
        self._shutdown = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listen; the socket's file has mode 0600 and lies in a folder of mode 0700."""
        config = Config()
        config.bind = [f"unix:{self._path}"]
        config.umask = 0o177
        config.accesslog = config.errorlog = None
        config.graceful_timeout = 3.0  # for those who wait for `/settled`
        wait: Callable[[], Awaitable[None]] = self._wait
        self._task = asyncio.create_task(serve(self._app, config, shutdown_trigger=wait))

    async def _wait(self) -> None:
        await self._shutdown.wait()

    async def stop(self) -> None:
        """Stop listening."""
        self._shutdown.set()
        if self._task is not None:
            await self._task


def _app(daemon: Controlled, stop: Callable[[str], None]) -> Quart:
    app = Quart("bentod")

    @app.get("/status")
    async def status() -> dict[str, Any]:
        return await daemon.status()

    @app.get("/settled")
    async def settled() -> dict[str, Any]:
        """Answers once the start has succeeded or failed."""
        await daemon.settled.wait()
        return await daemon.status()

    @app.get("/apis/<name>")
    async def api(name: str) -> tuple[dict[str, Any], int]:
        apis = daemon.apis()
        return (apis[name], 200) if name in apis else ({"apis": list(apis)}, 404)

    @app.post("/stop")
    async def down() -> tuple[dict[str, Any], int]:
        stop("bentod down")
        return {"stopping": True, "within_seconds": daemon.stop_seconds}, 202

    return app

"""A stand-in for a daemon's control socket: it answers what a test says, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from aiohttp import web


class ControlStandIn:
    """`answers`: by route, a status and a document, or a callable that gives them for what was sent. `asked` are the
    routes with what was sent. A route without an answer is unknown, as to a daemon of another version."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, Any]] = []
        self.arrived = threading.Event()
        self._loop = asyncio.new_event_loop()
        app = web.Application()
        app.router.add_route("*", "/{route:.*}", self._answer)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        self._loop.run_until_complete(self._runner.setup())
        self._loop.run_until_complete(web.UnixSite(self._runner, str(path)).start())
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        sent = await request.json() if request.can_read_body else None
        self.asked.append((request.path, sent))
        answer = self.answers.get(request.path)
        self.arrived.set()
        if answer is None:
            return web.Response(status=404, text="<h1>Not Found</h1>", content_type="text/html")
        if answer == "never":
            await asyncio.Event().wait()
        if answer == "cut":
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        status, document = answer(sent) if callable(answer) else answer
        return web.json_response(document, status=status)

    def sent(self, route: str) -> list[Any]:
        """What was sent to a route, in order."""
        return [sent for path, sent in self.asked if path == route]

    def stop(self) -> None:
        """Close the socket."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

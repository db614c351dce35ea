"""The control socket: HTTP and JSON for the command line, and for `curl --unix-socket` too. Quart on Hypercorn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart, request

from bentod.daemon.journal import UnknownGeneration
from bentod.daemon.order import Order, Outcome
from bentod.errors import ProblemsError
from bentod.spec.patterns import UnusablePattern

Answer = tuple[dict[str, Any], int]


class Controlled(Protocol):
    """What can be controlled."""

    settled: asyncio.Event

    @property
    def stop_seconds(self) -> float:
        """How long a stop takes at the most."""

    async def status(self) -> dict[str, Any]:
        """The whole state."""

    def apis(self) -> dict[str, Any]:
        """What a client needs to know of each API, by its name."""

    async def plan(self, files: tuple[Path, ...] | None, against: int | None) -> dict[str, Any]:
        """What `apply` would do. Raises SpecError, PlanError, UnknownGeneration, UnusablePattern."""

    async def apply(self, order: Order) -> Outcome:
        """Carry out an order, even if whoever gave it goes away. Raises UnknownGeneration."""

    async def upgrade(self) -> dict[str, Any]:
        """Have a new daemon take the place of this one."""

    def stop(self, reason: str) -> None:
        """Begin to shut down."""


class Control:
    """Serves the control socket."""

    def __init__(self, path: Path, controlled: Controlled) -> None:
        self._path = path
        self._app = _app(controlled)
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


def _app(controlled: Controlled) -> Quart:
    app = Quart("bentod")
    app.json.sort_keys = False  # type: ignore[attr-defined]  # services in the spec's order
    app.config["RESPONSE_TIMEOUT"] = None  # a change may take as long as its workers

    @app.get("/status")
    async def status() -> dict[str, Any]:
        return await controlled.status()

    @app.get("/settled")
    async def settled() -> dict[str, Any]:
        """Answers once the start has succeeded or failed."""
        await controlled.settled.wait()
        return await controlled.status()

    @app.get("/apis/<name>")
    async def api(name: str) -> Answer:
        apis = controlled.apis()
        return (apis[name], 200) if name in apis else ({"apis": list(apis)}, 404)

    @app.post("/plan")
    async def plan() -> Answer:
        return await _plan(controlled, await request.get_json(force=True))

    @app.post("/apply")
    async def apply() -> Answer:
        """Answers once the change is over."""
        return await _apply(controlled, await request.get_json(force=True))

    @app.post("/upgrade")
    async def upgrade() -> dict[str, Any]:
        """Answers once the new daemon serves, or will not."""
        return await controlled.upgrade()

    @app.post("/stop")
    async def down() -> Answer:
        controlled.stop("bentod down")
        return {"stopping": True, "within_seconds": controlled.stop_seconds}, 202

    return app


async def _plan(controlled: Controlled, asked: dict[str, Any]) -> Answer:
    try:
        return await controlled.plan(_files(asked), asked.get("against")), 200
    except ProblemsError as error:
        return {"problems": [asdict(problem) for problem in error.problems]}, 422
    except UnusablePattern as error:
        return {"error": str(error)}, 422
    except UnknownGeneration as error:
        return {"error": str(error)}, 404


async def _apply(controlled: Controlled, asked: dict[str, Any]) -> Answer:
    generation = asked.get("generation")
    order = Order(
        reason="apply" if generation is None else f"rollback to {generation}",
        files=_files(asked),
        allow_breaking=bool(asked.get("allow_breaking")),
        state=str(asked.get("state") or ""),
        generation=generation,
    )
    try:
        return (await controlled.apply(order)).document(), 200
    except UnknownGeneration as error:
        return {"error": str(error)}, 404


def _files(asked: dict[str, Any]) -> tuple[Path, ...] | None:
    return tuple(map(Path, asked["files"])) if asked.get("files") else None

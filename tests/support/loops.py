"""Runs a test's coroutine on both of the loops that the package runs on, with a limit on its time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

LIMIT_S = 30.0
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def run(main: Coroutine[Any, Any, Any], loop: str = "asyncio", limit_s: float = LIMIT_S) -> Any:
    """What `main` returns; it is cancelled after half a minute, and leaves no task behind."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(asyncio.wait_for(main, limit_s))


async def until(condition: Callable[[], Any], within: float = 20.0, what: str = "") -> Any:
    """What `condition` gives as soon as it is true; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within:g} s: {what or condition}"
        await asyncio.sleep(0.002)  # between two looks, not instead of one
    return value


async def turns(count: int = 5) -> None:
    """Let everything run that is ready to run now."""
    for _ in range(count):
        await asyncio.sleep(0)

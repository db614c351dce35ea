"""A change of generation as the command line sees it: asked for, waited for, and told with its exit code."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Iterator
from typing import Any

from bentod.cli.client import problems, wrong
from bentod.cli.problems import show
from bentod.errors import PlanError

FINE, REFUSED, CANNOT, FAILED = 0, 2, 3, 4

Document = dict[str, Any]

_PATIENCE_S = 0.5


async def waited(answer: Awaitable[Document]) -> Document:
    """The answer; in a terminal something moves meanwhile. Who interrupts it stops waiting, and nothing else."""
    moving = asyncio.create_task(_move()) if sys.stderr.isatty() else None
    try:
        return await answer
    except asyncio.CancelledError:
        print("\nthe change goes on in the daemon: `bentod status` says what becomes of it", file=sys.stderr)
        raise
    finally:
        if moving is not None:
            moving.cancel()
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


async def _move() -> None:
    begun = time.monotonic()
    await asyncio.sleep(_PATIENCE_S)
    while True:
        print(f"\rapplying … {time.monotonic() - begun:.0f} s", end="", file=sys.stderr, flush=True)
        await asyncio.sleep(_PATIENCE_S)


def outcome(
    answer: Document,
    *,
    as_json: bool,
    live: str = "generation {} is live",
    same: str = "generation {} runs what the file says",
) -> int:
    """Tell what became of a change. Returns the exit code. `live` says what was reached, `same` what was so already."""
    code = _code(answer)
    if as_json:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return code
    number = answer["generation"]
    if answer["outcome"] == "applied":
        print(f"{live.format(number)} ({answer['seconds']:.2f} s)")
    elif answer["outcome"] == "unchanged":
        print(f"nothing to do: {same.format(number)}")
    else:
        print("\n".join(_why(answer)), file=sys.stderr)
    return code


def _code(answer: Document) -> int:
    if answer["outcome"] in {"applied", "unchanged"}:
        return FINE
    if found := problems(answer.get("problems", ())):
        return CANNOT if isinstance(wrong(found), PlanError) else REFUSED
    return REFUSED if answer["outcome"] == "refused" else FAILED


def _why(answer: Document) -> Iterator[str]:
    """Why a change was not made, and what that means."""
    if answer.get("problems"):
        yield show(problems(answer["problems"]), "text")
    elif answer["outcome"] == "refused":
        yield f"refused: {answer['error']}"
    else:
        yield f"failed: {answer['error']}"
        if answer.get("traceback"):
            yield str(answer["traceback"]).rstrip()
    yield f"generation {answer['generation']} keeps serving"

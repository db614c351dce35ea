"""The generators of `streaming.py` as asynchronous ones, beside some that are not."""

import asyncio
import os
from pathlib import Path

from streaming import _leave
from streaming import answer as sync_answer  # noqa: F401 - a method of this module, too
from streaming import count as sync_count  # noqa: F401
from streaming import endless as sync_endless  # noqa: F401
from streaming import hold as sync_hold  # noqa: F401
from streaming import large as sync_large  # noqa: F401
from streaming import steady as sync_steady  # noqa: F401


async def count(n):
    for i in range(n):
        yield {"i": i}
        await asyncio.sleep(0)


async def endless(gate, size=0):
    _leave(gate, "begun")
    i = 0
    try:
        while True:
            Path(gate, "progress").write_text(str(i))
            yield {"i": i, "pad": "x" * size}
            i += 1
    finally:
        _leave(gate, "closed")


async def steady(gate):
    _leave(gate, "begun")
    try:
        while True:
            yield 1
            await asyncio.sleep(0.05)
    finally:
        _leave(gate, "closed")


async def hold(gate, before=1, after=1):
    _leave(gate, "begun")
    try:
        for _ in range(before):
            yield os.getpid()
        while not Path(gate, "open").exists():
            await asyncio.sleep(0.005)
        for _ in range(after):
            yield os.getpid()
    finally:
        _leave(gate, "closed")


async def fail(after):
    for i in range(after):
        yield {"i": i}
    raise ValueError("secret")


async def ignore(gate):
    _leave(gate, "begun")
    while True:
        try:
            yield 1
        except (GeneratorExit, asyncio.CancelledError):
            _leave(gate, "closed")


async def no_stream():
    return [1, 2, 3]


async def wrapped(n):
    """A coroutine that returns a generator."""
    return count(n)

"""The callables; `bare.py` sends the same tokens."""

import asyncio
import time

PIECE = bytes(range(256)) * 256


def same(value):
    """What comes in goes out."""
    return value


def size(image):
    """Looks at an image."""
    return list(image.size)


async def tokens(count, pause):
    """Strings; the first says when it was made."""
    yield repr(time.monotonic())
    for number in range(1, count):
        await asyncio.sleep(pause)
        yield f" token{number}"


async def flood(_):
    """64 KiB after 64 KiB, for as long as they are taken."""
    while True:
        yield PIECE
        await asyncio.sleep(0)

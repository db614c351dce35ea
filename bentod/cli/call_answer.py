"""The answer to `bentod call`: shown to people, or written as it is."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp

from bentod.codec.chunks import DECODERS, Decoder, StreamFailed, readable
from bentod.errors import BentodError

_FAILED = 500
_ANSWERED, _UNSHOWN, _PROBLEM = 0, 2, 4


class UnusableOutput(BentodError):
    """The file for the answer cannot be written."""


async def show(response: aiohttp.ClientResponse, file: str) -> int:
    """Write an answer to `file` (`-`: stdout), or show it if there is none, and return the exit code.

    0: answered. 2: it is binary, and a terminal would show it. 4: it is a problem, or broke off.
    Raises UnusableOutput.
    """
    try:
        if response.status >= 300:
            print(readable(await response.read()), file=sys.stderr)
            if response.status == _FAILED and _seen():
                print("the reason is in the log: `bentod logs`", file=sys.stderr)
            return _PROBLEM
        return await _answer(response, file)
    except aiohttp.ClientError as error:
        print(f"the answer broke off: {error}", file=sys.stderr)
    except StreamFailed as error:
        print(error, file=sys.stderr)
    return _PROBLEM


def _seen() -> bool:
    """Whether a person reads what is said, and no program that expects the problem alone."""
    return sys.stderr.isatty()


def check(file: str) -> None:
    """Whether a file can be written, as far as one can tell without touching it. Raises UnusableOutput."""
    path = Path(file).absolute()
    if file not in ("", "-") and (path.is_dir() or not path.parent.is_dir()):
        raise UnusableOutput(f"cannot write {file}: {'it is a folder' if path.is_dir() else 'its folder is missing'}")


async def _answer(response: aiohttp.ClientResponse, file: str) -> int:
    kind = response.content_type
    if file:
        with _opened(file) as opened:
            await _copy(response, opened, kind)
    elif kind in DECODERS:
        await _chunks(response, DECODERS[kind]())
    elif kind == "application/json" or kind.endswith("+json"):
        _write(sys.stdout.buffer, readable(await response.read()).encode("utf-8", "replace") + b"\n")
    elif kind.startswith("text/") or not sys.stdout.isatty():
        last = await _copy(response, sys.stdout.buffer, kind)
        if kind.startswith("text/") and last != b"\n":
            _write(sys.stdout.buffer, b"\n")
    else:
        size = "" if response.content_length is None else f" of {response.content_length:,} bytes"
        print(f"the answer is {kind}{size}: write it to a file with `-o FILE`, or into a pipe", file=sys.stderr)
        return _UNSHOWN
    return _ANSWERED


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdout.buffer
        return
    try:
        opened = Path(file).open("wb")  # noqa: SIM115 - what goes wrong within the block is no fault of `open`
    except OSError as error:
        raise UnusableOutput(f"cannot write {file}: {error.strerror}") from None
    try:
        yield opened
    finally:
        _close(opened)


async def _copy(response: aiohttp.ClientResponse, to: BinaryIO, kind: str) -> bytes:
    """Write the body as it comes. Returns its last byte. Raises StreamFailed for a stream that failed."""
    decoder = DECODERS[kind]() if kind in DECODERS else None
    last = b""
    async for data in response.content.iter_any():
        _write(to, data)
        last = data[-1:] or last
        for _ in decoder.feed(data) if decoder else ():
            pass
    if decoder is not None:
        decoder.end()
    return last


async def _chunks(response: aiohttp.ClientResponse, decoder: Decoder) -> None:
    """Show chunks as they come: strings as they are, so that tokens flow; any other value on a line of its own."""
    within_line = False
    try:
        async for data in response.content.iter_any():
            for value in decoder.feed(data):
                within_line = _show_chunk(value, within_line=within_line)
        decoder.end()
    finally:
        if within_line:
            _write(sys.stdout.buffer, b"\n")


def _show_chunk(value: Any, *, within_line: bool) -> bool:
    """Returns whether more text would continue the line."""
    if isinstance(value, str):
        text, within = value, not value.endswith("\n") if value else within_line
    else:
        text, within = "\n" * within_line + json.dumps(value, ensure_ascii=False) + "\n", False
    _write(sys.stdout.buffer, text.encode("utf-8", "replace"))
    return within


def _write(to: BinaryIO, data: bytes) -> None:
    with _told():
        to.write(data)
        to.flush()


def _close(file: BinaryIO) -> None:
    with _told():
        file.close()


@contextmanager
def _told() -> Iterator[None]:
    """Raises UnusableOutput for a full disk and the like; a reader that has had enough is no such thing."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UnusableOutput(f"cannot write the answer: {error.strerror}") from None

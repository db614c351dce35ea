"""What a daemon and its successor say to each other over a socket pair, and the descriptors that change hands.

The old one sends a Handover with its listening sockets and the lock of the run folder. The new one answers Ready or
Failed. Only with Yours it is the daemon. They may be of different versions: a key that one does not know is left out.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
import typing
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

import orjson

from bentod.errors import StartError, WireError
from bentod.wire.frames import Splitter, frame

_LIMIT = 1024 * 1024
_READ = 65536
_MOST_SOCKETS = 250  # Linux takes 253 descriptors in one message
_RECEIVE_S = 30.0


@dataclass(frozen=True, slots=True)
class Handover:
    """Who hands over, and where its successor can make itself at home. `addresses` are the entries of `listen` in the
    order of the sockets; of `owned` a file has to be removed at the end. `stays`: the old process goes on as the one
    that a terminal or a container knows, and the new one ends with it. `recorded`: what runs is `generation` as it was
    recorded, with its code, whatever the files say by now. `out`: GPUs that get no workers any more (UUID → why)."""

    version: str
    pid: int
    generation: int
    run: str
    files: str
    part: str
    addresses: tuple[str, ...]
    owned: tuple[str, ...] = ()
    stays: bool = False
    recorded: bool = False
    out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ready:
    """The successor serves, beside the one before it; these `addresses` are its own from now on."""

    version: str
    pid: int
    generation: int
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The successor cannot serve."""

    error: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Yours:
    """The successor is the daemon now."""


@dataclass(frozen=True, slots=True)
class Drained:
    """The old daemon has answered all its calls."""


Word = Handover | Ready | Failed | Yours | Drained
_WORDS: dict[str, type[Any]] = {word.__name__: word for word in typing.get_args(Word)}


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a successor has received: `lock` and `sockets` are descriptors."""

    handover: Handover
    lock: int
    sockets: tuple[int, ...]


def send(end: socket.socket, handover: Handover, lock: int, sockets: Sequence[int]) -> None:
    """The first word, with the descriptors. They stay open here. Raises StartError, OSError."""
    if len(sockets) > _MOST_SOCKETS:
        raise StartError(f"{len(sockets)} listening sockets are too many to be handed over")
    data = _encoded(handover)
    sent = socket.send_fds(end, [data], [lock, *sockets])
    end.sendall(data[sent:])


def tell(end: socket.socket, word: Word) -> None:
    """Say a word without an event loop; nothing happens if nobody is there."""
    with contextlib.suppress(OSError):
        end.sendall(_encoded(word))


def receive(end: socket.socket, timeout_s: float = _RECEIVE_S) -> Inheritance:
    """Wait for the first word. Raises StartError if it does not come, or is not what was meant."""
    descriptors: list[int] = []
    splitter = Splitter(_LIMIT)
    payloads: list[bytes] = []
    end.settimeout(timeout_s)
    try:
        while not payloads:
            data, received = _received(end)
            descriptors += received
            if not data:
                raise StartError("the daemon that was to be replaced is gone")
            payloads = splitter.feed(data)
        handover = _decoded(payloads[0])
        if not isinstance(handover, Handover) or len(descriptors) != 1 + len(handover.addresses):
            raise StartError("the daemon that was to be replaced did not hand over what it said")
    except (OSError, WireError, StartError) as error:
        for number in descriptors:
            os.close(number)
        raise StartError(f"nothing was handed over: {error}") from None
    finally:
        end.settimeout(None)
    lock, *sockets = descriptors
    return Inheritance(handover, lock, tuple(sockets))


def _received(end: socket.socket) -> tuple[bytes, list[int]]:
    """Some bytes, and the descriptors that came with them: none of them for children."""
    size = socket.CMSG_SPACE((_MOST_SOCKETS + 1) * array.array("i").itemsize)
    data, ancillary, _, _ = end.recvmsg(_READ, size, socket.MSG_CMSG_CLOEXEC)
    found = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(content[: len(content) - len(content) % found.itemsize])
    return data, list(found)


class Conversation:
    """All further words, from either side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Conversation:
        """Speak over one end of the pair."""
        return cls(*await asyncio.open_connection(sock=end))

    async def say(self, word: Word) -> None:
        """Say something; nothing happens if nobody is there."""
        with contextlib.suppress(OSError):
            self._writer.write(_encoded(word))
            await self._writer.drain()

    async def hear(self) -> Word | None:
        """The next word; None once the other one is gone. Raises WireError for what no bentod says."""
        try:
            length = int.from_bytes(await self._reader.readexactly(4), "little")
            if length > _LIMIT:
                raise WireError(f"a word of {length} bytes is over the limit of {_LIMIT}")
            return _decoded(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, OSError):
            return None

    def close(self) -> None:
        """Say and hear nothing more."""
        self._writer.close()


def _encoded(word: Word) -> bytes:
    return frame(orjson.dumps({"says": type(word).__name__, **asdict(word)}), _LIMIT)


def _decoded(data: bytes) -> Word:
    try:
        found = orjson.loads(data)
        said = _WORDS[found["says"]]
        known = {one.name: one for one in fields(said)}
        values = {
            name: tuple(value) if isinstance(value, list) else value for name, value in found.items() if name in known
        }
        needed = [name for name, one in known.items() if one.default is MISSING and one.default_factory is MISSING]
        missing = [name for name in needed if name not in values]
    except (ValueError, TypeError, KeyError) as error:
        raise WireError(f"no word of a daemon's: {error!r}") from None
    if missing:
        raise WireError(f"{found['says']} without {', '.join(missing)}")
    word: Word = said(**values)
    return word

"""Clients of several kinds that ask at a steady rate while something happens to the server, and keep each outcome.

`load.py` has clients that each ask again as soon as they are answered; here the rate does not depend on the answers.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tests.support.http import PATIENCE_S, request

SLOW_S = 0.5
"""How long a slow client takes to send its body."""

_PIECES = 10
_MOST_AT_ONCE = 2_000
_EACH_S = 60.0


@dataclass(frozen=True)
class Outcome:
    """What became of one request. `status` is 0 if there was no whole head; `error` says what broke, `before` what
    broke when it was asked for the first time, if it was asked again. Times are monotonic."""

    kind: str
    begun: float
    ended: float
    status: int
    body: bytes
    error: str
    before: str = ""

    @property
    def ok(self) -> bool:
        """A success, with all of its body."""
        return 200 <= self.status < 300 and not self.error

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Load:
    """`async with Load(url, path, body) as load:` asks until the block ends, then waits for what is still under way.

    `kinds`, in turn: `keep-alive` (shared connections), `new` (a connection for each request), `slow` (the body comes
    in small pieces), `stream` (server-sent events, read to their end). `rate` is requests a second, of all kinds.
    With `again`, what broke with its connection is asked once more, as a proxy would.
    """

    def __init__(
        self,
        url: str,
        path: str,
        body: Any,
        *,
        rate: float = 200,
        kinds: Sequence[str] = ("keep-alive", "new", "slow"),
        again: bool = False,
    ) -> None:
        self.outcomes: list[Outcome] = []
        self.asked = 0
        self._url, self._path, self._body, self._rate = url, path, body, rate
        self._kinds = [(kind, _KINDS[kind]) for kind in kinds]
        self._again = again
        self._running: set[asyncio.Task[None]] = set()
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    @property
    def failed(self) -> list[Outcome]:
        """All that were not answered with a success."""
        return [outcome for outcome in self.outcomes if not outcome.ok]

    async def more(self, answers: int = 50, within_s: float = PATIENCE_S) -> None:
        """Wait until so many requests that are not yet begun have been answered."""
        since = time.monotonic()
        async with asyncio.timeout(within_s):
            while sum(outcome.begun >= since for outcome in reversed(self.outcomes)) < answers:
                await asyncio.sleep(0.02)  # between two looks

    async def __aenter__(self) -> Load:
        for close in (False, True):
            connector = aiohttp.TCPConnector(limit=0, force_close=close)
            timeout = aiohttp.ClientTimeout(total=_EACH_S)
            self._sessions[close] = aiohttp.ClientSession(self._url, connector=connector, timeout=timeout)
        self._asking = asyncio.create_task(self._ask_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._asking.cancel()
        results = await asyncio.gather(self._asking, *self._running, return_exceptions=True)
        for session in self._sessions.values():
            await session.close()
        broken = [found for found in results if isinstance(found, Exception)]
        assert not broken, broken

    async def _ask_on(self) -> None:
        begun = time.monotonic()
        for count in itertools.count():
            kind, ask = self._kinds[count % len(self._kinds)]
            task = asyncio.create_task(self._one(kind, ask))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            self.asked += 1
            while len(self._running) >= _MOST_AT_ONCE:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(max(0.0, begun + (count + 1) / self._rate - time.monotonic()))

    async def _one(self, kind: str, ask: _Ask) -> None:
        begun, before = time.monotonic(), ""
        got, error = await self._tried(ask)
        if error and self._again:
            before = error
            got, error = await self._tried(_ANEW.get(kind, ask))
        self.outcomes.append(Outcome(kind, begun, time.monotonic(), got.status, bytes(got.body), error, before))

    async def _tried(self, ask: _Ask) -> tuple[_Got, str]:
        """What came, and what broke."""
        got = _Got()
        try:
            async with asyncio.timeout(_EACH_S):
                await ask(self, got)
        except (aiohttp.ClientError, OSError, EOFError, ValueError) as failure:
            return got, f"{type(failure).__name__}: {failure}"
        return got, ""

    async def _keep_alive(self, got: _Got) -> None:
        await self._post(got, self._sessions[False], {})

    async def _new(self, got: _Got) -> None:
        await self._post(got, self._sessions[True], {})

    async def _stream(self, got: _Got) -> None:
        await self._post(got, self._sessions[False], {"accept": "text/event-stream"})

    async def _post(self, got: _Got, session: aiohttp.ClientSession, headers: Mapping[str, str]) -> None:
        async with session.post(self._path, json=self._body, headers=headers) as answer:
            got.status = answer.status
            async for part in answer.content.iter_any():
                got.body += part

    async def _slow(self, got: _Got) -> None:
        parts = urlsplit(self._url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            head, _, body = request(self._path, self._body, headers={"connection": "close"}).partition(b"\r\n\r\n")
            writer.write(head + b"\r\n\r\n")
            size = max(1, -(-len(body) // _PIECES))
            for start in range(0, len(body), size):
                await asyncio.sleep(SLOW_S / _PIECES)
                writer.write(body[start : start + size])
                await writer.drain()
            await _read(reader, got)
        finally:
            writer.close()


class _Got:
    """As much of an answer as has come."""

    def __init__(self) -> None:
        self.status = 0
        self.body = bytearray()


_Ask = Callable[[Load, _Got], Awaitable[None]]
_KINDS: dict[str, _Ask] = {
    "keep-alive": Load._keep_alive,
    "new": Load._new,
    "slow": Load._slow,
    "stream": Load._stream,
}
_ANEW: dict[str, _Ask] = {"keep-alive": Load._new}
"""How to ask again: on no connection that others have used."""


async def _read(reader: asyncio.StreamReader, got: _Got) -> None:
    """The last answer of a connection. Raises EOFError if it is cut off."""
    start, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    got.status = int(start.split()[1])
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") != "chunked":
        got.body += await reader.readexactly(int(headers["content-length"]))
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        got.body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")

"""Asks a daemon's APIs for the answers to their examples, over HTTP as any client does, and judges these."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from bentod.cli.client import Client, UnknownApi
from bentod.codec import expect
from bentod.codec.expect import Expectation
from bentod.codec.expect_words import cut
from bentod.iotypes.media_types import JSON

OK, FAILED, ERROR = "ok", "failed", "error"
"""Answered as it says; answered otherwise, or with a problem; not answered, because the daemon cannot be reached."""

_PROBLEM = "application/problem+json"
_CONNECT_S, _MARGIN_S = 5.0, 5.0
_MOST_ANSWER, _MOST_SHOWN = 128 * 1024 * 1024, 500


@dataclass(frozen=True, slots=True)
class Tried:
    """One example and what came of it. `text` says in lines what is wrong, `answer` is what came, cut to some words."""

    api: str
    example: str
    outcome: str
    seconds: float
    text: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Results:
    """All that were tried, in the order of the spec; `bare` are the APIs that have no examples."""

    name: str
    url: str
    tried: tuple[Tried, ...]
    bare: tuple[str, ...]

    def count(self, outcome: str) -> int:
        """How many came out so."""
        return sum(one.outcome == outcome for one in self.tried)


async def results(client: Client, names: Sequence[str], tell: Callable[[Tried], None]) -> Results:
    """Try the examples of these APIs, or of all, one after the other; each is told. Raises NotRunning, UnknownApi."""
    status = await client.get("/settled")
    apis = {name: await client.api(name) for name in dict.fromkeys(names or status["apis"])}
    if not apis:
        raise UnknownApi("the daemon serves no API")
    url = str(status["url"])
    tried: list[Tried] = []
    async with _session(url) as session:
        for name, api in apis.items():
            asking = _Api(name, api, session, "http://bentod" if url.startswith("unix:") else url)
            for example in api["examples"]:
                tried.append(await asking.tried(example))
                tell(tried[-1])
    bare = tuple(name for name, api in apis.items() if not api["examples"])
    return Results(str(status["name"]), url, tuple(tried), bare)


def _session(url: str) -> aiohttp.ClientSession:
    unix = url.startswith("unix:")
    connector = aiohttp.UnixConnector(url.removeprefix("unix:")) if unix else aiohttp.TCPConnector()
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_S))


class _Broken(Exception):
    """The answer did not come whole; the text says how."""


class _Api:
    """One API, as the daemon described it."""

    def __init__(self, name: str, api: Mapping[str, Any], session: aiohttp.ClientSession, base: str) -> None:
        self._name = name
        self._url = base + str(api["path"])
        self._session = session
        self._expectation = Expectation(api["output"], api["types"], api["stream"])
        more_s = float(api.get("stream_idle_seconds", 60.0)) if api["stream"] else _MARGIN_S
        self._limit_s = float(api.get("timeout_seconds", 30.0)) + more_s

    async def tried(self, example: Mapping[str, Any]) -> Tried:
        """Send one example's input, and judge what comes back."""
        begun = time.monotonic()
        outcome, text, answer = OK, "", ""
        try:
            async with asyncio.timeout(self._limit_s):
                status, kind, body = await self._answer(example)
            answer = _said(kind, body)
            text = self._fault(status, kind, body, example)
            outcome = FAILED if text else OK
        except _Broken as error:
            outcome, text = FAILED, str(error)
        except aiohttp.ClientError as error:  # before what is next: some of them are both
            outcome, text = ERROR, f"the daemon does not answer: {_named(error)}"
        except TimeoutError:
            outcome, text = FAILED, f"the answer was not complete after {self._limit_s:g} s"
        except OSError as error:
            outcome, text = ERROR, f"the daemon does not answer: {_named(error)}"
        return Tried(self._name, str(example["name"]), outcome, time.monotonic() - begun, text, answer)

    async def _answer(self, example: Mapping[str, Any]) -> tuple[int, str, bytes]:
        """Status, media type and body. Raises ClientError, OSError, _Broken."""
        headers = {"content-type": JSON}
        accept = self._expectation.accept(example["output"], has_output=example["has_output"])
        if accept is not None:
            headers["accept"] = accept
        data = json.dumps(example["input"]).encode()
        async with self._session.post(self._url, data=data, headers=headers, allow_redirects=False) as response:
            try:
                body = await _whole(response)
            except (aiohttp.ClientError, OSError) as error:
                raise _Broken(f"the answer broke off: {_named(error)}") from None
            return response.status, response.content_type, body

    def _fault(self, status: int, kind: str, body: bytes, example: Mapping[str, Any]) -> str:
        if kind == _PROBLEM:
            return expect.refusal(status, body)
        given = (body, kind, example["output"], example["tolerance"])
        return self._expectation.fault(*given, has_output=example["has_output"])


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > _MOST_ANSWER:
            raise _Broken(f"the answer is larger than {_MOST_ANSWER} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _named(error: Exception) -> str:
    return str(error) or type(error).__name__


def _said(kind: str, body: bytes) -> str:
    if kind.startswith("text/") or kind.endswith(("json", "ndjson")):
        return cut(body.decode("utf-8", "replace").rstrip(), _MOST_SHOWN)
    return f"{len(body):,} bytes of {kind}"

"""The command line's side of the control socket."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from bentod.errors import UNFIT, BentodError, PlanError, Problem, ProblemsError, SpecError, Unknown
from bentod.spec.found import did_you_mean

Document = dict[str, Any]

_QUICK = ("/status", "/stop", "/apis")
_NOT_RUNNING = "no daemon runs this spec; start it with `bentod up`"


class NotRunning(BentodError):
    """No daemon answers on the control socket."""


class Unanswered(BentodError):
    """The daemon took a question, and has not answered it."""


class UnknownApi(BentodError):
    """The daemon serves no API of this name."""


class UnknownGeneration(Unknown):
    """The daemon has no record of this generation."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a document."""

    status: int
    document: Document


class Client:
    """Asks one daemon. Everything raises NotRunning, and Unanswered: what takes a daemon no time after `patience_s`."""

    def __init__(self, path: Path, patience_s: float = 30.0) -> None:
        self._path = path
        self._patience_s = patience_s

    async def get(self, route: str) -> Document:
        """What the daemon answers."""
        return (await self._ask("GET", route)).document

    async def post(self, route: str) -> Document:
        """What the daemon answers."""
        return (await self._ask("POST", route)).document

    async def api(self, name: str) -> Document:
        """How an API is called. Raises UnknownApi."""
        found = await self.get(f"/apis/{quote(name, safe='')}")
        if "path" not in found:
            raise UnknownApi(_no_api(name, found["apis"]))
        return found

    async def plan(self, files: Sequence[Path], against: int | None = None) -> Document:
        """What differs between what runs, or generation `against`, and what `files` say; none: those that the daemon
        was started with. Raises SpecError, PlanError, UnknownGeneration."""
        answer = await self._ask("POST", "/plan", {"files": _named(files), "against": against})
        return _checked(answer)

    async def apply(
        self, files: Sequence[Path], *, allow_breaking: bool, state: str | None = None, generation: int | None = None
    ) -> Document:
        """How the change went that makes the daemon do what `files` say, or what `generation` was. With `state` only if
        that is still what a plan is made from. Raises SpecError, PlanError, UnknownGeneration."""
        order = {
            "files": _named(files),
            "allow_breaking": allow_breaking,
            "state": state,
            "generation": generation,
        }
        return _checked(await self._ask("POST", "/apply", order))

    async def _ask(self, method: str, route: str, sent: Mapping[str, Any] | None = None) -> Answer:
        quick = route.startswith(_QUICK)
        timeout = aiohttp.ClientTimeout(total=self._patience_s if quick else None, connect=5)
        try:
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self._path)), timeout=timeout) as session,
                session.request(method, f"http://bentod{route}", json=sent) as response,
            ):
                if response.content_type != "application/json":
                    raise Unanswered(_no_json(response.status, route))
                return Answer(response.status, await response.json())
        except (aiohttp.ClientConnectorError, FileNotFoundError, aiohttp.ConnectionTimeoutError):
            raise NotRunning(_NOT_RUNNING) from None
        except TimeoutError:
            raise Unanswered(_silent(_who(self._path), self._patience_s)) from None
        except (aiohttp.ClientError, OSError) as error:
            if sent is None:
                raise NotRunning(_NOT_RUNNING) from None
            raise Unanswered(f"the daemon ended before it answered ({str(error) or type(error).__name__})") from None


def problems(rows: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """What a daemon has found wrong. Keys that this version does not know are left out."""
    known = {field.name for field in fields(Problem)}
    return [Problem(**{key: value for key, value in row.items() if key in known}) for row in rows]


def wrong(found: Sequence[Problem]) -> ProblemsError:
    """What a daemon has found wrong with the spec; or with this host, if that is all."""
    unfit = all(one.code == UNFIT for one in found)
    return PlanError(found) if unfit else SpecError(found)


def _named(files: Sequence[Path]) -> list[str] | None:
    return [str(file.absolute()) for file in files] or None


def _checked(answer: Answer) -> Document:
    """Raises SpecError, PlanError, UnknownGeneration, Unanswered."""
    document = answer.document
    if answer.status == 422:
        found = problems(document.get("problems") or [{"code": "unusable", "message": document.get("error", "")}])
        raise wrong(found)
    if answer.status == 404:
        raise UnknownGeneration(str(document.get("error", "there is no such generation")))
    if "error" in document and "outcome" not in document:
        raise Unanswered(f"the daemon cannot answer: {document['error']}")
    return document


def _no_api(name: str, known: Sequence[str]) -> str:
    hint = did_you_mean(name, known)
    if not hint.startswith("did"):
        return f"the daemon serves no API {name!r}; it serves: {', '.join(known)}"
    return f"the daemon serves no API {name!r}; {hint}"


def _who(path: Path) -> int:
    """The process that listens there; 0 if that cannot be said."""
    from bentod.wire.entries import credentials  # only a daemon that is silent needs it

    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(1)
        asking.connect(str(path))
        return credentials(asking)[0]
    return 0


def _silent(pid: int, waited_s: float) -> str:
    said = f"has not answered for {waited_s:g} s: it is stopped, or hangs"
    if not pid:
        return f"the daemon {said}"
    return (
        f"the daemon (pid {pid}) {said}; `kill -CONT {pid}` lets it go on if it was stopped, `kill -KILL {pid}` ends "
        "it and all that it has started"
    )


def _no_json(status: int, route: str) -> str:
    if status in {404, 405}:
        return f"the daemon that runs does not know {route}: it is of another version; `bentod down`, then `bentod up`"
    return f"the daemon could not answer (status {status}); `bentod logs` says why"

"""A project whose answers say in several places which version of it they come from, edits of it, and clients that ask
it for that meanwhile."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.support.clients import Load, Outcome
from tests.support.daemon import App, eventually
from tests.support.project import api, project

MAIN = """import asyncio
import os
import time

from parts import words

VERSION = "{version}"


def said():
    return [VERSION, words.VERSION, os.environ["VERSION"]]


def say(n):
    return said()


async def say_async(n):
    await asyncio.sleep(0.005)
    return said()


def together(n):
    return [said()] * len(n)


def stream(n):
    for _ in range(n):
        yield said()
        time.sleep(0.02)
"""
WORDS = 'VERSION = "{version}"\n'
CHUNKS = 30
INPUT = {"n": CHUNKS}
ALL = {"/say": 60.0, "/say_async": 20.0, "/together": 30.0, "/stream": 4.0}
"""Every API of the project, with a rate for each: requests a second."""


def versioned(folder: Path, service: Mapping[str, Any] | None = None, **spec: Any) -> Path:
    """The project in `folder`, in version `1`. `service` are more keys of its one service."""
    apis = {
        "say": api("s", "say", "n"),
        "say_async": api("s", "say_async", "n"),
        "together": {**api("s", "together", "n"), "takes": "columns", "batching": {"max_size": 8}},
        "stream": {**api("s", "stream", "n"), "stream": "sse"},
    }
    services = {"s": {"target": "main.py", "threads": 8, "env": {"VERSION": "1"}, **(service or {})}}
    files = {
        "main.py": MAIN.format(version="1"),
        "parts/__init__.py": "",
        "parts/words.py": WORDS.format(version="1"),
    }
    return project(folder, files=files, services=services, apis=apis, **spec)


def save(folder: Path, version: str) -> None:
    """Another version in all of its places, as an editor saves several files: one after the other, each at once."""
    spec = json.loads((folder / "bentofile.yaml").read_text())
    spec["services"]["s"]["env"]["VERSION"] = version
    texts = {
        "parts/words.py": WORDS.format(version=version),
        "main.py": MAIN.format(version=version),
        "bentofile.yaml": json.dumps(spec),
    }
    for name, text in texts.items():
        put(folder / name, text)


def put(path: Path, text: str) -> None:
    """Replace a file at once."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.replace(path)


def respec(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the spec at once."""
    data = json.loads((folder / "bentofile.yaml").read_text())
    change(data)
    put(folder / "bentofile.yaml", json.dumps(data))


def idle(app: App, within: float = 30.0) -> dict[str, Any]:
    """Wait until no change is under way, and the last one has gone well."""
    return dict(eventually(lambda: (c := app.control())["change"]["state"] == "idle" and c, within, "no change"))


def live(app: App, version: str, within: float = 60.0) -> None:
    """Wait until a version answers, at every gateway."""
    eventually(lambda: app.post("/say", INPUT)[2] == [version] * 3, within, f"version {version} is live")
    idle(app)


def failed(app: App, state: str = "failed", within: float = 30.0) -> dict[str, Any]:
    """Wait until the last change has failed; what `status` says of it."""
    return dict(eventually(lambda: (c := app.control()["change"])["state"] == state and c, within, state))


def pids(app: App) -> dict[str, list[int | None]]:
    """The workers of each service."""
    return {name: [w["pid"] for w in s["workers"]] for name, s in app.control()["services"].items()}


def versions(outcome: Outcome) -> set[str]:
    """The versions that an answer names. A stream has all of its chunks."""
    if not outcome.body.startswith(b"["):
        lines = [line.removeprefix(b"data: ") for line in outcome.body.split(b"\n") if line.startswith(b"data: [")]
        assert len(lines) == CHUNKS, outcome
        return {word for line in lines for word in json.loads(line)}
    return set(outcome.json)


class Asking:
    """Clients that ask several APIs, each at its own rate, in a thread."""

    def __init__(self, loads: Mapping[str, Load], loop: asyncio.AbstractEventLoop) -> None:
        self.loads = loads
        self._loop = loop

    @property
    def outcomes(self) -> list[Outcome]:
        """What they got so far."""
        return [outcome for load in self.loads.values() for outcome in list(load.outcomes)]

    @property
    def failed(self) -> list[Outcome]:
        """What was no success."""
        return [outcome for outcome in self.outcomes if not outcome.ok]

    def more(self, answers: int = 20) -> None:
        """Wait until each API has answered so many requests that are not yet begun; streams a tenth of it."""
        for load in self.loads.values():
            few = max(1, answers // 10) if load is self.loads.get("/stream") else answers
            asyncio.run_coroutine_threadsafe(load.more(few, 60), self._loop).result()

    def fine(self) -> None:
        """Nothing has failed."""
        assert self.outcomes
        assert not self.failed, (len(self.failed), len(self.outcomes), self.failed[:3])

    def whole(self) -> list[tuple[Outcome, str]]:
        """Every answer with its one version; fails if one comes from two."""
        found = [(outcome, versions(outcome)) for outcome in self.outcomes]
        assert not [(outcome, named) for outcome, named in found if len(named) != 1]
        return [(outcome, named.pop()) for outcome, named in found]


@contextmanager
def asking(
    app: App,
    rates: Mapping[str, float],
    body: Any = INPUT,
    kinds: Sequence[str] = ("keep-alive", "new", "keep-alive", "slow"),
    **options: Any,
) -> Iterator[Asking]:
    """Clients that ask `rates` (by path, requests a second) until the block ends; streams are read to their end."""
    started: list[Asking] = []
    begun, ending = threading.Event(), threading.Event()
    broken: list[BaseException] = []

    async def run() -> None:
        async with AsyncExitStack() as stack:
            loads = {}
            for path, rate in rates.items():
                own = ("stream",) if path == "/stream" else kinds
                loads[path] = await stack.enter_async_context(
                    Load(app.url, path, body, rate=rate, kinds=own, **options)
                )
            started.append(Asking(loads, asyncio.get_running_loop()))
            begun.set()
            await asyncio.to_thread(ending.wait)

    def thread() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            broken.append(error)
        finally:
            begun.set()

    runner = threading.Thread(target=thread)
    runner.start()
    begun.wait()
    try:
        yield started[0]
    finally:
        ending.set()
        runner.join()
        assert not broken, broken

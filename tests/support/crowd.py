"""Many calls that wait together for one busy worker, and what each of them is answered."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.support.daemon import App, eventually
from tests.support.http import Answer, Connection, request


def waiting(app: App, running: int = 0) -> int:
    """How many calls of all APIs wait, those included that a worker has ahead; so many others are known to run."""
    return sum(api["waiting"] + api["running"] for api in app.control()["apis"].values()) - running


@contextlib.contextmanager
def busy(app: App, folder: Path, *holds: str) -> Iterator[Callable[[], None]]:
    """The slots that calls of these APIs (`/hold`) hold are taken until the given function is called, or the end."""
    with contextlib.ExitStack() as stack:
        gates = []
        try:
            for number, path in enumerate(holds):
                gate = folder / f"gate-{number}"
                gate.mkdir()
                gates.append(gate)
                connection = stack.enter_context(Connection(app.url))
                connection.send(request(path, {"gate": str(gate)}))
                eventually(lambda gate=gate: any(gate.glob("begun*")), what=f"{path} runs")
            yield lambda: [(gate / "open").touch() for gate in gates] and None
        finally:
            for gate in gates:
                (gate / "open").touch()


def together(
    app: App, folder: Path, requests: Sequence[bytes], hold: str = "/hold", *, in_order: bool = False
) -> list[Answer]:
    """The answers to these requests, which have all waited before the first of them ran; each came after the one
    before it if that matters."""
    with contextlib.ExitStack() as stack:
        with busy(app, folder, hold) as leave:
            connections = [stack.enter_context(Connection(app.url)) for _ in requests]
            for number, (connection, data) in enumerate(zip(connections, requests, strict=True)):
                connection.send(data)
                if in_order:
                    eventually(lambda number=number: waiting(app, 1) > number)
            eventually(lambda: waiting(app, 1) == len(requests), what=f"{len(requests)} calls wait")
            leave()
        return [connection.answer() for connection in connections]


def batch_of(answer: Answer) -> int:
    """What `Server-Timing` says of the batch; 0 if nothing."""
    _, found, rest = answer.headers["server-timing"].partition('batch;desc="')
    return int(rest.partition('"')[0]) if found else 0


def note(folder: Path, name: str) -> list[Any]:
    """What callables have noted in a file, one JSON value a line."""
    path = folder / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

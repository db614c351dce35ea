"""How long an edit takes to be live, and what it costs: `python benchmarks/reload.py [--edits N] [--json FILE]`.

- `code`: a module of `specs/hello` is edited under load; from saving it to the first answer of the new code.
- `setting`: `max_delay` of an API is edited under load; the same, without the debounce, until the generation is live.
- `one of ten`: of ten services the module of one is edited; how many workers of the others restart.
- `bentoml`: the same as `code` with `bentoml serve --reload`, where an environment has it (`--bentoml PYTHON`).

Requests come at a steady rate on shared and on new connections. Exits with 1 if one that bentod should have answered
failed, or a worker restarted without need.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.compare.environments import default_folder
from tests.support.daemon import App, eventually, free_port, running
from tests.support.edits import Asking, asking, pids, put, respec, versioned
from tests.support.http import Connection, Ended, request
from tests.support.project import api, project

HELLO = Path(__file__).parents[1] / "specs" / "hello"
GREET = '    return f"{greeting}, {name}!"\n'
QUIET = {"BENTOD_ACCESS_LOG": "false"}
DEBOUNCE_S = 0.3
KINDS = ("keep-alive", "new")
PEER = """import bentoml


@bentoml.service(workers=1)
class Greeter:
    @bentoml.api
    def greet(self, name: str, greeting: str = "Hello") -> str:
        return f"{greeting}, {name}!"
"""


@dataclass(frozen=True)
class Row:
    """What some edits came to, in seconds. `restarted`: workers that had no reason to."""

    what: str
    edits: int
    median_s: float
    p95_s: float
    requests: int
    failed: int
    restarted: int = 0


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--edits", type=int, default=100)
    options.add_argument("--rate", type=float, default=200.0, help="requests a second")
    options.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    options.add_argument("--bentoml", type=Path, default=default_folder() / "bentoml" / "bin" / "python")
    options.add_argument("--json", type=Path, help="write the figures here")
    args = options.parse_args()
    print(f"{'edits of':12} {'edits':>6} {'median':>8} {'p95':>8} {'requests':>9} {'failed':>7} {'restarted':>10}")
    rows = []
    for name in args.only:
        with tempfile.TemporaryDirectory(prefix="br") as folder:
            row = MEASURES[name](Path(folder) / "p", args)
        if row is not None:
            rows.append(row)
            print(
                f"{row.what:12} {row.edits:6} {row.median_s:6.3f} s {row.p95_s:6.3f} s {row.requests:9} {row.failed:7}"
                f" {row.restarted:10}",
                flush=True,
            )
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 1 if any(row.failed or row.restarted for row in rows if row.what != "bentoml") else 0


def code(folder: Path, args: argparse.Namespace) -> Row:
    shutil.copytree(HELLO, folder)
    with running(folder, env=QUIET) as app, asking(app, {"/greet": args.rate}, {"name": "Ada"}, KINDS) as clients:
        clients.more()
        seconds = [edited(folder / "hello.py", app.url, str(number)) for number in range(args.edits)]
        clients.more()
    return row("code", seconds, clients)


def edited(path: Path, url: str, word: str) -> float:
    """Have somebody be greeted with a new word; how long until that is so."""
    head, _, tail = (
        (HELLO / "hello.py").read_text().partition(GREET) if path.name == "hello.py" else PEER.partition(GREET)
    )
    indent = " " * (len(GREET) - len(GREET.lstrip()))
    if path.name != "hello.py":
        head, indent = head.rstrip(" "), indent * 2
    text = f'{indent}if name == "version":\n{indent}    return "{word}"\n{indent}{GREET.lstrip()}'
    put(path, head + text + tail)
    begun = time.monotonic()
    eventually(lambda: greeted(url) == word, 60)
    return time.monotonic() - begun


def greeted(url: str) -> Any:
    try:
        with Connection(url) as connection:
            answer = connection.ask(request("/greet", {"name": "version"}))
            return answer.json if answer.headers.get("content-type") == "application/json" else answer.body.decode()
    except (OSError, Ended):
        return None


def setting(folder: Path, args: argparse.Namespace) -> Row:
    versioned(folder)
    rates = {"/together": args.rate}
    with running(folder, env=QUIET) as app, asking(app, rates, kinds=KINDS) as clients:
        clients.more()
        before, seconds = pids(app), []
        for number in range(args.edits):
            delay = {"max_size": 8, "max_delay": f"{1 + number % 9}ms"}
            respec(folder, lambda data, to=delay: data["apis"]["together"].update(batching=to))
            seconds.append(live(app, 2 + number) - DEBOUNCE_S)
        restarted = pids(app) != before
        clients.more()
    return row("setting", seconds, clients, restarted)


def live(app: App, number: int) -> float:
    """Wait until generation `number` is live; how long that took."""
    begun = time.monotonic()
    eventually(lambda: app.control()["generation"] >= number, 60)
    return time.monotonic() - begun


def one_of_ten(folder: Path, args: argparse.Namespace) -> Row:
    names = [f"s{number}" for number in range(10)]
    project(
        folder,
        files={f"{name}.py": "WORD = 0\n\n\ndef f(n):\n    return WORD\n" for name in names},
        services={name: {"target": f"{name}.py"} for name in names},
        apis={name: api(name, "f", "n") for name in names},
    )
    rates = dict.fromkeys((f"/{name}" for name in names), args.rate / 10)
    with running(folder, env=QUIET) as app, asking(app, rates, {"n": 1}, KINDS) as clients:
        before, seconds = pids(app), []
        for number in range(max(1, args.edits // 10)):
            put(folder / "s0.py", f"WORD = {number + 1}\n\n\ndef f(n):\n    return WORD\n")
            begun = time.monotonic()
            eventually(lambda number=number: app.post("/s0", {"n": 1})[2] == number + 1, 60)
            seconds.append(time.monotonic() - begun)
        after = pids(app)
    return row("one of ten", seconds, clients, sum(before[name] != after[name] for name in names[1:]))


def bentoml(folder: Path, args: argparse.Namespace) -> Row | None:
    if not args.bentoml.exists():
        print(f"bentoml      skipped: there is no {args.bentoml}")
        return None
    folder.mkdir()
    (folder / "service.py").write_text(PEER)
    with serving(folder, args.bentoml) as url:
        with asking(SimpleNamespace(url=url), {"/greet": args.rate}, {"name": "Ada"}, KINDS) as clients:  # type: ignore[arg-type]
            edits = range(max(1, args.edits // 10))
            seconds = [edited(folder / "service.py", url, str(number)) for number in edits]
        return row("bentoml", seconds, clients)


@contextmanager
def serving(folder: Path, python: Path) -> Iterator[str]:
    """BentoML until the block ends."""
    port = free_port()
    command = [str(python), "-m", "bentoml", "serve", "service:Greeter", "--reload", "--port", str(port)]
    environ = {**os.environ, "BENTOML_DO_NOT_TRACK": "True", "PYTHONPATH": ""}
    with (folder.parent / "bentoml.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environ, start_new_session=True)
        try:
            eventually(lambda: greeted(f"http://127.0.0.1:{port}"), 60, "bentoml is ready")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def row(what: str, seconds: list[float], clients: Asking, restarted: int = 0) -> Row:
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    found = statistics.median(ordered), p95, len(clients.outcomes), len(clients.failed), int(restarted)
    return Row(what, len(ordered), *found)


MEASURES: dict[str, Callable[[Path, argparse.Namespace], Row | None]] = {
    "code": code,
    "setting": setting,
    "one-of-ten": one_of_ten,
    "bentoml": bentoml,
}

if __name__ == "__main__":
    sys.exit(main())

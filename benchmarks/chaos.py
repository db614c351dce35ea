"""Workers and gateways are killed and the code is edited under load: `python benchmarks/chaos.py [--seconds S]`.

A random worker gets SIGKILL every half a second, a gateway every five, and every three seconds another version of the
code is saved, while clients of several kinds ask at a steady rate. The APIs say `retry: true`. A connection whose
gateway is killed is cut off: then the client asks once more, as any proxy would. Prints what became of it all; exits
with 1 if a request failed, or was answered by two versions of the code.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.clients import Outcome
from tests.support.daemon import App, eventually, running
from tests.support.edits import Asking, asking, respec, save, versioned, versions

RESTART = {"delay": "50ms", "max_delay": "200ms", "limit": 1_000_000}
SHARES = {"/say": 0.6, "/say_async": 0.2, "/together": 0.2}


@dataclass(frozen=True)
class Every:
    """How often what happens, in seconds."""

    worker: float = 0.5
    gateway: float = 5.0
    reload: float = 3.0


@dataclass(frozen=True)
class Report:
    """What became of the requests. `failed`: by kind; `again`: cut off with their gateway, and answered when the client
    asked once more; `mixed`: answered by two versions."""

    seconds: float
    requests: int
    again: int
    failed: dict[str, int]
    mixed: int
    workers_killed: int
    gateways_killed: int
    reloads: int
    reloads_live: int
    reloads_failed: dict[str, int]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--rate", type=float, default=300.0, help="requests a second")
    options.add_argument("--workers", type=int, default=3)
    options.add_argument("--gateways", type=int, default=2)
    options.add_argument("--seed", type=int, default=None)
    options.add_argument("--json", type=Path, help="write the figures here")
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = chaos(Path(folder), args.seconds, args.rate, args.workers, args.gateways, random.Random(args.seed))
    for name, value in asdict(report).items():
        print(f"{name:16} {value}")
    if args.json:
        args.json.write_text(json.dumps(asdict(report), indent=2) + "\n")
    return 1 if report.failed or report.mixed else 0


def chaos(
    folder: Path,
    seconds: float,
    rate: float,
    workers: int,
    gateways: int,
    dice: random.Random,
    every: Every | None = None,
) -> Report:
    """Have it happen for so many seconds."""
    every = every or Every()
    versioned(folder / "p", {"workers": workers, "restart": RESTART, "reload": "overlap"})
    respec(folder / "p", lambda data: data["apis"].pop("stream"))
    respec(folder / "p", lambda data: [api.update(retry=True, queue=5_000) for api in data["apis"].values()])
    rates = {path: rate * share for path, share in SHARES.items()}
    count: Counter[str] = Counter()
    with (
        running(folder / "p", overlay={"server": {"gateways": gateways}}, env={"BENTOD_ACCESS_LOG": "false"}) as app,
        asking(app, rates, again=True) as clients,
    ):
        clients.more(5)
        begun = time.monotonic()
        for what in happening(every, seconds):
            count[what] += 1
            happen(what, app, folder / "p", count, dice)
        seconds = time.monotonic() - begun
        clients.more(5)
        eventually(lambda: app.control()["change"]["state"] != "applying", 60)
        live = len(app.events("generation.ready")) - 1
        broken = Counter(event["error"].split("\n")[0] for event in app.events("generation.failed"))
    return report(clients, count, seconds, live, broken)


def report(clients: Asking, count: Counter[str], seconds: float, live: int, broken: Counter[str]) -> Report:
    outcomes = clients.outcomes
    good = [one for one in outcomes if one.ok]
    return Report(
        seconds=round(seconds, 1),
        requests=len(outcomes),
        again=sum(bool(one.before) for one in good),
        failed=dict(Counter(kind(one) for one in outcomes if not one.ok)),
        mixed=sum(len(versions(one)) > 1 for one in good),
        workers_killed=count["worker"],
        gateways_killed=count["gateway"],
        reloads=count["reload"],
        reloads_live=live,
        reloads_failed=dict(broken),
    )


def happening(every: Every, seconds: float) -> Iterator[str]:
    """What happens next, when it is time for it."""
    begun = time.monotonic()
    due = [(at * number, what) for what, at in asdict(every).items() for number in numbers(at, seconds)]
    for at, what in sorted(due):
        time.sleep(max(0.0, begun + at - time.monotonic()))
        yield what


def numbers(step: float, seconds: float) -> Iterator[int]:
    return itertools.takewhile(lambda number: number * step < seconds, itertools.count(1))


def happen(what: str, app: App, project: Path, count: Counter[str], dice: random.Random) -> None:
    if what == "reload":
        save(project, str(count[what]))
    else:
        os.kill(dice.choice(eventually(lambda: app.pids(what))), signal.SIGKILL)


def kind(outcome: Outcome) -> str:
    """What went wrong, in a few words."""
    if outcome.error:
        return f"{outcome.kind}: {outcome.error.split(':')[0]}"
    return f"{outcome.kind}: {outcome.status} {outcome.json.get('code', '')}"


if __name__ == "__main__":
    sys.exit(main())

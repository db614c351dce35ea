"""Requests that fail while workers are killed: `python benchmarks/kills.py [--kills N] [--seconds S] [--workers W]`.

Clients call an API with `retry: true` without a pause, while every so often one worker gets SIGKILL. Prints how many
requests were answered, and with what; exits with 1 if one of them failed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.daemon import App, eventually, running
from tests.support.load import load
from tests.support.project import api, project


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--seconds", type=float, default=30.0, help="over which the kills are spread")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--clients", type=int, default=16)
    args = options.parse_args()
    service = {
        "target": "mortal.py",
        "workers": args.workers,
        "restart": {"delay": "50ms", "limit": 1000},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = project(
            Path(folder) / "p", "mortal", services={"s": service}, apis={"work": api("s", "work", "seconds")}
        )
        with running(path) as app, load(app.url, "/work", {"seconds": 0.002}, args.clients) as clients:
            started = time.monotonic()
            for number in range(args.kills):
                kill_one(app)
                until = started + (number + 1) * args.seconds / args.kills
                time.sleep(max(0.0, until - time.monotonic()))
            seconds = time.monotonic() - started
            clients.more(args.clients)
    failed = clients.done - clients.answers["200"]
    print(f"{args.kills} kills in {seconds:.1f} s, {clients.done} requests, {failed} failed: {dict(clients.answers)}")
    return 1 if failed else 0


def kill_one(app: App) -> None:
    """SIGKILL for a worker that lives."""
    os.kill(random.choice(eventually(app.pids)), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())

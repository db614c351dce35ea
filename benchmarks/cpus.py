"""Four workers with a CPU each against one with two threads: `python benchmarks/cpus.py [--seconds S] [--rounds N]`.

`specs/embeddings` is served four times on the same cores: by one worker with two threads, by four workers with
`cpus: 1`, by four workers that say nothing about CPUs (so numpy takes all of them in each), and by four such workers
that are told one thread by hand. They take turns; the others wait meanwhile. Prints how many threads each has, and the
median of the rounds' ratios of throughput to the one worker, with their range. Needs what `specs/embeddings` needs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.daemon import App, eventually, running  # noqa: E402
from tests.support.load import load  # noqa: E402

BASE = "one worker, two threads"
GRANTED = "four workers, `cpus: 1`"
BY_HAND = {"env": {"OPENBLAS_NUM_THREADS": "1"}}
CASES: dict[str, dict[str, Any]] = {
    BASE: {"workers": 1, "threads": 2, **BY_HAND},
    GRANTED: {"workers": 4, "resources": {"cpus": 1}},
    "four workers, nothing said": {"workers": 4},
    "four workers, OPENBLAS_NUM_THREADS=1": {"workers": 4, **BY_HAND},
}
TEXT = "The quick brown fox jumps over the lazy dog while the band plays an old and rather slow song about rivers."
WANTED = 1.0
PATIENCE_S = 120.0


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=6.0, help="length of one run")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--clients", type=int, nargs="+", default=[4, 16])
    options.add_argument("--texts", type=int, default=4, help="texts of each call")
    asked = options.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bc")))
        apps = {name: stack.enter_context(served(folder / str(n), one)) for n, (name, one) in enumerate(CASES.items())}
        for app in apps.values():
            throughput(app, 8, asked.texts, 1.0)
        print(f"{len(os.sched_getaffinity(0))} CPUs\n")
        for name, app in apps.items():
            print(f"{name:38} {threads(app)}")
        for clients in asked.clients:
            compare(apps, clients, asked)


@contextmanager
def served(folder: Path, service: Mapping[str, Any]) -> Iterator[App]:
    """The example with this service, alone."""
    shutil.copytree(ROOT / "specs/embeddings", folder, ignore=shutil.ignore_patterns("__pycache__", ".bentod"))
    spec = yaml.safe_load((folder / "bentofile.yaml").read_text("utf-8"))
    embedder = spec["services"]["embedder"]
    spec["services"]["embedder"] = {**{key: embedder[key] for key in ("target", "init")}, **service}
    spec["reload"] = {"watch": False}
    (folder / "bentofile.yaml").write_text(yaml.safe_dump(spec), "utf-8")
    clean = {name: "" for name in os.environ if name.endswith("_NUM_THREADS")}
    with running(folder, env=clean) as app:
        yield app


def threads(app: App) -> str:
    """The threads of each worker, those that numpy may compute with, and the CPUs that they may run on."""
    words = []
    for pid in sorted(app.pids()):
        environ = dict(
            line.partition("=")[::2] for line in Path(f"/proc/{pid}/environ").read_text().split("\0") if line
        )
        count = len(list(Path(f"/proc/{pid}/task").iterdir()))
        numpy = environ.get("OPENBLAS_NUM_THREADS") or "all"
        cpus = ",".join(map(str, sorted(os.sched_getaffinity(pid))))
        words.append(f"{count} threads (numpy: {numpy}, on CPU {cpus})")
    return "\n".join(f"{'':38} {word}" for word in words).strip()


def compare(apps: Mapping[str, App], clients: int, asked: argparse.Namespace) -> None:
    """Let all take turns, and print the ratios."""
    rates: dict[str, list[float]] = {name: [] for name in apps}
    for number in range(asked.rounds):
        for name in sorted(apps, reverse=bool(number % 2)):
            rates[name].append(throughput(apps[name], clients, asked.texts, asked.seconds))
    print(f"\n{clients} clients, {asked.texts} texts a call: texts per second, ratio to {BASE}")
    for name, found in rates.items():
        ratios = [one / base for one, base in zip(found, rates[BASE], strict=True)]
        middle = statistics.median(ratios)
        mark = "" if name != GRANTED else f"  wanted: {WANTED:g}, {'yes' if middle >= WANTED else 'NO'}"
        print(f"{name:38} {statistics.median(found):6.1f}  {middle:.2f} ({min(ratios):.2f}-{max(ratios):.2f}){mark}")


def throughput(app: App, clients: int, texts: int, seconds: float) -> float:
    """Texts per second."""
    value = {"texts": [f"{TEXT} {number}" for number in range(texts)]}
    with load(app.url, "/embed", value, clients) as found:
        eventually(lambda: found.answers["200"] >= min(clients, 4), PATIENCE_S, "the first answers")
        before, begun = found.answers["200"], time.monotonic()
        found.stopping.wait(seconds)
        done, took = found.answers["200"] - before, time.monotonic() - begun
    return done * texts / took


if __name__ == "__main__":
    main()

"""What pulling a model costs above huggingface_hub alone: `python benchmarks/pull.py [--size MB] [--rounds N]`.

One model of a few files, one of them large, comes from a stand-in of the hub in a process of its own. `bentod models
pull` and a script with `huggingface_hub.snapshot_download` alternate, each into an empty cache, so the ratio means
something where absolute figures do not. bentod verifies every file's digest on the way, the other does not. Prints the
median of the rounds' ratios with their range, and what is wanted of it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
WANTED = 1.3
ALONE = "import sys; from huggingface_hub import snapshot_download; print(snapshot_download('org/model'))"
SERVER = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.support.hub import Hub
with Hub() as hub:
    weights = bytes(range(256)) * (int(sys.argv[2]) * 4096)
    hub.add("org/model", {"model.safetensors": weights, "config.json": b"{}", "tokenizer.json": b"[]" * 500_000})
    print(hub.url, flush=True)
    sys.stdin.read()
"""


def environment(folder: Path, url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "BENTOD_"))}
    own = {"HF_HOME": str(folder / "hf"), "HF_ENDPOINT": url, "BENTOD_MODELS": str(folder / "models")}
    return {**kept, **own, "HF_HUB_DISABLE_TELEMETRY": "1"}


class Cost(NamedTuple):
    """Seconds of one pull, by the clock and of the processor."""

    wall: float
    cpu: float


def timed(command: list[str], url: str, folder: Path) -> Cost:
    """What the command takes, on a disk that has nothing left to write."""
    os.sync()
    start, before = time.perf_counter(), os.times()
    subprocess.run(command, cwd=folder, env=environment(folder, url), check=True, capture_output=True)
    wall, after = time.perf_counter() - start, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(wall, cpu)


def measured(url: str, rounds: int, folder: Path) -> list[tuple[Cost, Cost]]:
    commands = {
        "bentod": [sys.executable, "-m", "bentod", "models", "pull", "hf://org/model"],
        "alone": [sys.executable, "-c", ALONE],
    }
    found = []
    for number in range(rounds):
        seconds = {}
        for name in sorted(commands, reverse=bool(number % 2)):
            with tempfile.TemporaryDirectory(dir=folder) as empty:
                seconds[name] = timed(commands[name], url, Path(empty))
        ours, alone = seconds["bentod"], seconds["alone"]
        found.append((ours, alone))
        print(f"bentod {ours.wall:.2f} s ({ours.cpu:.2f} s of the processor), ", end="", file=sys.stderr)
        print(f"alone {alone.wall:.2f} s ({alone.cpu:.2f} s)", file=sys.stderr)
    return found


def spread(name: str, ratios: list[float]) -> str:
    return f"{name} {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=200, metavar="MB")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the caches lie")
    args = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(ROOT), str(args.size)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    folder = Path(tempfile.mkdtemp(dir=args.folder))
    try:
        assert server.stdout is not None
        found = measured(server.stdout.readline().strip(), args.rounds, folder)
    finally:
        server.communicate()
        shutil.rmtree(folder)
    wall = [ours.wall / alone.wall for ours, alone in found]
    cpu = [ours.cpu / alone.cpu for ours, alone in found]
    print(f"pull of {args.size} MB, times huggingface_hub alone: {spread('clock', wall)}, {spread('processor', cpu)}")
    print(f"less than {WANTED} wanted of the clock")
    ratio = statistics.median(wall)
    return 0 if ratio < WANTED else 1


if __name__ == "__main__":
    sys.exit(main())

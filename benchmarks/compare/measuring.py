"""One measurement of one running server: the load, and whose CPU time went where meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare import wrk
from compare.asking import ASK
from compare.processes import cpu_s, machine_s
from compare.workloads import Load, Workload
from compare.wrk import LoadError

BENCHMARKS = Path(__file__).parents[1]
SPECS = BENCHMARKS.parent / "specs"
SERVE = Path(__file__).parent / "serve"


@dataclass(frozen=True)
class Seen:
    """One measurement: answers a second, milliseconds. Round 0 is the first look."""

    workload: str
    peer: str
    setting: str
    load: str
    round: int
    rate: float
    p50: float
    p99: float
    cpu_us: float = 0.0
    """CPU time of the server's processes for each answer."""
    others: float = 0.0
    """The share of the machine's CPU time that went to neither the server nor the load: the noise."""
    late_ms: float = 0.0
    """By how much the generator itself was late, at the 99th percentile."""
    offered: float = 0.0
    """Requests a second of an open loop."""


@dataclass(frozen=True)
class Target:
    """A server that is up."""

    peer: str
    batched: bool
    port: int
    folder: Path
    mark: str


@dataclass(frozen=True)
class Amount:
    """Of load: for how long, at which rate if the loop is open, and the seed of what is random in it."""

    seconds: float
    rate: float
    seed: int


def measured(target: Target, workload: Workload, right: list[Any], load: Load, amount: Amount, python: str) -> Any:
    """What Seen wants to know, by name. Raises LoadError if any answer was wrong."""
    before = _spent(target.mark)
    if workload.by_wrk:
        request = ASK[target.peer](workload.name, workload.values()[0], target.batched)
        found = wrk.closed(target.port, request, load.connections, amount.seconds, target.folder)
    else:
        found = _generated(target, workload, right, load, amount, python)
    server, others, took = (now - then for now, then in zip(_spent(target.mark), before, strict=True))
    answers = max(1.0, found["rate"] * took)
    return found | {"cpu_us": 1e6 * server / answers, "others": others / took / (os.cpu_count() or 1)}


def _generated(
    target: Target, workload: Workload, right: list[Any], load: Load, amount: Amount, python: str
) -> dict[str, Any]:
    job = {
        "peer": target.peer,
        "batched": target.batched,
        "port": target.port,
        "workload": workload.name,
        "right": right,
        "connections": load.connections,
        **vars(amount),
    }
    found = json.loads(output([python, "-m", "compare.generator"], BENCHMARKS, {}, json.dumps(job)))
    if found["failures"]:
        raise LoadError(f"{found['failures']} requests failed: {found['failed']}")
    latencies = found["latencies"]
    p50, p99 = (latencies[min(len(latencies) - 1, len(latencies) * share // 100)] for share in (50, 99))
    late = {"late_ms": found["late_p99"], "offered": amount.rate} if amount.rate else {}
    return {"rate": found["rate"], "p50": p50, "p99": p99, **late}


def in_process(workload: Workload, python: str, seconds: float) -> Any:
    """The work without a server: rates and latencies by size of batch, or with 0 seconds the right answers."""
    if not workload.in_process:
        return workload.values()
    environ = {"COMPARE_WORKLOAD": workload.name, "COMPARE_PORT": "0", "COMPARE_SETTING": "{}", **work_environ()}
    return json.loads(
        output([python, str(SERVE / "in_process.py"), str(seconds)], SERVE, environ, json.dumps(workload.values()))
    )


def work_environ() -> dict[str, str]:
    """What the work itself wants to find."""
    return {"COMPARE_SPECS": str(SPECS), "PYTHONPATH": str(SERVE), "OPENBLAS_NUM_THREADS": "1"}


def output(words: list[str], folder: Path, environ: dict[str, str], text: str) -> str:
    """What a program of ours prints. Raises LoadError if it fails."""
    done = subprocess.run(words, cwd=folder, env={**os.environ, **environ}, input=text, capture_output=True, text=True)
    if done.returncode:
        raise LoadError(f"{Path(words[1]).name} failed: {done.stderr[-800:]}")
    return done.stdout


def _spent(mark: str) -> tuple[float, float, float]:
    """CPU time of the server, CPU time of neither it nor of this process and its children, and the time."""
    own = sum(os.times()[:4])
    server = cpu_s(mark)
    return server, machine_s() - own - server, time.monotonic()

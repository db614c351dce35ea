"""Closed loops of one request, by wrk: each connection asks again as soon as it is answered."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from compare.asking import Request

SCRIPT = Path(__file__).parents[1] / "payload" / "post.lua"
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


class LoadError(Exception):
    """The load cannot be measured: the message says why."""


def closed(port: int, request: Request, connections: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Answers per second and latencies in milliseconds. Raises LoadError if any answer was not 2xx."""
    body = folder / "body"
    body.write_bytes(request.body)
    duration = f"{max(1, round(seconds))}s"
    url = f"http://127.0.0.1:{port}{request.path}"
    words = ["wrk", "-t1", f"-c{connections}", f"-d{duration}", "--timeout", "20s", "--latency"]
    text = subprocess.run(
        [*words, "-s", str(SCRIPT), url, "--", str(body), request.kind, "application/json"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    rate, p50, p99 = _rate(text), _percentile(text, 50), _percentile(text, 99)
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    count = (int(wrong[1]) if wrong else 0) + sum(map(int, errors.groups() if errors else ()))
    if count:
        raise LoadError(f"{count} requests failed: {text.splitlines()[-4:]}")
    return {"rate": rate, "p50": p50, "p99": p99}


def _rate(text: str) -> float:
    found = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if found is None:
        raise LoadError(f"wrk said {text!r}")
    return float(found[1])


def _percentile(text: str, share: int) -> float:
    found = re.search(rf"\b{share}%\s+([\d.]+)(us|ms|s|m)", text)
    if found is None:
        raise LoadError(f"wrk said {text!r}")
    return float(found[1]) * UNITS[found[2]]

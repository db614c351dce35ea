"""What bentod costs above the server it stands on: `python benchmarks/overhead.py [--seconds S] [--rounds N]`.

JSON echo of four floats, validated on both ends: through gateway and worker, and in a bare ASGI app on the same HTTP
server with the same JSON work and no worker. Runs alternate within one session on the same cores, so the ratios mean
something where absolute figures do not. Needs `wrk`. Prints, per number of connections, the median of the rounds'
ratios with their range.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

HERE = Path(__file__).parent / "overhead"
BODY = b'{"x": [1.5, 2.25, -3.0, 4.125]}'
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=int, default=3, help="length of one run")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    options.add_argument("--access-log", action="store_true", help="bentod with one log line per request")
    args = options.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bo") as folder,
        bare(folder) as one,
        bentod(folder, args.access_log) as two,
    ):
        load(one, 16, 1)
        load(two, 16, 1)
        for connections in args.connections:
            compare(one, two, connections, args)


def compare(one: str, two: str, connections: int, args: argparse.Namespace) -> None:
    """Alternate both, and print the ratios."""
    rates, latencies, seen = [], [], []
    for _ in range(args.rounds):
        (bare_rate, bare_p50), (our_rate, our_p50) = (load(url, connections, args.seconds) for url in (one, two))
        rates.append(our_rate / bare_rate)
        latencies.append(our_p50 / bare_p50)
        seen.append((bare_rate, our_rate, bare_p50, our_p50))
    bare_rate, our_rate, bare_p50, our_p50 = (statistics.median(column) for column in zip(*seen, strict=True))
    print(
        f"{connections:4d} connections: requests/s {ratio(rates)}  p50 {ratio(latencies)}"
        f"   (bare {bare_rate:7.0f}/s {bare_p50:.3f} ms, bentod {our_rate:7.0f}/s {our_p50:.3f} ms)",
        flush=True,
    )


def ratio(values: list[float]) -> str:
    return f"x {statistics.median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"


def load(url: str, connections: int, seconds: int) -> tuple[float, float]:
    """Requests per second and the median latency in milliseconds, as wrk measures them."""
    script = HERE / "post.lua"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        sys.exit(f"{url} failed:\n{text}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
    p50, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", text).groups()
    return rate, float(p50) * UNITS[unit]


@contextmanager
def bare(folder: str) -> Iterator[str]:
    spec = yaml.safe_load((HERE / "bentofile.yaml").read_text())["apis"]["echo"]
    port = free_port()
    with serving([sys.executable, str(HERE / "bare.py"), str(port), json.dumps(spec)], port, folder) as url:
        yield url + "/echo"


@contextmanager
def bentod(folder: str, access_log: bool) -> Iterator[str]:
    port = free_port()
    project = Path(folder) / "p"
    shutil.copytree(HERE, project)
    (project / "port.yaml").write_text(f"server: {{listen: '127.0.0.1:{port}'}}\n")
    command = [sys.executable, "-m", "bentod", "up", "-f", "bentofile.yaml", "-f", "port.yaml"]
    with serving(command, port, str(project), BENTOD_ACCESS_LOG=str(access_log)) as url:
        yield url + "/echo"


@contextmanager
def serving(command: list[str], port: int, folder: str, **environ: str) -> Iterator[str]:
    """Run a server until the block ends."""
    server = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, env={**os.environ, **environ})
    try:
        wait(f"http://127.0.0.1:{port}/echo", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def wait(url: str, server: subprocess.Popen[bytes]) -> None:
    """Until the server answers an echo."""
    request = urllib.request.Request(url, BODY, {"content-type": "application/json"})
    deadline = time.monotonic() + 20
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(request, timeout=5).read()
        except OSError:
            time.sleep(0.05)
        else:
            return
    sys.exit(f"{url} did not start")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()

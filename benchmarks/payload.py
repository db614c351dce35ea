"""What large bodies and streams cost above the server they pass: `python benchmarks/payload.py [--only WHAT …]`.

Each is measured through gateway and worker, and in a bare ASGI app on the same HTTP server that only receives and
sends back. Runs alternate within one session on the same cores, so the ratios mean something where absolute figures do
not. Prints the median of the rounds' ratios with their range, and what is wanted of it. Needs `wrk`, NumPy and Pillow.

  tensor  1 MiB of float32 as .npy, in and out            image   a PNG of 1 MiB in, its size out
  binary  1 MiB in and out, in memory                     file    1 MiB in and out, on disk
  codec   a JSON tensor of 10,000 floats, in process      json    the same end to end, for information
  stream  64 streams of 200 events at once                memory  of gateway and worker while clients read slowly
"""

from __future__ import annotations

import argparse
import io
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from overhead import free_port, ratio
from PIL import Image

HERE = Path(__file__).parent / "payload"
SIZE = 1024 * 1024
OCTETS, NPY, PNG, JSON = "application/octet-stream", "application/x-npy", "image/png", "application/json"
UPLOADS = {"tensor": (NPY, NPY), "image": (PNG, JSON), "binary": (OCTETS, OCTETS), "file": (OCTETS, OCTETS)}
WANTED = {"tensor": 0.35, "image": 0.35, "binary": 0.35, "file": 0.35, "stream": 0.5}
WHAT = (*UPLOADS, "codec", "json", "stream", "memory")
STREAMS, TOKENS, PAUSE_S = 64, 200, 0.02
FIRST_MS, CODEC = 20.0, 1.5
SLOW_READERS, PIECE = 8, 64 * 1024


@dataclass
class Bench:
    """Two servers, the bodies to send, and how long."""

    bare: int
    bentod: int
    project: Path
    bodies: dict[str, Path]
    seconds: float
    rounds: int
    connections: int


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=3, help="length of one run")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--connections", type=int, default=16, help="for bodies")
    options.add_argument("--quick", action="store_true", help="one round of one second")
    options.add_argument("--only", nargs="+", choices=WHAT, default=WHAT)
    args = options.parse_args()
    if args.quick:
        args.seconds, args.rounds = 1, 1
    with tempfile.TemporaryDirectory(prefix="bo") as folder:
        project = Path(folder) / "p"
        shutil.copytree(HERE, project)
        bare, bentod = free_port(), free_port()
        with (project / "bentofile.yaml").open("a") as spec:
            spec.write(f"server: {{listen: '127.0.0.1:{bentod}'}}\n")
        with (
            serving([sys.executable, str(HERE / "bare.py"), str(bare)], project, bare, "/livez"),
            serving([sys.executable, "-m", "bentod", "up"], project, bentod, "/readyz"),
        ):
            bench = Bench(bare, bentod, project, made(Path(folder)), args.seconds, args.rounds, args.connections)
            for what in args.only:
                measure(what, bench)


def measure(what: str, bench: Bench) -> None:
    if what in UPLOADS:
        upload(what, bench, *UPLOADS[what])
    elif what == "json":
        upload("tensor", bench, JSON, JSON, body="json")
    else:
        {"codec": codec, "stream": streams, "memory": memory}[what](bench)


def said(what: str, text: str, good: bool | None = None) -> None:
    verdict = {None: "", True: "  ok", False: "  MISSED"}[good]
    print(f"{what:7s} {text}{verdict}", flush=True)


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────


def made(folder: Path) -> dict[str, Path]:
    """The bodies, in files."""
    noise = np.random.default_rng(1)
    pixels = noise.integers(0, 256, (591, 591, 3), np.uint8)
    floats = noise.standard_normal(SIZE // 4, np.float32)
    bodies = {name: folder / name for name in ("tensor", "image", "binary", "file", "json")}
    with bodies["tensor"].open("wb") as file:
        np.save(file, floats)
    Image.fromarray(pixels).save(bodies["image"], "png")
    bodies["binary"].write_bytes(noise.bytes(SIZE))
    bodies["file"].write_bytes(noise.bytes(SIZE))
    bodies["json"].write_text(json.dumps(floats[:10_000].tolist()))
    return bodies


def upload(api: str, bench: Bench, kind: str, accept: str, body: str = "") -> None:
    """Alternate both, and print the ratio of their throughputs."""
    path = bench.bodies[body or api]
    check(bench, api, path, kind, accept)
    seen = [
        tuple(load(f"http://127.0.0.1:{port}/{api}", path, kind, accept, bench) for port in (bench.bare, bench.bentod))
        for _ in range(bench.rounds)
    ]
    rates = [ours / least for least, ours in seen]
    least, ours = (statistics.median(column) for column in zip(*seen, strict=True))
    text = f"requests/s {ratio(rates)}   (bare {least:.0f}/s, bentod {ours:.0f}/s)"
    if api in ALONE:  # the bare app looks at nothing and writes nothing: what that takes by itself is added to its time
        more = statistics.median(timed(ALONE[api], path) for _ in range(20))
        fair = [ours * (1 / least + more) for least, ours in seen]
        text += f"; with {more * 1e3:.1f} ms added for what it leaves out {ratio(fair)}"
        rates = fair if api == "image" else rates
    said(body or api, text, None if body else statistics.median(rates) >= WANTED[api])


def check(bench: Bench, api: str, path: Path, kind: str, accept: str) -> None:
    """What comes back is right."""
    request = urllib.request.Request(f"http://127.0.0.1:{bench.bentod}/{api}", path.read_bytes())
    request.add_header("content-type", kind)
    request.add_header("accept", accept)
    with urllib.request.urlopen(request, timeout=30) as response:
        body = response.read()
    if api == "image":
        assert json.loads(body) == [591, 591], body
    elif accept == JSON:
        assert np.allclose(json.loads(body), json.loads(path.read_bytes())), "another tensor"
    elif accept == NPY:
        assert (np.load(io.BytesIO(body)) == np.load(path)).all(), "another tensor"
    else:
        assert body == path.read_bytes(), "other bytes"


def load(url: str, path: Path, kind: str, accept: str, bench: Bench) -> float:
    """Requests per second, as wrk measures them."""
    seconds = f"{max(1, round(bench.seconds))}s"
    script = ["-s", str(HERE / "post.lua"), url, "--", str(path), kind, accept]
    command = ["wrk", "-t1", f"-c{bench.connections}", f"-d{seconds}", "--timeout", "10s", *script]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        sys.exit(f"{url} failed:\n{text}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])


def decode(path: Path) -> None:
    """What Pillow does with an image."""
    Image.open(io.BytesIO(path.read_bytes())).load()


def store(path: Path) -> None:
    """What a file costs on disk: written, read and removed."""
    copy = path.with_suffix(".copy")
    copy.write_bytes(path.read_bytes())
    copy.read_bytes()
    copy.unlink()


ALONE = {"image": decode, "file": store}


def timed(function: Callable[[Path], None], path: Path) -> float:
    begun = time.perf_counter()
    function(path)
    return time.perf_counter() - begun


def codec(bench: Bench) -> None:
    """The codec by itself, in a process of its own."""
    seen = json.loads(script("codec.py", max(5, bench.rounds)))
    factors = [ours / least for least, ours in seen]
    least, ours = (statistics.median(column) * 1e3 for column in zip(*seen, strict=True))
    text = f"time {ratio(factors)}   (orjson and NumPy {least:.3f} ms, bentod {ours:.3f} ms)"
    said("codec", text, statistics.median(factors) <= CODEC)


def script(name: str, *words: object) -> str:
    command = [sys.executable, str(HERE / name), *map(str, words)]
    path = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    ).stdout


# ── streams ──────────────────────────────────────────────────────────────────────────────────────


def streams(bench: Bench) -> None:
    """As fast as it goes; then at the pace of a model, for how long a first chunk is on its way."""

    def read(port: int, pause: float) -> dict[str, float]:
        return json.loads(script("streams.py", port, STREAMS, TOKENS, pause, bench.seconds))

    seen = [(read(bench.bare, 0), read(bench.bentod, 0)) for _ in range(bench.rounds)]
    rates = [ours["rate"] / least["rate"] for least, ours in seen]
    least, ours = (statistics.median(one["rate"] for one in column) for column in zip(*seen, strict=True))
    busy = max(one["busy"] for pair in seen for one in pair)
    text = f"chunks/s {ratio(rates)}   (bare {least:.0f}/s, bentod {ours:.0f}/s, the reader {busy:.0%} busy)"
    said("stream", text, statistics.median(rates) >= WANTED["stream"])
    first("flat out", [pair[1] for pair in seen], None)
    paced = [(read(bench.bare, PAUSE_S), read(bench.bentod, PAUSE_S)) for _ in range(bench.rounds)]
    first("paced", [ours for _, ours in paced], FIRST_MS)
    first("bare", [least for least, _ in paced], None)


def first(what: str, seen: list[dict[str, float]], most: float | None) -> None:
    p50, p99 = (statistics.median(one[key] for one in seen) for key in ("p50", "p99"))
    text = f"first chunk of {STREAMS} streams, {what}: p50 {p50:.1f} ms, p99 {p99:.1f} ms after its yield"
    said("stream", text, None if most is None else p99 <= most)


def memory(bench: Bench) -> None:
    """Slow readers, at 64 KiB a second each: what gateway and worker hold must not grow."""
    status = json.loads(subprocess.run(
        [sys.executable, "-m", "bentod", "status", "--json"],
        cwd=bench.project, check=True, stdout=subprocess.PIPE, text=True,
    ).stdout)  # fmt: skip
    pids = [status["gateways"][0]["pid"], status["services"]["streams"]["workers"][0]["pid"]]
    before = [resident(pid) for pid in pids]
    readers = [flooded(bench.bentod) for _ in range(SLOW_READERS)]
    seen = []
    for _ in range(max(4, round(bench.seconds * 4))):
        time.sleep(1)
        for reader in readers:
            assert reader.recv(PIECE), "the stream ended"
        seen.append([resident(pid) for pid in pids])
    for reader in readers:
        reader.close()
    grown = [(last - at_first) / SIZE for last, at_first in zip(seen[-1], seen[0], strict=True)]
    taken = [(max(column) - least) / SIZE for column, least in zip(zip(*seen, strict=True), before, strict=True)]
    text = f"{SLOW_READERS} slow readers: gateway +{taken[0]:.1f} MiB, worker +{taken[1]:.1f} MiB"
    said("memory", f"{text}; within {len(seen)} s {grown[0]:+.1f} and {grown[1]:+.1f}", max(grown) < 2)


def flooded(port: int) -> socket.socket:
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
    reader.settimeout(10)
    reader.connect(("127.0.0.1", port))
    head = b"POST /flood HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nnull"
    reader.sendall(head)
    assert reader.recv(12) == b"HTTP/1.1 200", "no stream"
    return reader


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ── servers ──────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def serving(command: list[str], folder: Path, port: int, ready: str) -> Iterator[None]:
    """Run a server until the block ends."""
    environ = {**os.environ, "BENTOD_ACCESS_LOG": "false"}
    server = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, env=environ)
    try:
        deadline = time.monotonic() + 30
        while not answers(f"http://127.0.0.1:{port}{ready}"):
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{' '.join(command)} did not start in {folder}")
            time.sleep(0.05)
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def answers(url: str) -> bool:
    try:
        return bool(urllib.request.urlopen(url, timeout=5).read() is not None)
    except OSError:
        return False


if __name__ == "__main__":
    main()

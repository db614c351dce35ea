"""`bentod status`: what is running."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator

from bentod.cli.client import Client, Document, NotRunning, problems
from bentod.cli.options import add_files
from bentod.cli.problems import show
from bentod.cli.progress import size
from bentod.cli.project import located
from bentod.cli.top_rates import rated
from bentod.cli.when import ago, local

_APART_S = 0.3
"""Between the two answers that tell how busy CPUs are."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)
    parser.add_argument("--json", action="store_true", help="as JSON (schemas/status.schema.json)")


def run(args: argparse.Namespace) -> int:
    """0: told. Raises SpecError, NotRunning."""
    client = Client(located(args).control)
    if args.json:
        print(json.dumps(asyncio.run(client.get("/status")), indent=2))
    else:
        print("\n".join(_lines(asyncio.run(_busy(client)))))
    return 0


async def _busy(client: Client) -> Document:
    """The state, with how busy each process is now. Raises NotRunning."""
    before = await client.get("/status")
    await asyncio.sleep(_APART_S)
    try:
        return rated(before, await client.get("/status"))
    except NotRunning:  # it has just ended: that is for whoever asks next
        return before


def _lines(status: Document) -> Iterator[str]:
    daemon = status["daemon"]
    yield f"{status['name']} {status['version']}  {status['state']}  generation {status['generation']}"
    yield from _change(status.get("change", {}), status["generation"])
    yield f"  {'  '.join(status['urls'])}"
    yield f"  daemon   pid {daemon['pid']}  {'  '.join(_use(daemon))}"
    for gateway in status["gateways"]:
        yield f"  gateway  pid {gateway['pid'] or '-'}  {'  '.join(_use(gateway))}  {gateway['state']}"
    yield from _devices(status.get("host", {}))
    yield from _watch(status.get("watch", {}))
    for name, service in status["services"].items():
        reason = f"  {service['reason']}" if service["reason"] else ""
        pool = f"  pool {service['pool']}" if "pool" in service else ""
        yield f"\nservice {name}  {service['state']}  {service['ready']}/{service['wanted']} ready{pool}{reason}"
        for worker in service["workers"]:
            yield "  " + "  ".join(_worker(worker))
    for name, api in status["apis"].items():
        counts = ", ".join(f"{count} {code}" for code, count in sorted(api.get("calls", {}).items())) or "no calls yet"
        now = "".join(f", {api[key]} {key}" for key in ("waiting", "running") if api.get(key))
        yield f"\napi {name}  POST {api['path']}  →  {api['service']}\n  {counts}{now}{_batches(api)}"


def _change(change: Document, generation: int) -> Iterator[str]:
    """A change that is being made, or that was not made: what is wrong, since when, what serves meanwhile."""
    state = change.get("state", "idle")
    if state == "applying":
        yield f"\nCHANGING since {local(change['since'])}: {change['reason']}\n"
    elif state != "idle":
        what = "FAILED" if state == "failed" else "WAS REFUSED"
        when = f"{ago(change['since'])} ({local(change['since'])})"
        yield f"\nTHE LAST CHANGE {what}, {when}; generation {generation} keeps serving"
        wrong = show(problems(change["problems"])) if change.get("problems") else change["reason"]
        yield from (f"  {line}" for line in wrong.splitlines())
        yield "  see `bentod plan`, and `bentod history` or `bentod logs` for what happened\n"


def _watch(watch: Document) -> Iterator[str]:
    """What becomes of edits."""
    if watch.get("reason") or watch.get("state") not in {None, "on"}:
        means = {"on": "", "off": ": edits wait for `bentod apply`"}.get(watch["state"], ": edits are not seen")
        reason = f" ({watch['reason']})" if watch.get("reason") else ""
        yield f"  watch    {watch['state']}{means}{reason}"


def _batches(api: Document) -> str:
    """How many calls shared a batch on average, where they can."""
    batches, ceiling = api.get("batches", 0), api.get("batch_ceiling")
    mean = f", {api['batched'] / batches:.1f} calls a batch" if batches else ""
    bound = (
        f", batches of at most {ceiling['size']} (out of memory at {ceiling['out_of_memory_at']})" if ceiling else ""
    )
    return mean + bound


def _worker(worker: Document) -> Iterator[str]:
    yield f"worker {worker['index']}"
    yield f"pid {worker['pid'] or '-'}"
    yield worker["state"]
    yield f"{worker['calls']} calls"
    yield from _use(worker)
    yield from (_gpu(gpu) for gpu in worker.get("gpus", ()))
    if worker["restarts"]:
        yield f"{worker['restarts']} restart(s)"
    if worker.get("recycled"):
        yield f"recycled {worker['recycled']} time(s)"
    if worker["reason"]:
        yield f"({worker['reason']})"
    elif worker.get("exit"):
        yield f"(the one before: {worker['exit']['text']})"


def _use(process: Document) -> Iterator[str]:
    yield _mebibytes(process["memory"])
    if process.get("cpu_percent") is not None:
        yield f"{process['cpu_percent']:.0f} % cpu"


def _gpu(gpu: Document) -> str:
    """A worker's GPU, with what it has there of what it was given."""
    where = f"gpu {gpu['index'] or gpu['uuid']}"
    if not gpu["part"]:
        return f"{where}, which it was not given: {_size(gpu['memory'])}"
    return f"{where} {_size(gpu['memory'])} of {_size(gpu['memory_granted'])}"


def _devices(host: Document) -> Iterator[str]:
    """GPUs that cannot be used, and why."""
    if host.get("gpus") == "failed":
        yield f"  gpus     failed: {host['reason']}"
    for device in host.get("devices", ()):
        if device["state"] != "ok":
            yield f"  gpu {device['index']}    {device['state']}: {device['reason']}  ({device['name']})"


def _size(value: int | None) -> str:
    return "-" if value is None else size(value)


def _mebibytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1024 / 1024:.0f} MiB"

"""`bentod inventory`: what this host has for workers."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence

from bentod.cli.progress import scaled
from bentod.inventory.document import document
from bentod.inventory.take import take
from bentod.plan.inventory import Device, GpuProcess, Inventory
from bentod.plan.words import ranges

_HEAD = ("index", "memory", "free", "busy", "state", "name", "UUID")
_RIGHT = frozenset((1, 2, 3))


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    parser.add_argument(
        "--json", action="store_true", help="as JSON (schemas/inventory.schema.json), also for `--inventory`"
    )


def run(args: argparse.Namespace) -> int:
    """0: told, whatever the state of the GPUs is."""
    found = take(os.environ)
    print(json.dumps(document(found), indent=2, ensure_ascii=False) if args.json else "\n".join(lines(found)))
    return 0


def lines(found: Inventory) -> Iterator[str]:
    """An inventory for people."""
    memory = "unknown" if found.memory is None else size(found.memory)
    yield f"CPUs    {found.cpus:g} of {ranges(found.cpu_ids)}"
    yield f"memory  {memory}"
    words = {"ok": f"{len(found.devices)}", "none": "none", "failed": "the driver does not work"}[found.gpus]
    driver = f", driver {plain(found.driver)}" if found.driver else ""
    yield f"GPUs    {words}{driver}" + (f": {plain(found.reason)}" if found.reason else "")
    if found.devices:
        yield ""
        rows = _columns([_HEAD, *map(_row, found.devices)])
        yield rows[0]
        for device, row in zip(found.devices, rows[1:], strict=True):
            yield row
            yield from _below(device)


def size(count: int) -> str:
    """Bytes for people: `79.6 GiB`."""
    value, unit = scaled(count)
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def plain(text: str) -> str:
    """What a driver or a process calls itself, without what would do something to a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _row(device: Device) -> tuple[str, ...]:
    memory = size(device.memory) if device.memory else "-"
    free = "-" if device.free is None else size(device.free)
    busy = "-" if device.utilization is None else f"{device.utilization:.0%}"
    return (device.index, memory, free, busy, device.state, plain(device.name) or "-", plain(device.uuid) or "-")


def _below(device: Device) -> Iterator[str]:
    if device.reason:
        yield f"       {plain(device.reason)}"
    if device.errors:
        yield f"       errors of its memory that could not be corrected: {device.errors}"
    yield from (f"       {_process(one)}" for one in device.processes)


def _process(one: GpuProcess) -> str:
    who = f"pid {one.pid} {plain(one.name)}".rstrip() if one.pid else "a process of another container"
    has = "" if one.memory is None else f"  {size(one.memory)}"
    busy = "" if one.utilization is None else f"  {one.utilization:.0%} busy"
    return f"{who}{has}{busy}"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
    return [
        "  ".join(
            cell.rjust(widths[at]) if at in _RIGHT else cell.ljust(widths[at]) for at, cell in enumerate(row)
        ).rstrip()
        for row in rows
    ]

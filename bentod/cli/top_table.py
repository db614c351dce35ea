"""What `bentod top` shows, as lines of text: the host, its GPUs, and all processes with what they use. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bentod.cli.bench_words import rate
from bentod.cli.progress import size

Document = dict[str, Any]
_BETWEEN = "  "


@dataclass(frozen=True, slots=True)
class Row:
    """One line: its name, what is in its columns, and what else there is to say."""

    name: str
    cells: tuple[str, ...]
    note: str = ""


def lines(status: Document, clock: str, notices: Sequence[str] = ()) -> list[str]:
    """A whole frame. `status` is what `top_rates.rated` makes; without it there are no rates yet."""
    devices = list(_devices(status))
    return [
        f"{_title(status)}{_BETWEEN}{clock}",
        *(f"! {notice}" for notice in (*notices, *_notices(status))),
        _host(status),
        *(["", *table(_DEVICE, devices)] if devices else []),
        "",
        *_processes(status),
    ]


def table(head: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Aligned columns: names and notes to the left, all between to the right."""
    name = max(len(head[0]), *(len(row.name) for row in rows))
    columns = zip(head[1:], *(row.cells for row in rows), strict=True)
    widths = [max(map(len, column)) for column in columns]
    whole = [Row(head[0], tuple(head[1:])), *rows]
    return [
        _BETWEEN.join(
            [row.name.ljust(name), *(c.rjust(w) for c, w in zip(row.cells, widths, strict=True)), row.note]
        ).rstrip()
        for row in whole
    ]


# ── above the table ──────────────────────────────────────────────────────────────────────────────


def _title(status: Document) -> str:
    up = _span(status["uptime_seconds"])
    return f"{status['name']} {status['version']}  {status['state']}  generation {status['generation']}  up {up}"


def _notices(status: Document) -> Iterator[str]:
    change = status.get("change", {}).get("state", "idle")
    if change == "applying":
        yield f"changing: {status['change']['reason'].partition(chr(10))[0]}"
    elif change != "idle":
        yield f"the last change {'failed' if change == 'failed' else 'was refused'}; `bentod status` says why"
    host = status.get("host", {})
    if host.get("gpus") == "failed":
        yield f"GPUs cannot be seen: {host.get('reason') or 'the driver does not work'}"


def _host(status: Document) -> str:
    host = status.get("host", {})
    cpus = f"cpu {_percent(host.get('cpu_percent'))} % of {100 * host['cpus']:.0f} %" if host.get("cpus") else ""
    total, left = host.get("memory"), host.get("available")
    if total is not None and left is not None:
        memory = f"memory {size(max(0, total - left))} of {size(total)}"
    else:
        memory = f"memory {size(left)} left" if left is not None else ""
    return _BETWEEN.join(filter(None, ["host", cpus, memory]))


_DEVICE = ("gpu", "gpu %", "memory", "of")


def _devices(status: Document) -> Iterator[Row]:
    for device in status.get("host", {}).get("devices", []):
        used = None if device["free"] is None else max(0, device["memory"] - device["free"])
        cells = (_share(device["utilization"]), _size(used), size(device["memory"]))
        bad = "" if device["state"] == "ok" else f"{device['state'].upper()}: {device['reason']}  "
        yield Row(f"{device['index']} {device['name']}".strip(), cells, bad + ", ".join(_users(device)))


def _users(device: Document) -> Iterator[str]:
    """Who computes on a GPU: first ours, then others."""
    ours = Counter(one["service"] for one in device["processes"] if one["service"])
    yield from (name if count == 1 else f"{count} of {name}" for name, count in ours.items())
    for one in device["processes"]:
        if not one["service"]:
            what = (
                f"{one['name'] or 'a process'} (pid {one['pid']})" if one["pid"] else "a process that is not seen here"
            )
            yield what if one["memory"] is None else f"{what} {size(one['memory'])}"


# ── the table ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Column:
    """`cell` of a process; `total` of a service, of its workers and the calls of its APIs."""

    name: str
    cell: Callable[[Document], str]
    total: Callable[[Document, Counter[str]], str]


def _processes(status: Document) -> list[str]:
    workers = [worker for service in status["services"].values() for worker in service["workers"]]
    gpus = _GPUS if any(worker.get("gpus") for worker in workers) else ()
    limits = (_LIMIT,) if any(worker.get("memory_limit") for worker in workers) else ()
    columns = (*_COLUMNS, *limits, _THREADS, *gpus, *_CALLS)
    rows = [Row("daemon", _cells(columns, {**status["daemon"], "state": ""}))]
    rows += [Row(f"gateway {one['index']}", _cells(columns, one), _note(one)) for one in status["gateways"]]
    for name, service in status["services"].items():
        apis = [api for api in status["apis"].values() if api["service"] == name]
        waiting = Counter({key: sum(api[key] for api in apis if key in api) for key in ("running", "waiting")})
        rows.append(Row(name, tuple(column.total(service, waiting) for column in columns), _note(service)))
        rows += [Row(f"  {worker['index']}", _cells(columns, worker), _note(worker)) for worker in service["workers"]]
    return table(("", *(column.name for column in columns)), rows)


def _cells(columns: Sequence[_Column], one: Document) -> tuple[str, ...]:
    return tuple(column.cell(one) for column in columns)


def _note(one: Document) -> str:
    reason = str(one.get("reason", "")).partition("\n")[0]
    intruded = ", ".join(gpu["index"] for gpu in one.get("gpus", ()) if not gpu["part"])
    if reason or not intruded:
        return reason or (f"{one['restarts']} restart(s)" if one.get("restarts") else "")
    return f"computes on gpu {intruded}, which it was not given"


def _sum(service: Document, key: str) -> float | None:
    """Of all its workers that know."""
    found = [worker[key] for worker in service["workers"] if worker.get(key) is not None]
    return sum(found) if found else None


def _gpu_sum(worker: Document, key: str) -> float | None:
    found = [gpu[key] for gpu in worker.get("gpus", ()) if gpu[key] is not None]
    return sum(found) if found else None


def _all_gpus(service: Document, key: str) -> float | None:
    found = [value for worker in service["workers"] if (value := _gpu_sum(worker, key)) is not None]
    return sum(found) if found else None


def _indexes(worker: Document) -> str:
    return ",".join(gpu["index"] or "?" for gpu in worker.get("gpus", ()))


_COLUMNS = (
    _Column("pid", lambda one: str(one["pid"] or "-"), lambda *_: ""),
    _Column("state", lambda one: one["state"], lambda service, _: f"{service['ready']}/{service['wanted']} ready"),
    _Column(
        "cpu %",
        lambda one: _percent(one.get("cpu_percent")),
        lambda service, _: _percent(_sum(service, "cpu_percent")),
    ),
    _Column("memory", lambda one: _size(one.get("memory")), lambda service, _: _size(_sum(service, "memory"))),
)
_LIMIT = _Column("limit", lambda one: _size(one.get("memory_limit"), ""), lambda *_: "")
_THREADS = _Column(
    "threads", lambda one: _count(one.get("threads")), lambda service, _: _count(_sum(service, "threads"))
)
_GPUS = (
    _Column("gpu", _indexes, lambda *_: ""),
    _Column(
        "gpu %",
        lambda one: _share(_gpu_sum(one, "utilization"), "-" if one.get("gpus") else ""),
        lambda service, _: _share(_all_gpus(service, "utilization"), ""),
    ),
    _Column(
        "gpu memory",
        lambda one: _size(_gpu_sum(one, "memory"), "-" if one.get("gpus") else ""),
        lambda service, _: _size(_all_gpus(service, "memory"), ""),
    ),
    _Column("granted", lambda one: _size(_gpu_sum(one, "memory_granted"), ""), lambda *_: ""),
)
_CALLS = (
    _Column(
        "calls/s",
        lambda one: _rate(one.get("calls_per_second")) if "calls" in one else "",
        lambda service, _: _rate(_sum(service, "calls_per_second")),
    ),
    _Column("running", lambda _: "", lambda _, calls: str(calls["running"])),
    _Column("waiting", lambda _: "", lambda _, calls: str(calls["waiting"])),
)


# ── words ────────────────────────────────────────────────────────────────────────────────────────


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def _share(value: float | None, unknown: str = "-") -> str:
    return unknown if value is None else f"{100 * value:.0f}"


def _size(value: float | None, unknown: str = "-") -> str:
    return unknown if value is None else size(int(value))


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _rate(value: float | None) -> str:
    return "-" if value is None else rate(value)


def _span(seconds: float) -> str:
    """`12 s`, `3 min`, `5 h 12 min`, `2 d 3 h`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"

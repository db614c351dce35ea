"""From two answers of `status` to what happened between them: percentages of CPUs, calls per second. Pure."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def rated(before: Document, after: Document) -> Document:
    """`after` with `cpu_percent` and `calls_per_second`, null where there is nothing to compare with, and
    `interval_seconds`, missing if another daemon has answered."""
    seconds = _interval(before, after)
    known = _processes(before) if seconds else {}
    document = {
        **after,
        "daemon": _process(after["daemon"], known, seconds),
        "gateways": [_process(one, known, seconds) for one in after["gateways"]],
        "services": {name: _service(service, known, seconds) for name, service in after["services"].items()},
        "apis": {name: _api(api, before["apis"].get(name, {}), seconds) for name, api in after["apis"].items()},
    }
    if "host" in after:
        host = before.get("host", {}) if seconds else {}
        document["host"] = {**after["host"], "cpu_percent": _percent(host, after["host"], seconds)}
    return {**document, "interval_seconds": round(seconds, 3)} if seconds else document


def _interval(before: Document, after: Document) -> float:
    """0 if they are not of one daemon, one after the other."""
    if before["daemon"]["pid"] != after["daemon"]["pid"]:
        return 0.0
    return float(max(0.0, after["uptime_seconds"] - before["uptime_seconds"]))


def _processes(document: Document) -> dict[int, Document]:
    workers = [worker for service in document["services"].values() for worker in service["workers"]]
    return {one["pid"]: one for one in [document["daemon"], *document["gateways"], *workers] if one["pid"]}


def _process(one: Document, known: dict[int, Document], seconds: float) -> Document:
    return {**one, "cpu_percent": _percent(known.get(one["pid"], {}), one, seconds)}


def _service(service: Document, known: dict[int, Document], seconds: float) -> Document:
    workers = []
    for worker in service["workers"]:
        before = known.get(worker["pid"], {})
        rate = _rate(before.get("calls"), worker["calls"], seconds)
        workers.append({**_process(worker, known, seconds), "calls_per_second": rate})
    return {**service, "workers": workers}


def _api(api: Document, before: Document, seconds: float) -> Document:
    if "calls" not in api:
        return api
    counted = sum(before["calls"].values()) if "calls" in before else None
    return {**api, "calls_per_second": _rate(counted, sum(api["calls"].values()), seconds)}


def _percent(before: Document, after: Document, seconds: float) -> float | None:
    rate = _rate(before.get("cpu_seconds"), after.get("cpu_seconds"), seconds)
    return None if rate is None else round(100 * rate, 1)


def _rate(before: float | None, after: float | None, seconds: float) -> float | None:
    """How much it grows in a second. What shrinks was begun anew: a gateway that is replaced counts from 0."""
    if before is None or after is None or seconds <= 0 or after < before:
        return None
    return round((after - before) / seconds, 3)

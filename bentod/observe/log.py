"""The daemon's events: structlog, rendered for a person or as JSON lines, and kept in a file as JSON either way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Literal

import orjson
import structlog

from bentod.observe.events import EVENTS
from bentod.observe.sink import Sink

Event = MutableMapping[str, Any]
Log = Callable[..., None]
"""Called with an event's name and its keys, `level` among them if it is not `info`."""

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def make_log(form: Literal["text", "json"], level: str, shown: Sink, kept: Sink, *, colour: bool) -> Log:
    """A log that writes to both sinks."""

    def show(_logger: object, _method: str, event: Event) -> bytes:
        line = json_line(event)
        kept.write(line)
        shown.write(line if form == "json" else text_line(event, colour=colour))
        raise structlog.DropEvent

    logger = structlog.wrap_logger(
        None,
        processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", key="time"), show],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=True,
    )

    def log(event: str, *, level: str = "info", **keys: Any) -> None:
        assert event in EVENTS, event
        getattr(logger, level)(event, **keys)

    return log


def json_line(event: Event) -> bytes:
    """One event as one line of JSON."""
    ordered = {"time": event.get("time"), "level": event.get("level"), "event": event.get("event"), **event}
    try:
        return orjson.dumps(ordered, default=str, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # such as a path that is not UTF-8
        return json.dumps(ordered, default=str).encode() + b"\n"


_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m"}
_DIM, _END = "\x1b[2m", "\x1b[0m"


def text_line(event: Event, *, colour: bool, clock: str = "") -> bytes:
    """One event for a person; `clock` stands in for the time of day now."""
    keys = {name: value for name, value in event.items() if name not in {"time", "level", "event"}}
    try:
        text = _SENTENCES.get(event["event"], _plain)(keys)
    except (KeyError, TypeError, ValueError):  # an event that another version wrote
        text = _plain(keys)
    clock = clock or time.strftime("%H:%M:%S")
    if colour:
        clock = f"{_DIM}{clock}{_END}"
        mark = _COLOURS.get(event.get("level", ""))
        text = f"{mark}{text}{_END}" if mark else text
    return f"{clock}  {text}\n".encode("utf-8", "backslashreplace")


def _plain(keys: dict[str, Any]) -> str:
    return "  ".join(f"{name}={value}" for name, value in keys.items())


def _worker(keys: dict[str, Any]) -> str:
    return f"{keys.get('service')}/{keys.get('worker')}"


_OF_ANY_SIZE = "as large as before: calls that are alone run out of memory, too"

_SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "daemon.started": lambda k: f"bentod serves {k['name']} (pid {k['pid']}, state in {k['state']})",
    "daemon.stopping": lambda k: f"stopping: {k['reason']}",
    "daemon.stopped": lambda k: "stopped" + (f", {k['abandoned']} request(s) cut off" if k["abandoned"] else ""),
    "generation.starting": lambda k: (
        f"starting generation {k['generation']}: {k['services']} service(s), {k['apis']} api(s) ({k['reason']})"
    ),
    "generation.ready": lambda k: f"ready after {k['seconds']:.2f} s: {k['url']}",
    "generation.failed": lambda k: f"generation {k['generation']} did not start: {k['error']}",
    "generation.breaking": lambda k: f"{k['api']} is another for its callers: {k['reason']}",
    "generation.resumed": lambda k: f"what the files say cannot run, so what ran last does: {k['reason']}",
    "change.refused": lambda k: "\n".join(
        [f"generation {k['generation']} goes on: {k['reason']}", *(f"    {line}" for line in k["problems"])]
    ),
    "change.needless": lambda k: f"the files say again what generation {k['generation']} is",
    "model.fetching": lambda k: f"model {k['model']} is fetched: {k['source']} {k['revision']}".rstrip(),
    "model.progress": lambda k: f"model {k['model']}: {k['state']}, {k['bytes']:,} of {k['of']:,} bytes",
    "model.note": lambda k: f"model {k['model']}: {k['reason']}",
    "model.ready": lambda k: (
        f"model {k['model']} is here: {k['files']} file(s), {k['bytes']:,} bytes {k['commit'][:12]}".rstrip()
    ),
    "host.crowded": lambda k: str(k["reason"]),
    "host.taken": lambda k: f"{k['reason']}: workers are placed once more",
    "claims.unusable": lambda k: f"{k['reason']}; other daemons may give away what these workers have",
    "history.failed": lambda k: f"it cannot be recorded what runs: {k['reason']}",
    "call.killed": lambda k: (
        f"{k['service']}: worker {k['pid']} died while it ran {k['api']} {k['request_id']}, which was the call's "
        f"death number {k['deaths']}"
    ),
    "batch.ceiling": lambda k: (
        f"{k['service']}: batches of {k['api']} are "
        + (f"at most {k['most']} from now on: one of {k['at']} ran out of memory" if k["most"] else _OF_ANY_SIZE)
    ),
    "gateway.started": lambda k: f"gateway/{k['gateway']} starting (pid {k['pid']})",
    "gateway.ready": lambda k: f"gateway/{k['gateway']} ready",
    "gateway.lost": lambda k: f"gateway/{k['gateway']} (pid {k['pid']}) died: {k['reason']}",
    "gateway.stopped": lambda k: f"gateway/{k['gateway']} stopped",
    "worker.started": lambda k: f"{_worker(k)} starting (pid {k['pid']})",
    "worker.ready": lambda k: f"{_worker(k)} ready after {k['seconds']:.2f} s",
    "worker.unready": lambda k: f"{_worker(k)} (pid {k['pid']}) takes no calls for now: {k['reason']}",
    "worker.lost": lambda k: f"{_worker(k)} (pid {k['pid']}) died: {k['reason']}",
    "worker.backing_off": lambda k: f"{_worker(k)} restarts in {k['delay_s']:.1f} s (restart {k['attempt']})",
    "worker.failed": lambda k: f"{_worker(k)} failed: {k['reason']}",
    "worker.rehearsal_failed": lambda k: f"{_worker(k)} serves, but does not answer its examples: {k['reason']}",
    "worker.recycling": lambda k: f"{_worker(k)} (pid {k['pid']}) is recycled: {k['reason']}",
    "worker.recycled": lambda k: f"{_worker(k)} recycled: pid {k['successor']} instead of {k['pid']}",
    "worker.recycle_failed": lambda k: f"{_worker(k)} (pid {k['pid']}) is not recycled: {k['reason']}",
    "device.error": lambda k: f"{k['name']}: {k['reason']}",
    "device.out": lambda k: f"{k['name']} ({k['device']}) gets no workers any more: {k['reason']}",
    "device.back": lambda k: f"{k['name']} ({k['device']}) is used again",
    "device.occupied": lambda k: (
        f"{_worker(k)} starts although GPU {k['device']} does not have its memory back after {k['seconds']:.0f} s: "
        f"{k['reason']}"
    ),
    "service.failed": lambda k: f"{k['service']} has failed: {k['reason']}",
    "service.recovered": lambda k: f"{k['service']} serves again after {k['seconds']:.1f} s",
    "worker.pinned": lambda k: f"{_worker(k)} (pid {k['pid']}) runs on {k['cpus']} from now on",
    "worker.strayed": lambda k: f"{_worker(k)} (pid {k['pid']}) had left {k['cpus']}: it is held to them again",
    "worker.unpinned": lambda k: f"{_worker(k)} (pid {k['pid']}) is not held to {k['cpus']} any more: {k['reason']}",
    "worker.cpus_gone": lambda k: f"{_worker(k)} (pid {k['pid']}) has lost {k['cpus']}: it runs on what there is",
    "worker.replaced": lambda k: f"{k['service']}: worker {k['pid']} is replaced: {k['reason']}",
    "watch.changed": lambda k: f"changed: {', '.join(k['files'][:5])}{', …' if len(k['files']) > 5 else ''}",
    "watch.polling": lambda k: (
        f"files are looked at every {k['interval_s']:g} s, for they cannot be watched: {k['reason']}"
    ),
    "watch.limited": lambda k: f"only {k['folders']} folders are watched, there are more: see `reload` in the spec",
    "watch.failed": lambda k: f"files cannot be watched, this is tried again: {k['reason']}",
    "call.finished": lambda k: (
        f"{k['status']}  {k['api']}  {k['seconds'] * 1e3:.1f} ms  {k['code']}  {k.get('error', '')}".rstrip()
    ),
    "watch.suspended": lambda k: f"files are not followed any more: {k['reason']}",
    "worker.output": lambda k: f"{_worker(k)} | {k['line']}",
}

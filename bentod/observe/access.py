"""One line per request, made cheaply and written in batches: the only log that costs every caller something."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import orjson

from bentod.observe.sink import Sink, open_sink

_FLUSH_S = 0.05
_MOST_LINES = 4096


class Finished(Protocol):
    """What is told of a finished request."""

    method: str
    path: str
    status: int
    code: str
    log: str
    started: float
    queue_s: float
    run_s: float
    first_s: float
    bytes_in: int
    bytes_out: int
    request_id: str


def access_log(form: str, file: str) -> AccessLog | None:
    """What takes a finished request and its API's name; None if `form` is `off`."""
    if form == "off":
        return None
    return AccessLog(json_line if form == "json" else text_line, open_sink(file))


class AccessLog:
    """Collects lines and writes them together, at the latest 50 ms after the first."""

    def __init__(self, line: Callable[[Finished, str, float], bytes], sink: Sink) -> None:
        self._line = line
        self._sink = sink
        self._lines: list[bytes] = []

    def add(self, request: Finished, api: str) -> None:
        """Log one finished request."""
        if not self._lines:
            asyncio.get_running_loop().call_later(_FLUSH_S, self.flush)
        self._lines.append(self._line(request, api, time.monotonic() - request.started))
        if len(self._lines) >= _MOST_LINES:
            self.flush()

    def close(self) -> None:
        """Write what was collected, and let it out."""
        self.flush()
        self._sink.close()

    def flush(self) -> None:
        """Write what was collected."""
        lines, self._lines = self._lines, []
        if lines:
            self._sink.write(b"".join(lines))


def json_line(request: Finished, api: str, seconds: float) -> bytes:
    """The event `call.finished` as one line of JSON."""
    event = {
        "time": datetime.now(UTC),
        "level": "error" if request.status >= 500 or _broke_off(request) else "info",
        "event": "call.finished",
        "api": api,
        "status": request.status,
        "code": request.code,
        "seconds": round(seconds, 6),
        "queue_s": round(request.queue_s, 6),
        "run_s": round(request.run_s, 6),
        "bytes_in": request.bytes_in,
        "bytes_out": request.bytes_out,
        "request_id": request.request_id,
    }
    if request.first_s:
        event["ttfc_s"] = round(request.first_s, 6)
    if request.log:
        event["error"] = request.log
    return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


def _broke_off(request: Finished) -> bool:
    """Whether an answer that had begun well ended in a failure that was not the client's."""
    return request.status < 400 and request.code not in ("ok", "client-gone")


def text_line(request: Finished, api: str, seconds: float) -> bytes:
    """The same for a person."""
    clock = time.strftime("%H:%M:%S")
    code = "" if request.code == "ok" else f"  {request.code}"
    error = "".join(f"  {line}" for line in request.log.splitlines()[:1])
    first = f", first chunk {request.first_s * 1e3:.1f}" if request.first_s else ""
    times = f"{seconds * 1e3:8.1f} ms  (queue {request.queue_s * 1e3:.1f}, run {request.run_s * 1e3:.1f}{first})"
    line = f"{clock}  {request.status}  {request.method} {request.path}  {times}{code}{error}"
    if not line.isprintable():  # a client chose the path: it writes no line and no escape sequence of its own
        line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
    return f"{line}\n".encode()

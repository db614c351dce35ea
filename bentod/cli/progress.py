"""How far the fetch of models is: a bar in a terminal, a line for every tenth elsewhere."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from bentod.models.progress import Progress

_BAR = 24
_STEP = 10
_WINDOW_S = 5.0
_EVERY_S = 0.1
_MINUTE_S, _HOUR_S = 60, 3600
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_DOING = {
    "listing": "asks the hub",
    "waiting": "waits for another process, which fetches it, too",
    "verifying": "is verified",
}


class Rate:
    """Bytes per second over the last few seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, done: int) -> float:
        """The rate, now that `done` bytes are there."""
        now = self._clock()
        if self._seen and done < self._seen[-1][1]:  # something was thrown away
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW_S:
            self._seen.popleft()
        since, before = self._seen[0]
        return (done - before) / (now - since) if now > since else 0.0


class ProgressLines:
    """Shows progress on `stream`; call it with each value. `terminal`: with a bar that moves."""

    def __init__(self, stream: TextIO, terminal: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._terminal = terminal
        self._clock = clock
        self._model = ""
        self._rate = Rate(clock)
        self._tenth = 0
        self._state = ""
        self._drawn_s = float("-inf")
        self._moved = False

    def __call__(self, progress: Progress) -> None:
        """Show one value."""
        if progress.model != self._model:
            self.close()
            self._model, self._rate, self._tenth, self._state = progress.model, Rate(self._clock), 0, ""
        rate = self._rate.at(progress.done_bytes)
        changed = progress.state != self._state
        worked = self._state in {"fetching", "verifying"}
        self._state = progress.state
        if self._terminal:
            self._draw(progress, rate, at_once=changed)
        else:
            self._print(progress, changed)
        if progress.state == "ready":
            self._finish(progress, worked)

    def close(self) -> None:
        """Leave what was drawn last as it is, and begin a new line."""
        if self._moved:
            self._stream.write("\n")
            self._stream.flush()
            self._moved = False

    def _draw(self, progress: Progress, rate: float, *, at_once: bool) -> None:
        now = self._clock()
        if progress.state == "ready" or not (at_once or now - self._drawn_s >= _EVERY_S):
            return
        self._drawn_s = now
        self._moved = True
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(f"\r\x1b[2K{bar(progress, rate)[:width]}")
        self._stream.flush()

    def _print(self, progress: Progress, changed: bool) -> None:
        if progress.state == "fetching":
            tenth = percent(progress) // _STEP
            if tenth > self._tenth or changed:
                self._tenth = tenth
                self._line(f"model {progress.model}: {percent(progress)} % of {size(progress.total_bytes)}")
        elif changed and progress.state in _DOING:
            self._line(f"model {progress.model} {_DOING[progress.state]}")

    def _finish(self, progress: Progress, worked: bool) -> None:
        if self._moved:
            self._stream.write("\r\x1b[2K")
            self._moved = False
        if worked or progress.note:
            self._line(f"model {progress.model} is ready: {progress.files} files, {size(progress.total_bytes)}")
        if progress.note:
            self._line(f"model {progress.model}: warning: {progress.note}")

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def bar(progress: Progress, rate: float) -> str:
    """One line of a terminal."""
    if progress.state in _DOING and not progress.total_bytes:
        return f"{progress.model} {_DOING[progress.state]}"
    done = percent(progress)
    full = _BAR * done // 100
    drawn = "#" * full + "." * (_BAR - full)
    left = (progress.total_bytes - progress.done_bytes) / rate if rate > 0 else 0.0
    speed = f"  {size(int(rate))}/s  {duration(left)} left" if rate > 0 and left > 0 else ""
    doing = " (verifying)" if progress.state == "verifying" else ""
    return f"{progress.model} [{drawn}] {done:3} %{doing} of {size(progress.total_bytes)}{speed}"


def percent(progress: Progress) -> int:
    """How much is done, from 0 to 100."""
    if not progress.total_bytes:
        return 0
    return max(0, min(100, 100 * progress.done_bytes // progress.total_bytes))


def size(count: int) -> str:
    """A number of bytes, for people."""
    value, unit = scaled(count)
    return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"


def scaled(count: int) -> tuple[float, str]:
    """A number of bytes in the largest unit of which there is at least one."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return value, _UNITS[unit]


def duration(seconds: float) -> str:
    """A span of time, for people."""
    whole = round(seconds)
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S}:{whole % _MINUTE_S:02}"
    return f"{whole // _HOUR_S}:{whole % _HOUR_S // _MINUTE_S:02}:{whole % _MINUTE_S:02}"

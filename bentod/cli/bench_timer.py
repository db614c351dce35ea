"""A timer for `bentod bench`, exact to some ten microseconds: those of event loops round to milliseconds."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable
from contextlib import suppress

_TFD_TIMER_ABSTIME = 1
_CLOCK_MONOTONIC = 1


class _Setting(ctypes.Structure):
    """`struct itimerspec` of timerfd_settime(2)."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Timer:
    """Calls back at a moment of `time.monotonic`, from the running loop: Linux's timerfd, in Python since 3.13."""

    def __init__(self, due: Callable[[], None]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = int(self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._due = due
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._fired)

    def set(self, moment: float) -> None:
        """Call back then, and not before, if that was set; at once if it has passed."""
        nanos = max(int(moment * 1e9), 1)
        setting = _Setting(0, 0, *divmod(nanos, 1_000_000_000))
        if self._libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(setting), None):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def close(self) -> None:
        """Call back no more."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _fired(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._fd, 8)
        self._due()

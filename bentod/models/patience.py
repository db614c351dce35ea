"""Trying again what may pass: how often, and how long to wait before."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import TypeVar

from bentod.models.orders import Limits

T = TypeVar("T")


class Passing(Exception):
    """Something failed that may go well another time. `status` is that of an answer, 0 if there was none; the hub asks
    to wait `wait_s` seconds, if it does."""

    def __init__(self, text: str, status: int = 0, wait_s: float | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.wait_s = wait_s


class Stopped(Exception):
    """Something else has failed already."""


def delay_s(limits: Limits, failures: int, asked_s: float | None) -> float | None:
    """How long to wait after so many failures in a row; None if that is enough of them, or too long a wait."""
    if failures > limits.retries:
        return None
    if asked_s is not None:
        return asked_s if asked_s <= limits.longest_wait_s else None
    return min(limits.longest_delay_s, limits.delay_s * 2.0 ** (failures - 1))


def patiently(attempt: Callable[[], T], limits: Limits, stop: Event, moved: Callable[[], int] = lambda: 0) -> T:
    """What `attempt` returns, once it does. `moved` counts what was reached: as long as that grows, what fails is not
    given up. Raises the last Passing, or Stopped once `stop` is set."""
    failures, before = 0, moved()
    while not stop.is_set():
        try:
            return attempt()
        except Passing as error:
            now = moved()
            failures, before = 1 if now > before else failures + 1, max(now, before)
            wait_s = delay_s(limits, failures, error.wait_s)
            if wait_s is None:
                raise
            stop.wait(wait_s)
    raise Stopped

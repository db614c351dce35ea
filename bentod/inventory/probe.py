"""Asks for this host's inventory again and again: a child process that lives, is replaced when it hangs or dies, and
tells at once what the driver says of errors.

    probe = Probe(environ, on_event=seen)     # seen(event: DeviceEvent) is called in the loop of the first `ask`
    inventory = await probe.ask()             # never raises: what fails is a state of the inventory
    await probe.stop()
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bentod.inventory.child import COMMAND, FIRST_S
from bentod.inventory.gpus import Gpus, failed, joined, news, remembered
from bentod.inventory.here import here
from bentod.inventory.talk import Talk, Unanswered
from bentod.plan.inventory import Device, DeviceEvent, Inventory

STUCK = "the process that asked NVIDIA's driver hangs in the kernel, and cannot be ended: start this host again"
_USUAL_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0


def pause_s(failures: int) -> float:
    """How long after so many failures in a row the next child is not started."""
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(failures - 1, 10)) if failures else 0.0


class Probe:
    """For one event loop. `on_event` also hears of devices that are lost, and of errors of their memory."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        on_event: Callable[[DeviceEvent], None] = lambda event: None,
        root: Path = Path("/"),
        command: Sequence[str] = COMMAND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environ = environ
        self._on_event = on_event
        self._root = root
        self._command = command
        self._clock = clock
        self._talk: Talk | None = None
        self._stuck: Talk | None = None
        self._failures = 0
        self._again_s = 0.0
        self._last = failed("")
        self._known: tuple[Device, ...] = ()
        self._asking = asyncio.Lock()

    async def ask(self, timeout_s: float | None = None) -> Inventory:
        """What this host has now, without any restriction. A child has `FIRST_S` for its first answer, 5 s for others.
        Devices that were there before stay listed, as `failed` with the reason. While no new child is tried, the last
        failure is told again, at once."""
        async with self._asking:
            if self._talk is not None or self._clock() >= self._again_s:
                usual_s = FIRST_S if self._talk is None else _USUAL_S
                self._take_in(await self._answer(usual_s if timeout_s is None else timeout_s))
        return joined(here(self._root), self._last)

    async def stop(self) -> None:
        """End the child. It can be asked again."""
        if self._talk is not None:
            await self._talk.stop()
            self._stuck = None if self._talk.gone else self._talk
        self._talk = None

    async def _answer(self, timeout_s: float) -> Gpus:
        if self._stuck is not None and not self._stuck.gone:  # another one would hang, too
            return failed(STUCK)
        try:
            if self._talk is None:
                self._talk = await Talk.begin(self._command, self._environ, self._on_event)
            found = await self._talk.ask(timeout_s)
        except Unanswered as error:
            found = failed(str(error))
        if self._talk is not None and (found.last or self._talk.over or found.gpus != "ok"):
            await self.stop()
        return found

    def _take_in(self, found: Gpus) -> None:
        working = not found.devices or any(one.state == "ok" for one in found.devices)
        self._failures = 0 if found.gpus == "ok" and working else self._failures + 1
        self._again_s = self._clock() + pause_s(self._failures)
        self._last = remembered(self._known, found)
        happened = list(news(self._known, self._last))
        if found.gpus == "ok":
            self._known = self._last.devices
        for event in happened:
            self._on_event(event)

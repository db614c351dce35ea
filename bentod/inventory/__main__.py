"""The process that asks NVIDIA's driver: a question is a line with a number, an answer a line of JSON with the same.

It ends when nobody is left to ask, even while a call of the driver hangs; and after an answer that tells of failures,
since a driver that has come back is seen only by a process that loads it anew. With `once` it does not wait for errors.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from dataclasses import asdict, replace
from typing import Any

from bentod.inventory.errors import Errors
from bentod.inventory.gpus import Gpus, failed
from bentod.inventory.nvml import Driver
from bentod.plan.inventory import DeviceEvent

_PATIENCE_S = 60.0
"""How long some devices may have failed until the library is loaded anew, as long as others work."""
_FAREWELL_S = 1.0


class _Speaker:
    """Writes whole lines, of several threads, where nobody else writes: libraries that print do it elsewhere."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def say(self, message: dict[str, Any]) -> None:
        try:
            with self._lock:
                self._file.write(json.dumps(message).encode() + b"\n")
                self._file.flush()
        except OSError:  # nobody listens any more
            os._exit(0)

    def event(self, event: DeviceEvent) -> None:
        self.say({"event": asdict(event)})


def _listen(questions: queue.SimpleQueue[int | None], ended: threading.Event) -> None:
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        for line in stdin:
            questions.put(int(line))
    questions.put(None)
    ended.wait(_FAREWELL_S)  # it is a daemon thread: the process ends before, unless the driver hangs
    os._exit(0)


def main() -> None:
    """Answer until an answer is a failure, or nobody asks any more."""
    speaker, questions = _Speaker(), queue.SimpleQueue[int | None]()
    threading.Thread(target=_listen, args=(questions, threading.Event()), name="questions", daemon=True).start()
    driver, errors, began_s = Driver(), Errors(speaker.event), time.monotonic()
    question = questions.get()
    wrong = None if question is None else _caught(driver.open)
    while wrong is None and question is not None:
        found = _caught(driver.gpus) or Gpus()
        if "once" not in sys.argv:
            errors.watch(driver.handles, driver.instances)
        found = replace(found, last=_stale(found, time.monotonic() - began_s))
        speaker.say({"answer": question, **asdict(found)})
        if found.last:
            return
        question = questions.get()
    if wrong is not None:
        speaker.say({"answer": question, **asdict(replace(wrong, last=True))})


def _caught(ask: Any) -> Gpus | None:
    try:
        found: Gpus | None = ask()
    except Exception as error:  # noqa: BLE001 - of a driver that is not as NVIDIA's package expects it
        return failed(f"NVIDIA's driver answers as none should: {type(error).__name__}: {error}")
    return found


def _stale(found: Gpus, age_s: float) -> bool:
    """Whether another process may learn more."""
    broken = [device.state == "failed" for device in found.devices]
    return found.gpus != "ok" or (bool(broken) and all(broken)) or (any(broken) and age_s > _PATIENCE_S)


if __name__ == "__main__":
    main()

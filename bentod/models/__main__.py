"""The fetching process: one order on stdin, then lines of JSON on stdout. It ends when its stdin does."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread

from bentod.models.home import Home, ModelError
from bentod.models.orders import Said, decode_order, encode_said
from bentod.models.progress import Progress

_GONE = 143


class _Speaker:
    """Writes whole lines, whoever speaks."""

    def __init__(self) -> None:
        self._lock = Lock()

    def say(self, said: Said) -> None:
        """Write one line."""
        with self._lock:
            sys.stdout.buffer.write(encode_said(said))
            sys.stdout.buffer.flush()

    def progress(self, progress: Progress) -> None:
        """Write one line of progress."""
        self.say(Said(progress=progress))


def main() -> int:
    """Carry out the order. Returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    orders: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_listen, args=(orders,), daemon=True).start()
    speaker = _Speaker()
    try:
        _carry_out(orders, speaker)
    except ModelError as error:
        speaker.say(Said(error=_scrubbed(str(error))))
    return 0


def _carry_out(orders: SimpleQueue[bytes], speaker: _Speaker) -> None:
    from huggingface_hub import constants  # half a second, in which the order may come, or the parent go

    from bentod.models import leftovers
    from bentod.models.huggingface import Hub
    from bentod.models.pulling import Pull
    from bentod.models.records import Records
    from bentod.models.tally import Tally

    order = decode_order(orders.get())
    cache = Path(constants.HF_HUB_CACHE)
    if order.what == "fetch":
        leftovers.collect(cache, time.time(), {model.source for model in order.models})
    records = Records(Home(Path(order.home), order.endpoint))
    for model in order.models:
        tally = Tally(model.name, speaker.progress, time.monotonic)
        hub = Hub(model.endpoint, order.limits)
        pull = Pull(model, hub, records, cache, order.limits, tally)
        if order.what == "list":
            speaker.say(Said(listing=pull.offered()))
        else:
            speaker.say(Said(located=pull.run().located(model.name)))


def _listen(orders: SimpleQueue[bytes]) -> None:
    """The parent holds the other end for as long as it lives and wants an answer."""
    orders.put(sys.stdin.buffer.readline())
    while os.read(0, 4096):
        pass
    os._exit(_GONE)


def _scrubbed(text: str) -> str:
    token = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
    return " ".join((text.replace(token, "***") if token else text).split())


if __name__ == "__main__":
    code = 1
    try:
        code = main()
    except Exception:  # noqa: BLE001 - the last words of this process, whatever they are
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a thread may still wait for another process, or for the order: Python would end by SIGABRT

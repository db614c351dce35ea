"""`python -m bentod.worker FD`: one worker process, driven over the inherited control channel FD."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from functools import partial
from typing import NoReturn

from bentod.wire.blocking import BlockingChannel
from bentod.wire.orders import DeviceFailed, Drain, Failed, Imported, Probe, Ready, Setup
from bentod.worker.device_errors import Spotter
from bentod.worker.forks import sever
from bentod.worker.imports import Imports, Record
from bentod.worker.serve import Served, Server, start

CANNOT_START = 4
"""Exit code: the target cannot start."""
DEVICE_FAILED = 5
"""Exit code: the process has lost its GPU."""

_PAUSE_S = 0.2


def main() -> int:
    """Serve until told to drain. Returns the exit code."""
    end = socket.socket(fileno=int(sys.argv[1]))
    end.set_inheritable(False)
    channel = BlockingChannel(end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the daemon, which then drains us
    setup = channel.receive()
    if not isinstance(setup, Setup):
        return 1
    begun = time.monotonic()
    sever(end.fileno(), setup.socket)
    orders = _Orders(channel)
    imports = Imports(setup.project, setup.objects, setup.pins)
    given = os.environ.get("BENTOD_DEVICE", "").startswith("cuda")
    served = start(setup, imports, Spotter(given=given, doomed=partial(_doomed, channel)))
    if isinstance(served, Failed):
        sys.stderr.write(served.traceback or served.error + "\n")
        sys.stderr.flush()
        channel.send(served)
        return CANNOT_START
    with served.listening() as server:
        files = imports.record.files
        channel.send(Ready(served.methods, time.monotonic() - begun, files))
        threading.Thread(target=_report, args=(channel, imports.record, files), name="imports", daemon=True).start()
        orders.obey(served, server)
        server.serve()
    served.stop()
    return 0


class _Orders:
    """The thread that listens to the daemon, from the start on: when the daemon is gone so are we, even in an import
    that never returns."""

    def __init__(self, channel: BlockingChannel) -> None:
        self._channel = channel
        self._serving = threading.Event()
        self._probing = threading.Lock()
        self._served: Served | None = None
        self._server: Server | None = None
        threading.Thread(target=self._listen, name="control", daemon=True).start()

    def obey(self, served: Served, server: Server) -> None:
        """From now on orders can be carried out."""
        self._served, self._server = served, server
        self._serving.set()

    def _listen(self) -> None:
        with contextlib.suppress(Exception):
            while (message := self._channel.receive()) is not None:
                self._carry_out(message)
        os.killpg(0, signal.SIGKILL)  # with everything that the user's code started

    def _carry_out(self, message: object) -> None:
        if isinstance(message, Drain):
            threading.Timer(message.timeout_s, _abandon).start()
        self._serving.wait()
        assert self._served is not None
        assert self._server is not None
        if isinstance(message, Drain):
            self._server.drain()
        elif isinstance(message, Probe) and not self._probing.locked():
            threading.Thread(target=self._probe, args=(self._served,), name="probe", daemon=True).start()

    def _probe(self, served: Served) -> None:
        """Ask the hook, away from the thread that watches for the daemon's end: it is user code, and may hang."""
        with self._probing:
            self._channel.send(served.probe())


def _report(channel: BlockingChannel, record: Record, reported: dict[str, str]) -> None:
    """Tell the daemon what is imported later, for as long as it listens: what comes in a burst is told together."""
    pause = threading.Event()
    with contextlib.suppress(OSError):
        while True:
            record.changed.get()
            files = record.files
            if files != reported:
                channel.send(Imported(files))
                reported = files
                pause.wait(_PAUSE_S)


def _doomed(channel: BlockingChannel, text: str) -> NoReturn:
    """Say what the GPU did, and end at once: whatever else runs here cannot use it either, nor would a hook."""
    with contextlib.suppress(Exception):
        sys.stderr.write(f"bentod: this process has lost its GPU, and ends: {text}\n")
        sys.stderr.flush()
    with contextlib.suppress(OSError):
        channel.send(DeviceFailed(text))
    os._exit(DEVICE_FAILED)


def _abandon() -> NoReturn:
    os._exit(1)


if __name__ == "__main__":
    code = main()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # threads that the user's code left running must not keep the process

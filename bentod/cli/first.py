"""What the first process of a container has to do besides: pass signals on, and collect processes that nobody else
waits for. The daemon is its child, so neither meets the other's children."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

_PASSED_ON = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2))
_SENT = 0
"""The `si_code` of a signal that a process has sent; above it are those of the kernel, such as Ctrl-C, which a
terminal gives to both processes."""


def begin() -> None:
    """Go on in a child if this is the first process of a container: then the kernel drops signals that nobody has asked
    for yet, and makes it the parent of all orphans. Call it before there are threads."""
    if os.getpid() != 1:
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON | {signal.SIGCHLD})
    child = os.fork()
    if child:
        _watch_over(child)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if os.environ.get("LISTEN_PID") == "1":  # sockets for this process
        os.environ["LISTEN_PID"] = str(os.getpid())


def _watch_over(child: int) -> NoReturn:
    """End with the child and with its exit code."""
    while True:
        told = signal.sigwaitinfo(_PASSED_ON | {signal.SIGCHLD})
        if told.si_signo != signal.SIGCHLD and told.si_code <= _SENT:
            os.kill(child, told.si_signo)
        code = _collect(child)
        if code is not None:
            os._exit(code if code >= 0 else 128 - code)


def _collect(child: int) -> int | None:
    """Wait for all that has ended. Returns the exit code of `child` if that is among it, negative for a signal."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == child:
            found = os.waitstatus_to_exitcode(status)

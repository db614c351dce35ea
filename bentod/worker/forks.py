"""Keeps our sockets from processes that the user's code forks: one that outlives this process would hide its end, and
one that comes back from a call would take the next."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from functools import partial
from pathlib import Path


def sever(control: int, path: str) -> None:
    """From now on a forked process has /dev/null in the place of the descriptor `control`, and of all sockets that are
    bound to `path` or were accepted there."""
    os.register_at_fork(after_in_child=partial(_sever, control, path))


def _sever(control: int, path: str) -> None:
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if number == control or _bound_to(number, path):
            os.dup2(nothing, number, inheritable=False)
    os.close(nothing)


def _bound_to(number: int, path: str) -> bool:
    with suppress(OSError):  # the list names itself, too
        if stat.S_ISSOCK(os.fstat(number).st_mode):  # of another file the second descriptor would stay
            with socket.socket(fileno=os.dup(number)) as found:
                return bool(found.getsockname() == path)
    return False

"""`bentod up --takeover`, which a daemon starts that is to be replaced, and how it does that."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bentod.cli.problems import show
from bentod.daemon.folders import Folders
from bentod.daemon.inherit import Failed, receive, tell
from bentod.daemon.notify import child_environ
from bentod.daemon.succession import Again, Heir
from bentod.errors import BentodError, ProblemsError, StartError

_KEPT = ("NOTIFY_SOCKET", "WATCHDOG_USEC")


@contextmanager
def taking_over(number: int) -> Iterator[Heir]:
    """What the daemon hands over on the descriptor `number`. It is told why this one cannot take its place."""
    with socket.socket(fileno=number) as end:
        end.set_inheritable(False)
        try:
            yield Heir(receive(end), end)
        except ProblemsError as error:
            tell(end, Failed(show(error.problems, "text")))
            raise
        except BentodError as error:
            tell(end, Failed(str(error), error.traceback if isinstance(error, StartError) else ""))
            raise


def again(args: argparse.Namespace, folders: Folders, environ: Mapping[str, str]) -> Again:
    """How the daemon that these arguments start is started again. What a service manager said stays true for its
    successor, but for the sockets, which this one hands over, and the process that it meant."""
    flags = [f"--{name}" for name in ("strict", "locked", "ungated", "detached") if getattr(args, name)]
    kept = {name: environ[name] for name in _KEPT if name in environ}
    output = folders.logs / "start.log" if args.detached else None
    return Again(tuple(flags), child_environ(environ) | kept, output, stays=not args.detached and not kept)

"""Starts a child process with a control channel. Imports next to nothing, so that a child can start before the rest
of the daemon has been imported."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Spawned(NamedTuple):
    """A running child and the daemon's end of its control channel."""

    popen: subprocess.Popen[bytes]
    end: socket.socket

    def abandon(self) -> None:
        """It is not needed: it ends when it sees that nobody is there."""
        self.end.close()
        self.popen.wait()
        for pipe in (self.popen.stdout, self.popen.stderr):
            if pipe is not None:
                pipe.close()


def spawn(argv: Sequence[str], environ: Mapping[str, str], directory: Path, *, capture: bool) -> Spawned:
    """Start `argv` plus the number of its control channel's descriptor.

    Each child leads its own process group: a terminal's Ctrl-C does not reach it, and what it started dies with it.
    Raises OSError if it cannot be started.
    """
    ours, theirs = socket.socketpair()
    output = subprocess.PIPE if capture else None
    with theirs:
        try:
            popen = subprocess.Popen(
                [*argv, str(theirs.fileno())],
                env=dict(environ),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(theirs.fileno(),),
                process_group=0,
            )
        except OSError:
            ours.close()
            raise
    return Spawned(popen, ours)

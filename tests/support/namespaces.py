"""Runs a program as the first process of its own world, as a container does, without a container engine."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

import pytest

from tests.support.daemon import children, eventually


@functools.cache
def unsharing() -> list[str]:
    """The words that begin such a command. Skips the test where that is not allowed."""
    mapped = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    words = ["unshare", *mapped, "--pid", "--fork", "--kill-child", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip("this host lets nobody make a PID namespace")
    return words


class First:
    """A process that is the first one of its namespace."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        found = eventually(lambda: process.poll() is not None or children(process.pid), 10, "a first process")
        self.pid: int = 0 if found is True else found[0][0]

    def send(self, number: int) -> None:
        """Send a signal to it."""
        os.kill(self.pid, number)

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def wait(self) -> int:
        """Its exit code."""
        return self.process.wait(20)


@contextmanager
def first(
    command: Sequence[str], environ: Mapping[str, str] | None = None, stdin: int | IO[Any] | None = subprocess.DEVNULL
) -> Iterator[First]:
    """`command` as the first process, until the block ends."""
    process = subprocess.Popen(
        [*unsharing(), *command],
        env={**os.environ, **(environ or {})},
        stdin=stdin,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield First(process)
        finally:
            process.kill()

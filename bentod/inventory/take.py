"""Asks for this host's inventory once. The driver is asked by a child process, which is killed if it takes too long."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bentod.inventory.child import COMMAND, FIRST_S, LONGEST_LINE, NONSENSE, ended, question, silent, understood
from bentod.inventory.gpus import Gpus, failed, joined
from bentod.inventory.here import here
from bentod.plan.inventory import DeviceEvent, Inventory

_GIVEN_UP = "NVIDIA's driver is not waited for: bentod stops"
_FAREWELL_S = 0.3
"""How long a child that is not needed any more may take to end by itself."""
_END_S = 1.0
"""How long a child that is killed may take to be gone. One that hangs in the kernel ends when the kernel lets it."""


def take(
    environ: Mapping[str, str],
    timeout_s: float = FIRST_S,
    root: Path = Path("/"),
    command: Sequence[str] = (*COMMAND, "once"),
    until: int | None = None,
) -> Inventory:
    """What this host has now, without any restriction. Never raises: whatever fails is a state of the inventory. The
    child sees `environ`. `until` is a descriptor: once it can be read, nobody waits for the driver any more."""
    try:
        with _started(environ, command) as child:
            found = _answer(child, timeout_s, until)
    except OSError as error:
        found = failed(f"NVIDIA's driver cannot be asked: {error.strerror or error}")
    return joined(here(root), found)


@contextlib.contextmanager
def _started(environ: Mapping[str, str], command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(environ),
        bufsize=0,
        process_group=0,
    )
    try:
        yield child
    finally:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        try:
            child.wait(_FAREWELL_S)
        except subprocess.TimeoutExpired:
            child.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_END_S)
        child.stdout.close()


def _answer(child: subprocess.Popen[bytes], timeout_s: float, until: int | None) -> Gpus:
    assert child.stdin is not None
    assert child.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # its end says more
        child.stdin.write(question(1))
    deadline = time.monotonic() + timeout_s
    data = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        if until is not None:
            selector.register(until, selectors.EVENT_READ)
        while len(data) < LONGEST_LINE:
            ready = {key.fd for key, _ in selector.select(max(0.0, deadline - time.monotonic()))}
            if not ready:
                return failed(silent(timeout_s))
            if until in ready:
                return failed(_GIVEN_UP)
            more = os.read(child.stdout.fileno(), 1 << 16)
            if not more:
                return _end(child)
            data += more
            while b"\n" in more:
                line, _, rest = data.partition(b"\n")
                if (found := _gpus(bytes(line))) is not None:
                    return found
                data, more = rest, bytes(rest)
    return failed(NONSENSE)


def _gpus(line: bytes) -> Gpus | None:
    try:
        found = understood(line)
    except ValueError as error:
        return failed(str(error))
    return None if isinstance(found, DeviceEvent) else found[1]


def _end(child: subprocess.Popen[bytes]) -> Gpus:
    with contextlib.suppress(subprocess.TimeoutExpired):
        return failed(ended(child.wait(_END_S)))
    return failed(ended(None))

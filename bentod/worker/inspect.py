"""A throw-away process that imports one target and tells what it found, for `bentod validate`.

It is started with the number of an inherited socket: a Setup comes in up to the end of file, frames go out: Failed if
the import failed; else Ready, with the constructor as method `__init__` if the target is a class, and then for each
method, in order, Ready with that method or Failed. Frames are `wire.orders` behind their length in four bytes.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bentod.wire.orders import Failed, Method, Order, Ready, Setup, decode, encode
from bentod.worker import target
from bentod.worker.imports import Imports

CONSTRUCTOR = "__init__"


def main(descriptor: int) -> None:
    """Answer the one Setup, then end at once: threads that user code left behind shall not hold the process."""
    with socket.socket(fileno=descriptor) as channel:
        setup = decode(_read(channel))
        if isinstance(setup, Setup):
            imports = Imports(setup.project)
            imports.install()
            for answer in look(setup, imports):
                data = encode(answer)
                channel.sendall(len(data).to_bytes(4) + data)
    os._exit(0)


def look(setup: Setup, imports: Imports | None = None) -> Iterator[Order]:
    """What the target is, without constructing anything. `imports` sees to it that no stale bytecode runs."""
    start = time.monotonic()
    try:
        found = target.load(setup.target, Path(setup.project), imports)
    except target.TargetFailed as failed:
        yield Failed(failed.stage, failed.error, failed.traceback)
        return
    yield Ready(_constructor(found), time.monotonic() - start)
    for name in setup.methods:
        try:
            yield Ready((target.methods(found, [name])[name],), time.monotonic() - start)
        except target.TargetFailed as failed:
            yield Failed(failed.stage, failed.error, failed.traceback)


def _constructor(found: object) -> tuple[Method, ...]:
    return (target.describe(CONSTRUCTOR, found),) if isinstance(found, type) else ()


def _read(channel: socket.socket) -> bytes:
    parts = []
    while part := channel.recv(65536):
        parts.append(part)
    return b"".join(parts)


if __name__ == "__main__":
    main(int(sys.argv[1]))

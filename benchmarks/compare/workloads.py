"""What is asked of every server, at which loads."""

from __future__ import annotations

import functools
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

SENTENCES = Path(__file__).parent / "serve" / "sentences.txt"
SIDE = 591
"""Pixels; three random bytes for each make 1 MiB that nothing compresses."""
CLOSE = 2e-3


@dataclass(frozen=True)
class Load:
    """So many connections that ask again at once (closed), or a share of the capacity in requests that come by
    themselves (open)."""

    connections: int = 0
    share: float = 0

    def __str__(self) -> str:
        return f"{self.share:.0%}" if self.share else f"{self.connections}"


@dataclass(frozen=True)
class Workload:
    """A kind of work: what is sent, what must come back, and the loads. One value is sent by wrk, many by a generator.

    `right` compares the right answer with the one that came back."""

    name: str
    title: str
    values: Callable[[], list[Any]]
    right: Callable[[Any, Any], bool]
    loads: tuple[Load, ...]
    by_wrk: bool = True
    in_process: bool = False
    """Whether the work is also measured without any server."""


def closed(*connections: int) -> tuple[Load, ...]:
    return tuple(Load(count) for count in connections)


def close(right: Any, answer: Any) -> bool:
    """Vectors whose direction is the same but for rounding, which differs with the batch."""
    product = sum(one * other for one, other in zip(right, answer, strict=True))
    lengths = sqrt(sum(one * one for one in right) * sum(one * one for one in answer))
    return bool(abs(1 - product / lengths) < CLOSE)


def size(right: Any, answer: Any) -> bool:
    return bool(list(answer) == [SIDE, SIDE])


@functools.cache
def sentences() -> list[str]:
    """Real ones, from documentation."""
    return SENTENCES.read_text().splitlines()


@functools.cache
def picture() -> list[bytes]:
    """A PNG of 1 MiB."""
    noise = random.Random(1)
    rows = b"".join(b"\0" + noise.randbytes(3 * SIDE) for _ in range(SIDE))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows, 1))]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in [*parts, (b"IEND", b"")]
    ]
    return [b"\x89PNG\r\n\x1a\n" + b"".join(chunks)]


WORKLOADS = {
    one.name: one
    for one in (
        Workload("echo", "JSON echo of four floats", lambda: [[1.5, 2.25, -3.0, 4.125]], close, closed(1, 16, 64, 256)),
        Workload(
            "embed",
            "sentence embeddings (MiniLM, NumPy)",
            sentences,
            close,
            (*closed(1, 8, 32), Load(share=0.5), Load(share=0.9)),
            by_wrk=False,
            in_process=True,
        ),
        Workload(
            "iris", "random forest on iris", lambda: [[5.7, 2.8, 4.1, 1.3]], close, closed(1, 16, 64), in_process=True
        ),
        Workload("image", "a PNG of 1 MiB, its size", picture, size, closed(1, 8)),
    )
}

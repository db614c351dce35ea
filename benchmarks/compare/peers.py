"""Who is compared, and with which settings: a few that a person would try for each kind of work."""

from __future__ import annotations

import json
from dataclasses import dataclass

WINDOWS = (0, 1, 5, 10)
"""Milliseconds."""


@dataclass(frozen=True)
class Setting:
    """One way to run one server."""

    workers: int = 1
    size: int = 1
    window_ms: float = 0
    gateways: int = 1
    is_async: bool = False
    threads: int = 1
    also: str = ""

    def __str__(self) -> str:
        words = [f"{self.workers}w"]
        words += [f"{self.gateways}g"] if self.gateways > 1 else []
        words += [f"{self.threads}t"] if self.threads > 1 else []
        words += ["async"] if self.is_async else []
        words += [self.also] if self.also else []
        words += [f"batch {self.size}/{self.window_ms:g}ms"] if self.size > 1 else []
        return " ".join(words)

    @property
    def batched(self) -> bool:
        return self.size > 1

    def described(self) -> str:
        """For a server's environment."""
        return json.dumps(vars(self))


@dataclass(frozen=True, eq=False)
class Peer:
    """A server: its environment, its script in `serve/`, and its settings for each kind of work."""

    name: str
    environment: str
    settings: dict[str, tuple[Setting, ...]]
    patience_s: float = 60

    @property
    def script(self) -> str:
        return f"with_{self.name}.py"


def windows(size: int, *windows_ms: float, workers: int = 1, also: str = "") -> tuple[Setting, ...]:
    """Batches of at most this size, held for so long."""
    return tuple(Setting(workers, size, window, also=also) for window in windows_ms or WINDOWS)


TWO, ASYNC = Setting(2), Setting(is_async=True)
ONE = Setting()

BENTOD = Peer("bentod", "bentod", {
    "echo": (ONE, ASYNC, Setting(gateways=2), *windows(64, 0, 5), Setting(1, 64, 0, is_async=True)),
    "embed": (ONE, TWO, *windows(32, 0, 5), *windows(8, 0, 5), *windows(32, 5, workers=2)),
    "iris": (ONE, TWO, *windows(32, 0, 5), *windows(64, 5)),
    "image": (ONE, TWO, Setting(threads=2), Setting(workers=2, gateways=2)),
})  # fmt: skip
MOSEC = Peer("mosec", "mosec", {
    "echo": (ONE, TWO, *windows(16), *windows(64), *windows(16, 0, 1, workers=2)),
    "embed": (ONE, TWO, *windows(32, 0, 1, 2, 5, 10), *windows(8, 0, 5), *windows(32, 5, workers=2)),
    "iris": (ONE, TWO, *windows(32), *windows(64, 5)),
    "image": (ONE, TWO),
})  # fmt: skip
BENTOML = Peer("bentoml", "bentoml", {
    "echo": (ONE, ASYNC, Setting(2, is_async=True), *windows(64, 60000)),
    "embed": (ONE, TWO, *windows(32, 60000, 1000), *windows(8, 60000), *windows(32, 60000, workers=2)),
    "iris": (ONE, TWO, *windows(32, 60000, 1000), *windows(32, 60000, workers=2)),
    "image": (ONE, TWO, Setting(threads=2)),
})  # fmt: skip
LITSERVE = Peer("litserve", "litserve", {
    "echo": (ONE, Setting(also="fast queue"), *windows(16, 0, 1), *windows(64, 5, also="fast queue")),
    "embed": (ONE, TWO, *windows(32), *windows(8, 5), *windows(32, 5, also="fast queue")),
    "iris": (ONE, TWO, *windows(32), *windows(32, 5, also="fast queue")),
    "image": (ONE, TWO, Setting(also="fast queue")),
})  # fmt: skip
MLSERVER = Peer("mlserver", "mlserver", {
    "echo": (ONE, Setting(also="parallel"), *windows(16, 1), *windows(64, 5)),
    "embed": (ONE, Setting(also="parallel"), Setting(2, also="parallel"), *windows(32, 1, 5, 10)),
    "iris": (ONE, Setting(2, also="parallel"), *windows(32, 1, 5, 10)),
    "image": (ONE, Setting(2, also="parallel")),
})  # fmt: skip
RAY = Peer("ray", "ray", {
    "echo": (ONE, TWO, *windows(64, 1, 5)),
    "embed": (ONE, TWO, *windows(32)),
    "iris": (ONE, TWO, *windows(32, 0, 5)),
    "image": (ONE, TWO),
}, patience_s=120)  # fmt: skip
BARE = Peer("bare", "bentod", {"echo": (ONE,)})
"""No peer, but a measure of what HTTP alone costs."""

PEERS = {peer.name: peer for peer in (BENTOD, BENTOML, MOSEC, LITSERVE, MLSERVER, RAY, BARE)}

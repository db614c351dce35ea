"""Clients that call one API again and again, and count what they get."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.daemon import eventually
from tests.support.http import Connection, Ended, request


class Load:
    """What the clients got so far: a status, with the problem's code if it is one, or what broke the connection."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.stopping = threading.Event()

    @property
    def done(self) -> int:
        return self.answers.total()

    def more(self, answers: int = 50) -> None:
        """Wait until so many more answers have come."""
        wanted = self.done + answers
        eventually(lambda: self.done >= wanted, what=f"{answers} more answers than {dict(self.answers)}")


@contextmanager
def load(url: str, path: str, value: Any, clients: int = 8) -> Iterator[Load]:
    """So many clients, each with a connection of its own that it renews when it breaks, until the block ends."""
    found = Load()
    threads = [threading.Thread(target=_client, args=(url, request(path, value), found)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found.stopping.set()
        for thread in threads:
            thread.join()


def _client(url: str, data: bytes, found: Load) -> None:
    while not found.stopping.is_set():
        try:
            with Connection(url) as connection:
                while not found.stopping.is_set():
                    answer = connection.ask(data)
                    found.answers[f"{answer.status} {answer.code}".strip()] += 1
                    if answer.headers.get("connection") == "close":
                        break
        except ConnectionRefusedError:
            found.answers["refused"] += 1
            found.stopping.wait(0.01)
        except (Ended, OSError):
            found.answers["cut off"] += 1

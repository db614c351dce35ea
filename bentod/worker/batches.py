"""Batches: calls that come together and hold one slot, and how a connection's entries become such."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from bentod.errors import WireError
from bentod.wire.entries import NAMED, POSITIONAL, Entry, Terms
from bentod.worker.takes import TAKES

CALLS = frozenset({NAMED, POSITIONAL})
"""The kinds of entries that are calls."""
MOST_CALLS = 65536
_NUMBERS = frozenset({int, float})
_TERMS = len(Terms._fields)

Taken = tuple[Entry, Sequence[Any]]
"""A call as it came: its entry and what was attached."""


class Batch:
    """Calls of one method that came together. `apart`: they run one by one if the callable raises.

    A call can leave as long as it waits; which it does until it is taken, by `take` or `take_all`. `running` is for who
    must know which of them still want an answer.
    """

    __slots__ = ("_lock", "_waiting", "apart", "method", "running", "takes")

    def __init__(self, method: int, takes: str, calls: dict[int, Taken], *, apart: bool) -> None:
        self.method = method
        self.takes = takes
        self.apart = apart
        self.running: set[int] = set()
        self._waiting = calls
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many calls wait."""
        return len(self._waiting)

    @property
    def calls(self) -> list[int]:
        """The numbers of those that wait."""
        return list(self._waiting)

    def take_all(self) -> list[Taken]:
        """All that wait, in order; none from now on."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        return list(waiting.values())

    def take(self) -> Taken | None:
        """The next one."""
        with self._lock:
            call = next(iter(self._waiting), None)
            return None if call is None else self._waiting.pop(call)

    def leave(self, call: int) -> bool:
        """A call is given up; false if it is none that waits."""
        with self._lock:
            return self._waiting.pop(call, None) is not None


class Assembly:
    """The batch of one connection that has begun to come. If it is `refused`, its calls come all the same."""

    __slots__ = ("_apart", "_calls", "_count", "_kind", "_left", "_takes", "id", "method", "refused")

    def __init__(self, head: Entry) -> None:
        """`head` announces it. Raises WireError."""
        try:
            _, id_, count, takes, apart = head
        except ValueError as error:
            raise WireError("no head of a batch") from error
        if type(id_) is not int or type(count) is not int or takes not in TAKES or type(apart) is not bool:
            raise WireError(f"no head of a batch: {head!r:.200}")
        if not 0 < count <= MOST_CALLS:
            raise WireError(f"a batch of {count} calls")
        self.id: int = id_
        self._takes: str = takes
        self._apart = apart
        self._count = self._left = count
        self._kind = self.method = -1
        self.refused = False
        self._calls: dict[int, Taken] = {}

    def add(self, entry: Entry, attachments: Sequence[Any]) -> Batch | None:
        """The batch, if this was its last call. Raises WireError for what cannot be in it."""
        try:
            kind, call, method, deadline, _, _, terms = entry
        except ValueError as error:
            raise WireError("no call, inside a batch") from error
        if kind != self._kind or method != self.method:
            self._begin(kind, method)
        if type(call) is not int or type(deadline) not in _NUMBERS:
            raise WireError("no call, inside a batch")
        if terms is not None and (len(terms) != _TERMS or terms[-1]):
            raise WireError("a stream inside a batch")
        self._calls[call] = entry, attachments
        self._left -= 1
        return None if self._left else self._whole()

    @property
    def complete(self) -> bool:
        """Whether all calls have come."""
        return not self._left

    @property
    def first(self) -> bool:
        """Whether exactly one call has come."""
        return self._left == self._count - 1

    def _begin(self, kind: Any, method: Any) -> None:
        if self._calls:
            raise WireError("a batch of several methods")
        if kind not in CALLS or type(method) is not int or method < 0:
            raise WireError(f"an entry of kind {kind!r:.20} inside a batch")
        self._kind, self.method = kind, method

    def _whole(self) -> Batch:
        if len(self._calls) != self._count:
            raise WireError("two calls of one number in a batch")
        return Batch(self.method, self._takes, self._calls, apart=self._apart)

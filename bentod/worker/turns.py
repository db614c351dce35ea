"""Which of several gateways may use a slot next: pure accounts of the slots of one kind.

Gateways do not see each other's calls. So that none of them fills a worker's queue while another waits, a worker with
several gateways has no queue: a call that finds no free slot is refused at once, and its gateway is remembered. The
next slot that becomes free is kept for who was refused first, until that gateway uses it, passes, is gone, or has done
nothing for a tenth of a second.

Short calls may queue here all the same, since a slot would idle for the journey of the next one, as long as they will
begin within half a millisecond: by the average run time, and unless something has run for a millisecond already.
"""

from __future__ import annotations

from typing import Generic, TypeVar

KEEP_S = 0.1
TICK_S = 0.05
"""How often to ask for `offers` while `contended`, though nothing else happens."""
_ARRIVING_S = 30.0
_AHEAD_S, _LONG_S, _MOST_AHEAD = 0.0005, 0.001, 64
_SMOOTHING = 0.1

T = TypeVar("T")


class Turns(Generic[T]):
    """Tickets of what was taken, and gateways to whom a slot was or shall be offered. `gateways` are connected."""

    def __init__(self, slots: int) -> None:
        self.gateways = 0
        self._slots = slots
        self._running: dict[int, float] = {}  # since when, by ticket; the oldest first
        self._queued: dict[int, None] = {}
        self._kept: dict[T, float] = {}  # until when
        self._refused: dict[T, None] = {}
        self._ticket = 0
        self._run_s: float | None = None

    @property
    def contended(self) -> bool:
        """Whether anybody waits for a slot, or has one kept."""
        return bool(self._refused or self._kept)

    def take(self, who: T, now: float) -> int | None:
        """The ticket of a call or batch that has come; None if it is refused, and `who` remembered."""
        if not self._may(who, now):
            return None
        self._kept.pop(who, None)
        self._ticket += 1
        if len(self._running) < self._slots:
            self._running[self._ticket] = now
        else:
            self._queued[self._ticket] = None
        return self._ticket

    def reserve(self, who: T, now: float) -> bool:
        """Keep a slot for what begins to arrive; false if it is refused, and `who` remembered."""
        if not self._may(who, now):
            return False
        self._kept[who] = now + _ARRIVING_S
        return True

    def end(self, ticket: int, now: float, run_s: float | None = None) -> None:
        """It has run, for so long if that is known better than from here; or will not run."""
        since = self._running.pop(ticket, None)
        if since is None:
            self._queued.pop(ticket, None)
            return
        run_s = now - since if run_s is None else run_s
        self._run_s = run_s if self._run_s is None else self._run_s + _SMOOTHING * (run_s - self._run_s)
        following = next(iter(self._queued), None)
        if following is not None:
            del self._queued[following]
            self._running[following] = now

    def give_back(self, who: T) -> None:
        """A slot that was kept for `who` is not wanted."""
        self._kept.pop(who, None)

    def leave(self, who: T) -> None:
        """A gateway is gone. What was taken from it keeps its ticket."""
        self._kept.pop(who, None)
        self._refused.pop(who, None)

    def offers(self, now: float) -> list[T]:
        """Whom to tell that a slot is kept for them. To be asked whenever anything has changed."""
        for who in [who for who, until in self._kept.items() if until <= now]:
            del self._kept[who]
        found = []
        for who in [who for who in self._refused if who not in self._kept]:
            if not self._is_free(now):
                break
            del self._refused[who]
            self._kept[who] = now + KEEP_S
            found.append(who)
        return found

    def _may(self, who: T, now: float) -> bool:
        if who in self._kept or self.gateways < 2 or (not self._refused and self._is_free(now)):
            return True
        self._refused.setdefault(who)
        return False

    def _is_free(self, now: float) -> bool:
        taken = len(self._running) + len(self._queued) + len(self._kept)
        return taken < self._slots or taken < self._slots + self._ahead(now)

    def _ahead(self, now: float) -> int:
        if self._run_s is None or self._run_s >= _AHEAD_S:
            return 0
        if now - next(iter(self._running.values()), now) >= _LONG_S:
            return 0
        return min(_MOST_AHEAD, int(self._slots * _AHEAD_S / max(self._run_s, 1e-6)))

"""Which of several gateways may use a slot next: pure accounts of the slots of one kind.

Gateways do not see each other's calls. So that none of them fills a worker's queue while another waits, a worker with
several gateways has no queue: a call that finds no free slot is refused at once, and its gateway stands in line. From
then on it gets slots by offers, in turn with the others: an offer that it uses puts it at the end of the line again,
one that it passes ends that. An offer that is neither used nor passed for a tenth of a second goes to the end of the
line too, and after the third there are no more before that gateway is heard of.

Short calls may queue here all the same, since a slot would idle for the journey of the next one, as long as they will
begin within half a millisecond: by the average run time, and unless something has run for a millisecond already.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from bentod.worker.batches import Assembly, Batch

KEEP_S = 0.1
_MOST_SILENT = 3
TICK_S = 0.05
"""How often to ask for `offers` while `contended`, though nothing else happens."""
_ARRIVING_S = 30.0
_AHEAD_S, _LONG_S, _MOST_AHEAD = 0.0005, 0.001, 64
_SMOOTHING = 0.1

T = TypeVar("T")


class _Offer:
    """Slots that are kept for a gateway: how many, and until when."""

    __slots__ = ("left", "until")

    def __init__(self, left: int, until: float) -> None:
        self.left, self.until = left, until


class Turns(Generic[T]):
    """Tickets of what was taken, and gateways to whom slots were or shall be offered. `gateways` are connected."""

    def __init__(self, slots: int) -> None:
        self.gateways = 0
        self._slots = slots
        self._running: dict[int, float] = {}  # since when, by ticket; the oldest first
        self._queued: dict[int, None] = {}
        self._arriving: dict[T, float] = {}  # until when
        self._kept: dict[T, _Offer] = {}
        self._line: dict[T, None] = {}
        self._refusals: dict[T, int] = {}
        self._silent: dict[T, int] = {}  # offers in a row that were ignored
        self._ticket = 0
        self._run_s: float | None = None

    @property
    def contended(self) -> bool:
        """Whether anybody waits for a slot, or has one kept."""
        return bool(self._line or self._kept or self._arriving)

    def take(self, who: T, now: float) -> int | None:
        """The ticket of a call or batch that has come; None if it is refused, and `who` put in line."""
        if self._arriving.pop(who, None) is None and not self._may(who, now):
            return None
        self._ticket += 1
        if len(self._running) < self._slots:
            self._running[self._ticket] = now
        else:
            self._queued[self._ticket] = None
        return self._ticket

    def reserve(self, who: T, now: float) -> bool:
        """Keep a slot for what begins to arrive; false if it is refused, and `who` put in line."""
        if not self._may(who, now):
            return False
        self._arriving[who] = now + _ARRIVING_S
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

    def give_back(self, who: T, refusals: int) -> None:
        """What was offered to `who`, who knows of so many refusals, is not wanted: it leaves the line. If there was one
        more since, this was about an earlier offer, and it will hear of a later one."""
        if refusals == self._refusals.get(who, 0):
            for known in (self._kept, self._line, self._silent):
                known.pop(who, None)

    def leave(self, who: T) -> None:
        """A gateway is gone. What was taken from it keeps its ticket."""
        for known in (self._arriving, self._kept, self._line, self._refusals, self._silent):
            known.pop(who, None)

    def offers(self, now: float) -> list[tuple[T, int]]:
        """Whom to tell that slots are kept for them, and how many. To be asked whenever anything has changed."""
        for late in [who for who, until in self._arriving.items() if until <= now]:
            del self._arriving[late]
        for late in [who for who, offer in self._kept.items() if offer.until <= now]:
            del self._kept[late]
            self._silent[late] = self._silent.get(late, 0) + 1
            if self._silent[late] < _MOST_SILENT:
                self._line[late] = None
        found = []
        while self._line and (room := self._room(now)) > 0:
            who, many = next(iter(self._line)), max(1, room // len(self._line))
            del self._line[who]
            self._kept[who] = _Offer(many, now + KEEP_S)
            found.append((who, many))
        return found

    def _may(self, who: T, now: float) -> bool:
        """Whether a slot is there for `who`, who is refused otherwise."""
        offer = self._kept.get(who)
        if offer is not None:
            self._silent.pop(who, None)
            offer.left -= 1
            offer.until = now + KEEP_S
            if not offer.left:
                del self._kept[who]
                self._line[who] = None
            return True
        if self.gateways < 2 or (not self._line and self._room(now) > 0):
            if self._silent.pop(who, None) is not None:  # it may still rely on offers
                self._line[who] = None
            return True
        self._silent.pop(who, None)
        self._line.setdefault(who)
        self._refusals[who] = self._refusals.get(who, 0) + 1
        return False

    def _room(self, now: float) -> int:
        kept = sum(offer.left for offer in self._kept.values())
        taken = len(self._running) + len(self._queued) + len(self._arriving) + kept
        return self._slots - taken if taken < self._slots else self._slots + self._ahead(now) - taken

    def _ahead(self, now: float) -> int:
        if self._run_s is None or self._run_s >= _AHEAD_S:
            return 0
        if now - next(iter(self._running.values()), now) >= _LONG_S:
            return 0
        return min(_MOST_AHEAD, int(self._slots * _AHEAD_S / max(self._run_s, 1e-6)))


def arriving(
    assembly: Assembly, batch: Batch | None, turns: Turns[T], who: T, refuse: Callable[[int], None]
) -> int | None:
    """The ticket of a batch, if it is complete and taken; `refuse` is told its number once if it is not. Whether it is
    refused is known with its first call, and told at once; its other calls come all the same."""
    if assembly.first and not turns.reserve(who, time.monotonic()):
        assembly.refused = True
        refuse(assembly.id)
    if batch is None or assembly.refused:
        return None
    ticket = turns.take(who, time.monotonic())
    if ticket is None:  # it took so long to come that its slot was given to another
        refuse(assembly.id)
    return ticket

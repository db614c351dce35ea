"""Waiting calls in order."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from bentod.dispatch.call import Call, Place

_SLACK = 64


class Line:
    """Calls that wait, those of the first level before others, then those that came before others. `count` and `weight`
    are those of the ones that still wait.

    A call that waits no more is dropped when it comes to the front, or once such calls are the greater part: to leave
    costs no search, and memory follows the calls that wait.
    """

    __slots__ = ("_places", "count", "weight")

    def __init__(self) -> None:
        self.count = 0
        self.weight = 0
        self._places: list[Place] = []

    def __len__(self) -> int:
        """What is remembered, calls that wait no more included."""
        return len(self._places)

    def __iter__(self) -> Iterator[Call]:
        """The calls that still wait, in no order."""
        return (place[2] for place in self._places if place[2].place is place)

    def put(self, place: Place) -> None:
        """A call has come, or has come back."""
        self.count += 1
        self.weight += place[2].weight
        heapq.heappush(self._places, place)

    def gone(self, call: Call) -> None:
        """A call waits no more: its place was taken from it."""
        self.count -= 1
        self.weight -= call.weight
        if len(self._places) > _SLACK + 2 * self.count:
            self._places = [place for place in self._places if place[2].place is place]
            heapq.heapify(self._places)

    def first(self) -> Call | None:
        """Who is next."""
        places = self._places
        while places:
            call = places[0][2]
            if call.place is places[0]:
                return call
            heapq.heappop(places)
        return None

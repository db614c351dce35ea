"""Whether a pool still serves, and where calls wait that have no worker: here, or in the pool that came after it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

from bentod.dispatch import losses
from bentod.dispatch.call import Call
from bentod.dispatch.crew import Crew
from bentod.dispatch.lane import Lane
from bentod.dispatch.queue import Queue
from bentod.errors import NotReady


class Standing:
    """The half of a dispatcher that knows whether it is still wanted.

    A pool that retires has `gone` to call when it is empty. Its workers stay while something waits for them, or is on
    its way to them. A call without a worker goes to the heir of its queue, if that is in another pool.
    """

    def __init__(self, name: str, crew: Crew) -> None:
        self._name = name
        self._crew = crew
        self._crew.emptied = self._settle
        self._lanes = {False: Lane(), True: Lane()}
        self._admit = False
        self._retiring: Callable[[], None] | None = None
        self._hope = False
        self._coming: Counter[Queue] = Counter()

    def expect(self, queue: Queue) -> None:
        """A call for this queue of ours is on its way; `expected` says that it has been submitted, or never will be."""
        self._coming[queue] += 1

    def expected(self, queue: Queue) -> None:
        """What was expected is here, or given up."""
        self._coming[queue] -= 1
        if not self._coming[queue]:
            del self._coming[queue]
        self._settle()

    def retire(self, gone: Callable[[], None], *, hope: bool = False) -> None:
        """From now on only finish what there is. `gone` is called when that is done. `hope`: if all workers die, what
        waits here and nowhere else may wait for another."""
        self._retiring, self._admit, self._hope = gone, False, hope
        self._despair()
        self._settle()

    @property
    def serves(self) -> bool:
        """Whether calls can be sent here, or may wait."""
        return bool(self._crew.open) or self._admit

    def pass_on(self, queue: Queue, heir: Queue) -> None:
        """What waits in a queue of ours waits in an empty one of another pool from now on."""
        for lane in self._lanes.values():
            lane.part(queue)
        queue.pass_on(heir)
        if heir.home is not None and (head := heir.head()) is not None:
            heir.home.welcome(heir, is_async=head.is_async)

    def welcome(self, queue: Queue, *, is_async: bool) -> None:
        """Calls wait in a queue that is ours from now on."""
        self._lanes[is_async].join(queue, time.monotonic())
        self._fill_soon()

    def adopt(self, call: Call) -> None:
        """A call that another pool could not finish waits here, whatever waits already."""
        self._wait_again((call,))
        self._fill_soon()

    def _not_ready(self) -> NotReady:
        if self._retiring is not None:
            detail = f"{self._name} was replaced while this request arrived: ask again, and the new one answers"
        else:
            detail = f"no worker of {self._name} can serve now"
        return NotReady(detail, headers={"retry-after": "1"})

    @property
    def _waiting(self) -> bool:
        return any(self._lanes.values())

    @property
    def _needed(self) -> bool:
        """Whether something waits, or is on its way and cannot wait for those workers for which ours make room."""
        heirs = map(self._heir, self._coming)
        return self._waiting or any(heir is None or heir.home is None or heir.home.ready for heir in heirs)

    def _heir(self, queue: Queue) -> Queue | None:
        """Where else the calls of a queue can be served."""
        heir = queue.heir()
        return heir if heir is not None and heir.home not in (None, self) and heir.home.serves else None

    def _despair(self) -> None:
        """What waits although nobody will come for it goes elsewhere, or fails."""
        if not self.serves and not self._hope and not (self._retiring is not None and self._crew.leaving):
            for lane in self._lanes.values():
                self._wait_again(lane.take_all())

    def _settle(self) -> None:
        """If the pool retires: workers stay while something needs them."""
        if self._retiring is None:
            return
        if self._waiting and not self._crew.open:
            self._crew.recall()
        if not self._needed:
            self._crew.leave()
            if not self._crew and self._retiring is not None:
                gone, self._retiring, self._hope = self._retiring, _nothing, False
                self._crew.forget()
                gone()

    def _wait_again(self, calls: Sequence[Call]) -> None:
        """Calls that no worker has any more wait again, where they were; those that may not are failed."""
        now = time.monotonic()
        for call in calls:
            if not call.done:
                if call.timeless or call.losses > (1 if call.retry else 0):
                    call.finish(losses.lost(call.losses))
                elif self._wait(call, now):
                    continue
                else:
                    call.finish(self._not_ready())
            call.release()

    def _wait(self, call: Call, now: float) -> bool:
        """Let a call wait, here if there is a worker for it, else where there is one. False if there is none."""
        if not self.serves:
            heir = self._heir(call.queue)
            if heir is not None and heir.home is not None:
                call.queue = heir
                heir.home.adopt(call)
                return True
            if not (self._hope or (self._retiring is not None and self._crew.leaving)):
                return False
        self._lanes[call.is_async].put(call, now)
        return True

    def _fill_soon(self) -> None:
        """Look for workers for what waits when this turn of the loop is over."""
        raise NotImplementedError


def _nothing() -> None:
    """It has been told already."""

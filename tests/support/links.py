"""Workers as a dispatcher sees them, without process or socket: what was sent, and answers when a test says so."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import msgpack

from bentod.codec.parcels import opener
from bentod.dispatch.call import Call, StreamCall
from bentod.dispatch.dispatcher import Dispatcher
from bentod.dispatch.queue import Limits, Queue
from bentod.errors import WireError
from bentod.wire.entries import (
    BATCH,
    CANCEL,
    CHUNK,
    DONE,
    FREE,
    NAMED,
    PASS,
    POSITIONAL,
    RAISED,
    REFUSED,
    TAKEN,
    EntryPacker,
    Terms,
)
from bentod.wire.intake import Memory
from bentod.wire.messages import Method, ServiceRoute, WorkerRoute

_IDS = itertools.count(1)
_CALLS = (NAMED, POSITIONAL)
SLOW_S = 1.0
"""A run time that is long enough for a worker to be given nothing ahead."""


class FakeLink:
    """One worker. `handler` answers by itself: it gets an entry and returns the answer's entry, or None for later."""

    def __init__(self, path: str, received: Callable[[list[Any]], None], lost: Callable[[], None]) -> None:
        self.path = path
        self.closed = self.gone = False
        self.entries: list[Any] = []
        self.handler: Callable[[Any], Any] | None = None
        self.batches: list[list[int]] = []
        """What was sent as batches: the ids of each."""
        self._missing = self._first = 0
        self._received = received
        self._lost = lost

    def send(self, entry: bytes, memory: Sequence[Memory] = ()) -> None:
        """What the dispatcher calls. An argument with parts is unpacked, as a worker would."""
        found = msgpack.unpackb(entry, strict_map_key=False)
        if found[0] in _CALLS and found[6] is not None and Terms(*found[6]).packed:
            found[4] = msgpack.unpackb(found[4], strict_map_key=False, ext_hook=opener(memory))
        self.entries.append(found)
        self._count(found)
        answer = self.handler(found) if self.handler is not None and found[0] in _CALLS else None
        if answer is not None:
            asyncio.get_running_loop().call_soon(self.tell, answer)

    def _count(self, found: list[Any]) -> None:
        """The calls of a batch follow it, and nothing comes between."""
        if self._missing > 0:
            assert found[0] in _CALLS
            self._missing -= 1
            self.batches[-1].append(found[1])
        elif found[0] == BATCH:
            _, first, self._missing, takes, apart = found
            assert self._missing >= 1
            assert takes in ("item", "columns", "items", "rows")
            assert isinstance(apart, bool)
            self.batches.append([])
            self._first = first
        else:
            return
        assert self.batches[-1][:1] in ([], [self._first])

    def flush(self) -> None:
        """Everything is sent at once anyway."""

    def close(self) -> None:
        """As a transport does: the loss is told in a later turn."""
        self.closed = True
        asyncio.get_running_loop().call_soon(self.die)

    @property
    def calls(self) -> list[int]:
        """The ids of the calls that were sent."""
        return [entry[1] for entry in self.entries if entry[0] in _CALLS]

    @property
    def passes(self) -> int:
        """How often a slot that was offered was not wanted."""
        return sum(entry[0] == PASS for entry in self.entries)

    @property
    def cancels(self) -> list[int]:
        """The ids of the calls that were given up."""
        return [entry[1] for entry in self.entries if entry[0] == CANCEL]

    @property
    def taken(self) -> list[list[Any]]:
        """What was said of chunks that found their readers: ids and numbers."""
        return [entry[1:] for entry in self.entries if entry[0] == TAKEN]

    def tell(self, *entries: Any) -> None:
        """Say something; what the dispatcher does not take for an answer breaks the link, as over a socket."""
        if self.gone:
            return
        try:
            self._received(list(entries))
        except (WireError, LookupError, ValueError, TypeError):
            self.die()

    def answer(self, call: int, value: Any = None, run_s: float = SLOW_S) -> None:
        """Answer a call."""
        self.tell([DONE, call, run_s, value])

    def chunk(self, call: int, *values: Any) -> None:
        """Send chunks of a stream, together."""
        self.tell(*([CHUNK, call, SLOW_S, value] for value in values))

    def refuse(self, call: int, code: str = "target-raised", run_s: float = SLOW_S) -> None:
        """Answer a call with a failure."""
        self.tell([RAISED, call, run_s, code, "detail", "log", ["builtins:ValueError", "builtins:Exception"]])

    def answer_batch(self, calls: Sequence[int], run_s: float = SLOW_S) -> None:
        """Answer the calls of a batch together, each with its own id."""
        self.tell(*([DONE, one, run_s, one] for one in calls))

    def full(self, call: int) -> None:
        """Give back a call or a batch that was not begun."""
        self.tell([REFUSED, call])

    def free(self) -> None:
        """Offer a slot."""
        self.tell([FREE, 0, 1])

    def die(self) -> None:
        """The worker is gone."""
        if not self.gone:
            self.gone = True
            self._lost()


class FakeWorkers:
    """Makes links; `refused` are paths at which nobody listens, `handler` is every new link's."""

    def __init__(self, handler: Callable[[Any], Any] | None = None) -> None:
        self.links: list[FakeLink] = []
        self.refused: set[str] = set()
        self.at_once_lost: set[str] = set()
        self.unusable: list[tuple[int, str]] = []
        self.handler = handler

    async def connect(
        self, path: str, packer: EntryPacker, received: Callable[[list[Any]], None], lost: Callable[[], None]
    ) -> FakeLink:
        """A dispatcher's `connect`."""
        del packer
        await asyncio.sleep(0)
        if path in self.refused:
            raise ConnectionRefusedError(path)
        link = FakeLink(path, received, lost)
        link.handler = self.handler
        self.links.append(link)
        if path in self.at_once_lost:
            link.die()
        return link

    def __getitem__(self, pid: int) -> FakeLink:
        """The newest link to the worker with this pid."""
        return [link for link in self.links if link.path == f"/{pid}"][-1]

    def dispatcher(self) -> Dispatcher:
        """A dispatcher for these workers."""
        return Dispatcher("s", self.connect, lambda pid, reason: self.unusable.append((pid, reason)))


def worker(pid: int, threads: int = 1, concurrency: int = 1) -> WorkerRoute:
    """A ready worker."""
    return WorkerRoute(index=pid, pid=pid, socket=f"/{pid}", threads=threads, concurrency=concurrency)


def service(
    *workers: WorkerRoute, admit: bool = True, stop_timeout_s: float = 30.0, methods: tuple[Method, ...] = ()
) -> ServiceRoute:
    """A service with these ready workers."""
    state = "ready" if workers else "recovering"
    return ServiceRoute("s", state, 1, workers, admit, methods, stop_timeout_s=stop_timeout_s)


def call(
    quota: Queue | None = None,
    *,
    is_async: bool = False,
    retry: bool = True,
    timeout_s: float = 30.0,
    id_: int = 0,
    kind: type[Call] = Call,
    level: int | None = None,
    group: Hashable = None,
    weight: int = 1,
    now: float | None = None,
) -> Call:
    """A call, admitted now."""
    if now is None:
        now = time.monotonic()
    number = id_ or next(_IDS)
    terms = Terms(ahead=32) if kind is StreamCall else None
    entry = EntryPacker().entry((NAMED, number, 0, now + timeout_s, {}, None, terms))
    queue = quota or Queue(Limits(256))
    made = kind(number, entry, now + timeout_s, now, queue, is_async=is_async, retry=retry)
    made.group, made.weight = group, weight
    made.level = queue.limits.priority if level is None else level
    return made

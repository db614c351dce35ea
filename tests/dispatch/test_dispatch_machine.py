"""Anything may happen in any order, also to pools that come and go: no call is lost, none answered twice or with
another's answer."""

from __future__ import annotations

import asyncio
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest import mock

import msgpack
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bentod.dispatch import dispatcher as dispatcher_module
from bentod.dispatch import lane as lane_module
from bentod.dispatch import standing as standing_module
from bentod.dispatch import worker as worker_module
from bentod.dispatch.call import Answer, Call, StreamCall, TargetFailure
from bentod.dispatch.dispatcher import Dispatcher
from bentod.dispatch.queue import Limits, Queue
from bentod.errors import CallError, ClientGone, DeadlineExceeded, NotReady, QueueFull, WorkerLost
from bentod.gateway.counts import Counts
from bentod.wire.entries import BATCH, CANCEL, CHUNK, DONE, FREE, NAMED, PASS, RAISED, REFUSED
from tests.support.links import call, service, worker

MODULES = (dispatcher_module, worker_module, standing_module)
SLOTS = 2
ASYNC = (2, 4)


class Process:
    """A worker that believes nothing: what it was sent, in slots, and what it may say."""

    def __init__(self, bench: Machine, pool: Pool, pid: int, received: Any, lost: Any) -> None:
        self.bench, self.pool, self.pid, self.received, self.lost = bench, pool, pid, received, lost
        self.units: list[list[Call]] = []
        self.dying: list[list[Call]] = []
        self.missing = 0
        self.gone = False
        self.refuses: set[bool] = set()  # kinds of slots
        self.refusals = {False: 0, True: 0}
        self.offered = {False: 0, True: 0}

    def send(self, entry: bytes, memory: Any = ()) -> None:
        assert not self.gone
        kind, *rest = msgpack.unpackb(entry)
        if self.missing:
            assert kind == NAMED
        if kind == BATCH:
            first, self.missing, takes, apart = rest
            self.units.append([])
            one = self.bench.calls[first]
            assert (takes, apart) == (one.queue.limits.takes, one.retry)
            assert not one.queue.limits.lone
            self.use(one)
        elif kind == NAMED:
            one = self.bench.calls[rest[0]]
            if not self.missing:
                self.use(one)
            self.begin(one)
        elif kind == PASS:
            slot = bool(rest[0])
            assert self.offered[slot]
            assert rest[1] == self.refusals[slot]
            self.offered[slot] = 0
            self.refuses.discard(slot)
        else:
            assert kind == CANCEL

    def use(self, one: Call) -> None:
        """Who was refused sends what it was offered, and no more."""
        if one.is_async in self.refuses:
            assert self.offered[one.is_async], "others have its slots"
            self.offered[one.is_async] -= 1

    def offer(self, slot: bool, slots: int) -> None:
        """Keep slots. They are used or passed at once."""
        self.offered[slot] = slots
        self.bench.act(lambda: self.tell([FREE, int(slot), slots]))
        assert self.gone or not self.offered[slot]

    def begin(self, one: Call) -> None:
        """A call was sent: that is when a worker may start it."""
        now = self.bench.clock.now
        assert one.deadline > now, "begun too late"
        assert not one.done, "nobody waits for it"
        assert one not in self.bench.held, "it runs already"
        if self.missing:
            self.missing -= 1
            self.units[-1].append(one)
        else:
            assert one.queue.limits.lone
            self.units.append([one])
        unit = self.units[-1]
        assert unit[0].queue is one.queue
        assert {each.group for each in unit} == {one.group}, "mixed"
        assert len(unit) == 1 or sum(each.weight for each in unit) <= one.queue.limits.max_size, "too large"
        assert len(unit) == 1 or not any(each.losses for each in unit), "with what may have killed a worker"
        kinds = [each for each in self.units if each[0].is_async == one.is_async]
        ahead = sum(each[0].queue.limits.lone for each in kinds)
        assert len(kinds) <= SLOTS + 1 or ahead or self.refusals[one.is_async], "one batch is ahead at most"
        self.bench.begun[one] = self.bench.begun.get(one, 0) + 1

    def flush(self) -> None:
        assert not self.missing

    def close(self) -> None:
        assert not self.units
        self.gone = True

    def tell(self, *entries: Any) -> None:
        """Answer; what is wrong breaks the link."""
        try:
            self.received(list(entries))
        except (LookupError, ValueError, TypeError):
            self.die()

    def die(self) -> None:
        if not self.gone:
            self.gone = True
            for unit in self.units:
                self.bench.come_back(unit)
            self.dying = list(self.units)
            self.units.clear()
            worker_ = self.pool.dispatcher._crew._workers.get(self.pid)
            held = {one: one.losses for one in worker_.held.values()} if worker_ is not None else {}
            self.lost()
            for one, losses in held.items():
                self.bench.begun[one] -= one.losses == losses  # it was only ahead

    def over(self, one: Call) -> None:
        """Forget a call that is answered."""
        for unit in self.units:
            if one in unit:
                unit.remove(one)
        self.units = [unit for unit in self.units if unit]


def limits() -> list[Limits]:
    """Of lone calls and of columns, of rows, bounded and held."""
    return [
        Limits(waiting=6, priority=5),
        Limits(waiting=8, takes="columns", max_size=4, priority=3),
        Limits(waiting=8, takes="rows", max_size=6, max_delay_s=0.005),
        Limits(waiting=4, slots=1, takes="items", max_size=3, max_delay_s=0.05),
        Limits(waiting=3, slots=2, takes="item"),
        Limits(waiting=8, takes="item", max_size=5, priority=9),
    ]


class Pool:
    """A dispatcher, and whether it has said that it is empty."""

    def __init__(self, bench: Machine) -> None:
        self.bench = bench
        self.retiring = self.gone = self.hope = False
        self.dispatcher = Dispatcher(
            "s", partial(bench.connect, self), lambda pid, _: bench.unusable.append(pid), 0.0, self.killed
        )

    def killed(self, one: Call, pid: int) -> None:
        """Only who was alone is accused."""
        process = next(each for each in reversed(self.bench.processes) if each.pid == pid)  # it may have left before
        assert one.losses
        begun = [each for kind in (False, True) for each in [u for u in process.dying if u[0].is_async == kind][:SLOTS]]
        assert begun == [[one]]
        self.bench.accused.append(one)

    def retire(self, *, hope: bool) -> None:
        self.retiring, self.hope = True, hope
        self.dispatcher.retire(self.empty, hope=hope)

    def empty(self) -> None:
        assert not self.gone, "said twice"
        assert not self.dispatcher._crew
        self.gone = True


class Machine(RuleBasedStateMachine):
    """One service, and all that can happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = SimpleNamespace(now=1e6)
        self.loop = asyncio.new_event_loop()
        self.loop.time = lambda: self.clock.now  # type: ignore[method-assign]
        self.loop.set_exception_handler(lambda _, context: self.errors.append(context["exception"]))
        self.errors: list[BaseException] = []
        self.number = 0
        self.pid = 0
        self.calls: dict[int, Call] = {}
        self.finished: dict[Call, int] = {}
        self.released: dict[Call, int] = {}
        self.begun: dict[Call, int] = {}
        self.raised: set[Call] = set()
        self.returned: dict[str, int] = {}
        self.accused: list[Call] = []
        self.pools: list[Pool] = []
        self.via: dict[Call, Dispatcher] = {}
        self.processes: list[Process] = []
        self.named: set[int] = set()
        self.unusable: list[int] = []
        self.hold_s = 0.0
        frozen = SimpleNamespace(monotonic=lambda: self.clock.now)
        self.patches = [mock.patch.object(module, "time", frozen) for module in MODULES]
        self.patches.append(mock.patch.object(lane_module, "hold_s", self.decide))
        for patch in self.patches:
            patch.start()
        self.counts = [Counts() for _ in limits()]
        self.wires = [0 for _ in limits()]
        self.past: list[Queue] = []
        for each, found in zip(self.counts, limits(), strict=True):
            each.queue.limits = found

    @property
    def queues(self) -> list[Queue]:
        """One for each API, those of today."""
        return [each.queue for each in self.counts]

    @property
    def dispatcher(self) -> Dispatcher:
        """The one of today."""
        return self.pools[-1].dispatcher

    def decide(self, waiting: float, max_size: int, others_free: bool, silence_s: float, *rest: Any) -> float:
        """Whether to hold a part of a batch: as the test says, within the bound."""
        limit_s = rest[2]
        assert 0 < waiting < max_size
        assert silence_s >= 0
        return min(self.hold_s, limit_s)

    @property
    def held(self) -> list[Call]:
        return [one for each in self.alive for unit in each.units for one in unit]

    @property
    def alive(self) -> list[Process]:
        return [each for each in self.processes if not each.gone]

    async def connect(self, pool: Pool, path: str, packer: Any, received: Any, lost: Any) -> Process:
        del packer
        process = Process(self, pool, int(path[1:]), received, lost)
        self.processes.append(process)
        return process

    def act(self, action: Any) -> None:
        """Do something in the loop, and let follow what does."""

        async def main() -> None:
            if asyncio.iscoroutine(found := action()):
                await found
            for _ in range(3):
                await asyncio.sleep(0)

        try:
            self.loop.run_until_complete(main())
        except AssertionError as error:
            self.errors.append(error)
        if self.errors:
            raise self.errors[0]

    def update(self, *, admit: bool = True) -> None:
        workers = [worker(pid, SLOTS, SLOTS) for pid in sorted(self.named)]
        self.act(lambda: self.dispatcher.update(service(*workers, admit=admit)))

    # ── what happens ─────────────────────────────────────────────────────────────────────────────

    @initialize(workers=st.integers(0, 3))
    def begin(self, workers: int) -> None:
        self.begin_pool(workers)
        self.act(self.use)

    def begin_pool(self, workers: int) -> None:
        async def main() -> None:
            self.pools.append(Pool(self))

        self.loop.run_until_complete(main())
        self.named = set(range(self.pid + 1, self.pid + workers + 1))
        self.pid += workers
        self.update()

    def use(self) -> None:
        """From now on calls go to the newest pool."""
        for api, counts in enumerate(self.counts):
            before = counts.queue
            found = counts.queue_of(str(api), (self.wires[api],), self.dispatcher)
            if found is not before:
                found.limits = before.limits
                self.past.append(before)

    @rule(
        workers=st.integers(0, 2),
        admit=st.sampled_from([True, True, False]),
        changed=st.sets(st.integers(0, 5), max_size=2),
        hope=st.booleans(),
    )
    def succeed(self, workers: int, admit: bool, changed: set[int], hope: bool) -> None:
        """Another pool takes the place of this one. Calls of the APIs that changed cannot move there."""
        if len(self.pools) > 8:
            return
        self.begin_pool(workers)
        if not admit:
            self.update(admit=False)
        for api in changed:
            self.wires[api] += 1

        def main() -> None:
            self.use()
            self.pools[-2].retire(hope=hope)

        self.act(main)

    @precondition(lambda self: len(self.pools) > 1)
    @rule(number=st.integers(0, 100), hope=st.booleans())
    def hope(self, number: int, hope: bool) -> None:
        """A table says whether a pool that retires may have another worker."""
        retiring = [each for each in self.pools if each.retiring and not each.gone]
        if retiring:
            pool = retiring[number % len(retiring)]
            self.act(lambda: pool.retire(hope=hope))

    @precondition(lambda self: self.past)
    @rule(number=st.integers(0, 1000), weight=st.integers(1, 3), stream=st.booleans())
    def submit_late(self, number: int, weight: int, stream: bool) -> None:
        """A call whose request began under an older table."""
        queue = self.past[number % len(self.past)]
        api = int(queue.api)
        assert queue.home is not None
        self.number += 1
        kind = StreamCall if stream and queue.limits.lone else Call
        one = call(queue, id_=self.number, now=self.clock.now, is_async=api in ASYNC, kind=kind)
        one.weight = weight if queue.limits.takes == "rows" else 1
        self.expect(one, queue.home)
        self.act(lambda: self.try_late(one, queue))

    def try_late(self, one: Call, queue: Queue) -> None:
        home = queue.home
        assert home is not None
        try:
            home.submit(one)
        except NotReady:
            heir = queue.heir()
            assert heir is None or heir.home is home or not heir.home.serves
        except (QueueFull, DeadlineExceeded):
            pass
        else:
            return
        assert (one.done, one.place) == (False, None)
        del self.calls[one.id]

    def expect(self, one: Call, dispatcher: Dispatcher) -> None:
        """A call is about to be submitted."""
        self.calls[one.id] = one
        self.via[one] = dispatcher
        one.on_finished = lambda: self.finish(one)
        one.on_released = lambda: self.release(one)

    @rule(
        api=st.integers(0, 5),
        count=st.integers(1, 9),
        groups=st.sampled_from(["a", "ab", "aab"]),
        weight=st.integers(1, 4),
        level=st.sampled_from([None, None, 1, 9]),
        retry=st.sampled_from([True, True, False]),
        timeout_s=st.sampled_from([0.01, 1.0, 100.0, 0.002]),
        stream=st.sampled_from([False, False, True]),
    )
    def submit(self, api, count, groups, weight, level, retry, timeout_s, stream) -> None:
        queue = self.queues[api]
        lone = queue.limits.lone
        options = {
            "is_async": api in ASYNC,
            "retry": retry if lone else api != 1,
            "level": level,
            "kind": StreamCall if stream and lone else Call,
        }

        def main() -> None:
            for index in range(count):
                self.number += 1
                one = call(queue, id_=self.number, now=self.clock.now, timeout_s=timeout_s, **options)
                one.group = None if lone else groups[index % len(groups)]
                one.weight = 1 + (weight + index) % 4 if queue.limits.takes == "rows" else 1
                self.expect(one, self.dispatcher)
                before = queue.waiting
                try:
                    self.dispatcher.submit(one)
                except QueueFull:
                    full = True
                except (NotReady, DeadlineExceeded):
                    full = False
                else:
                    continue
                assert not full or before >= queue.limits.waiting
                assert (one.done, one.place) == (False, None)
                del self.calls[self.number]

        self.act(main)

    def finish(self, one: Call) -> None:
        self.finished[one] = self.finished.get(one, 0) + 1
        if isinstance(one.outcome, Answer):
            assert one.outcome.value == one.id, "another's answer"
            assert 1 <= one.outcome.batch <= max(1, one.queue.limits.max_size)
        elif isinstance(one.outcome, TargetFailure):
            assert one in self.raised, "another's failure"
        elif isinstance(one.outcome, WorkerLost):
            assert one.losses > one.retry or one.timeless

    def release(self, one: Call) -> None:
        self.released[one] = self.released.get(one, 0) + 1
        assert one not in self.held
        assert one.place is None

    def some(self, number: int) -> Process | None:
        alive = [each for each in self.alive if each.units]
        return alive[number % len(alive)] if alive else None

    def entry(self, one: Call, *, ok: bool) -> list[Any]:
        if ok:
            return [DONE, one.id, 0.01, one.id]
        self.raised.add(one)
        return [RAISED, one.id, 0.01, "target-raised", "d", "l", ["m:E"]]

    @precondition(lambda self: self.held)
    @rule(
        number=st.integers(0, 100), run_s=st.sampled_from([1e-5, 0.01, 1.0]), bad=st.integers(0, 12), part=st.booleans()
    )
    def answer(self, number: int, run_s: float, bad: int, part: bool) -> None:
        """A worker answers a unit, or the last of its calls; one of them may have failed."""
        process = self.some(number)
        assert process is not None
        unit = list(process.units[number % len(process.units)])
        chosen = unit[-1:] if part else unit
        entries = [self.entry(one, ok=index != bad) for index, one in enumerate(chosen)]
        for entry in entries:
            entry[2] = run_s
        for one in chosen:
            process.over(one)
        self.act(lambda: process.tell(*entries))

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0, 100))
    def answer_all(self, number: int) -> None:
        process = self.some(number)
        assert process is not None
        entries = [self.entry(one, ok=True) for unit in process.units for one in unit]
        process.units.clear()
        self.act(lambda: process.tell(*entries))

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0, 100))
    def chunk(self, number: int) -> None:
        """A chunk; for a call that is no stream it is a lie."""
        process = self.some(number)
        assert process is not None
        one = process.units[number % len(process.units)][0]
        self.act(lambda: process.tell([CHUNK, one.id, 0.0, 1]))

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0, 100))
    def give_back(self, number: int) -> None:
        """A worker has no slot for a unit that it has not begun."""
        process = self.some(number)
        assert process is not None
        unit = process.units.pop(number % len(process.units))
        if unit[0].timeless:
            process.units.append(unit)
            return
        process.refuses.add(unit[0].is_async)
        process.refusals[unit[0].is_async] += 1
        self.come_back(unit)
        for one in unit:
            self.begun[one] -= 1
        self.act(lambda: process.tell([REFUSED, unit[0].id]))

    @rule(number=st.integers(0, 100), slots=st.integers(1, 3))
    def offer(self, number: int, slots: int) -> None:
        """Slots for a gateway that was refused some."""
        refusing = [(each, slot) for each in self.alive for slot in sorted(each.refuses)]
        if refusing:
            process, slot = refusing[number % len(refusing)]
            process.offer(slot, slots)

    @precondition(lambda self: self.alive)
    @rule(number=st.integers(0, 100), lie=st.integers(0, 3))
    def die(self, number: int, lie: int) -> None:
        """A worker dies, or lies."""
        process = self.alive[number % len(self.alive)]
        self.named.discard(process.pid)
        lies: list[list[Any]] = [[DONE, 10**9, 0.1, 1], [REFUSED, 10**9], [DONE]]
        if lie < len(lies):
            self.act(lambda: process.tell(lies[lie]))
        else:
            self.act(process.die)
        assert process.gone

    def come_back(self, unit: list[Call]) -> None:
        """These may wait although as many wait already as may."""
        for one in unit:
            self.returned[one.queue.api] = self.returned.get(one.queue.api, 0) + 1

    def waiting_or_running(self, number: int) -> Call | None:
        unfinished = [one for one in self.calls.values() if not one.done]
        return unfinished[number % len(unfinished)] if unfinished else None

    @rule(number=st.integers(0, 100), count=st.integers(1, 5))
    def leave(self, number: int, count: int) -> None:
        def main() -> None:
            for _ in range(count):
                if one := self.waiting_or_running(number):
                    self.via[one].abandon(one)

        self.act(main)

    @rule(seconds=st.sampled_from([1e-4, 0.01, 0.05, 1.0, -0.02]), ring=st.booleans())
    def pass_time(self, seconds: float, ring: bool) -> None:
        """Time passes; timers ring, or are late. It may go backwards."""
        self.clock.now += seconds
        if ring:

            def main() -> None:
                for one in list(self.calls.values()):
                    if not one.done and not one.timeless and one.deadline <= self.clock.now:
                        self.via[one].expire(one)

            self.act(main)

    @rule()
    def stop_holding(self) -> None:
        """The timers of what is held ring."""

        def main() -> None:
            for queue in (*self.queues, *self.past):
                if queue.held_until:
                    queue.home._ring(queue, queue.held_until)

        self.act(main)

    @rule(seconds=st.sampled_from([0.0, 0.0, 0.002, 1.0]))
    def decide_to_hold(self, seconds: float) -> None:
        self.hold_s = seconds

    @rule()
    def join(self) -> None:
        if len(self.named) < 4:
            self.pid += 1
            self.named.add(self.pid)
            self.update()

    @precondition(lambda self: self.named)
    @rule(number=st.integers(0, 100), admit=st.sampled_from([True, True, False]), back=st.booleans())
    def part(self, number: int, admit: bool, back: bool) -> None:
        """A worker is no longer named; maybe soon again."""
        pid = sorted(self.named)[number % len(self.named)]
        self.named.discard(pid)
        self.update(admit=admit)
        if back:
            self.named.add(pid)
            self.update(admit=admit)

    @rule(api=st.sampled_from([1, 2, 3]), size=st.integers(4, 8), slots=st.integers(0, 3))
    def change(self, api: int, size: int, slots: int) -> None:
        """A table with other limits. (Smaller batches than before: calls of rows that wait may be larger.)"""
        queue, old = self.queues[api], self.queues[api].limits
        size = max(size, old.max_size)
        queue.limits = Limits(old.waiting, slots, old.priority, old.takes, size, old.max_delay_s)
        self.act(self.dispatcher._fill)  # as the next answer would

    # ── what must be true ────────────────────────────────────────────────────────────────────────

    @invariant()
    def counts_are_right(self) -> None:
        held = self.held
        for queue in (*self.queues, *self.past):
            waiting = [one for one in self.calls.values() if one.queue is queue and one.place is not None]
            assert queue.waiting == len(waiting)
            assert queue.waiting <= queue.limits.waiting + self.returned.get(queue.api, 0)
            assert queue.running == sum(one.queue is queue for one in held)
            units = [unit for each in self.alive for unit in each.units if unit[0].queue is queue]
            assert queue.slots == len(units)
            assert not any(one.done for one in waiting)
        for process in self.alive:
            worker_ = process.pool.dispatcher._crew._workers[process.pid]
            assert set(worker_.held) == {one.id for unit in process.units for one in unit}
            assert sum(worker_.busy.values()) == len(process.units)

    @invariant()
    def nobody_is_forgotten_or_told_twice(self) -> None:
        held = set(self.held)
        for one in self.calls.values():
            assert self.finished.get(one, 0) == one.done
            assert self.released.get(one, 0) == one.released
            assert one.released == (one.done and one not in held)
            assert one.done or one in held or one.place is not None, "lost"
            assert self.begun.get(one, 0) <= 1 + one.losses + one.retry

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        """A free slot and a call that may have it are not there at the same time."""
        for queue in (*self.queues, *self.past):
            if not queue.waiting or queue.held_until or not queue.open:
                continue
            head = queue.head()
            assert head is not None
            for process in self.alive:
                if head.is_async in process.refuses or process.pool.dispatcher is not queue.home:
                    continue
                if not process.pool.retiring and process.pid not in self.named:
                    continue
                crew = process.pool.dispatcher._crew
                if crew.open and crew._workers[process.pid].leaving:  # called back only where there is nobody else
                    continue
                busy = sum(unit[0].is_async == head.is_async for unit in process.units)
                assert busy >= SLOTS, "a worker stands idle"

    @invariant()
    def pools_that_retire_keep_what_they_need_and_no_more(self) -> None:
        for pool in self.pools:
            if not pool.retiring:
                continue
            crew = pool.dispatcher._crew
            if any(pool.dispatcher._lanes.values()):
                assert not pool.gone
                assert crew.open or pool.hope, "nobody will come"
            else:
                assert not crew.open
                assert all(each.units for each in self.alive if each.pool is pool)
                assert pool.gone is not any(each.pool is pool for each in self.alive)

    def teardown(self) -> None:
        """Good workers answer all that is left."""
        try:
            if self.pools and not self.errors:
                self.settle()
        finally:
            for patch in self.patches:
                patch.stop()
            self.loop.close()

    def settle(self) -> None:
        self.hold_s = 0.0
        self.pid += 1
        self.named = {self.pid}
        self.update()
        for pool in self.pools[:-1]:
            self.act(lambda pool=pool: pool.gone or pool.retire(hope=False))
        for _ in range(300):
            self.stop_holding()
            for process in self.alive:
                for slot in sorted(process.refuses):
                    process.offer(slot, 1)
                if process.units:
                    entries = [self.entry(one, ok=True) for unit in process.units for one in unit]
                    process.units.clear()
                    self.act(lambda process=process, entries=entries: process.tell(*entries))
            self.counts_are_right()
            self.nobody_is_forgotten_or_told_twice()
        for one in self.calls.values():
            assert one.done
            assert isinstance(one.outcome, (Answer, CallError))
            assert not isinstance(one.outcome, NotReady) or not isinstance(one.outcome, ClientGone)
        for queue in (*self.queues, *self.past):
            assert (queue.waiting, queue.running, queue.slots) == (0, 0, 0)
            assert not queue._levels
            assert not queue._groups
        for pool in self.pools:
            assert not any(pool.dispatcher._lanes.values())
        assert all(pool.gone for pool in self.pools[:-1])
        assert all(each.waiting == 0 for each in (counts.stats("") for counts in self.counts))


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=50, stateful_step_count=50, deadline=None)

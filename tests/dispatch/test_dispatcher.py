"""Calls and workers: each call finishes exactly once, whatever workers do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentod.dispatch.call import Answer, Call, StreamCall, TargetFailure
from bentod.dispatch.dispatcher import Dispatcher
from bentod.dispatch.queue import Limits, Queue
from bentod.errors import CallError, ClientGone, DeadlineExceeded, NotReady, QueueFull, WorkerLost
from bentod.wire.entries import DONE, DONE_WITH, RAISED
from tests.support.links import SLOW_S, FakeLink, FakeWorkers, call, service, worker
from tests.support.loops import run, turns, until


async def bench(*pids: int, threads: int = 1, **options) -> tuple[FakeWorkers, Dispatcher]:
    """A dispatcher with connected workers."""
    workers = FakeWorkers()
    dispatcher = workers.dispatcher()
    await dispatcher.update(service(*(worker(pid, threads) for pid in pids), **options))
    return workers, dispatcher


def submitted(dispatcher: Dispatcher, count: int, quota: Queue | None = None, **options) -> list[Call]:
    """Calls, submitted one after the other."""
    calls = [call(quota, **options) for _ in range(count)]
    for one in calls:
        dispatcher.submit(one)
    return calls


def ids(calls: list[Call]) -> list[int]:
    return [one.id for one in calls]


def teach(workers: FakeWorkers, dispatcher: Dispatcher, pid: int, run_s: float) -> None:
    """Let the dispatcher measure a run time."""
    for _ in range(100):
        (one,) = submitted(dispatcher, 1)
        workers[pid].answer(one.id, run_s=run_s)


# ── sending and answering ────────────────────────────────────────────────────────────────────────


def test_a_free_worker_gets_a_call_at_once_and_its_answer_finishes_it():
    async def main():
        workers, dispatcher = await bench(1)
        (one,) = submitted(dispatcher, 1)
        assert workers[1].calls == [one.id]
        assert (one.queue.waiting, one.queue.running) == (0, 1)
        workers[1].tell([DONE, one.id, 0.25, {"a": 1}])
        answer = await one.wait()
        assert (answer.value, answer.run_s, answer.status) == ({"a": 1}, 0.25, None)
        assert answer.queue_s >= 0
        assert (one.queue.waiting, one.queue.running) == (0, 0)
        assert dispatcher.answered() == {1: 1}

    run(main())


def test_status_and_headers_come_with_the_answer():
    async def main():
        workers, dispatcher = await bench(1)
        (one,) = submitted(dispatcher, 1)
        workers[1].tell([DONE_WITH, one.id, 0.25, 5, 201, {"x": "y"}])
        assert (await one.wait())[3:5] == (201, {"x": "y"})

    run(main())


def test_a_failure_of_the_target_is_told_as_it_is():
    async def main():
        workers, dispatcher = await bench(1)
        (one,) = submitted(dispatcher, 1)
        workers[1].tell([RAISED, one.id, 0.5, "target-raised", "text", "log", ["m:E"]])
        with pytest.raises(TargetFailure) as raised:
            await one.wait()
        failure = raised.value
        assert (failure.code, failure.detail, failure.log, failure.about, failure.run_s) == (
            "target-raised",
            "text",
            "log",
            ["m:E"],
            0.5,
        )

    run(main())


def test_the_worker_with_fewest_calls_is_next():
    async def main():
        workers, dispatcher = await bench(1, 2, 3, threads=2)
        submitted(dispatcher, 6)
        assert [len(workers[pid].calls) for pid in (1, 2, 3)] == [2, 2, 2]
        workers[2].answer(workers[2].calls[0])
        (another,) = submitted(dispatcher, 1)
        assert another.id in workers[2].calls

    run(main())


def test_a_waiting_call_goes_to_whichever_worker_is_free_first():
    async def main():
        workers, dispatcher = await bench(1, 2, 3)
        running = submitted(dispatcher, 3)
        waiting = submitted(dispatcher, 3)
        assert sorted(workers[1].calls + workers[2].calls + workers[3].calls) == ids(running)
        for pid, one in zip((3, 1, 2), waiting, strict=True):
            workers[pid].answer(workers[pid].calls[0])
            assert workers[pid].calls[1:] == [one.id]

    run(main())


def test_waiting_calls_are_sent_in_the_order_of_their_arrival():
    async def main():
        workers, dispatcher = await bench(1)
        calls = submitted(dispatcher, 10)
        for one in calls:
            assert workers[1].calls[-1] == one.id
            workers[1].answer(one.id)
        assert workers[1].calls == ids(calls)

    run(main())


def test_a_new_call_does_not_overtake_waiting_ones():
    async def main():
        workers, dispatcher = await bench(admit=True)
        waiting = submitted(dispatcher, 2)
        await dispatcher.update(service(worker(1)))
        (late,) = submitted(dispatcher, 1)
        for one in (*waiting, late):
            assert workers[1].calls[-1] == one.id
            workers[1].answer(one.id)

    run(main())


def test_synchronous_and_asynchronous_calls_have_their_own_slots():
    async def main():
        workers = FakeWorkers()
        dispatcher = workers.dispatcher()
        await dispatcher.update(service(worker(1, threads=1, concurrency=3)))
        threads, tasks = submitted(dispatcher, 2), submitted(dispatcher, 4, is_async=True)
        assert workers[1].calls == [threads[0].id, *ids(tasks[:3])]
        workers[1].answer(tasks[0].id)
        assert workers[1].calls[-1] == tasks[3].id
        workers[1].answer(threads[0].id)
        assert workers[1].calls[-1] == threads[1].id

    run(main())


def test_slow_calls_are_not_sent_ahead_and_quick_ones_are():
    async def main():
        workers, dispatcher = await bench(1)
        teach(workers, dispatcher, 1, run_s=SLOW_S)
        before = len(workers[1].calls)
        calls = submitted(dispatcher, 5)
        assert len(workers[1].calls) == before + 1
        for one in calls:
            workers[1].answer(one.id)
        teach(workers, dispatcher, 1, run_s=0.00001)
        before = len(workers[1].calls)
        submitted(dispatcher, 5)
        assert len(workers[1].calls) == before + 5

    run(main())


@pytest.mark.parametrize("code", ["cancelled", "deadline-exceeded"])
def test_calls_that_never_ran_do_not_count_as_quick(code):
    """Else workers that are too slow for their deadlines were given ever more calls to hold."""

    async def main():
        workers, dispatcher = await bench(1)
        teach(workers, dispatcher, 1, run_s=0.01)
        for _ in range(200):
            (one,) = submitted(dispatcher, 1)
            dispatcher.expire(one)
            workers[1].refuse(one.id, code, run_s=0.0)
        before = len(workers[1].calls)
        submitted(dispatcher, 5)
        assert len(workers[1].calls) == before + 1

    run(main())


# ── admission ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_exactly_as_many_calls_wait_as_may(limit):
    async def main():
        workers, dispatcher = await bench(1, 2)
        quota = Queue(Limits(limit))
        submitted(dispatcher, 2 + limit, quota)
        assert (quota.running, quota.waiting) == (2, limit)
        with pytest.raises(QueueFull) as raised:
            submitted(dispatcher, 1, quota)
        assert raised.value.headers["retry-after"]
        assert (quota.running, quota.waiting) == (2, limit)
        submitted(dispatcher, 1, Queue(Limits(limit)))  # another API of the service has its own
        workers[1].answer(workers[1].calls[0])
        submitted(dispatcher, 1, quota)
        with pytest.raises(QueueFull):
            submitted(dispatcher, 1, quota)

    run(main())


def test_without_any_worker_a_call_is_refused_or_waits_as_the_table_says():
    async def main():
        workers, dispatcher = await bench(admit=False)
        with pytest.raises(NotReady) as raised:
            submitted(dispatcher, 1)
        assert raised.value.headers["retry-after"]
        await dispatcher.update(service(admit=True))
        (one,) = submitted(dispatcher, 1)
        assert dispatcher.ready == 0
        await dispatcher.update(service(worker(1)))
        assert workers[1].calls == [one.id]
        assert dispatcher.ready == 1

    run(main())


def test_waiting_calls_are_refused_once_there_is_no_hope():
    async def main():
        workers, dispatcher = await bench(1)
        running, *waiting = submitted(dispatcher, 3)
        await dispatcher.update(service(admit=False))
        for one in waiting:
            with pytest.raises(NotReady):
                await one.wait()
        assert not running.done
        workers[1].answer(running.id, "late but whole")
        assert (await running.wait()).value == "late but whole"
        assert (running.queue.waiting, running.queue.running) == (0, 0)

    run(main())


# ── workers come and go ──────────────────────────────────────────────────────────────────────────


def test_a_call_on_a_worker_that_dies_runs_again_elsewhere_before_those_that_wait():
    async def main():
        workers, dispatcher = await bench(1, 2)
        first, second, waiting = submitted(dispatcher, 3)
        workers[1].die()
        assert dispatcher.ready == 1
        lost, kept = (first, second) if first.id in workers[1].calls else (second, first)
        workers[2].answer(kept.id)
        assert workers[2].calls[-1] == lost.id
        workers[2].answer(lost.id, "again")
        assert (await lost.wait()).value == "again"
        assert workers[2].calls[-1] == waiting.id

    run(main())


def test_a_call_that_must_not_run_twice_is_lost_with_its_worker():
    async def main():
        workers, dispatcher = await bench(1, 2)
        first, second = submitted(dispatcher, 2, retry=False)
        workers[1].die()
        lost, kept = (first, second) if first.id in workers[1].calls else (second, first)
        with pytest.raises(WorkerLost):
            await lost.wait()
        assert not kept.done
        assert len(workers[2].calls) == 1
        assert lost.queue.running == 0

    run(main())


def test_a_call_that_kills_two_workers_is_not_given_a_third():
    async def main():
        workers, dispatcher = await bench(1, 2, 3)
        (one,) = submitted(dispatcher, 1)
        for _ in range(2):
            victim = next(link for link in workers.links if one.id in link.calls and not link.gone)
            assert not one.done
            victim.die()
        with pytest.raises(WorkerLost):
            await one.wait()
        assert sum(one.id in link.calls for link in workers.links) == 2
        assert (dispatcher.ready, one.queue.running, one.queue.waiting) == (1, 0, 0)

    run(main())


@pytest.mark.parametrize("retry", [True, False])
def test_calls_that_had_not_begun_lose_nothing_but_time(retry):
    async def main():
        workers, dispatcher = await bench(1, threads=2)
        teach(workers, dispatcher, 1, run_s=0.00001)
        calls = submitted(dispatcher, 6, retry=retry)
        assert workers[1].calls[-6:] == ids(calls)
        workers[1].die()
        again = calls if retry else calls[2:]
        await dispatcher.update(service(worker(2, threads=2)))
        assert workers[2].calls == ids(again)
        for one in again:
            workers[2].answer(one.id, run_s=0.00001)
        if not retry:
            for one in calls[:2]:
                with pytest.raises(WorkerLost):
                    await one.wait()
        for one in again:
            assert isinstance(await one.wait(), Answer)
        assert all((one.queue.waiting, one.queue.running) == (0, 0) for one in calls)

    run(main())


def test_only_those_that_were_begun_are_blamed_for_dead_workers():
    async def main():
        workers, dispatcher = await bench(1)
        teach(workers, dispatcher, 1, run_s=0.00001)
        killer, *others = submitted(dispatcher, 4)
        for pid in (1, 2):
            workers[pid].die()
            if pid == 1:
                await dispatcher.update(service(worker(2)))
        with pytest.raises(WorkerLost):
            await killer.wait()
        await dispatcher.update(service(worker(3)))
        assert workers[3].calls == ids(others)
        assert not any(one.done for one in others)

    run(main())


def test_the_last_worker_dies_and_calls_wait_for_the_next():
    async def main():
        workers, dispatcher = await bench(1)
        running, waiting = submitted(dispatcher, 2)
        workers[1].die()
        assert dispatcher.ready == 0
        (late,) = submitted(dispatcher, 1)
        await dispatcher.update(service(worker(2)))
        for one in (running, waiting, late):
            assert workers[2].calls[-1] == one.id
            workers[2].answer(one.id)
        await dispatcher.update(service(admit=False))
        assert dispatcher.ready == 0

    run(main())


def test_calls_of_the_last_worker_are_refused_where_none_may_wait():
    async def main():
        workers, dispatcher = await bench(1)
        (one,) = submitted(dispatcher, 1)
        await dispatcher.update(service(admit=False))
        workers[1].die()
        with pytest.raises(NotReady):
            await one.wait()
        assert (one.queue.waiting, one.queue.running) == (0, 0)

    run(main())


def test_a_worker_that_left_the_table_finishes_what_it_has_and_gets_no_more():
    async def main():
        workers, dispatcher = await bench(1)
        (old,) = submitted(dispatcher, 1)
        await dispatcher.update(service(worker(2)))
        assert not workers[1].closed
        (new,) = submitted(dispatcher, 1)
        assert workers[2].calls == [new.id]
        workers[1].answer(old.id, "old")
        assert (await old.wait()).value == "old"
        assert workers[1].closed
        await turns()
        assert workers.unusable == []
        assert dispatcher.answered() == {1: 1, 2: 0}, "what it had answered counts still"

    run(main())


def test_an_idle_worker_that_left_the_table_is_let_go_at_once():
    async def main():
        workers, dispatcher = await bench(1, 2)
        await dispatcher.update(service(worker(2)))
        assert workers[1].closed
        assert not workers[2].closed
        await turns()
        assert (dispatcher.ready, workers.unusable) == (1, [])

    run(main())


@pytest.mark.parametrize("busy", [True, False])
def test_a_worker_that_is_back_in_the_table_gets_calls_again(busy):
    """Its `ready` hook said no, and soon yes again: maybe before it has answered everything."""

    async def main():
        workers, dispatcher = await bench(1)
        held = submitted(dispatcher, 1) if busy else []
        await dispatcher.update(service(admit=True))
        assert dispatcher.ready == 0
        await dispatcher.update(service(worker(1)))
        await turns()
        for one in held:
            next(link for link in workers.links if one.id in link.calls).answer(one.id)
        await turns()
        (new,) = submitted(dispatcher, 1)
        await turns()
        assert new.id in workers[1].calls
        workers[1].answer(new.id, "served")
        assert (await new.wait()).value == "served"
        assert workers.unusable == []

    run(main())


def test_a_worker_that_refuses_connections_is_none():
    async def main():
        workers = FakeWorkers()
        workers.refused.add("/1")
        dispatcher = workers.dispatcher()
        await dispatcher.update(service(worker(1), worker(2)))
        assert dispatcher.ready == 1
        (one,) = submitted(dispatcher, 1)
        assert workers[2].calls == [one.id]
        workers.refused.clear()
        await dispatcher.update(service(worker(1), worker(2)))
        assert dispatcher.ready == 2

    run(main())


def test_a_worker_that_is_lost_while_it_is_connected_is_none():
    async def main():
        workers = FakeWorkers()
        workers.at_once_lost.add("/1")
        dispatcher = workers.dispatcher()
        await dispatcher.update(service(worker(1), worker(2)))
        assert dispatcher.ready == 1
        for one in submitted(dispatcher, 2):
            assert one.id not in workers[1].calls

    run(main())


def test_the_same_table_again_changes_nothing():
    async def main():
        workers, dispatcher = await bench(1, 2)
        submitted(dispatcher, 3)
        for _ in range(3):
            await dispatcher.update(service(worker(1), worker(2)))
        assert len(workers.links) == 2
        assert dispatcher.ready == 2

    run(main())


def test_waiting_calls_outlive_a_change_of_all_workers():
    async def main():
        workers, dispatcher = await bench(1)
        running, *waiting = submitted(dispatcher, 4)
        await dispatcher.update(service(worker(2), worker(3)))
        assert sorted(workers[2].calls + workers[3].calls) == ids(waiting[:2])
        workers[1].answer(running.id)
        workers[2].answer(workers[2].calls[0])
        assert workers[2].calls[-1] == waiting[2].id

    run(main())


# ── expired and abandoned ────────────────────────────────────────────────────────────────────────


def expire(dispatcher: Dispatcher, one: Call) -> None:
    dispatcher.expire(one)
    assert isinstance(one.outcome, DeadlineExceeded)


def abandon(dispatcher: Dispatcher, one: Call) -> None:
    dispatcher.abandon(one)
    assert isinstance(one.outcome, ClientGone)


@pytest.mark.parametrize("end", [expire, abandon])
def test_a_waiting_call_that_is_given_up_is_never_sent_and_makes_room(end: Callable[[Dispatcher, Call], None]):
    async def main():
        workers, dispatcher = await bench(1)
        quota = Queue(Limits(2))
        running, given_up, waiting = submitted(dispatcher, 3, quota)
        end(dispatcher, given_up)
        assert quota.waiting == 1
        submitted(dispatcher, 1, quota)
        workers[1].answer(running.id)
        assert workers[1].calls == [running.id, waiting.id]
        assert workers[1].cancels == []

    run(main())


@pytest.mark.parametrize("end", [expire, abandon])
def test_a_running_call_that_is_given_up_holds_its_slot_until_the_worker_says_so(end):
    async def main():
        workers, dispatcher = await bench(1)
        running, waiting = submitted(dispatcher, 2)
        end(dispatcher, running)
        assert workers[1].cancels == [running.id]
        assert workers[1].calls == [running.id]
        assert running.queue.running == 1
        workers[1].answer(running.id, "too late")
        assert running.queue.running == 0
        assert workers[1].calls == [running.id, waiting.id]

    run(main())


@pytest.mark.parametrize("end", [expire, abandon])
def test_a_call_that_was_given_up_is_not_run_again(end):
    async def main():
        workers, dispatcher = await bench(1, 2)
        first, second = submitted(dispatcher, 2)
        one = first if first.id in workers[1].calls else second
        end(dispatcher, one)
        workers[1].die()
        assert one.id not in workers[2].calls
        assert (one.queue.running, one.queue.waiting) == (0, 0)

    run(main())


def test_what_is_finished_cannot_be_given_up():
    async def main():
        workers, dispatcher = await bench(1)
        one, waiting = submitted(dispatcher, 2)
        workers[1].answer(one.id, 5)
        dispatcher.abandon(one)
        assert (await one.wait()).value == 5
        assert workers[1].cancels == []
        expire(dispatcher, waiting)
        dispatcher.abandon(waiting)
        assert waiting.queue.waiting == 0

    run(main())


def test_a_worker_stuck_beyond_a_deadline_is_reported_and_others_are_not():
    async def main():
        workers, dispatcher = await bench(1, 2, stop_timeout_s=0.02)
        for one in submitted(dispatcher, 2, timeout_s=0.0):
            expire(dispatcher, one)
        workers[2].answer(workers[2].calls[0])
        await until(lambda: workers.unusable)
        await asyncio.sleep(0.05)  # longer than the other's time
        assert [pid for pid, _ in workers.unusable] == [1]
        assert "stuck" in workers.unusable[0][1]

    run(main())


# ── lies ─────────────────────────────────────────────────────────────────────────────────────────

LIES = {
    "unknown id": lambda one: [DONE, one + 1000, 0.1, 1],
    "no id": lambda one: [DONE],
    "nothing": lambda one: [],
    "id is a list": lambda one: [DONE, [one], 0.1, 1],
    "a number": lambda one: 7,
    "no value": lambda one: [DONE, one, 0.1],
    "no time": lambda one: [DONE, one],
    "time is a text": lambda one: [DONE, one, "long", 1],
    "time is nothing": lambda one: [DONE, one, None, 1],
    "time is no number": lambda one: [DONE, one, float("nan"), 1],
    "no headers": lambda one: [DONE_WITH, one, 0.1, 1, 200],
    "too much": lambda one: [DONE_WITH, one, 0.1, 1, 200, {}, "more"],
    "no classes": lambda one: [RAISED, one, 0.1, "target-raised", "d", "l"],
    "unknown kind": lambda one: [9, one, 0.1, 1],
    "kind is nothing": lambda one: [None, one, 0.1, 1],
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
@pytest.mark.parametrize("retry", [True, False])
def test_a_worker_that_lies_has_lost_its_calls_and_nothing_else(lie, retry):
    async def main():
        workers, dispatcher = await bench(1)
        quota = Queue(Limits(5))
        running, waiting = submitted(dispatcher, 2, quota, retry=retry)
        workers[1].tell(lie(running.id))
        assert workers[1].gone
        assert dispatcher.ready == 0
        await dispatcher.update(service(worker(2)))
        if retry:
            workers[2].answer(running.id, "true")
            assert (await asyncio.wait_for(running.wait(), 5)).value == "true"
        else:
            with pytest.raises(WorkerLost):
                await asyncio.wait_for(running.wait(), 5)
        workers[2].answer(waiting.id)
        await waiting.wait()
        assert (quota.waiting, quota.running) == (0, 0)
        for one in (running, waiting):
            dispatcher.abandon(one)
        assert (quota.waiting, quota.running) == (0, 0)

    run(main())


def test_an_answer_given_twice_is_a_lie():
    async def main():
        workers, dispatcher = await bench(1)
        one, two = submitted(dispatcher, 2)
        workers[1].tell([DONE, one.id, 0.1, "first"], [DONE, one.id, 0.1, "second"])
        assert workers[1].gone
        assert (await one.wait()).value == "first"
        await dispatcher.update(service(worker(2)))
        assert workers[2].calls == [two.id]
        assert one.queue.running == 0

    run(main())


def test_a_worker_cannot_answer_for_another():
    async def main():
        workers, dispatcher = await bench(1, 2)
        first, second = submitted(dispatcher, 2)
        theirs = first if first.id in workers[2].calls else second
        workers[1].answer(theirs.id, "stolen")
        assert workers[1].gone
        assert not theirs.done

    run(main())


# ── anything ─────────────────────────────────────────────────────────────────────────────────────


class Turmoil:
    """A dispatcher, its workers and its callers, doing one thing after another."""

    def __init__(self) -> None:
        self.workers = FakeWorkers()
        self.dispatcher = self.workers.dispatcher()
        self.queues = {False: Queue(Limits(4)), True: Queue(Limits(4))}
        self.named = {1: worker(1, 2, 2)}
        self.calls: list[Call] = []
        self.answered: set[tuple[FakeLink, int]] = set()
        self.released: list[Call] = []

    async def update(self, *, admit: bool = True) -> None:
        await self.dispatcher.update(service(*self.named.values(), admit=admit))

    def link(self, number: int) -> FakeLink | None:
        alive = [link for link in self.workers.links if not link.gone]
        return alive[number % len(alive)] if alive else None

    def some_call(self, number: int) -> Call | None:
        unfinished = [one for one in self.calls if not one.done]
        return unfinished[number % len(unfinished)] if unfinished else None

    def held(self, link: FakeLink) -> list[int]:
        return [one for one in link.calls if not link.gone and (link, one) not in self.answered]

    async def submit(self, number: int) -> None:
        kind = StreamCall if number % 5 > 2 else Call
        is_async = number % 2 == 0
        one = call(self.queues[is_async], is_async=is_async, retry=number % 3 > 0, kind=kind)
        one.on_released = lambda: self.released.append(one)
        with contextlib.suppress(QueueFull, NotReady):
            self.dispatcher.submit(one)
            self.calls.append(one)

    async def chunk(self, number: int) -> None:
        """A chunk for a stream, or a lie."""
        if (link := self.link(number)) and (held := self.held(link)):
            link.chunk(held[number % len(held)], number)

    async def answer(self, number: int) -> None:
        if (link := self.link(number)) and (held := self.held(link)):
            one = held[number % len(held)]
            self.answered.add((link, one))
            [link.answer, link.refuse][number % 5 == 0](one, run_s=(0.00001, 1.0)[number % 2])

    async def die(self, number: int) -> None:
        if link := self.link(number):
            link.die()
            self.named.pop(int(link.path[1:]), None)

    async def lie(self, number: int) -> None:
        if link := self.link(number):
            held = [*self.held(link), 10**9]
            link.tell([DONE, held[number % len(held)], 0.0])
            self.named.pop(int(link.path[1:]), None)

    async def expire(self, number: int) -> None:
        if one := self.some_call(number):
            self.dispatcher.expire(one)

    async def abandon(self, number: int) -> None:
        if one := self.some_call(number):
            self.dispatcher.abandon(one)

    async def join(self, number: int) -> None:
        pid = 1 + number % 6  # maybe one that left, or that is there
        self.named[pid] = worker(pid, 2, 2)
        await self.update()

    async def part(self, number: int) -> None:
        if self.named:
            self.named.pop(sorted(self.named)[number % len(self.named)])
        await self.update(admit=number % 3 > 0)

    async def turn(self, number: int) -> None:
        await turns(number % 3)

    async def settle(self) -> None:
        """One good worker answers everything that is left."""
        self.named = {1000: worker(1000, 3, 3)}
        await self.update()
        for _ in range(100):
            await turns(2)
            for link in self.workers.links:
                for one in self.held(link):
                    self.answered.add((link, one))
                    link.answer(one)

    def check(self) -> None:
        for queue in self.queues.values():
            assert (queue.waiting, queue.running, queue.slots) == (0, 0, 0)
        for one in self.calls:
            assert one.done
            assert isinstance(one.outcome, CallError) or one.losses <= one.retry
        assert sorted(ids(self.released)) == sorted(ids(self.calls))


STEPS = (
    "submit",
    "submit",
    "submit",
    "answer",
    "answer",
    "chunk",
    "die",
    "lie",
    "expire",
    "abandon",
    "join",
    "part",
    "turn",
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 1000)), max_size=80))
def test_whatever_happens_each_call_finishes_once_and_the_counts_are_right(steps):
    async def main():
        turmoil = Turmoil()
        await turmoil.update()
        for step, number in steps:
            await getattr(turmoil, step)(number)
            for queue in turmoil.queues.values():
                assert min(queue.waiting, queue.running, queue.slots) >= 0
        await turmoil.settle()
        turmoil.check()

    run(main())


# ── calls that are on their way ──────────────────────────────────────────────────────────────────


def test_a_pool_that_retires_keeps_its_workers_for_what_is_on_its_way():
    async def main():
        gone = []
        workers, dispatcher = await bench(1)
        one = call()
        dispatcher.expect(one.queue)
        dispatcher.expect(one.queue)
        dispatcher.retire(lambda: gone.append(1))
        assert not workers[1].closed
        dispatcher.submit(one)
        dispatcher.expected(one.queue)
        workers[1].answer(one.id)
        assert one.done
        assert not workers[1].closed
        dispatcher.expected(one.queue)  # its client has left
        assert workers[1].closed
        assert gone == [1]

    run(main())


def test_what_is_on_its_way_when_all_workers_die_is_not_ready():
    async def main():
        gone = []
        workers, dispatcher = await bench(1)
        one = call()
        dispatcher.expect(one.queue)
        dispatcher.retire(lambda: gone.append(1))
        workers[1].die()
        assert gone == []
        with pytest.raises(NotReady):
            dispatcher.submit(one)
        dispatcher.expected(one.queue)
        assert gone == [1]

    run(main())

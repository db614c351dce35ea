"""Batches: what shares one, what becomes of one, whoever dies, leaves or refuses meanwhile."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from types import SimpleNamespace

import pytest

from bentod.dispatch import dispatcher as dispatcher_module
from bentod.dispatch import lane as lane_module
from bentod.dispatch import worker as worker_module
from bentod.dispatch.call import Answer, Call, TargetFailure
from bentod.dispatch.deadlines import Deadlines
from bentod.dispatch.dispatcher import Dispatcher
from bentod.dispatch.queue import Limits, Queue
from bentod.errors import ClientGone, DeadlineExceeded, QueueFull, WorkerLost
from bentod.wire.entries import BATCH, CHUNK, DONE, RAISED, REFUSED
from tests.support.links import FakeWorkers, call, service, worker
from tests.support.loops import LOOPS, run, turns, until

ALL = Limits(waiting=1000, takes="columns", max_size=8)


async def bench(*pids: int, threads: int = 1, limits: Limits = ALL) -> tuple[FakeWorkers, Dispatcher, Queue]:
    """A dispatcher with connected workers, and an API."""
    workers = FakeWorkers()
    dispatcher = workers.dispatcher()
    await dispatcher.update(service(*(worker(pid, threads) for pid in pids)))
    return workers, dispatcher, Queue(limits)


async def submitted(dispatcher: Dispatcher, queue: Queue, count: int, **options) -> list[Call]:
    """Calls that came in one turn of the loop; it is over."""
    calls = [call(queue, **options) for _ in range(count)]
    for one in calls:
        dispatcher.submit(one)
    await turns(2)
    return calls


def ids(calls: list[Call]) -> list[int]:
    return [one.id for one in calls]


def counts(queue: Queue) -> tuple[int, int, int]:
    return queue.waiting, queue.running, queue.slots


# ── what shares a batch ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("loop", list(LOOPS))
def test_all_that_come_in_one_turn_of_the_loop_share_a_batch(loop):
    async def main():
        workers, dispatcher, queue = await bench(1)
        calls = await submitted(dispatcher, queue, 5)
        assert workers[1].batches == [ids(calls)]
        assert workers[1].entries[0] == [BATCH, calls[0].id, 5, "columns", True]
        assert counts(queue) == (0, 5, 1)
        workers[1].answer_batch(ids(calls))
        for one in calls:
            answer = await one.wait()
            assert (answer.value, answer.batch) == (one.id, 5)
        assert counts(queue) == (0, 0, 0)
        assert (queue.batches, queue.batched) == (1, 5)
        assert dispatcher.answered() == {1: 5}

    run(main(), loop)


def test_who_is_alone_waits_for_nobody():
    async def main():
        workers, dispatcher, queue = await bench(1, limits=Limits(takes="items", max_size=8, max_delay_s=10.0))
        (one,) = await submitted(dispatcher, queue, 1)
        assert workers[1].batches == [[one.id]]

    run(main())


def test_what_waits_while_a_worker_is_busy_is_its_next_batch():
    async def main():
        workers, dispatcher, queue = await bench(1)
        first = await submitted(dispatcher, queue, 1)
        later = [one for _ in range(5) for one in await submitted(dispatcher, queue, 1)]
        assert workers[1].batches == [ids(first)]
        workers[1].answer_batch(ids(first))
        assert workers[1].batches == [ids(first), ids(later)]

    run(main())


def test_no_batch_is_larger_than_may_be_and_no_part_is_sent_ahead():
    async def main():
        workers, dispatcher, queue = await bench(1)
        calls = await submitted(dispatcher, queue, 20)
        for number, batch in enumerate((ids(calls[:8]), ids(calls[8:16]), ids(calls[16:]))):
            assert workers[1].batches[number:] == [batch]
            workers[1].answer_batch(batch, run_s=1e-6)  # so quick that lone calls were sent ahead
        assert counts(queue) == (0, 0, 0)

    run(main())


@pytest.mark.parametrize(("seconds", "ahead"), [(0.001, 1), (0.1, 0)])
def test_one_full_batch_is_ahead_where_batches_are_short(monkeypatch, seconds, ahead):
    async def main():
        clock = SimpleNamespace(now=1e6)
        for module in (dispatcher_module, worker_module):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
        workers, dispatcher, queue = await bench(1)
        for _ in range(5):
            calls = await submitted(dispatcher, queue, 1, now=clock.now)
            clock.now += seconds
            workers[1].answer_batch(ids(calls))
        before = len(workers[1].batches)
        await submitted(dispatcher, queue, 40, now=clock.now)
        assert len(workers[1].batches) == before + 1 + ahead

    run(main())


def test_the_slot_of_a_batch_is_free_with_its_last_answer():
    async def main():
        workers, dispatcher, queue = await bench(1)
        calls = await submitted(dispatcher, queue, 3)
        (waiting,) = await submitted(dispatcher, queue, 1)
        for one in reversed(calls):
            assert len(workers[1].batches) == 1
            workers[1].answer(one.id)
            assert one.done
        assert workers[1].batches[1:] == [[waiting.id]]

    run(main())


def test_groups_rows_and_apis_never_mix():
    async def main():
        workers, dispatcher, queue = await bench(1)
        (first,) = await submitted(dispatcher, queue, 1)
        other = Queue(ALL)
        one = [call(api, group=group, weight=weight) for api, group, weight in (
            (queue, "a", 5), (queue, "b", 1), (queue, "a", 3), (queue, "a", 1), (other, "a", 1), (queue, "b", 8),
        )]  # fmt: skip
        for each in one:
            dispatcher.submit(each)
        sizes = {}
        workers[1].answer_batch([first.id])
        for number in range(1, 6):
            batch = workers[1].batches[number]
            sizes[tuple(batch)] = sum(each.weight for each in one if each.id in batch)
            workers[1].answer_batch(batch)
        found = [set(batch) for batch in workers[1].batches[1:]]
        assert sorted(map(sorted, found)) == sorted(map(sorted, (
            {one[0].id, one[2].id}, {one[1].id}, {one[3].id}, {one[4].id}, {one[5].id}
        )))  # fmt: skip
        assert max(sizes.values()) == 8
        assert one[0].outcome.batch == 8  # type: ignore[union-attr]

    run(main())


@pytest.mark.parametrize("takes", ["item", "columns", "items", "rows"])
@pytest.mark.parametrize("max_size", [0, 1])
def test_what_is_not_batched_is_sent_one_by_one(takes, max_size):
    async def main():
        workers, dispatcher, queue = await bench(1, limits=Limits(takes=takes, max_size=max_size))
        calls = await submitted(dispatcher, queue, 3)
        for one in calls:
            assert one.id in workers[1].calls
            workers[1].answer(one.id)
        assert workers[1].calls == ids(calls)
        lone = takes == "item" and not max_size
        assert workers[1].batches == ([] if lone else [[one] for one in ids(calls)])

    run(main())


def test_a_burst_is_not_refused_while_slots_are_free_for_it():
    async def main():
        workers, dispatcher, queue = await bench(1, 2, limits=Limits(4, takes="columns", max_size=4))
        calls = await submitted(dispatcher, queue, 12)
        assert sorted(len(batch) for pid in (1, 2) for batch in workers[pid].batches) == [4, 4]
        assert counts(queue) == (4, 8, 2)
        with pytest.raises(QueueFull):
            await submitted(dispatcher, queue, 1)
        assert not any(one.done for one in calls)

    run(main())


# ── concurrency, levels ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("limits", [Limits(slots=2), Limits(slots=2, takes="columns", max_size=3)])
def test_an_api_has_no_more_slots_than_it_may(limits):
    async def main():
        workers, dispatcher, queue = await bench(1, 2, threads=4, limits=limits)
        bounded = await submitted(dispatcher, queue, 9)
        assert queue.slots == 2
        assert queue.running == (6 if limits.max_size else 2)
        free = await submitted(dispatcher, Queue(Limits()), 4)  # others do not wait for it
        assert all(one.place is None for one in free)
        for _ in range(9):
            for pid in (1, 2):
                for one in list(workers[pid].calls):
                    if any(one == each.id and not each.done for each in bounded):
                        workers[pid].answer(one)
                        assert queue.slots <= 2
        assert all(one.done for one in bounded)
        assert counts(queue) == (0, 0, 0)

    run(main())


def test_the_slots_that_an_api_may_not_have_do_not_make_its_batches_smaller():
    async def main():
        limits = Limits(1000, slots=1, takes="columns", max_size=8)
        workers, dispatcher, queue = await bench(1, 2, threads=4, limits=limits)
        for size in (1, 2, 4, 8):
            for _ in range(4):
                queue.learn(None, size, 0.01 + 0.01 * size)  # two slots were better
        await submitted(dispatcher, queue, 8)
        assert [len(batch) for link in workers.links for batch in link.batches] == [8]

    run(main())


def test_levels_are_served_first_and_the_eighth_turn_is_the_oldests():
    async def main():
        workers, dispatcher, queue = await bench(1, limits=Limits(1000))
        (running,) = await submitted(dispatcher, queue, 1)
        low = await submitted(dispatcher, queue, 2, level=9)
        high = await submitted(dispatcher, queue, 20, level=1)
        for _ in range(16):
            workers[1].answer(workers[1].calls[-1])
        expected = ids(high)
        expected.insert(7, low[0].id)
        expected.insert(15, low[1].id)
        assert workers[1].calls == [running.id, *expected[:16]]

    run(main())


# ── failures ─────────────────────────────────────────────────────────────────────────────────────


def test_one_poisoned_call_among_31_is_its_own_failure():
    async def main():
        workers, dispatcher, queue = await bench(1, limits=Limits(takes="columns", max_size=32))
        calls = await submitted(dispatcher, queue, 32)
        bad = calls[13]
        workers[1].tell(*(
            [RAISED, one.id, 1.0, "target-raised", "d", "l", ["m:E"]] if one is bad else [DONE, one.id, 1.0, one.id]
            for one in calls
        ))  # fmt: skip
        for one in calls:
            if one is bad:
                with pytest.raises(TargetFailure):
                    await one.wait()
            else:
                assert (await one.wait()).value == one.id
        assert counts(queue) == (0, 0, 0)
        assert queue.cost(None, 32) is None  # what failed teaches nothing

    run(main())


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_calls_of_a_batch_whose_worker_dies_run_again_alone(answered):
    async def main():
        workers, dispatcher, queue = await bench(1)
        calls = await submitted(dispatcher, queue, 3)
        (waiting,) = await submitted(dispatcher, queue, 1)
        workers[1].answer_batch(ids(calls[:answered]))
        workers[1].die()
        assert counts(queue) == (4 - answered, 0, 0)
        await dispatcher.update(service(worker(2)))
        for one in (*calls[answered:], waiting):
            assert workers[2].batches[-1] == [one.id]
            workers[2].answer_batch([one.id])
        for one in (*calls, waiting):
            assert (await one.wait()).value == one.id
        assert counts(queue) == (0, 0, 0)

    run(main())


def test_only_the_call_that_kills_workers_is_lost():
    async def main():
        workers, dispatcher, queue = await bench(1, 2, 3)
        calls = await submitted(dispatcher, queue, 6)
        bad = calls[2]
        for _ in range(20):
            for link in workers.links:
                held = [one for one in link.calls if not next(each for each in calls if each.id == one).done]
                if link.gone or not held:
                    continue
                if bad.id in held:
                    link.die()
                else:
                    link.answer_batch([one for one in link.batches[-1] if one in held])
        with pytest.raises(WorkerLost):
            await bad.wait()
        for one in calls:
            assert one is bad or (await one.wait()).value == one.id
        assert sum(link.gone for link in workers.links) == 2
        assert counts(queue) == (0, 0, 0)

    run(main())


def test_calls_that_must_not_run_twice_are_lost_with_their_batch():
    async def main():
        workers, dispatcher, queue = await bench(1, 2)
        calls = await submitted(dispatcher, queue, 3, retry=False)
        (holder,) = [link for link in workers.links if link.batches]
        assert holder.entries[0][4] is False
        holder.answer(calls[0].id, "done")
        holder.die()
        assert (await calls[0].wait()).value == "done"
        for one in calls[1:]:
            with pytest.raises(WorkerLost):
                await one.wait()
        assert counts(queue) == (0, 0, 0)
        assert [link.batches for link in workers.links if link is not holder] == [[]]

    run(main())


LIES = {
    "another batch's": lambda batch: [DONE, batch[-1] + 1000, 0.1, 1],
    "no time": lambda batch: [DONE, batch[0]],
    "time is negative": lambda batch: [DONE, batch[0], -0.1, 1],
    "a chunk": lambda batch: [CHUNK, batch[0], 0.1, 1],
    "not begun, but unknown": lambda batch: [REFUSED, batch[-1] + 1000],
    "not begun, but nobody": lambda batch: [REFUSED],
    "not begun, and a list": lambda batch: [REFUSED, batch],
    "the batch": lambda batch: [BATCH, batch[0], 1, "columns", True],
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_what_is_no_answer_breaks_the_link_and_the_rest_of_the_batch_runs_elsewhere(lie):
    async def main():
        workers, dispatcher, queue = await bench(1)
        calls = await submitted(dispatcher, queue, 3)
        workers[1].tell([DONE, calls[1].id, 0.1, "true"], lie(ids(calls)))
        assert workers[1].gone
        assert (await calls[1].wait()).value == "true"
        await dispatcher.update(service(worker(2)))
        for one in (calls[0], calls[2]):
            assert workers[2].batches[-1] == [one.id]
            workers[2].answer_batch([one.id])
        assert counts(queue) == (0, 0, 0)

    run(main())


def test_an_answer_for_a_call_of_a_batch_given_twice_is_a_lie():
    async def main():
        workers, dispatcher, queue = await bench(1)
        one, two = await submitted(dispatcher, queue, 2)
        workers[1].tell([DONE, one.id, 0.1, "first"], [DONE, one.id, 0.1, "second"])
        assert workers[1].gone
        assert (await one.wait()).value == "first"
        assert not two.done
        assert counts(queue) == (1, 0, 0)

    run(main())


# ── several gateways ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("limits", [Limits(), ALL], ids=["lone", "batched"])
def test_what_a_worker_gives_back_waits_where_it_was(limits):
    async def main():
        workers, dispatcher, queue = await bench(1, limits=limits)
        first = await submitted(dispatcher, queue, 3)
        later = await submitted(dispatcher, queue, 2)
        before = list(workers[1].calls)
        workers[1].full(first[0].id)
        assert counts(queue) == (5, 0, 0)
        await submitted(dispatcher, queue, 1)
        assert workers[1].calls == before  # others have its slots
        workers[1].free()
        expected = ids(first[:1] if limits.lone else [*first, *later])
        assert workers[1].calls[len(before) :][: len(expected)] == expected
        assert workers[1].passes == 0
        assert all(one.losses == 0 and not one.alone for one in first)

    run(main())


def test_what_one_worker_gives_back_another_takes():
    async def main():
        workers, dispatcher, queue = await bench(1, 2)
        calls = await submitted(dispatcher, queue, 3)
        holder, other = sorted(workers.links, key=lambda link: not link.batches)
        holder.full(calls[0].id)
        assert other.batches == [ids(calls)]
        holder.free()
        assert holder.passes == 1  # nothing waits
        (late,) = await submitted(dispatcher, queue, 1)
        assert holder.batches[1:] == [[late.id]]

    run(main())


def test_what_nobody_waits_for_any_more_is_given_back_for_good():
    async def main():
        workers, dispatcher, queue = await bench(1)
        one, two = await submitted(dispatcher, queue, 2)
        dispatcher.abandon(one)
        workers[1].full(one.id)
        assert one.released
        assert counts(queue) == (1, 0, 0)
        workers[1].free()
        assert workers[1].batches[1:] == [[two.id]]

    run(main())


def test_a_worker_that_leaves_may_still_give_back():
    async def main():
        workers, dispatcher, queue = await bench(1)
        calls = await submitted(dispatcher, queue, 2)
        await dispatcher.update(service(worker(2)))
        workers[1].full(calls[0].id)
        assert workers[2].batches == [ids(calls)]
        assert workers[1].closed

    run(main())


def test_calls_that_come_back_may_be_more_than_may_wait():
    async def main():
        workers, dispatcher, queue = await bench(1, limits=Limits(2, takes="columns", max_size=2))
        running = await submitted(dispatcher, queue, 2)
        await submitted(dispatcher, queue, 2)
        workers[1].full(running[0].id)
        assert queue.waiting == 4
        with pytest.raises(QueueFull):
            await submitted(dispatcher, queue, 1)

    run(main())


# ── too late, gone ───────────────────────────────────────────────────────────────────────────────


def test_who_expires_or_leaves_while_waiting_is_in_no_batch():
    async def main():
        workers, dispatcher, queue = await bench(1)
        (running,) = await submitted(dispatcher, queue, 1)
        gone, late, *calls = await submitted(dispatcher, queue, 4)
        dispatcher.abandon(gone)
        dispatcher.expire(late)
        assert counts(queue) == (2, 1, 1)
        workers[1].answer_batch([running.id])
        assert workers[1].batches[1:] == [ids(calls)]
        assert workers[1].cancels == []

    run(main())


def test_who_is_too_late_is_never_sent_although_no_timer_rang():
    async def main():
        workers, dispatcher, queue = await bench(1)
        (running,) = await submitted(dispatcher, queue, 1)
        late = await submitted(dispatcher, queue, 3, timeout_s=-0.001)
        calls = await submitted(dispatcher, queue, 2)
        later = await submitted(dispatcher, queue, 1, timeout_s=-0.001)
        workers[1].answer_batch([running.id])
        workers[1].answer_batch(ids(calls))
        assert workers[1].batches[1:] == [ids(calls)]
        for one in (*late, *later):
            assert isinstance(one.outcome, DeadlineExceeded)
            assert one.released
        assert counts(queue) == (0, 0, 0)

    run(main())


def test_who_leaves_a_running_batch_is_cancelled_and_the_batch_holds_its_slot():
    async def main():
        workers, dispatcher, queue = await bench(1)
        gone, *calls = await submitted(dispatcher, queue, 3)
        (waiting,) = await submitted(dispatcher, queue, 1)
        dispatcher.abandon(gone)
        assert workers[1].cancels == [gone.id]
        workers[1].answer_batch(ids(calls))
        assert counts(queue) == (1, 1, 1)
        workers[1].refuse(gone.id, "cancelled", run_s=0.0)
        assert workers[1].batches[1:] == [[waiting.id]]
        assert isinstance(gone.outcome, ClientGone)
        assert gone.released

    run(main())


def test_a_call_that_would_come_too_late_is_refused_at_once():
    async def main():
        workers, dispatcher, queue = await bench(1)
        await submitted(dispatcher, queue, 1)
        now = time.monotonic()
        waiting = await submitted(dispatcher, queue, 100, timeout_s=1000.0)
        queue.drain.begin(now - 10)
        for number in range(10):
            queue.drain.left(1, now - 9 + number)
        with pytest.raises(DeadlineExceeded):
            await submitted(dispatcher, queue, 1, timeout_s=30.0)
        assert queue.waiting == len(waiting)
        await submitted(dispatcher, queue, 1, timeout_s=300.0)
        assert len(workers[1].batches) == 1

    run(main())


def test_a_stalled_worker_with_a_full_queue():
    """Its callers are told in time, newcomers at once, and nothing is kept."""

    async def main():
        workers, dispatcher, queue = await bench(1, limits=Limits(50, takes="columns", max_size=8))
        deadlines = Deadlines(dispatcher.expire)
        running = await submitted(dispatcher, queue, 8)
        calls = await submitted(dispatcher, queue, 50, timeout_s=0.05)
        for one in calls:
            deadlines.watch(one)
        for _ in range(100):
            with pytest.raises(QueueFull):
                await submitted(dispatcher, queue, 1)
        await until(lambda: queue.waiting == 0)
        assert all(isinstance(one.outcome, DeadlineExceeded) and one.released for one in calls)
        (late,) = await submitted(dispatcher, queue, 1)
        workers[1].answer_batch(ids(running))
        assert workers[1].batches[1:] == [[late.id]]

    run(main())


@pytest.mark.parametrize(
    "limits", [Limits(10_000), Limits(10_000, takes="columns", max_size=32)], ids=["lone", "batched"]
)
def test_ten_thousand_callers_leave(limits):
    async def main():
        workers, dispatcher, queue = await bench(1, limits=limits)
        running = await submitted(dispatcher, queue, limits.max_size or 1)
        calls = await submitted(dispatcher, queue, 10_000)
        with pytest.raises(QueueFull):
            await submitted(dispatcher, queue, 1)
        gc.collect()
        begun = time.monotonic()
        for one in calls[::2] + calls[1::2][::-1]:
            dispatcher.abandon(one)
        assert time.monotonic() - begun < 2
        assert all(one.released for one in calls)
        del calls, one
        assert sum(type(thing) is Call for thing in gc.get_objects()) < 200
        assert counts(queue) == (0, len(running), 1)
        (late,) = await submitted(dispatcher, queue, 1)
        workers[1].answer_batch(ids(running))
        assert workers[1].calls[-1] == late.id
        assert workers[1].cancels == []

    run(main())


def test_answers_are_not_kept_by_those_who_shared_the_batch():
    class Large(list):
        """Can be watched."""

    async def main():
        workers, dispatcher, queue = await bench(1)
        calls = await submitted(dispatcher, queue, 8)
        value = Large()
        watched = weakref.ref(value)
        workers[1].tell([DONE, calls[0].id, 0.1, value])
        workers[1].answer_batch(ids(calls[1:]))
        gc.disable()
        try:
            del calls, value
            await turns()
            assert watched() is None
        finally:
            gc.enable()
        assert counts(queue) == (0, 0, 0)

    run(main())


# ── holding ──────────────────────────────────────────────────────────────────────────────────────

HELD = Limits(1000, takes="columns", max_size=4, max_delay_s=0.5)


def deciding(monkeypatch, *decisions: float) -> list[float]:
    """What is decided about holding: these, then never; how much waited each time."""
    asked: list[float] = []
    left = list(decisions)

    def hold_s(waiting, *_):
        asked.append(waiting)
        return left.pop(0) if left else 0.0

    monkeypatch.setattr(lane_module, "hold_s", hold_s)
    return asked


@pytest.mark.parametrize("loop", list(LOOPS))
def test_what_is_held_is_sent_when_its_time_is_over(monkeypatch, loop):
    async def main():
        asked = deciding(monkeypatch, 0.02, 0.02)
        workers, dispatcher, queue = await bench(1, limits=HELD)
        begun = time.monotonic()
        (one,) = await submitted(dispatcher, queue, 1)
        assert workers[1].batches == []
        await until(lambda: workers[1].batches)
        assert time.monotonic() - begun >= 0.015
        assert workers[1].batches == [[one.id]]
        assert asked == [1]  # nobody came: it is not held again

    run(main(), loop)


def test_each_arrival_is_a_new_decision_and_a_full_batch_is_none(monkeypatch):
    async def main():
        asked = deciding(monkeypatch, *[0.4] * 10)
        workers, dispatcher, queue = await bench(1, limits=HELD)
        calls = []
        for _ in range(4):
            assert workers[1].batches == []
            calls += await submitted(dispatcher, queue, 1)
        assert workers[1].batches == [ids(calls)]
        assert asked == [1, 2, 3]

    run(main())


def test_others_do_not_wait_for_what_is_held(monkeypatch):
    async def main():
        deciding(monkeypatch, 0.4)
        workers, dispatcher, queue = await bench(1, limits=HELD)
        (held,) = await submitted(dispatcher, queue, 1)
        (other,) = await submitted(dispatcher, Queue(Limits()), 1)
        assert workers[1].calls == [other.id]
        workers[1].answer(other.id)
        assert held.place is not None

    run(main())


def test_what_is_held_may_leave(monkeypatch):
    async def main():
        deciding(monkeypatch, 0.01)
        workers, dispatcher, queue = await bench(1, limits=HELD)
        (one,) = await submitted(dispatcher, queue, 1)
        dispatcher.abandon(one)
        assert (counts(queue), queue.held_until) == ((0, 0, 0), 0.0)
        (two,) = await submitted(dispatcher, queue, 1)
        assert workers[1].batches == [[two.id]]

    run(main())


def test_without_a_delay_nothing_is_ever_held(monkeypatch):
    async def main():
        asked = deciding(monkeypatch, *[0.4] * 10)
        workers, dispatcher, queue = await bench(1)
        (one,) = await submitted(dispatcher, queue, 1)
        assert workers[1].batches == [[one.id]]
        assert asked == []

    run(main())


def test_a_worker_that_offers_its_slot_to_what_is_held_is_told_so(monkeypatch):
    async def main():
        deciding(monkeypatch, 0.0, 0.02)
        workers, dispatcher, queue = await bench(1, limits=HELD)
        (one,) = await submitted(dispatcher, queue, 1)
        workers[1].full(one.id)
        workers[1].free()
        assert workers[1].passes == 1
        await until(lambda: len(workers[1].batches) == 2)

    run(main())


# ── a clock that goes backwards ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("back", [0.001, 5.0, 1e5])
def test_a_clock_that_goes_backwards_stops_nothing(monkeypatch, back):
    async def main():
        clock = SimpleNamespace(now=1e9)
        frozen = SimpleNamespace(monotonic=lambda: clock.now)
        for module in (dispatcher_module, worker_module):
            monkeypatch.setattr(module, "time", frozen)
        workers, dispatcher, queue = await bench(1, limits=HELD)
        for number in range(40):
            clock.now += -back if number % 3 == 1 else 0.01
            calls = await submitted(dispatcher, queue, 6, now=clock.now)
            clock.now -= back * (number % 2)
            await until(lambda: workers[1].batches)
            while not all(one.done for one in calls):
                held = [one for one in workers[1].batches[-1] if one in {each.id for each in calls if not each.done}]
                if held:
                    workers[1].answer_batch(held, run_s=0.01)
                else:
                    await asyncio.sleep(0.002)  # it is held
            assert all(isinstance(one.outcome, Answer) and one.outcome.value == one.id for one in calls)
            assert counts(queue) == (0, 0, 0)
        cost = queue.cost(None, 1)
        assert cost is not None
        assert cost >= 0

    run(main())

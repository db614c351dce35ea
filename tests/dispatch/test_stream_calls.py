"""Calls that are answered chunk by chunk: in order, with one end, whatever worker and client do."""

from __future__ import annotations

import asyncio
import time

import pytest

from bentod.dispatch.call import Answer, Call, StreamCall, TargetFailure
from bentod.dispatch.deadlines import Deadlines
from bentod.dispatch.dispatcher import Dispatcher
from bentod.dispatch.queue import Limits, Queue
from bentod.errors import ClientGone, DeadlineExceeded, NotReady, QueueFull, WorkerLost
from bentod.wire.entries import CHUNK, CHUNK_WITH, DONE
from tests.support.links import SLOW_S, FakeWorkers, call, service, worker
from tests.support.loops import LOOPS, run, turns, until

SOON_S = 20.0


async def bench(*pids: int, threads: int = 1, **options) -> tuple[FakeWorkers, Dispatcher]:
    """A dispatcher with connected workers."""
    workers = FakeWorkers()
    dispatcher = workers.dispatcher()
    await dispatcher.update(service(*(worker(pid, threads) for pid in pids), **options))
    return workers, dispatcher


def stream(dispatcher: Dispatcher | None = None, **options) -> StreamCall:
    """A call of a stream, submitted."""
    one = call(kind=StreamCall, **options)
    assert isinstance(one, StreamCall)
    if dispatcher is not None:
        dispatcher.submit(one)
    return one


async def rest(one: StreamCall) -> list:
    """The values of all chunks until the end."""
    values = []
    while (chunks := await one.next(SOON_S)) is not None:
        assert chunks, "nothing came"
        values += [chunk.value for chunk in chunks]
    return values


# ── chunks and ends ──────────────────────────────────────────────────────────────────────────────


def test_chunks_come_in_order_and_then_the_end():
    async def main():
        workers, dispatcher = await bench(1)
        one = stream(dispatcher)
        workers[1].chunk(one.id, 1)
        assert [chunk.value for chunk in await one.next(SOON_S)] == [1]
        reading = asyncio.create_task(rest(one))
        await turns()
        for values in ([2], [3, 4], []):
            workers[1].chunk(one.id, *values)
            await turns(len(values))
        workers[1].tell([CHUNK, one.id, 0.5, 5], [DONE, one.id, 0.75, None])
        assert await reading == [2, 3, 4, 5]
        assert await one.next(SOON_S) is None
        assert (await one.wait()).run_s == 0.75
        assert (one.queue.waiting, one.queue.running) == (0, 0)
        assert dispatcher.answered() == {1: 1}

    run(main())


def test_a_stream_may_be_empty():
    async def main():
        workers, dispatcher = await bench(1)
        one = stream(dispatcher)
        workers[1].answer(one.id)
        assert await rest(one) == []

    run(main())


def test_times_status_and_headers_come_with_a_chunk():
    async def main():
        workers, dispatcher = await bench(1)
        one = stream(dispatcher)
        workers[1].tell([CHUNK_WITH, one.id, 0.25, "x", 201, {"a": "b"}])
        ((value, queue_s, run_s, status, headers, _),) = await one.next(SOON_S)
        assert (value, run_s, status, headers) == ("x", 0.25, 201, {"a": "b"})
        assert queue_s >= 0

    run(main())


def test_an_error_ends_a_stream_after_its_last_chunk():
    async def main():
        workers, dispatcher = await bench(1)
        one = stream(dispatcher)
        workers[1].chunk(one.id, 1, 2)
        workers[1].refuse(one.id)
        assert [chunk.value for chunk in await one.next(SOON_S)] == [1, 2]
        for _ in range(2):
            with pytest.raises(TargetFailure):
                await one.next(SOON_S)
        assert one.queue.running == 0

    run(main())


def test_nothing_comes_for_a_while():
    async def main():
        workers, dispatcher = await bench(1)
        one = stream(dispatcher)
        for _ in range(2):
            begun = time.monotonic()
            assert await one.next(0.02) == []
            assert time.monotonic() - begun >= 0.015
        workers[1].chunk(one.id, 1)
        assert len(await one.next(0.02)) == 1

    run(main())


def test_who_waits_for_a_chunk_may_give_up_and_come_again():
    async def main():
        workers, dispatcher = await bench(1)
        one = stream(dispatcher)
        for _ in range(2):
            waiting = asyncio.create_task(one.next(SOON_S))
            await turns()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        workers[1].chunk(one.id, 1)
        assert len(await one.next(SOON_S)) == 1

    run(main())


def test_a_worker_says_of_a_stream_that_it_takes_long_only_once_it_has_ended():
    """Chunks do not count as calls: their times are no run times."""

    async def main():
        workers, dispatcher = await bench(1)
        one = stream(dispatcher)
        for _ in range(100):
            workers[1].tell([CHUNK, one.id, 0.00001, 1])
        workers[1].answer(one.id, run_s=SLOW_S)
        before = len(workers[1].calls)
        for _ in range(3):
            stream(dispatcher)
        assert len(workers[1].calls) == before + 1

    run(main())


# ── deadlines ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("loop", list(LOOPS))
def test_the_first_chunk_meets_the_deadline_and_no_chunk_does_not(loop):
    async def main():
        workers, dispatcher = await bench(1, threads=3)
        deadlines = Deadlines(dispatcher.expire)
        begun, silent, also_begun = (stream(dispatcher, timeout_s=seconds) for seconds in (0.05, 0.1, 0.15))
        for one in (begun, silent, also_begun):
            deadlines.watch(one)
        workers[1].chunk(begun.id, 1)
        workers[1].chunk(also_begun.id, 1)
        with pytest.raises(DeadlineExceeded):
            await silent.next(SOON_S)
        late = stream(timeout_s=0.0)
        deadlines.watch(late)  # rings after the deadlines of all of them
        await until(lambda: late.done)
        assert time.monotonic() > begun.deadline
        assert workers[1].cancels == [silent.id]
        workers[1].chunk(begun.id, 2)
        workers[1].answer(begun.id)
        assert await rest(begun) == [1, 2]
        assert not also_begun.done

    run(main(), loop)


def test_calls_whose_deadline_is_met_are_not_kept_for_it():
    async def main():
        deadlines = Deadlines(lambda one: one.finish(DeadlineExceeded()))
        for _ in range(1000):
            one = stream(timeout_s=3600)
            deadlines.watch(one)
            one.chunk(Answer(1, 0.0, 0.0))
        assert len(deadlines._calls) < 200

    run(main())


def test_a_stream_that_expires_is_held_until_its_worker_lets_go():
    async def main():
        workers, dispatcher = await bench(1)
        one = stream(dispatcher)
        dispatcher.expire(one)
        assert (workers[1].cancels, one.queue.running) == ([one.id], 1)
        workers[1].chunk(one.id, "late")  # it was on its way
        assert not workers[1].gone
        with pytest.raises(DeadlineExceeded):
            await one.next(SOON_S)
        workers[1].refuse(one.id, "cancelled", run_s=0.0)
        assert one.queue.running == 0

    run(main())


def test_a_stuck_stream_is_reported_without_waiting_for_a_deadline_that_was_met():
    async def main():
        workers, dispatcher = await bench(1, stop_timeout_s=0.02)
        one = stream(dispatcher, timeout_s=3600)
        workers[1].chunk(one.id, 1)
        dispatcher.abandon(one)
        await until(lambda: workers.unusable)
        assert workers.unusable[0][0] == 1

    run(main())


# ── giving up ────────────────────────────────────────────────────────────────────────────────────


def test_abandoning_in_the_middle_cancels_once_and_the_slot_is_free_when_the_worker_says_so():
    async def main():
        workers, dispatcher = await bench(1)
        one, waiting = stream(dispatcher), stream(dispatcher)
        workers[1].chunk(one.id, 1)
        reading = asyncio.create_task(rest(one))
        await turns()
        for _ in range(3):
            dispatcher.abandon(one)
        with pytest.raises(ClientGone):
            await reading
        assert workers[1].cancels == [one.id]
        assert workers[1].calls == [one.id]
        assert one.queue.running == 1
        workers[1].chunk(one.id, 2)
        workers[1].refuse(one.id, "cancelled")
        assert one.queue.running == 0
        assert workers[1].calls == [one.id, waiting.id]
        assert workers[1].cancels == [one.id]

    run(main())


def test_what_came_before_the_client_left_can_still_be_read():
    async def main():
        workers, dispatcher = await bench(1)
        one = stream(dispatcher)
        workers[1].chunk(one.id, 1)
        dispatcher.abandon(one)
        assert [chunk.value for chunk in await one.next(SOON_S)] == [1]
        with pytest.raises(ClientGone):
            await one.next(SOON_S)

    run(main())


def test_abandoning_what_has_ended_tells_nobody():
    async def main():
        workers, dispatcher = await bench(1)
        one = stream(dispatcher)
        workers[1].answer(one.id)
        dispatcher.abandon(one)
        assert workers[1].cancels == []

    run(main())


def test_taken_reaches_the_worker_that_holds_the_stream():
    async def main():
        workers, dispatcher = await bench(1, 2)
        first, second = stream(dispatcher), stream(dispatcher)
        holder = {one: next(link for link in workers.links if one.id in link.calls) for one in (first, second)}
        assert holder[first] is not holder[second]
        for one, chunks in ((first, 3), (second, 5)):
            dispatcher.taken(one, chunks)
            assert holder[one].taken == [[one.id, chunks]]
        holder[first].answer(first.id)
        dispatcher.taken(first, 1)  # it has ended: nobody needs to know
        assert len(workers[1].taken) + len(workers[2].taken) == 2

    run(main())


# ── workers that die ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("retry", [True, False])
def test_a_stream_that_has_not_begun_may_run_again(retry):
    async def main():
        workers, dispatcher = await bench(1, 2)
        one = stream(dispatcher, retry=retry)
        holder, other = sorted(workers.links, key=lambda link: one.id not in link.calls)
        holder.die()
        if not retry:
            with pytest.raises(WorkerLost):
                await one.next(SOON_S)
            return
        other.chunk(one.id, "again")
        dispatcher.taken(one, 1)
        assert other.taken == [[one.id, 1]]
        other.answer(one.id)
        assert await rest(one) == ["again"]

    run(main())


@pytest.mark.parametrize("retry", [True, False])
def test_a_stream_that_has_begun_is_lost_with_its_worker(retry):
    async def main():
        workers, dispatcher = await bench(1, 2)
        one = stream(dispatcher, retry=retry)
        holder, other = sorted(workers.links, key=lambda link: one.id not in link.calls)
        holder.chunk(one.id, "first")
        holder.die()
        assert [chunk.value for chunk in await one.next(SOON_S)] == ["first"]
        with pytest.raises(WorkerLost):
            await one.next(SOON_S)
        assert other.calls == []
        assert (one.queue.waiting, one.queue.running) == (0, 0)
        dispatcher.taken(one, 1)

    run(main())


# ── lies ─────────────────────────────────────────────────────────────────────────────────────────

LIES = {
    "no value": lambda one: [CHUNK, one, 0.1],
    "no time": lambda one: [CHUNK, one],
    "too much": lambda one: [CHUNK_WITH, one, 0.1, 1, 200, {}, "more"],
    "no headers": lambda one: [CHUNK_WITH, one, 0.1, 1, 200],
    "time is a text": lambda one: [CHUNK, one, "long", 1],
    "time is nothing": lambda one: [CHUNK, one, None, 1],
    "time is no number": lambda one: [CHUNK, one, float("nan"), 1],
    "time is negative": lambda one: [CHUNK, one, -1.0, 1],
    "unknown kind": lambda one: [7, one, 0.1, 1],
    "unknown id": lambda one: [CHUNK, one + 1000, 0.1, 1],
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_chunk_that_is_none_breaks_the_link(lie):
    async def main():
        workers, dispatcher = await bench(1)
        one = stream(dispatcher, retry=False)
        workers[1].tell(lie(one.id))
        assert workers[1].gone
        with pytest.raises(WorkerLost):
            await one.next(SOON_S)

    run(main())


def test_a_chunk_for_a_call_that_is_no_stream_breaks_the_link():
    async def main():
        workers, dispatcher = await bench(1)
        one = call(retry=False)
        dispatcher.submit(one)
        workers[1].chunk(one.id, 1)
        assert workers[1].gone
        with pytest.raises(WorkerLost):
            await one.wait()

    run(main())


def test_a_chunk_after_the_end_breaks_the_link_and_the_end_stands():
    async def main():
        workers, dispatcher = await bench(1)
        one = stream(dispatcher)
        workers[1].answer(one.id, "end")
        workers[1].chunk(one.id, 1)
        assert workers[1].gone
        assert await rest(one) == []

    run(main())


# ── release ──────────────────────────────────────────────────────────────────────────────────────


class Released:
    """How often a call was released."""

    def __init__(self, one: Call):
        self.count = 0
        one.memory = [b"memory"]
        one.on_released = self
        self.call = one

    def __call__(self):
        assert self.call.released
        assert (self.call.entry, self.call.memory) == (b"", ())
        self.count += 1


KINDS = pytest.mark.parametrize("kind", [Call, StreamCall])


@KINDS
@pytest.mark.parametrize("end", ["answer", "refuse", "die without retry", "die twice", "lie", "chunk, then die"])
def test_a_call_that_a_worker_ended_is_released_once(kind, end):
    async def main():
        workers, dispatcher = await bench(1, 2)
        one = call(kind=kind, retry=end != "die without retry")
        released = Released(one)
        dispatcher.submit(one)
        holder, other = sorted(workers.links, key=lambda link: one.id not in link.calls)
        assert released.count == 0
        if end == "answer":
            holder.answer(one.id)
        elif end == "refuse":
            holder.refuse(one.id)
        elif end == "die twice":
            holder.die()
            assert (released.count, one.memory) == (0, [b"memory"])
            other.die()
        elif end == "lie":
            holder.tell([DONE, one.id])
            other.answer(one.id)
        elif end == "chunk, then die":
            holder.chunk(one.id, 1)
            if kind is Call:  # a lie
                other.answer(one.id)
            else:
                holder.die()
        else:
            holder.die()
        assert released.count == 1
        dispatcher.abandon(one)
        await dispatcher.update(service(admit=False))
        await turns()
        assert released.count == 1

    run(main())


@KINDS
@pytest.mark.parametrize("given_up", ["expire", "abandon"])
@pytest.mark.parametrize("then", ["answer", "die"])
def test_a_call_that_was_given_up_is_released_when_its_worker_lets_go(kind, given_up, then):
    async def main():
        workers, dispatcher = await bench(1)
        one = call(kind=kind)
        released = Released(one)
        dispatcher.submit(one)
        getattr(dispatcher, given_up)(one)
        assert released.count == 0
        getattr(workers[1], then)(*([one.id] if then == "answer" else []))
        assert released.count == 1
        dispatcher.abandon(one)
        assert released.count == 1

    run(main())


@KINDS
@pytest.mark.parametrize("end", ["expire", "abandon", "no hope"])
def test_a_call_that_waited_in_vain_is_released_at_once(kind, end):
    async def main():
        workers, dispatcher = await bench(1)
        running, one = call(), call(kind=kind)
        released = Released(one)
        for waiting in (running, one):
            dispatcher.submit(waiting)
        if end == "no hope":
            await dispatcher.update(service(admit=False))
            with pytest.raises(NotReady):
                await one.wait()
        else:
            getattr(dispatcher, end)(one)
        assert released.count == 1
        workers[1].answer(running.id)
        await turns()
        assert released.count == 1

    run(main())


@KINDS
def test_a_call_of_the_last_worker_is_released_where_none_may_wait(kind):
    async def main():
        workers, dispatcher = await bench(1)
        one = call(kind=kind)
        released = Released(one)
        dispatcher.submit(one)
        await dispatcher.update(service(admit=False))
        workers[1].die()
        assert released.count == 1
        with pytest.raises(NotReady):
            await one.wait()

    run(main())


@KINDS
def test_a_call_that_was_not_admitted_is_not_released_by_anybody(kind):
    """Nobody has it; who offered it knows."""

    async def main():
        _, dispatcher = await bench(1)
        quota = Queue(Limits(0))
        dispatcher.submit(call(quota))
        one = call(quota, kind=kind)
        released = Released(one)
        with pytest.raises(QueueFull):
            dispatcher.submit(one)
        assert released.count == 0

    run(main())

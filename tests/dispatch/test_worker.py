"""What a worker holds: slots by calls and by batches."""

from __future__ import annotations

import pytest

from bentod.dispatch.call import Call, StreamCall
from bentod.dispatch.queue import Limits, Queue
from bentod.dispatch.worker import Worker
from bentod.wire.entries import BATCH, NAMED, EntryPacker
from tests.support.links import FakeLink, call, worker

BATCHED = Limits(takes="columns", max_size=8)


def made(limits: Limits = BATCHED, threads: int = 2) -> tuple[Worker, FakeLink, Queue]:
    one, link = Worker(worker(1, threads, threads)), FakeLink("/1", lambda _: None, lambda: None)
    one.link = link
    return one, link, Queue(limits)


def sent(one: Worker, queue: Queue, count: int, **options) -> list[Call]:
    calls = [call(queue, **options) for _ in range(count)]
    one.send(calls, EntryPacker())
    return calls


@pytest.mark.parametrize("is_async", [False, True])
def test_a_batch_holds_one_slot_until_its_last_call_is_over(is_async):
    one, link, queue = made()
    calls = sent(one, queue, 3, is_async=is_async)
    assert link.batches == [[call.id for call in calls]]
    assert (one.busy[is_async], one.busy[not is_async]) == (1, 0)
    assert (queue.slots, queue.running, queue.batches, queue.batched) == (1, 3, 1, 3)
    assert [one.over(call) for call in (calls[1], calls[2], calls[0])] == [False, False, True]
    assert (one.busy[is_async], queue.slots, queue.running, one.held) == (0, 0, 0, {})


def test_a_batch_of_one_is_a_batch():
    one, link, queue = made(Limits(takes="columns"))
    (only,) = sent(one, queue, 1, retry=False)
    assert link.entries[0] == [BATCH, only.id, 1, "columns", False]
    assert link.entries[1][:2] == [NAMED, only.id]
    assert one.over(only)


def test_a_lone_call_is_sent_as_it_is():
    one, link, queue = made(Limits())
    (only,) = sent(one, queue, 1)
    assert [entry[0] for entry in link.entries] == [NAMED]
    assert only.batch is None
    assert (queue.slots, queue.running, queue.batches) == (1, 1, 0)


def test_a_batch_weighs_what_its_calls_weigh():
    one, _, queue = made()
    calls = sent(one, queue, 3, weight=2)
    assert {call.batch for call in calls} == {calls[0].batch}
    assert calls[0].batch is not None
    assert (calls[0].batch.size, calls[0].batch.left) == (6, 3)


def test_what_is_given_back_is_the_whole_batch_and_nothing_else():
    one, _, queue = made()
    first, second = sent(one, queue, 3), sent(one, queue, 2)
    assert one.take_back(first[0].id) == first
    assert one.refuses == {False: True, True: False}
    assert list(one.held.values()) == second
    assert (one.busy[False], queue.slots, queue.running) == (1, 1, 2)
    assert all(call.batch is None for call in first)
    with pytest.raises(LookupError):
        one.take_back(first[0].id)


def test_what_it_holds_is_told_as_it_holds_slots():
    one, _, queue = made()
    batch, lone = sent(one, queue, 3), sent(one, Queue(Limits()), 1)
    one.over(batch[1])
    assert list(one.units()) == [[batch[0], batch[2]], lone]


def test_streams_are_counted_for_themselves():
    one, _, queue = made(Limits())
    (stream,) = sent(one, queue, 1, kind=StreamCall, is_async=True)
    assert (one.streams[True], one.busy[True]) == (1, 1)
    one.over(stream)
    assert (one.streams[True], one.busy[True]) == (0, 0)


def test_a_slot_that_was_offered_is_declined_once_or_used():
    one, link, queue = made()
    packer = EntryPacker()
    one.decline(packer)
    assert link.passes == 0
    one.take_back(sent(one, queue, 1)[0].id)
    one.offers[False] = 1
    assert one.free(1, is_async=False) == 1
    one.decline(packer)
    one.decline(packer)
    assert (link.passes, one.refuses[False]) == (1, False)
    one.take_back(sent(one, queue, 1)[0].id)
    one.offers[False] = 1
    sent(one, queue, 1)
    assert one.free(8, is_async=False) == 0
    one.decline(packer)
    assert (link.passes, one.refuses[False]) == (1, True)


def test_a_batch_behind_another_teaches_nothing():
    one, _, queue = made(threads=1)
    first, second = sent(one, queue, 2), sent(one, queue, 2)
    assert first[0].batch is not None
    assert second[0].batch is not None
    assert (first[0].batch.clean, second[0].batch.clean) == (True, False)

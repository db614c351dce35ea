"""A batch has run out of memory: its calls have their answers, and no batch is that large again."""

from __future__ import annotations

import pytest

from bentod.dispatch.call import Answer, TargetFailure
from bentod.dispatch.dispatcher import Dispatcher
from bentod.dispatch.queue import Limits, Queue
from bentod.wire.entries import DONE, RAISED, SQUEEZED
from tests.support.links import FakeWorkers, call, service, worker
from tests.support.loops import run, turns

ALL = Limits(waiting=1000, takes="columns", max_size=8)


class Bench:
    """A dispatcher with workers, and what it says of batches."""

    def __init__(self, limits: Limits = ALL) -> None:
        self.workers = FakeWorkers()
        self.queue = Queue(limits)
        self.said: list[tuple[int, int]] = []
        self.dispatcher = Dispatcher("s", self.workers.connect, lambda *_: None, bounded=self.bounded)

    def bounded(self, queue: Queue) -> None:
        assert queue is self.queue
        self.said.append((queue.ceiling.most, queue.ceiling.at))

    async def open(self, *pids: int) -> Bench:
        await self.dispatcher.update(service(*(worker(pid) for pid in pids)))
        return self

    async def submit(self, *weights: int):
        calls = [call(self.queue, weight=weight) for weight in weights]
        for one in calls:
            self.dispatcher.submit(one)
        await turns(2)
        return calls

    def sizes(self, pid: int = 1) -> list[int]:
        return [len(batch) for batch in self.workers[pid].batches]

    def squeeze(self, pid: int, size: int, well: int, again: int = 0) -> None:
        """The worker's last batch runs again in halves; those beyond `well` fail if there is an `again`."""
        link = self.workers[pid]
        ids = link.batches[-1]
        fine = len(ids) if not again else well
        link.tell(
            [SQUEEZED, ids[-1], size, well, again],
            *([DONE, one, 1.0, one] for one in ids[:fine]),
            *([RAISED, one, 1.0, "out-of-memory", "", "", []] for one in ids[fine:]),
        )


def test_no_batch_is_larger_than_what_went_well():
    async def main():
        bench = await Bench().open(1)
        calls = await bench.submit(*[1] * 20)
        assert bench.sizes() == [8]
        bench.squeeze(1, 8, 4)
        assert bench.sizes() == [8, 4]  # its next batch at once, and it is smaller already
        assert [type(one.outcome) for one in calls[:8]] == [Answer] * 8
        assert bench.said == [(4, 8)]
        assert bench.queue.traffic.cost.largest == 0  # of what it took nothing can be learned
        for number in (1, 2, 3):
            bench.workers[1].answer_batch(bench.workers[1].batches[number])
        assert bench.sizes() == [8, 4, 4, 4]
        assert all(one.done for one in calls)
        assert bench.said == [(4, 8)]

    run(main())


def test_what_fails_in_both_halves_leads_to_smaller_batches_too():
    async def main():
        bench = await Bench(Limits(waiting=1000, takes="items", max_size=16)).open(1)
        calls = await bench.submit(*[1] * 20)
        bench.squeeze(1, 16, 0, 8)
        assert [type(one.outcome) for one in calls[:16]] == [TargetFailure] * 16
        assert bench.sizes() == [16, 4]
        assert bench.said == [(4, 8)]

    run(main())


def test_batches_that_ran_already_say_nothing_new():
    async def main():
        bench = await Bench().open(1, 2)
        await bench.submit(*[1] * 30)
        assert (bench.sizes(1), bench.sizes(2)) == ([8], [8])
        bench.squeeze(1, 8, 4)
        bench.squeeze(2, 8, 4)
        assert (bench.sizes(1), bench.sizes(2)) == ([8, 4], [8, 4])
        assert bench.said == [(4, 8)]

    run(main())


def test_a_size_that_went_well_is_not_held_against_the_callable_at_once():
    async def main():
        bench = await Bench().open(1)
        for _ in range(3):
            await bench.submit(*[1] * 8)
            bench.workers[1].answer_batch(bench.workers[1].batches[-1])
        for _ in range(2):
            await bench.submit(*[1] * 8)
            bench.squeeze(1, 8, 4)
        await bench.submit(*[1] * 8)
        assert set(bench.sizes()) == {8}
        assert bench.said == []

    run(main())


def test_a_call_with_more_rows_than_that_runs_alone():
    async def main():
        bench = await Bench(Limits(waiting=1000, takes="rows", max_size=100)).open(1)
        await bench.submit(40, 40)
        bench.squeeze(1, 80, 40)
        assert bench.said == [(40, 80)]
        calls = await bench.submit(30, 10, 60, 5)
        sent = len(bench.workers[1].batches)
        for _ in range(3):
            bench.workers[1].answer_batch(bench.workers[1].batches[-1])
        ids = [one.id for one in calls]
        assert bench.workers[1].batches[sent - 1 :] == [ids[:2], ids[2:3], ids[3:]]

    run(main())


def test_what_the_spec_says_anew_holds_below_the_ceiling_only():
    queue = Queue(ALL)
    queue.adopt(4, 8)
    assert queue.limits.max_size == 4
    queue.limit(Limits(takes="columns", max_size=64, waiting=3))
    assert (queue.limits.max_size, queue.limits.waiting) == (4, 3)
    queue.limit(Limits(takes="columns", max_size=2))
    assert queue.limits.max_size == 2
    queue.limit(Limits(takes="columns"))
    assert queue.limits.max_size == 0
    queue.adopt(0, 0)
    queue.limit(ALL)
    assert queue.limits.max_size == 4
    assert queue.renewed().ceiling.most == 0  # of other workers nothing is known


@pytest.mark.parametrize(
    "lesson",
    [
        [],
        [8],
        [8, 4],
        ["8", 4, 0],
        [8, None, 0],
        [8, 0, 0],
        [8, 8, 0],
        [8, -1, 4],
        [8, 4, 9],
        [1, 0, 1],
        [True, False, True],
        [8.0, 4.0, 0.0],
        [8, 4, 0, 0],
    ],
)
def test_a_worker_that_talks_nonsense_is_not_heard(lesson):
    async def main():
        bench = await Bench().open(1)
        await bench.submit(*[1] * 8)
        link = bench.workers[1]
        link.tell([SQUEEZED, link.batches[0][0], *lesson])
        assert link.gone
        assert bench.queue.limits == ALL
        assert bench.said == []

    run(main())


@pytest.mark.parametrize("entry", [[SQUEEZED, 10**9, 8, 4, 0], [8, 1], [-1, 1], ["0", 1], [None], [2.5, 1]])
def test_so_is_one_that_talks_of_no_call_or_in_no_known_way(entry):
    async def main():
        bench = await Bench().open(1)
        calls = await bench.submit(*[1] * 8)
        if len(entry) == 2:
            entry[1] = calls[0].id
        bench.workers[1].tell(entry)
        assert bench.workers[1].gone

    run(main())


def test_a_call_that_is_in_no_batch_has_nothing_to_learn_of():
    async def main():
        bench = await Bench(Limits(waiting=10)).open(1)
        [one] = await bench.submit(1)
        bench.workers[1].tell([SQUEEZED, one.id, 8, 4, 0])
        assert bench.workers[1].gone

    run(main())

"""Batches that run out of memory, in every kind of worker: they run again in halves, and what is learned is told."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import contextmanager

import pytest

from bentod.wire.entries import DONE, RAISED, SQUEEZED
from bentod.worker import exhaustion
from bentod.worker.again import Part, lesson, middle
from bentod.worker.calls import CANCELLED, MISCOUNTED, OUT_OF_MEMORY, TARGET_RAISED
from tests.support.daemon import eventually
from tests.support.gateways import serving

KINDS = ("threads", "tasks", "pool", "shared threads", "shared tasks", "shared pool")
OutOfMemoryError = type("OutOfMemoryError", (RuntimeError,), {"__module__": "torch"})


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(autouse=True)
def freed(monkeypatch):
    """How often memory was given back."""
    found: list[bool] = []
    monkeypatch.setattr(exhaustion, "free", lambda: found.append(True))
    return found


def asynchronous(function):
    async def method(*args, **kwargs):
        await asyncio.sleep(0)
        return function(*args, **kwargs)

    method.__signature__ = inspect.signature(function)
    return method


@contextmanager
def worker_of(kind, function):
    made = asynchronous(function) if "tasks" in kind else function
    gateways = 2 if "shared" in kind else 1
    with serving(made, tasks="threads" not in kind, gateways=gateways) as worker, worker.gate() as gate:
        yield worker, gate


class Device:
    """A callable with memory for `room` at once; `runs` are the sizes that it was called with."""

    def __init__(self, room, bad=(), error=lambda: OutOfMemoryError("CUDA out of memory")):
        self.room, self.bad, self.error = room, set(bad), error
        self.runs = []

    def __call__(self, values: list):
        self.runs.append(len(values))
        if len(values) > self.room or self.bad & set(values):
            raise self.error()
        return [value * 2 for value in values]


def heard(gate, calls):
    """The answers of calls as (kind, value or code), and the lessons that came before the last of them."""
    found, lessons = {}, []
    while len(found) < len(calls):
        answer = gate.answer()
        assert answer is not None, "the worker hung up"
        if answer[0] == SQUEEZED:
            assert answer[1] in calls
            assert answer[1] not in found
            lessons.append(tuple(answer[2:]))
        else:
            found[answer[1]] = (answer[0], answer[3])
    assert gate.silent()
    return [found[call] for call in calls], lessons


def done(values):
    return [(DONE, value * 2) for value in values]


def failed(count, code=OUT_OF_MEMORY):
    return [(RAISED, code)] * count


# ── the decisions ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("weights", "at"),
    [([1, 1], 1), ([1] * 32, 16), ([1] * 31, 15), ([1] * 3, 1), ([100, 1], 1), ([1, 1, 1, 97], 3), ([5, 1, 1, 5], 2)],
)
def test_where_a_batch_is_cut(weights, at):
    assert middle(weights) == at


@pytest.mark.parametrize(
    ("parts", "learned"),
    [
        ([Part(16, 0), Part(15, 0)], (31, 16, 0)),
        ([Part(16, 0), Part(1, 15)], (31, 16, 15)),
        ([Part(1, 16), Part(1, 15)], (31, 1, 15)),
        ([Part(16, 0), Part(0, 1)], (31, 16, 1)),
        ([Part(1, 16), Part(0, 1)], (31, 1, 1)),
        ([Part(0, 1), Part(0, 1)], (31, 0, 1)),
    ],
)
def test_what_is_learned_of_halves(parts, learned):
    assert lesson(31, parts) == learned


# ── in a worker ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("takes", ["columns", "items"])
@pytest.mark.parametrize("error", [MemoryError, lambda: RuntimeError("CUDA out of memory. Tried")])
def test_the_halves_of_a_batch_go_well_and_all_get_their_answers(kind, takes, error, freed):
    device = Device(room=16, error=error)
    with worker_of(kind, device) as (worker, gate):
        calls = gate.batch(list(range(32)), takes)
        assert heard(gate, calls) == (done(range(32)), [(32, 16, 0)])
        assert device.runs == [32, 16, 16]
        assert len(freed) == 1
        assert sum("a batch of 32 calls ran out of memory, it runs again in two halves" in one for one in worker.log)
        assert heard(gate, gate.batch([1, 2])) == (done([1, 2]), [])


def test_one_huge_call_costs_its_neighbours_nothing(kind, freed):
    device = Device(room=16, bad=[30])
    with worker_of(kind, device) as (worker, gate):
        calls = gate.batch(list(range(32)))
        answers = done(range(32))
        answers[30:31] = failed(1)
        assert heard(gate, calls) == (answers, [(32, 16, 1)])  # it is not the size of the batch that is to blame
        assert device.runs == [32, 16, 16, *[1] * 16]
        assert len(freed) == 3
        assert any(one.startswith("a batch of 16 calls ran out of memory, they run again one by") for one in worker.log)
        assert any(one.startswith("out of memory: 1 call(s) fail\n") for one in worker.log)
        assert heard(gate, gate.batch([1, 2])) == (done([1, 2]), [])  # it lives


def test_huge_calls_in_both_halves(kind):
    device = Device(room=16, bad=[0, 7])
    with worker_of(kind, device) as (_, gate):
        calls = gate.batch(list(range(8)))
        assert heard(gate, calls) == (failed(1) + done(range(1, 7)) + failed(1), [(8, 1, 1)])
        assert device.runs == [8, 4, 1, 1, 1, 1, 4, 1, 1, 1, 1]


def test_both_halves_are_too_large_and_no_call_is(kind):
    device = Device(room=3)
    with worker_of(kind, device) as (_, gate):
        calls = gate.batch(list(range(9)))
        assert heard(gate, calls) == (done(range(9)), [(9, 1, 4)])
        assert device.runs == [9, 4, 1, 1, 1, 1, 5, 1, 1, 1, 1, 1]


def test_a_device_without_any_memory_is_asked_for_each_call_alone_and_not_again(kind):
    device = Device(room=0)
    with worker_of(kind, device) as (_, gate):
        calls = gate.batch(list(range(5)))
        assert heard(gate, calls) == (failed(5), [(5, 0, 1)])
        assert device.runs == [5, 2, 1, 1, 3, 1, 1, 1]


def test_two_calls_that_fail_alone(kind):
    device = Device(room=0)
    with worker_of(kind, device) as (_, gate):
        assert heard(gate, gate.batch([1, 2])) == (failed(2), [(2, 0, 1)])
        assert device.runs == [2, 1, 1]


def test_rows_are_cut_between_calls(kind):
    device = Device(room=6)
    with worker_of(kind, device) as (_, gate):
        calls = gate.batch([[1, 2, 3, 4, 5], [6], [7, 8], [], [9]], "rows")
        values = [[2, 4, 6, 8, 10], [12], [14, 16], [], [18]]
        assert heard(gate, calls) == ([(DONE, value) for value in values], [(10, 5, 0)])
        assert device.runs == [9, 5, 4]


def test_without_retry_nothing_runs_twice(kind, freed):
    device = Device(room=2)
    with worker_of(kind, device) as (_, gate):
        calls = gate.batch([1, 2, 3], apart=False)
        assert heard(gate, calls) == (failed(3), [(3, 0, 3)])
        assert device.runs == [3]
        assert len(freed) == 1


def test_a_call_alone_fails_at_once(kind, freed):
    device = Device(room=0)
    with worker_of(kind, device) as (worker, gate):
        assert heard(gate, gate.batch([1])) == (failed(1), [])
        single = gate.call([1])
        assert heard(gate, [single]) == (failed(1), [])
        assert device.runs == [1, 1]
        assert len(freed) == 2
        assert any(one.startswith("out of memory: 1 call(s) fail\nTraceback") for one in worker.log)


def test_a_half_that_fails_otherwise_has_its_calls_run_one_by_one(kind):
    device = Device(room=4)

    def choosy(values: list):
        found = device(values)
        if 6 in values:
            raise ValueError("six")
        return found

    with worker_of(kind, choosy) as (_, gate):
        calls = gate.batch([0, 1, 2, 3, 4, 5, 6, 7])
        expected = done(range(6)) + failed(1, TARGET_RAISED) + done([7])
        assert heard(gate, calls) == (expected, [])  # whether the second half has room is not known
        assert device.runs == [8, 4, 4, 1, 1, 1, 1]


def test_calls_that_run_one_by_one_do_not_run_a_third_time(kind):
    device = Device(room=0)
    raised = []

    def choosy(values: list):
        if not raised:
            raised.append(True)
            raise ValueError
        return device(values)

    with worker_of(kind, choosy) as (_, gate):
        assert heard(gate, gate.batch([1, 2, 3])) == (failed(3), [])
        assert device.runs == [1, 1, 1]


def test_an_answer_that_is_such_an_exception_is_that_of_its_call(kind):
    with worker_of(kind, lambda values: [OutOfMemoryError() if one == 2 else one * 2 for one in values]) as (_, gate):
        calls = gate.batch([1, 2, 3])
        assert heard(gate, calls) == ([(DONE, 2), (RAISED, OUT_OF_MEMORY), (DONE, 6)], [])


def test_halves_that_return_too_little_had_memory_enough(kind):
    device = Device(room=2)
    with worker_of(kind, lambda values: device(values)[1:]) as (_, gate):
        assert heard(gate, gate.batch([1, 2, 3, 4])) == (failed(4, MISCOUNTED), [(4, 2, 0)])


def test_what_the_callable_had_is_forgotten_before_memory_is_given_back(kind, monkeypatch):
    import weakref

    class Tensor:
        pass

    held, left = [], []
    monkeypatch.setattr(exhaustion, "free", lambda: left.append([one for one in held if one() is not None]))

    def greedy(values: list):
        tensor = Tensor()
        held.append(weakref.ref(tensor))
        if len(values) != 2:
            raise OutOfMemoryError
        return values

    with worker_of(kind, greedy) as (_, gate):
        heard(gate, gate.batch([1, 2, 3, 4]))
        heard(gate, [gate.call([1])])
        assert left == [[], []]


@pytest.mark.parametrize("kind", ["tasks", "shared tasks"])
def test_calls_that_are_given_up_between_the_halves_do_not_run(kind):
    device, first = Device(room=4), asyncio.Event()

    async def slow(values: list):
        found = device(values)
        if 0 in values:
            await first.wait()
        return found

    gateways = 2 if "shared" in kind else 1
    with serving(slow, tasks=True, gateways=gateways) as worker, worker.gate() as gate:
        calls = gate.batch(list(range(8)))
        eventually(lambda: len(device.runs) == 2)
        for call in calls[5:]:
            gate.cancel(call)
        beside = gate.call([1])  # what came before it has been read once this is answered
        assert gate.answers(1)[beside][3] == [2]
        worker.server._loop.call_soon_threadsafe(first.set)
        found, lessons = heard(gate, calls)
        assert found == done(range(5)) + failed(3, CANCELLED)
        assert lessons == [(8, 4, 0)]
        assert device.runs[-1] == 1

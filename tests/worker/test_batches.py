"""Batches over real sockets, in every kind of worker: answers, failures of one and of all, and calls that leave."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from contextlib import contextmanager

import msgpack
import numpy as np
import pytest

from bentod.codec.parcels import Parcel
from bentod.iotypes.parts import Blob, Picture, Tensor
from bentod.wire.entries import BATCH, DONE, DONE_WITH, NAMED, POSITIONAL, RAISED, Terms
from bentod.worker.batches import MOST_CALLS, Assembly
from bentod.worker.calls import CANCELLED, EXPIRED, MISCOUNTED, TARGET_RAISED, UNREADABLE, UNSERIALIZABLE
from tests.support.daemon import eventually
from tests.support.gateways import WAIT_S, serving

KINDS = ("threads", "tasks", "pool", "shared threads", "shared tasks", "shared pool")
SPECIAL = Terms(special=True)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def asynchronous(function):
    async def method(*args, **kwargs):
        await asyncio.sleep(0)
        return function(*args, **kwargs)

    method.__signature__ = inspect.signature(function)
    return method


@contextmanager
def worker_of(kind, *functions, **options):
    """A worker of this kind with these methods, and a gateway."""
    if "tasks" in kind:
        functions = [asynchronous(one) for one in functions]
    gateways = 2 if "shared" in kind else 1
    with (
        serving(*functions, tasks="threads" not in kind, gateways=gateways, **options) as worker,
        worker.gate() as gate,
    ):
        yield worker, gate


def answers(gate, calls):
    """What they were answered, in their order, without times."""
    found = gate.answers(len(calls))
    return [found[call][:2] + found[call][3:] for call in calls]


def done(calls, values):
    return [[DONE, call, value] for call, value in zip(calls, values, strict=True)]


def packed(gate, value, terms=SPECIAL):
    """A call whose argument has parts: its entry and what belongs to it."""
    parcel = Parcel()
    argument = msgpack.packb(value, default=parcel.extension)
    return gate.entry(argument, named=isinstance(value, dict), terms=terms._replace(packed=True)), parcel.clear()


def send_packed(gate, values, takes="columns", terms=SPECIAL):
    """Send a batch of calls with parts; their ids."""
    made = [packed(gate, value, terms) for value in values]
    gate.send((BATCH, 999, len(made), takes, True))
    for entry, memory in made:
        for piece in gate._packer.attached(gate._packer.entry(entry), memory):
            gate.socket.sendall(piece)
    return [entry[1] for entry, _ in made]


# ── answers ──────────────────────────────────────────────────────────────────────────────────────


def test_each_call_gets_its_answer(kind):
    sizes = []

    def columns(a, b):
        sizes.append(len(a))
        return [x * 10 + y for x, y in zip(a, b, strict=True)]

    with worker_of(kind, columns, tuple) as (_, gate):
        for count in (1, 2, 100):
            calls = gate.batch([{"a": number, "b": 1} for number in range(count)], named=True)
            assert answers(gate, calls) == done(calls, [number * 10 + 1 for number in range(count)])
        calls = gate.batch([{"a": 1}, {"b": 2}, 3], "items", 1)
        assert answers(gate, calls) == done(calls, [{"a": 1}, {"b": 2}, 3])
    assert sizes == [1, 2, 100]


def test_all_answers_of_a_batch_tell_the_time_of_the_batch(kind):
    def f(items):
        until = time.perf_counter() + 0.02
        while time.perf_counter() < until:
            pass
        return items

    with worker_of(kind, f) as (_, gate):
        calls = gate.batch([1, 2, 3])
        times = {answer[2] for answer in gate.answers(len(calls)).values()}
    assert len(times) == 1
    assert times.pop() >= 0.02


def test_rows_go_back_to_whom_they_belong(kind):
    def double(x, k):
        return {"y": [one * k for one in x], "k": k}

    with worker_of(kind, double) as (_, gate):
        calls = gate.batch([{"x": [1, 2], "k": 2}, {"x": [], "k": 2}, {"x": [3], "k": 2}], "rows", named=True)
        assert answers(gate, calls) == done(calls, [{"y": [2, 4], "k": 2}, {"y": [], "k": 2}, {"y": [6], "k": 2}])


def test_calls_that_take_item_are_answered_one_by_one(kind):
    seen = []

    def f(x):
        seen.append(x)
        if x == 2:
            raise ValueError(x)
        return x

    with worker_of(kind, f) as (_, gate):
        calls = gate.batch([1, 2, 3], "item")
        found = gate.answers(3)
    assert [found[call][0] for call in calls] == [DONE, RAISED, DONE]
    assert sorted(seen) == [1, 2, 3]


def test_a_batch_that_takes_item_answers_before_it_ends():
    let_go = threading.Event()

    def f(x):
        if x == "second":
            assert let_go.wait(WAIT_S)
        return x

    for kind in ("threads", "pool"):
        let_go.clear()
        with worker_of(kind, f) as (_, gate):
            calls = gate.batch(["first", "second", "third"], "item")
            assert gate.answer()[::3] == [DONE, "first"]
            let_go.set()
            assert answers(gate, calls[1:]) == done(calls[1:], ["second", "third"])


def test_coroutines_of_a_batch_that_takes_item_run_at_once_within_one_slot():
    inside = []
    door = threading.Event()

    async def f(x):
        inside.append(x)
        while not door.is_set():
            await asyncio.sleep(0.001)
        return x

    with serving(f, tasks=True, concurrency=1) as worker, worker.gate() as gate:
        calls = gate.batch([1, 2, 3], "item")
        eventually(lambda: len(inside) == 3)
        other = gate.call(4)
        gate.cancel(calls[1])
        assert gate.answer()[1:4:2] == [calls[1], CANCELLED]
        assert len(inside) == 3
        door.set()
        assert answers(gate, [calls[0], calls[2], other]) == done([calls[0], calls[2], other], [1, 3, 4])


@pytest.mark.parametrize("shape", [(2, 3), (64, 64)], ids=["small", "attached"])
def test_tensors_are_stacked_and_their_rows_go_back(kind, shape):
    seen = []

    def f(x):
        seen.append((type(x), x.shape))
        return x * 2

    with worker_of(kind, f) as (_, gate):
        for count in (1, 5):
            data = [np.full(shape, number, np.float32) for number in range(count)]
            calls = send_packed(gate, [{"x": Tensor("float32", shape, one.tobytes())} for one in data])
            found = gate.answers(count)
            for call, one in zip(calls, data, strict=True):
                tensor = found[call][3]
                assert (tensor.dtype, tensor.shape) == ("float32", shape)
                assert bytes(tensor.data) == (one * 2).tobytes()
    assert seen == [(np.ndarray, (1, *shape)), (np.ndarray, (5, *shape))]


def test_each_call_has_its_own_terms(kind):
    """One wants tensors, one JSON."""
    with worker_of(kind, lambda x: np.array([[1, 2], [3, 4]], np.int64)) as (_, gate):
        one, other = gate.entry({"x": 1}, named=True, terms=SPECIAL), gate.entry({"x": 2}, named=True)
        gate.send((BATCH, 50, 2, "columns", True), one, other)
        found = gate.answers(2)
        assert found[one[1]][3].shape == (2,)
        assert found[other[1]][3] == [3, 4]


def test_large_answers_come_in_frames_that_are_not_too_large(kind):
    size = 700_000
    with worker_of(kind, lambda items: [bytes([number]) * size for number in items]) as (_, gate):
        calls = gate.batch(list(range(9)), "items", terms=SPECIAL)
        found = gate.answers(9)
        assert [bytes(found[call][3].data[:1]) + bytes([len(found[call][3].data) == size]) for call in calls] == [
            bytes([number, 1]) for number in range(9)
        ]


def test_a_batch_may_be_large_and_come_in_pieces(kind):
    with worker_of(kind, lambda items: items) as (_, gate):
        calls = gate.batch([{"n": number} for number in range(5000)], "items")
        assert answers(gate, calls) == done(calls, [{"n": number} for number in range(5000)])


def test_contexts_are_a_list_and_set_each_answer(kind):
    def f(items, context):
        for item, one in zip(items, context, strict=True):
            assert one.request_id == f"id-{item}"
            if item:
                one.response.status = 200 + item
        return items

    def alone(x, context):
        return [context.request_id]

    with worker_of(kind, f, alone) as (_, gate):
        made = [gate.entry(number, extra=(f"id-{number}", {})) for number in range(3)]
        gate.send((BATCH, 50, 3, "items", True), *made)
        found = gate.answers(3)
        assert [found[one[1]][0] for one in made] == [DONE, DONE_WITH, DONE_WITH]
        assert [found[one[1]][4] for one in made[1:]] == [201, 202]
        (call,) = gate.batch([5], "item", 1, extra=("id-5", {}))
        assert answers(gate, [call]) == done([call], [["id-5"]])


def test_a_property_called_context_is_a_column_like_others(kind):
    with worker_of(kind, lambda context: context) as (_, gate):
        calls = gate.batch([{"context": 1}, {"context": 2}], named=True)
        assert answers(gate, calls) == done(calls, [1, 2])


# ── failures ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "make",
    [
        lambda items: None,
        lambda items: items[:-1],
        lambda items: [*items, 1],
        lambda items: "abc",
        dict.fromkeys,
        lambda items: np.zeros((2, 2)),
        lambda items: np.array(1.0),
        iter,
    ],
    ids=["None", "short", "long", "str", "dict", "array", "no dimensions", "iterator"],
)
def test_a_wrong_number_of_answers_fails_them_all_and_runs_once(make, kind):
    runs = []

    def f(items):
        runs.append(items)
        return make(items)

    with worker_of(kind, f) as (worker, gate):
        calls = gate.batch([1, 2, 3], "items")
        for answer in answers(gate, calls):
            assert (answer[0], answer[2], answer[3], answer[5]) == (RAISED, MISCOUNTED, "", [])
            assert answer[4].startswith("the callable got 3 calls and returned ")
        assert len(worker.log) == 1
    assert len(runs) == 1


def test_a_generator_is_closed_and_not_run(kind):
    closed = []

    def inner(items):
        yield from items

    def f(items):
        generator = inner(items)
        closed.append(generator)
        return generator

    with worker_of(kind, f) as (worker, gate):
        calls = gate.batch([1, 2, 3])
        assert {answer[2] for answer in answers(gate, calls)} == {MISCOUNTED}
        assert "generator" in worker.log[0]
    assert closed[0].gi_frame is None


def test_an_asynchronous_generator_is_closed():
    closed = []

    async def f(items):
        try:
            for item in items:
                yield item
        finally:
            closed.append(True)

    with serving(f, tasks=True) as worker, worker.gate() as gate:
        calls = gate.batch([1, 2, 3])
        assert {answer[2] for answer in answers(gate, calls)} == {MISCOUNTED}
    assert closed == []  # it had not begun


def test_one_poisoned_call_fails_alone(kind):
    runs = []

    def f(items):
        runs.append(list(items))
        if 13 in items:
            raise ValueError("thirteen")
        return [item + 1 for item in items]

    with worker_of(kind, f) as (worker, gate):
        calls = gate.batch(list(range(32)), "items")
        found = answers(gate, calls)
        assert [answer for answer in found if answer[0] == DONE] == done(
            [call for number, call in enumerate(calls) if number != 13], [n + 1 for n in range(32) if n != 13]
        )
        assert found[13][2:4] == [TARGET_RAISED, "thirteen"]
        assert len(worker.log) == 2
        assert worker.log[0].startswith("a batch of 32 calls failed, they run again one by one\nTraceback")
        assert worker.log[1].startswith("Traceback")
        assert "bentod/worker" not in "".join(worker.log)
    assert runs == [list(range(32)), *([number] for number in range(32))]


def test_a_batch_that_may_not_run_again_fails_together(kind):
    runs = []

    def f(items):
        runs.append(items)
        raise KeyError("no")

    with worker_of(kind, f) as (worker, gate):
        calls = gate.batch([1, 2, 3], apart=False)
        assert [answer[2:4] for answer in answers(gate, calls)] == [[TARGET_RAISED, "no"]] * 3
        assert len(worker.log) == 1
        assert len(runs) == 1
        (call,) = gate.batch([1])
        assert answers(gate, [call])[0][2] == TARGET_RAISED
    assert len(runs) == 2


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()])
def test_no_exception_of_a_batch_ends_the_worker(error, kind):
    def f(items):
        if items[0]:
            raise error
        return items

    with worker_of(kind, f) as (_, gate):
        calls = gate.batch([1, 2])
        assert {answer[2] for answer in answers(gate, calls)} == {TARGET_RAISED}
        calls = gate.batch([0, 0])
        assert answers(gate, calls) == done(calls, [0, 0])


@pytest.mark.parametrize("terms", [None, SPECIAL])
def test_an_exception_among_the_answers_is_that_calls_failure(kind, terms):
    def f(items):
        return [ValueError(f"not {item}") if item % 2 else item for item in items]

    with worker_of(kind, f) as (worker, gate):
        calls = gate.batch([1, 2, 3], "items", terms=terms)
        one, two, three = answers(gate, calls)
        assert (one[2:4], three[2:4]) == ([TARGET_RAISED, "not 1"], [TARGET_RAISED, "not 3"])
        assert two == [DONE, calls[1], 2]
        assert len(worker.log) == 2


@pytest.mark.parametrize("terms", [None, SPECIAL])
def test_an_answer_that_cannot_be_sent_fails_alone(kind, terms):
    with worker_of(kind, lambda items: [1, object(), {2}, b"x" * 10_000]) as (worker, gate):
        calls = gate.batch([1, 2, 3, 4], "items", terms=terms)
        found = answers(gate, calls)
        assert found[0] == [DONE, calls[0], 1]
        assert found[1][2] == found[2][2] == UNSERIALIZABLE
        assert found[3][0] == DONE
        assert len(worker.log) == 2


def test_an_array_that_cannot_be_made_fails_them_all(kind):
    class Broken:
        ndim = 1

        def __array__(self, *args, **kwargs):
            raise SystemExit("no")

    with worker_of(kind, lambda items: Broken()) as (worker, gate):
        calls = gate.batch([1, 2])
        assert [answer[2] for answer in answers(gate, calls)] == [UNSERIALIZABLE] * 2
        assert len(worker.log) == 1


def test_input_that_cannot_be_read_fails_alone(kind):
    seen = []

    def f(x):
        seen.append(len(x))
        return [str(type(one)) for one in x]

    with worker_of(kind, f) as (_, gate):
        values = [{"x": Blob(b"fine")}, {"x": Picture("image/png", b"no picture", "/x")}, {"x": Blob(b"fine")}]
        calls = send_packed(gate, values)
        found = answers(gate, calls)
        assert [answer[0] for answer in found] == [DONE, RAISED, DONE]
        assert (found[1][2], found[1][5]) == (UNREADABLE, ["/x"])
    assert seen == [2]


def test_rows_that_do_not_agree_fail_alone(kind):
    with worker_of(kind, lambda a, b: a) as (_, gate):
        calls = gate.batch([{"a": [1], "b": [1]}, {"a": [1], "b": [1, 2]}], "rows", named=True)
        fine, wrong = answers(gate, calls)
        assert fine == [DONE, calls[0], [1]]
        assert (wrong[2], wrong[5]) == (UNREADABLE, ["/b"])


def test_calls_that_are_too_late_are_left_out(kind):
    seen = []

    def f(items):
        seen.append(items)
        return items

    with worker_of(kind, f) as (_, gate):
        made = [gate.entry(1), gate.entry(2, timeout_s=-1), gate.entry(3)]
        gate.send((BATCH, 50, 3, "items", True), *made)
        found = answers(gate, [one[1] for one in made])
        assert found[1][2] == EXPIRED
        assert [found[0][2], found[2][2]] == [1, 3]
        calls = gate.batch([1, 2], timeout_s=-1)
        assert {answer[2] for answer in answers(gate, calls)} == {EXPIRED}
    assert seen == [[1, 3]]


def test_calls_that_have_become_too_late_do_not_run_again(kind):
    runs = []

    def f(items):
        runs.append(items)
        if len(items) > 1:
            eventually(lambda: time.monotonic() > late[3])
            raise ValueError
        return items

    with worker_of(kind, f) as (_, gate):
        late = gate.entry(1, timeout_s=0.1)
        fine = gate.entry(2)
        gate.send((BATCH, 50, 2, "items", True), late, fine)
        found = gate.answers(2)
        assert found[late[1]][3] == EXPIRED
        assert found[fine[1]][3] == 2
    assert runs == [[1, 2], [2]]


# ── leaving ──────────────────────────────────────────────────────────────────────────────────────


class Door:
    """Batches that wait inside."""

    def __init__(self):
        self.inside = []
        self.open = threading.Event()

    def __call__(self, items):
        self.inside.append(list(items))
        assert self.open.wait(WAIT_S)
        return items


def test_a_call_that_waits_leaves_its_batch():
    for kind in ("threads", "pool"):
        door = Door()
        with worker_of(kind, door, lambda x: x, threads=2 if kind == "threads" else 1) as (_, gate):
            first = gate.batch(["a"], "items")
            if kind == "threads":
                first += gate.batch(["b"], "items")
            eventually(lambda door=door, first=first: len(door.inside) == len(first))
            waiting = gate.batch([1, 2, 3], "items")
            alone = gate.batch([4], "items")
            gate.cancel(waiting[1])
            gate.cancel(alone[0])
            if kind == "pool":
                assert {gate.answer()[1], gate.answer()[1]} == {waiting[1], alone[0]}
                gate.cancel(first[0])  # a thread cannot be stopped
                door.open.set()
                found = gate.answers(3)
                assert door.inside[1:] == [[1, 3]]
            else:  # nobody listens before one has finished
                door.open.set()
                found = gate.answers(6)
            assert found[waiting[0]][3] == 1
            assert found[first[0]][0] == DONE


def test_a_call_that_waits_within_a_batch_that_takes_item_is_given_up():
    first, let_go = threading.Event(), threading.Event()

    def f(x):
        first.set()
        assert let_go.wait(WAIT_S)
        return x

    for kind in ("threads", "pool"):
        first.clear()
        let_go.clear()
        with worker_of(kind, f, threads=2) as (_, gate):
            calls = gate.batch([1, 2, 3], "item")
            assert first.wait(WAIT_S)
            gate.cancel(calls[0])
            gate.cancel(calls[1])
            assert gate.answer()[1:4:2] == [calls[1], CANCELLED]
            let_go.set()
            assert answers(gate, [calls[0], calls[2]]) == done([calls[0], calls[2]], [1, 3])


def test_a_task_is_cancelled_when_all_its_calls_are_given_up():
    inside, cancelled = [], []

    async def f(items):
        inside.append(list(items))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(list(items))
            raise

    with serving(f, tasks=True, concurrency=1) as worker, worker.gate() as gate:
        calls, waiting = gate.batch([1, 2]), gate.batch([3, 4])
        eventually(lambda: inside)
        gate.cancel(calls[0])
        gate.cancel(waiting[0])
        assert gate.answer()[1:4:2] == [waiting[0], CANCELLED]
        assert cancelled == []
        gate.cancel(calls[0])
        gate.cancel(calls[1])
        assert {answer[3] for answer in gate.answers(2).values()} == {CANCELLED}
        assert cancelled == [[1, 2]]
        eventually(lambda: inside == [[1, 2], [4]])
    eventually(lambda: cancelled == [[1, 2], [4]])


def test_calls_that_are_given_up_do_not_run_again_as_tasks():
    runs, go = [], []

    async def f(items):
        runs.append(list(items))
        if len(items) > 1:
            while not go:
                await asyncio.sleep(0.001)
            raise ValueError
        return items

    async def let(items):
        go.append(1)
        return items

    with serving(f, let, tasks=True) as worker, worker.gate() as gate:
        calls = gate.batch([1, 2, 3])
        eventually(lambda: runs)
        gate.cancel(calls[1])
        other = gate.batch([0], method=1)
        found = gate.answers(4)
        assert found[other[0]][0] == DONE
        assert [found[call][3] for call in calls] == [1, CANCELLED, 3]
    assert runs == [[1, 2, 3], [1], [3]]


@pytest.mark.parametrize("kind", ["threads", "pool"])
def test_a_gateway_that_goes_away_takes_its_batches_along(kind):
    door = Door()
    with worker_of(kind, door, lambda x: x) as (worker, gate):
        with worker.gate() as gone:
            gone.batch([1, 2], "items")
            eventually(lambda: door.inside)
            for _ in range(5):
                gone.batch([3], "items")
                gone.batch([4, 5], "item", 1)
        mine = gate.batch([6], "items")
        door.open.set()
        assert answers(gate, mine) == done(mine, [6])


# ── nonsense ─────────────────────────────────────────────────────────────────────────────────────

CALL = (POSITIONAL, 1, 0, 1e18, None, None, None)
NONSENSE = {
    "no calls": [(BATCH, 9, 0, "columns", True)],
    "fewer than none": [(BATCH, 9, -1, "columns", True)],
    "too many": [(BATCH, 9, MOST_CALLS + 1, "columns", True)],
    "no count": [(BATCH, 9, "2", "columns", True)],
    "true calls": [(BATCH, 9, True, "columns", True)],
    "unknown takes": [(BATCH, 9, 1, "sets", True)],
    "takes a list": [(BATCH, 9, 1, ["columns"], True)],
    "not apart": [(BATCH, 9, 1, "columns", 1)],
    "short": [(BATCH, 9, 1)],
    "nested": [(BATCH, 9, 2, "columns", True), (BATCH, 10, 1, "columns", True)],
    "a cancel inside": [(BATCH, 9, 2, "columns", True), CALL, (2, 1)],
    "a long cancel inside": [(BATCH, 9, 2, "columns", True), CALL, (2, 1, 0, 1e18, None, None, None)],
    "two methods": [(BATCH, 9, 2, "columns", True), CALL, (POSITIONAL, 2, 1, 1e18, None, None, None)],
    "two kinds": [(BATCH, 9, 2, "columns", True), CALL, (NAMED, 2, 0, 1e18, {}, None, None)],
    "twice the same": [(BATCH, 9, 2, "columns", True), CALL, CALL],
    "no id": [(BATCH, 9, 1, "columns", True), (POSITIONAL, None, 0, 1e18, None, None, None)],
    "no deadline": [(BATCH, 9, 1, "columns", True), (POSITIONAL, 1, 0, "late", None, None, None)],
    "no method": [(BATCH, 9, 1, "columns", True), (POSITIONAL, 1, -1, 1e18, None, None, None)],
    "a stream": [(BATCH, 9, 1, "columns", True), (POSITIONAL, 1, 0, 1e18, None, None, Terms(ahead=3))],
    "odd terms": [(BATCH, 9, 1, "columns", True), (POSITIONAL, 1, 0, 1e18, None, None, [1])],
    "unknown": [(77, 1)],
}


@pytest.mark.parametrize("entries", NONSENSE.values(), ids=NONSENSE.keys())
def test_a_gateway_that_talks_nonsense_is_hung_up_on_and_others_are_served(entries, kind):
    with worker_of(kind, lambda items: items) as (worker, good):
        with worker.gate() as bad:
            bad.send(*entries)
            assert bad.answer() is None
        calls = good.batch([1, 2])
        assert answers(good, calls) == done(calls, [1, 2])


@pytest.mark.parametrize("kind", ["threads", "tasks", "pool"])
def test_a_batch_that_never_becomes_whole_does_not_run(kind):
    seen = []

    def f(items):
        seen.append(items)
        return items

    with worker_of(kind, f) as (worker, gate):
        with worker.gate() as gone:
            gone.batch([1])
            gone.answer()
            gone.send((BATCH, 9, 3, "columns", True), CALL)
        gate.batch([2])
        gate.answer()
    assert seen == [[1], [2]]


def test_the_most_calls_of_a_batch_are_taken():
    assert Assembly((BATCH, 1, MOST_CALLS, "rows", False)).add(CALL, ()) is None

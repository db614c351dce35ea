"""Streams over real sockets, in every kind of worker: flow control, ends, and readers that leave."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from bentod.wire.entries import CHUNK, CHUNK_WITH, DONE, RAISED, Terms
from bentod.worker.calls import CANCELLED, EXPIRED, INVALID, TARGET_RAISED, UNSERIALIZABLE
from tests.support.daemon import eventually
from tests.support.gateways import WAIT_S, serving

UNSHARED = ("threads", "tasks", "pool")
KINDS = (*UNSHARED, "shared threads")
MIB = 1024 * 1024


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def asynchronous(function):
    """A generator as an asynchronous one."""

    async def wrapper(x):
        inner = function(x)
        try:
            for chunk in inner:
                yield chunk
        finally:
            inner.close()

    return wrapper


@contextmanager
def streaming(kind, *functions, threads=1, **options):
    """A worker of this kind whose methods are generators. Plain functions stay as they are."""
    if kind == "tasks":
        functions = [asynchronous(one) if is_generator(one) else one for one in functions]
    gateways = 2 if "shared" in kind else 1
    with serving(*functions, tasks="threads" not in kind, gateways=gateways, threads=threads, **options) as worker:
        yield worker


def is_generator(function):
    return bool(getattr(function, "__code__", None) and function.__code__.co_flags & 0x20)


class Source:
    """An endless or finite stream that keeps account of itself. `most`: what may have been made and not been taken."""

    def __init__(self, count=10**9, *, chunk=lambda number: number, most=10**9):
        self.count, self.chunk, self.most = count, chunk, most
        self.made = self.taken = self.closed = self.begun = 0
        self.broken = []

    @property
    def function(self):
        def f(x):
            self.begun += 1
            try:
                for number in range(self.count):
                    if self.made - self.taken >= self.most:
                        self.broken.append((self.made, self.taken))
                    self.made += 1
                    yield self.chunk(number)
            finally:
                self.closed += 1

        return f

    def take(self, gate, call, chunks=1):
        self.taken += chunks
        gate.take(call, chunks)


def chunks_of(gate, call, count):
    """That many chunks."""
    found = []
    for _ in range(count):
        answer = gate.answer()
        assert answer[:2] == [CHUNK, call]
        found.append(answer[3])
    return found


# ── chunks ───────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_is_its_chunks_and_an_end(kind):
    source = Source(200, chunk=lambda number: {"n": number})
    with streaming(kind, source.function) as worker, worker.gate() as gate:
        for _ in range(2):
            call = gate.call(None, ahead=7)
            chunks, end = gate.stream(call)
            assert chunks == [{"n": number} for number in range(200)]
            assert (end[0], end[1], end[3]) == (DONE, call, None)
            assert end[2] > 0
    assert source.closed == 2


def test_a_stream_may_be_empty(kind):
    with streaming(kind, Source(0).function) as worker, worker.gate() as gate:
        call = gate.call(None, ahead=7)
        assert gate.stream(call) == ([], [DONE, call, pytest.approx(0, abs=WAIT_S), None])


def test_any_iterator_is_a_stream():
    with streaming("threads", lambda x: iter([1, 2]), lambda x: map(str, range(3))) as worker, worker.gate() as gate:
        assert gate.stream(gate.call(None, ahead=1))[0] == [1, 2]
        assert gate.stream(gate.call(None, 1, ahead=1))[0] == ["0", "1", "2"]


class Counting:
    """An asynchronous iterator that is no generator."""

    def __init__(self):
        self.numbers = iter(range(3))

    def __aiter__(self):
        return self

    async def __anext__(self):
        await asyncio.sleep(0)
        for number in self.numbers:
            return number
        raise StopAsyncIteration


def test_any_asynchronous_iterator_is_a_stream_even_if_it_is_awaited_first():
    async def awaited(x):
        await asyncio.sleep(0)
        return Counting()

    async def generated(x):
        return asynchronous(Source(3).function)(x)

    with streaming("tasks", awaited, generated) as worker, worker.gate() as gate:
        assert gate.stream(gate.call(None, ahead=2))[0] == [0, 1, 2]
        assert gate.stream(gate.call(None, 1, ahead=2))[0] == [0, 1, 2]


@pytest.mark.parametrize("value", [[1, 2], None, "text", {"a": 1}, 5, range(3)], ids=repr)
def test_what_is_no_iterator_is_no_stream(kind, value):
    async def later(x):
        return value

    function = later if kind == "tasks" else lambda x: value
    with streaming(kind, function) as worker, worker.gate() as gate:
        answer = gate.stream(gate.call(None, ahead=2))[1]
        assert (answer[0], answer[3], answer[4]) == (RAISED, INVALID, "")
        assert type(value).__name__ in answer[5]
        assert worker.log == [answer[5] + "\n"]


def test_status_and_headers_come_with_the_first_chunk():
    def f(x, context):
        context.response.headers["x-a"] = "1"
        yield 1
        context.response.status = 201
        yield 2

    def left_alone(x, context):
        yield 1

    with serving(f, left_alone) as worker, worker.gate() as gate:
        gate.call(None, ahead=9, extra=("id", {}))
        first, second, end = (gate.answer() for _ in range(3))
        assert (first[0], first[3:]) == (CHUNK_WITH, [1, None, {"x-a": "1"}])
        assert (second[0], second[3:]) == (CHUNK, [2])  # the head is out
        assert end[3] is None
        gate.call(None, 1, ahead=9, extra=("id", {}))
        assert gate.answer()[0] == CHUNK


# ── flow control ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ahead", [1, 2, 5, 32])
def test_a_stream_is_never_further_ahead_than_it_may(kind, ahead):
    source = Source(most=ahead)
    with streaming(kind, source.function) as worker, worker.gate() as gate:
        call = gate.call(None, ahead=ahead)
        assert chunks_of(gate, call, ahead) == list(range(ahead))
        following = ahead
        for take in (1, 1, ahead, 1, ahead):
            source.take(gate, call, take)
            assert chunks_of(gate, call, take) == list(range(following, following + take))
            following += take
        assert gate.silent()
        assert source.made == following
        gate.cancel(call)
        assert gate.answer()[3] == CANCELLED
    assert source.broken == []


@pytest.mark.parametrize(("size", "most"), [(MIB, 1), (3 * MIB, 1), (600_000, 2), (300_000, 4)])
def test_large_chunks_are_bounded_by_their_bytes(kind, size, most):
    """About 1 MiB: what exceeds it goes out, and then nothing more."""
    source = Source(most=most, chunk=lambda number: bytes([number]) * size)
    with streaming(kind, source.function) as worker, worker.gate() as gate:
        for terms in (Terms(ahead=100), Terms(ahead=100, special=True)):
            source.made = source.taken = 0
            call = gate.call(None, terms=terms)
            for number in range(most + 3):
                if number >= most:
                    source.take(gate, call)
                ((answer,)) = chunks_of(gate, call, 1)
                assert bytes(getattr(answer, "data", answer)) == bytes([number]) * size
            assert gate.silent()
            gate.cancel(call)
            assert gate.answer()[3] == CANCELLED
    assert source.broken == []


def test_credit_that_comes_twice_or_for_nobody_does_no_harm(kind):
    source = Source(20)
    with streaming(kind, source.function) as worker, worker.gate() as gate:
        gate.take(12345, 5)
        call = gate.call(None, ahead=3)
        chunks_of(gate, call, 3)
        gate.take(call, 100)  # as if more had been sent
        chunks_of(gate, call, 3)
        assert gate.silent()
        gate.take(call, 0)
        gate.take(call, 3)
        chunks_of(gate, call, 3)
        chunks, end = [], None
        gate.take(call, 3)
        while end is None:
            answer = gate.answer()
            if answer[0] == CHUNK:
                chunks.append(answer[3])
                gate.take(call, 1)
            else:
                end = answer
        assert (chunks, end[0]) == (list(range(9, 20)), DONE)
        gate.take(call, 1)
        assert gate.stream(gate.call(None, ahead=3))[0] == list(range(20))


def test_all_threads_run_streams_and_each_gets_its_credit(kind):
    """Nobody is left to listen but those that wait themselves."""
    with streaming(kind, Source(50).function, threads=3) as worker, worker.gate() as gate:
        calls = [gate.call(None, ahead=1) for _ in range(3)]
        at = dict.fromkeys(calls, 0)
        first = {gate.answer()[1] for _ in calls}
        assert first == set(calls)
        order = random.Random(5)
        while at:
            call = order.choice(list(at))
            gate.take(call, 1)
            answer = gate.answer()
            assert answer[1] == call
            if answer[0] == DONE:
                assert at.pop(call) == 49
            else:
                at[call] += 1
                assert answer[3] == at[call]


def test_other_calls_run_while_a_stream_waits_for_its_reader(kind):
    source = Source()
    with streaming(kind, source.function, lambda x: x, threads=2) as worker, worker.gate() as gate:
        call = gate.call(None, ahead=2)
        chunks_of(gate, call, 2)
        for number in range(50):
            gate.call(number, 1)
            assert gate.answer()[3] == number
        source.take(gate, call)
        assert chunks_of(gate, call, 1) == [2]
        gate.cancel(call)
        assert gate.answer()[3] == CANCELLED


class Look:
    """A server's poll. The first time that a stream looks, `meanwhile` happens before it sees anything."""

    def __init__(self, inner, meanwhile):
        self.inner, self.meanwhile = inner, meanwhile

    def poll(self, timeout_s):
        if timeout_s == 0 and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return self.inner.poll(timeout_s)

    def __getattr__(self, name):
        return getattr(self.inner, name)


@pytest.mark.parametrize("ahead", [1, 2], ids=["and then waits", "and goes on"])
def test_a_call_that_a_stream_finds_when_it_looks_is_handed_over(ahead):
    """The other thread has nothing to do by then, and nothing else ever wakes it up."""
    let_go = threading.Event()

    def hold(x):
        assert let_go.wait(WAIT_S)
        return x

    def meanwhile():
        let_go.set()
        eventually(lambda: worker.server._idle == 1)
        gate.call("found", 1)

    with streaming("threads", Source(2).function, hold, threads=2) as worker, worker.gate() as gate:
        held = gate.call("held", 1)
        eventually(lambda: worker.server._led)
        worker.server._poll = Look(worker.server._poll, meanwhile)
        call = gate.call(None, ahead=ahead)
        answers = [gate.answer()]
        while answers[-1][3] != "found":
            answers.append(gate.answer())
        while (DONE, call) not in {(answer[0], answer[1]) for answer in answers}:
            gate.take(call, 1)
            answers.append(gate.answer())
        assert [answer[3] for answer in answers if answer[1] == held] == ["held"]
        assert [answer[3] for answer in answers if answer[1] == call] == [0, 1, None]


def test_with_one_thread_other_calls_come_after_the_stream():
    with streaming("threads", Source(5).function, lambda x: x) as worker, worker.gate() as gate:
        call = gate.call(None, ahead=2)
        after = gate.call("after", 1)
        chunks, end = gate.stream(call)
        assert (chunks, end[0]) == ([0, 1, 2, 3, 4], DONE)
        assert gate.answer()[1:4:2] == [after, "after"]


def test_a_stream_that_waits_uses_no_time(kind):
    with streaming(kind, Source().function, lambda x: x, threads=3) as worker, worker.gate() as gate:
        calls = [gate.call(None, ahead=1) for _ in range(2)]
        for _ in calls:
            gate.answer()
        begun = time.process_time()
        threading.Event().wait(0.3)
        assert time.process_time() - begun < 0.2
        for call in calls:
            gate.cancel(call)
        assert {answer[3] for answer in gate.answers(2).values()} == {CANCELLED}


# ── giving up ────────────────────────────────────────────────────────────────────────────────────


def ended(gate, call):
    """The end of a stream, whatever chunks come before."""
    while (answer := gate.answer())[0] == CHUNK:
        assert answer[1] == call
    return answer


@pytest.mark.parametrize("ahead", [1, 10_000_000], ids=["waiting", "running"])
def test_a_stream_that_is_given_up_is_closed(kind, ahead):
    source = Source()
    with streaming(kind, source.function) as worker, worker.gate() as gate:
        call = gate.call(None, ahead=ahead)
        chunks_of(gate, call, 1)
        gate.cancel(call)
        gate.cancel(call)
        end = ended(gate, call)
        assert (end[0], end[1], end[3]) == (RAISED, call, CANCELLED)
        assert source.closed == 1
        gate.cancel(call)
        assert gate.call(None, ahead=1)
        assert gate.answer()[0] == CHUNK
    eventually(lambda: source.closed == 2)


def test_a_stream_that_has_not_begun_is_given_up_without_beginning():
    for kind in ("threads", "pool"):
        source = Source()
        with streaming(kind, source.function) as worker, worker.gate() as gate:
            first, second = gate.call(None, ahead=1), gate.call(None, ahead=1)
            chunks_of(gate, first, 1)
            gate.cancel(second)
            assert gate.answer()[1:4:2] == [second, CANCELLED]
            gate.cancel(first)
            assert gate.answer()[1:4:2] == [first, CANCELLED]
        assert (source.begun, source.closed) == (1, 1)


@pytest.mark.parametrize("ahead", [1, 10_000_000], ids=["waiting", "running"])
def test_a_gateway_that_goes_takes_its_streams_along(kind, ahead):
    source = Source()
    with streaming(kind, source.function, lambda x: x) as worker:
        with worker.gate() as gone:
            call = gone.call(None, ahead=ahead)
            gone.call(None, ahead=ahead)
            chunks_of(gone, call, 1)
        eventually(lambda: source.closed >= 1)
        with worker.gate() as gate:
            gate.call("fine", 1)
            assert gate.answer()[3] == "fine"
    assert source.begun == source.closed


@pytest.mark.parametrize("kind", UNSHARED)
def test_one_gateways_cancel_and_credit_do_not_touch_anothers_stream(kind):
    source = Source(4)
    with streaming(kind, source.function) as worker, worker.gate() as mine, worker.gate() as theirs:
        call = mine.call(None, ahead=2)
        chunks_of(mine, call, 2)
        theirs.cancel(call)
        theirs.take(call, 5)
        theirs_too = theirs.call(None, ahead=2)  # its number is the same
        assert theirs_too == call
        mine.take(call, 1)
        assert chunks_of(mine, call, 1) == [2]
        mine.take(call, 2)
        assert ended(mine, call)[0] == DONE
        assert theirs.stream(theirs_too)[0] == [0, 1, 2, 3]


def test_an_asynchronous_stream_is_closed_where_it_waits():
    closed = []

    async def f(x):
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            closed.append(x)

    with serving(f, tasks=True) as worker, worker.gate() as gate:
        call = gate.call("mine", ahead=9)
        chunks_of(gate, call, 1)
        gate.cancel(call)
        assert gate.answer()[3] == CANCELLED
        assert closed == ["mine"]


def test_draining_lets_streams_end(kind):
    source = Source(6)
    with streaming(kind, source.function, threads=2) as worker:
        with worker.gate() as gate:
            call = gate.call(None, ahead=2)
            chunks_of(gate, call, 2)
            worker.server.drain()
            for number in range(2, 6):
                gate.take(call, 1)
                assert chunks_of(gate, call, 1) == [number]
            gate.take(call, 1)
            assert ended(gate, call)[0] == DONE
            assert worker.thread.is_alive()
        assert worker.ended()


def test_draining_ends_when_the_gateways_of_streams_have_gone(kind):
    source = Source()
    with streaming(kind, source.function, threads=2) as worker:
        with worker.gate() as gate:
            for _ in range(3):
                gate.call(None, ahead=1)
            eventually(lambda: source.begun >= 2)
            worker.server.drain()
        assert worker.ended()
    eventually(lambda: source.begun == source.closed)  # by threads, which may still be at it


# ── failures ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), KeyboardInterrupt(), StopIteration()], ids=repr)
def test_a_stream_that_raises_ends_with_that_after_its_chunks(kind, error, after):
    def f(x):
        yield from range(after)
        if x:
            raise error
        yield "alive"

    with streaming(kind, f, threads=2) as worker, worker.gate() as gate:
        for _ in range(3):
            chunks, end = gate.stream(gate.call(True, ahead=9))
            assert (chunks, end[0], end[3]) == (list(range(after)), RAISED, TARGET_RAISED)
            assert end[6][-1] == "builtins:object"
        assert len(worker.log) == 3
        assert gate.stream(gate.call(False, ahead=9))[0][-1] == "alive"


def test_a_callable_that_raises_before_there_is_a_stream(kind):
    def f(x):
        raise ValueError("at once")

    with streaming(kind, f) as worker, worker.gate() as gate:
        assert gate.stream(gate.call(None, ahead=9))[1][3:5] == [TARGET_RAISED, "at once"]


@pytest.mark.parametrize("terms", [Terms(ahead=9), Terms(ahead=9, special=True)], ids=["plain", "special"])
def test_a_chunk_that_cannot_be_sent_ends_a_stream(kind, terms):
    source = Source(chunk=lambda number: object() if number == 2 else number)
    with streaming(kind, source.function) as worker, worker.gate() as gate:
        for _ in range(2):
            chunks, end = gate.stream(gate.call(None, terms=terms))
            assert (chunks, end[0], end[3], end[4]) == ([0, 1], RAISED, UNSERIALIZABLE, "")
        assert len(worker.log) == 2
    assert source.closed == 2


def test_a_stream_that_does_not_want_to_be_closed_harms_nobody(kind):
    def stubborn(x):
        with suppress(GeneratorExit):
            yield from itertools.count()
        yield "not yet"

    async def stubborn_too(x):
        with suppress(GeneratorExit):
            for number in itertools.count():
                yield number
        yield "not yet"

    function = stubborn_too if kind == "tasks" else stubborn
    with serving(function, lambda x: x, tasks=kind != "threads") as worker, worker.gate() as gate:
        for _ in range(3):
            call = gate.call(None, ahead=1)
            chunks_of(gate, call, 1)
            gate.cancel(call)
            assert ended(gate, call)[0] == RAISED
        gate.call("fine", 1)
        assert gate.answer()[3] == "fine"


def test_a_stream_that_swallows_its_cancellation_is_closed_all_the_same():
    closed = []

    async def f(x):
        try:
            for number in itertools.count():
                yield number
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
        finally:
            closed.append(x)

    with serving(f, tasks=True) as worker, worker.gate() as gate:
        call = gate.call("x", ahead=9)
        chunks_of(gate, call, 1)
        gate.cancel(call)
        assert ended(gate, call)[3] == CANCELLED
        assert closed == ["x"]


def test_a_stream_that_is_too_late_does_not_begin(kind):
    source = Source()
    with streaming(kind, source.function) as worker, worker.gate() as gate:
        call = gate.call(None, ahead=1, timeout_s=-1.0)
        assert gate.answer()[:4] == [RAISED, call, 0.0, EXPIRED]
        assert gate.silent()
    assert source.begun == 0


def test_a_deadline_is_for_the_beginning_only(kind):
    ready = threading.Event()

    def f(x):
        yield 1
        assert ready.wait(WAIT_S)
        yield 2

    if kind == "tasks":

        async def function(x):
            yield 1
            assert await asyncio.to_thread(ready.wait, WAIT_S)
            yield 2
    else:
        function = f
    with serving(function, tasks=kind != "threads") as worker, worker.gate() as gate:
        entry = gate.entry(None, ahead=9, timeout_s=0.5)
        gate.send(entry)
        first = gate.answer()
        if first[0] == CHUNK:  # else this machine was too slow to begin in time
            eventually(lambda: time.monotonic() > entry[3])
            ready.set()
            assert chunks_of(gate, entry[1], 1) == [2]


# ── memory that is used again ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [100, 50_000])
def test_a_stream_may_use_its_memory_again(kind, size):
    def f(x):
        buffer = np.zeros(size, np.int32)
        for number in range(20):
            buffer[:] = number
            yield buffer

    with streaming(kind, f) as worker, worker.gate() as gate:
        chunks, _ = gate.stream(gate.call(None, terms=Terms(special=True, ahead=32)))
        values = [np.frombuffer(chunk.data, np.int32) for chunk in chunks]
        assert [set(value.tolist()) for value in values] == [{number} for number in range(20)]


@pytest.mark.parametrize("size", [100, 50_000])
def test_coroutines_may_answer_from_one_memory(size):
    """An answer that waits for the loop to send it is not what the next call made of its memory."""
    buffer = np.zeros(size, np.int32)

    async def f(x):
        buffer[:] = x
        return buffer

    with serving(f, tasks=True) as worker, worker.gate() as gate:
        calls = [gate.entry(number, terms=Terms(special=True)) for number in range(20)]
        gate.send(*calls)
        answers = gate.answers(20)
        for call in calls:
            assert set(np.frombuffer(answers[call[1]][3].data, np.int32).tolist()) == {call[4]}


# ── anything ─────────────────────────────────────────────────────────────────────────────────────


class Crowd:
    """One gateway's streams and calls, all of them counted. Streams are taken, left alone or given up at random."""

    def __init__(self, gate, seed, streams, calls):
        self.gate = gate
        self.random = random.Random(seed)
        self.to_come = ["stream"] * streams + ["call"] * calls
        self.random.shuffle(self.to_come)
        self.streams = {}
        self.calls = {}
        self.untaken = {}
        self.given_up = set()

    def start(self):
        """A few more calls."""
        for _ in range(self.random.randint(1, 4)):
            if self.to_come and self.to_come.pop() == "stream":
                self.streams[self.gate.call(None, ahead=self.random.randint(1, 3))] = 0
            elif self.to_come:
                number = self.random.randint(0, 10**6)
                self.calls[self.gate.call(number, 1)] = number

    def hear(self):
        """One answer, and what follows of it."""
        kind, call, _, value, *_ = self.gate.answer()
        if call in self.calls:
            assert value == self.calls.pop(call)
        elif kind == CHUNK:
            assert value == self.streams[call]
            self.streams[call] += 1
            self.untaken[call] = self.untaken.get(call, 0) + 1
            if self.random.random() < 0.1:
                self.given_up.add(call)
                self.gate.cancel(call)
        else:
            assert kind == DONE or call in self.given_up
            del self.streams[call]
            self.untaken.pop(call, None)

    def take(self):
        """Tell of what was read, in another order."""
        waiting = list(self.untaken)
        self.random.shuffle(waiting)
        for call in waiting:
            self.gate.take(call, self.untaken.pop(call))

    def run(self):
        while self.to_come or self.streams or self.calls:
            self.start()
            while not self.gate.silent():
                self.hear()
            self.take()
            if self.streams or self.calls:
                self.hear()


@pytest.mark.parametrize("kind", UNSHARED)
@pytest.mark.parametrize("seed", range(4))
def test_streams_and_calls_of_several_gateways_at_random(kind, seed):
    """A lost wake-up shows as an answer that never comes."""

    def count(x):
        yield from range(40)

    with streaming(kind, count, lambda x: x, threads=4) as worker:
        gates = [worker.gate() for _ in range(2)]
        crowds = [Crowd(gate, seed * 2 + number, 8, 200) for number, gate in enumerate(gates)]
        failures = []

        def run(crowd):
            try:
                crowd.run()
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=run, args=(crowd,)) for crowd in crowds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for gate in gates:
            gate.socket.close()
        assert failures == []


class OneThing:
    """One gateway that does one thing at a time and waits for what follows of it: nothing else wakes anybody up."""

    def __init__(self, gate, seed, streams):
        self.gate = gate
        self.random = random.Random(seed)
        self.most = streams
        self.streams = {}

    def begin(self):
        if len(self.streams) < self.most:
            call = self.gate.call(None, ahead=1)
            assert self.gate.answer()[:4:3] == [CHUNK, 0]
            self.streams[call] = 0

    def go_on(self):
        if self.streams:
            call = self.random.choice(list(self.streams))
            self.gate.take(call, 1)
            answer = self.gate.answer()
            assert answer[1] == call
            if answer[0] == DONE:
                del self.streams[call]
            else:
                self.streams[call] += 1
                assert answer[3] == self.streams[call]

    def give_up(self):
        if self.streams:
            call, _ = self.streams.popitem()
            self.gate.cancel(call)
            assert self.gate.answer()[1:4:2] == [call, CANCELLED]

    def ask(self):
        number = self.random.random()
        self.gate.call(number, 1)
        assert self.gate.answer()[3] == number

    def run(self, steps):
        for _ in range(steps):
            self.random.choice([self.begin, self.go_on, self.go_on, self.ask, self.ask, self.give_up])()


@pytest.mark.parametrize("threads", [2, 3, 4])
@pytest.mark.parametrize("seed", range(2))
def test_one_thing_at_a_time_wakes_up_who_is_needed(kind, threads, seed):
    with streaming(kind, Source(5).function, lambda x: x, threads=threads) as worker, worker.gate() as gate:
        OneThing(gate, seed, threads - 1).run(300)

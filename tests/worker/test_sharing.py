"""Several gateways at one worker, over real sockets: who is refused, who comes next, and that nobody starves."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from bentod.wire.entries import BATCH, DONE, FREE, RAISED, REFUSED
from bentod.worker.calls import CANCELLED
from tests.support.daemon import eventually
from tests.support.gateways import WAIT_S, serving

KINDS = ("threads", "tasks", "pool")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


class Room:
    """Calls wait inside until they are let out, one by one."""

    def __init__(self):
        self.inside = []
        self.threads = set()
        self._let = threading.Semaphore(0)

    def enter(self, x):
        self.inside.append(x)
        self.threads.add(threading.current_thread().name)
        assert self._let.acquire(timeout=WAIT_S)
        return x

    async def enter_async(self, x):
        self.inside.append(x)
        deadline = time.monotonic() + WAIT_S
        while not self._let.acquire(blocking=False):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.001)
        return x

    def let_out(self, count=1):
        self._let.release(count)


@contextmanager
def shared(kind, room, *, gates=2, slots=1):
    """A worker of this kind with so many gateways, which all are connected."""
    function = room.enter_async if kind == "tasks" else room.enter
    with serving(function, tasks=kind != "threads", threads=slots, concurrency=slots, gateways=2) as worker:
        connected = [worker.gate() for _ in range(gates)]
        try:
            for gate in connected:  # who is answered has been accepted
                call = gate.call(None)
                eventually(lambda: room.inside)
                threading.Event().wait(0.02)  # such calls are not short
                room.let_out()
                while (answer := gate.answer())[0] != DONE:
                    if answer[0] == FREE:
                        gate.send((0, call, 0, time.monotonic() + WAIT_S, {"x": None}, None, None))
            room.inside.clear()
            yield (worker, *connected)
        finally:
            room.let_out(1000)
            for gate in connected:
                gate.socket.close()


def test_what_finds_no_free_slot_is_refused_at_once_and_has_the_next_turn(kind):
    room = Room()
    with shared(kind, room) as (_, a, b):
        first = a.call("a")
        eventually(lambda: room.inside == ["a"])
        refused = b.call("b")
        assert b.answer() == [REFUSED, refused]
        room.let_out()
        assert a.answer()[::3] == [DONE, "a"]
        assert b.answer()[0] == FREE
        again = a.call("a2")
        assert a.answer() == [REFUSED, again]
        b.call("b2")
        eventually(lambda: room.inside == ["a", "b2"])
        room.let_out()
        assert b.answer()[::3] == [DONE, "b2"]
        assert a.answer()[0] == FREE
        assert first != again


def test_all_slots_are_used(kind):
    room = Room()
    with shared(kind, room, slots=3) as (_, a, b):
        a.call(1)
        b.call(2)
        a.call(3)
        eventually(lambda: len(room.inside) == 3)
        call = b.call(4)
        assert b.answer() == [REFUSED, call]
        room.let_out(3)
        assert {a.answer()[3], a.answer()[3]} == {1, 3}


@pytest.mark.parametrize("how", ["passes", "leaves", "is silent"])
def test_a_slot_that_is_not_wanted_goes_to_the_next(kind, how):
    room = Room()
    with shared(kind, room, gates=3) as (_, a, b, c):
        a.call("a")
        eventually(lambda: room.inside)
        for gate in (b, c):
            call = gate.call("refused")
            assert gate.answer() == [REFUSED, call]
        room.let_out()
        assert b.answer()[0] == FREE
        assert c.silent()
        begun = time.monotonic()
        if how == "passes":
            b.give_back()
        elif how == "leaves":
            b.socket.close()
        assert c.answer()[0] == FREE
        assert (time.monotonic() - begun >= 0.05) or how != "is silent"
        c.call("c")
        eventually(lambda: room.inside == ["a", "c"])


def test_a_slot_kept_for_nobody_is_free_again(kind):
    room = Room()
    with shared(kind, room) as (_, a, b):
        a.call("a")
        eventually(lambda: room.inside)
        b.call("b")
        assert b.answer()[0] == REFUSED
        room.let_out(2)
        assert a.answer()[0] == DONE
        assert b.answer()[0] == FREE
        b.socket.close()
        call = a.call("a2")
        while (answer := a.answer())[0] != DONE:
            assert answer == [REFUSED, call] or answer[0] == FREE
            if answer[0] == FREE:
                call = a.call("a2")
        assert answer[3] == "a2"


def test_lies_do_no_harm(kind):
    room = Room()
    with shared(kind, room) as (_, a, b):
        for gate in (a, b):
            for _ in range(3):
                gate.give_back()
        a.call("a")
        eventually(lambda: room.inside)
        call = b.call("b")
        b.give_back()
        b.give_back()
        assert b.answer() == [REFUSED, call]
        b.cancel(call)
        b.take(call, 5)
        room.let_out()
        assert a.answer()[::3] == [DONE, "a"]
        assert b.answer()[0] == FREE
        a.give_back()  # what is another's
        b.call("b2")
        eventually(lambda: room.inside == ["a", "b2"])


def test_a_batch_is_refused_as_a_whole(kind):
    room = Room()
    with shared(kind, room) as (_, a, b):
        calls = a.batch([1, 2], "items")
        eventually(lambda: room.inside == [[1, 2]])
        b.batch([3, 4, 5], "items")
        refused = b.answer()
        assert refused[0] == REFUSED
        call = b.call("and this")  # the batch's calls were not taken for others
        assert b.answer() == [REFUSED, call]
        room.let_out(2)
        assert set(a.answers(2)) == set(calls)
        assert b.answer()[0] == FREE
        calls = b.batch([3, 4, 5], "items")
        assert set(b.answers(3)) == set(calls)
    assert room.inside == [[1, 2], [3, 4, 5]]


def test_a_batch_that_is_coming_holds_its_slot(kind):
    room = Room()
    with shared(kind, room, slots=2) as (_, a, b):
        other, one, two = a.entry("other"), a.entry(1), a.entry(2)
        a.send(other, (BATCH, 77, 2, "items", True), one)
        eventually(lambda: room.inside == ["other"])
        call = b.call("b")
        assert b.answer() == [REFUSED, call]
        a.send(two)
        eventually(lambda: room.inside == ["other", [1, 2]])
        room.let_out(2)
        assert set(a.answers(3)) == {other[1], one[1], two[1]}
        assert b.answer()[0] == FREE


def test_calls_still_run_in_the_threads_that_they_always_run_in():
    room = Room()
    with shared("threads", room) as (_, a, b):
        room.let_out(100)
        for gate in (a, b) * 5:
            gate.call(1)
            while gate.answer()[0] != DONE:
                pass
    assert room.threads == {"worker"}


def test_waiting_calls_of_the_only_gateway_are_given_up_while_another_runs():
    """The reader listens although all threads are busy."""
    room = Room()
    with serving(room.enter, gateways=2) as worker, worker.gate() as gate:
        running, waiting, batch = gate.call("running"), gate.call("waiting"), gate.batch([1, 2])
        eventually(lambda: room.inside)
        for call in (waiting, *batch):
            gate.cancel(call)
        assert {gate.answer()[1] for _ in range(3)} == {waiting, *batch}
        room.let_out()
        assert gate.answer()[1:4:2] == [running, "running"]
        room.let_out()
        gate.call("next")
        assert gate.answer()[3] == "next"


class Sender:
    """A gateway as it should be: once refused, it sends what is offered, and says when it wants no more."""

    def __init__(self, gate, arguments, most=1):
        self.gate = gate
        self.left = list(arguments)
        self.most = most
        self.out = {}
        self.answers = []
        self.waits, self.offered = False, 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def send(self):
        while self.left and len(self.out) < self.most and (self.offered or not self.waits):
            self.offered = max(0, self.offered - 1)
            argument = self.left.pop(0)
            self.out[self.gate.call(argument)] = argument

    def run(self):
        self.send()
        while self.left or self.out or self.waits:
            answer = self.gate.answer()
            if answer[0] == REFUSED:
                self.left.insert(0, self.out.pop(answer[1]))
                self.waits = True
            elif answer[0] == FREE:
                self.offered = answer[2]
            else:
                assert answer[0] == DONE
                assert answer[3] == self.out.pop(answer[1])
                self.answers.append(answer[3])
            self.send()
            if self.offered:
                self.waits, self.offered = False, 0
                self.gate.give_back()

    def done(self):
        self.thread.join(WAIT_S)
        return not self.thread.is_alive() and not self.left and not self.out


def test_who_floods_makes_nobody_wait_for_more_than_two_slots(kind):
    order = []

    def work(x):
        order.append(x)
        threading.Event().wait(0.005)
        return x

    async def work_async(x):
        order.append(x)
        await asyncio.sleep(0.005)
        return x

    function = work_async if kind == "tasks" else work
    with (
        serving(function, tasks=kind != "threads", concurrency=1, gateways=2) as worker,
        worker.gate() as flood,
        worker.gate() as other,
    ):
        flooding = Sender(flood, [f"a{n}" for n in range(200)], most=8)
        eventually(lambda: len(order) > 5)
        for n in range(20):
            before = len(order)
            sending = Sender(other, [f"b{n}"])
            assert sending.done()
            assert order.index(f"b{n}") - before <= 3  # and one that was just about to begin
        assert flooding.done()
    assert len(order) == 220
    assert sorted(flooding.answers) == sorted(f"a{n}" for n in range(200))


def test_short_calls_of_two_gateways_are_all_answered(kind):
    async def short(x):
        return x

    function = short if kind == "tasks" else lambda x: x
    with (
        serving(function, tasks=kind != "threads", threads=2, concurrency=2, gateways=2) as worker,
        worker.gate() as a,
        worker.gate() as b,
    ):
        senders = [Sender(gate, range(500), most=16) for gate in (a, b)]
        assert all(sender.done() for sender in senders)
        assert [sorted(sender.answers) for sender in senders] == [list(range(500))] * 2


def test_a_gateway_that_reads_nothing_stops_nobody():
    """Not even those that wait for what it does with its turn."""
    inside, let_go = threading.Event(), threading.Event()

    def f(x):
        if x == "hold":
            inside.set()
            assert let_go.wait(WAIT_S)
        return x if isinstance(x, str) else "y" * x

    with serving(f, threads=2, gateways=2) as worker, worker.gate() as deaf, worker.gate() as other:
        deaf.call(20_000_000)  # one thread is stuck with the answer
        other.call("hold")
        assert inside.wait(WAIT_S)
        deaf.send(*((0, number, 0, 1e18, {"x": 1}, None, None) for number in range(2000)))
        let_go.set()
        assert other.answer()[3] == "hold"
        sender = Sender(other, ["z"] * 20)
        assert sender.done()
        assert sender.answers == ["z"] * 20


def test_a_call_that_was_taken_can_be_given_up_and_frees_its_place():
    room = Room()
    with shared("tasks", room) as (_, a, b):
        call = a.call("a")
        eventually(lambda: room.inside)
        b.call("b")
        assert b.answer()[0] == REFUSED
        a.cancel(call)
        assert a.answer()[:4] == [RAISED, call, 0.0, CANCELLED]
        assert b.answer()[0] == FREE


def test_it_waits_without_using_time(kind):
    room = Room()
    with shared(kind, room) as (_, a, b):
        room.let_out(10)
        a.call(1)
        a.answer()
        begun = time.process_time()
        threading.Event().wait(0.3)
        assert time.process_time() - begun < 0.2
        assert b.silent() or b.answer()[0] == FREE


def test_draining_ends_when_all_gateways_have_gone(kind):
    room = Room()
    with shared(kind, room) as (worker, a, b):
        a.call("a")
        eventually(lambda: room.inside)
        b.call("b")
        assert b.answer()[0] == REFUSED
        worker.server.drain()
        room.let_out(2)
        assert a.answer()[3] == "a"
        a.socket.close()
        assert b.answer()[0] == FREE
        call = b.call("b2")
        assert b.answers(1)[call][3] == "b2"
        b.socket.close()
        assert worker.ended()


class Peer:
    """A gateway that sends calls and batches, gives some up, passes when it likes, and counts what it gets."""

    def __init__(self, gate, name, seed):
        self.gate, self.name, self.random = gate, name, random.Random(seed)
        self.units = {}  # the calls that were sent together, by the number with which they would be refused
        self.open = {}  # what each call is to be answered
        self.given_up = set()
        self.answered = 0
        self.free = True

    def send(self):
        count = self.random.choice([1, 1, 1, 2, 5])
        calls = [self.gate.entry(f"{self.name}-{self.random.random()}") for _ in range(count)]
        number = calls[0][1]
        if count == 1:
            self.gate.send(*calls)
        else:
            self.gate.send((BATCH, number, count, self.random.choice(["item", "items"]), True), *calls)
        self.units[number] = [call[1] for call in calls]
        self.open |= {call[1]: call[4] for call in calls}

    def receive(self):
        answer = self.gate.answer()
        if answer[0] == FREE:
            if self.random.random() < 0.7:
                self.send()
                answer[2] -= 1
            if answer[2]:
                self.give_back()
        elif answer[0] == REFUSED:
            self.free = False
            for call in self.units.pop(answer[1]):
                del self.open[call]
                self.given_up.discard(call)
        else:
            value = self.open.pop(answer[1])
            assert answer[3] == value or (answer[3] == CANCELLED and answer[1] in self.given_up)
            self.answered += 1

    def give_back(self):
        self.free = True
        self.gate.give_back()

    def step(self):
        act = self.random.random()
        if act < 0.4 and self.free and len(self.open) < 20:
            self.send()
        elif act < 0.5 and self.open:
            call = self.random.choice(list(self.open))
            self.given_up.add(call)
            self.gate.cancel(call)
        elif act < 0.55:
            self.give_back()
        elif self.open or not self.free:
            self.receive()

    def run(self, answers):
        """Go on until so many have come."""
        while self.answered < answers:
            self.step()
        while self.open or not self.free:
            self.receive()
        self.gate.give_back()


@pytest.mark.parametrize("seed", range(3))
def test_several_gateways_at_random(kind, seed):
    """Each call is answered once, by its own answer, or refused; and who was refused is told when there is room."""

    def take(x):
        if hash(str(x)) % 7 == 0:
            threading.Event().wait(0.002)
        return x

    async def take_async(x):
        await asyncio.sleep(0.002 if hash(str(x)) % 7 == 0 else 0)
        return x

    function = take_async if kind == "tasks" else take
    with (
        serving(function, tasks=kind != "threads", threads=2, concurrency=2, gateways=3) as worker,
        worker.gate() as leaving,
        worker.gate() as one,
        worker.gate() as other,
    ):
        peers = [Peer(gate, name, f"{seed}{name}") for gate, name in ((one, "a"), (other, "b"), (leaving, "c"))]
        with ThreadPoolExecutor(3) as pool:
            running = [pool.submit(peer.run, 100) for peer in peers[:2]]
            for _ in range(60):
                peers[2].step()
            leaving.socket.close()
            for future in running:
                future.result(WAIT_S)
        for gate in (one, other):  # an offer may have crossed with what was passed
            assert gate.silent() or gate.answer()[0] == FREE

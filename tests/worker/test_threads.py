"""A worker of synchronous methods over real sockets."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentod.wire.entries import DONE, RAISED, EntryPacker
from bentod.wire.frames import LIMIT, frame
from bentod.worker.calls import CANCELLED, TARGET_RAISED
from tests.support.daemon import eventually
from tests.support.gateways import WAIT_S, serving


class Turnstile:
    """A method whose calls wait until they are let through."""

    def __init__(self):
        self.inside: list = []
        self.open = threading.Event()

    def __call__(self, x):
        self.inside.append(x)
        assert self.open.wait(WAIT_S)
        return x


def test_calls_are_answered_in_order_by_one_thread():
    names = set()

    def f(x):
        names.add(threading.current_thread().name)
        return x * 2

    with serving(f) as worker, worker.gate() as gate:
        calls = [gate.entry(number) for number in range(100)]
        gate.send(*calls)
        answers = [gate.answer() for _ in calls]
        assert [(answer[0], answer[1], answer[3]) for answer in answers] == [
            (DONE, call[1], call[4] * 2) for call in calls
        ]
    assert names == {"worker"}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 400), max_size=12))
def test_calls_arrive_whatever_chunks_they_come_in(sizes):
    with serving(lambda x: x) as worker, worker.gate() as gate:
        packer = EntryPacker()
        calls = [gate.entry("x" * 20) for _ in range(10)]
        stream = b"".join(packer.frames([packer.entry(call)]) for call in calls)
        for end in itertools.accumulate(sizes):
            chunk, stream = stream[:end], stream[end:]
            gate.socket.sendall(chunk)
        gate.socket.sendall(stream)
        assert set(gate.answers(10)) == {call[1] for call in calls}


def test_as_many_calls_run_at_once_as_there_are_threads():
    gate_of = Turnstile()
    with serving(gate_of, threads=3) as worker, worker.gate() as gate:
        for number in range(5):
            gate.call(number)
        eventually(lambda: len(gate_of.inside) == 3)
        gate_of.open.set()
        assert len(gate.answers(5)) == 5
    assert sorted(gate_of.inside) == list(range(5))


def test_several_gateways_get_their_own_answers():
    with serving(lambda x: x) as worker:
        gates = [worker.gate() for _ in range(4)]
        sent = {(gate, gate.call(number)): number for number, gate in enumerate(gates)}
        for (gate, call), number in sent.items():
            assert gate.answer()[1:4:2] == [call, number]
        for gate in gates:
            gate.socket.close()


def test_a_waiting_call_can_be_given_up_and_a_running_one_cannot():
    turnstile = Turnstile()
    with serving(turnstile) as worker, worker.gate() as gate:
        running, waiting, other = gate.call("running"), gate.call("waiting"), gate.call("other")
        eventually(lambda: turnstile.inside)
        gate.cancel(running)
        gate.cancel(waiting)
        gate.cancel(12345)
        turnstile.open.set()
        answers = gate.answers(3)
        assert answers[running][::3] == [DONE, "running"]
        assert answers[other][::3] == [DONE, "other"]
        assert answers[waiting][0] == RAISED or answers[waiting][3] == "waiting"
    assert "other" in turnstile.inside


def test_a_call_that_waits_behind_a_running_one_is_given_up_at_once_where_a_thread_is_free_to_listen():
    turnstile = Turnstile()
    with serving(turnstile, threads=2) as worker, worker.gate() as gate:
        gate.call("one")
        gate.call("two")
        eventually(lambda: len(turnstile.inside) == 2)
        waiting = gate.call("waiting")
        gate.cancel(waiting)
        turnstile.open.set()
        answers = gate.answers(3)
        assert answers[waiting][3] in {CANCELLED, "waiting"}


def test_one_gateways_cancel_does_not_touch_another_gateways_call():
    turnstile = Turnstile()
    with serving(turnstile) as worker, worker.gate() as mine, worker.gate() as theirs:
        mine.call("first")
        eventually(lambda: turnstile.inside)
        call = theirs.call("theirs")
        mine.cancel(call)
        turnstile.open.set()
        assert theirs.answer()[::3] == [DONE, "theirs"]


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), StopIteration(), GeneratorExit()])
def test_no_exception_of_a_method_ends_the_worker(error):
    def f(x):
        if x:
            raise error
        return "alive"

    with serving(f, threads=2) as worker, worker.gate() as gate:
        for _ in range(4):
            gate.call(1)
        assert {answer[3] for answer in gate.answers(4).values()} == {TARGET_RAISED}
        gate.call(0)
        assert gate.answer()[3] == "alive"
        assert len(worker.log) == 4


def test_a_gateway_that_goes_away_with_calls_waiting_harms_nobody():
    turnstile = Turnstile()
    with serving(turnstile) as worker:
        with worker.gate() as gone:
            gone.call("running")
            eventually(lambda: turnstile.inside)
            for number in range(20):
                gone.call(number)
        with worker.gate() as gate:
            gate.call("mine")
            turnstile.open.set()
            assert gate.answer()[3] == "mine"
    assert turnstile.inside[-1] == "mine"


@pytest.mark.parametrize(
    "rubbish",
    [
        pytest.param(frame(b"\xc1"), id="not MessagePack"),
        pytest.param((LIMIT + 1).to_bytes(4, "little"), id="over the limit"),
        pytest.param(frame(b"\x05"), id="no list"),
    ],
)
def test_a_gateway_that_talks_rubbish_is_hung_up_on_and_others_are_served(rubbish):
    with serving(lambda x: x) as worker, worker.gate() as good:
        with worker.gate() as bad:
            bad.socket.sendall(rubbish)
            assert bad.answer() is None
        good.call(5)
        assert good.answer()[3] == 5


def test_a_gateway_of_another_user_is_hung_up_on(monkeypatch):
    with serving(lambda x: x) as worker:
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        with worker.gate() as gate:
            assert gate.answer() is None
        monkeypatch.undo()
        with worker.gate() as gate:
            gate.call(5)
            assert gate.answer()[3] == 5


def test_draining_answers_what_was_taken_and_takes_no_new_gateway():
    turnstile = Turnstile()
    with serving(turnstile, threads=2) as worker:
        with worker.gate() as gate:
            calls = [gate.call(number) for number in range(5)]
            eventually(lambda: len(turnstile.inside) == 2)
            worker.server.drain()
            turnstile.open.set()
            assert set(gate.answers(5)) == set(calls)
            late = gate.call("late")  # it was sent before the gateway heard of the draining
            assert gate.answers(1)[late][3] == "late"
            with contextlib.suppress(ConnectionError), worker.gate() as refused:
                assert refused.answer() is None
            assert worker.thread.is_alive()
        assert worker.ended()


def test_draining_without_any_gateway_ends_at_once():
    for threads in (1, 4):
        with serving(lambda x: x, threads=threads) as worker:
            worker.server.drain()
            worker.server.drain()
            assert worker.ended()


def test_large_answers_to_a_gateway_that_reads_slowly_arrive_whole():
    with serving(lambda x: "y" * x) as worker, worker.gate() as gate:
        gate.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        calls = [gate.call(3_000_000) for _ in range(3)]
        answers = gate.answers(3)
        assert [len(answers[call][3]) for call in calls] == [3_000_000] * 3


def test_a_gateway_that_leaves_in_the_middle_of_an_answer_harms_nobody():
    with serving(lambda x: "y" * x) as worker:
        for _ in range(5):
            with worker.gate() as rude:
                rude.call(5_000_000)
                assert rude.socket.recv(10)
        with worker.gate() as gate:
            gate.call(1)
            assert gate.answer()[3] == "y"


def test_an_idle_worker_uses_no_time():
    with serving(lambda x: x, threads=2) as worker, worker.gate() as gate:
        gate.call(1)
        gate.answer()
        begun = time.process_time()
        threading.Event().wait(0.3)
        assert time.process_time() - begun < 0.2

"""The open loop against real sockets: intended starts, stalls, limits, time-outs, servers that go away."""

import asyncio
import time

import pytest

from bentod.cli.bench_arrivals import poisson
from bentod.cli.bench_load import Load
from bentod.cli.bench_options import Options
from bentod.cli.bench_pool import Address, Pool, address
from bentod.cli.bench_sweep import Sweep, Trial
from bentod.cli.bench_tally import Tally, Window
from bentod.cli.bench_timer import Timer
from tests.support.answering import Answering, answer, answering
from tests.support.loops import LOOPS, run, until

REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n%d"
LEAD_S = 0.01


def measured(scenario, limit=50, timeout_s=10.0, requests=(REQUEST % 10,), loop="uvloop"):
    """What `scenario(server, load, pool)` gives, with a pool that is closed afterwards."""

    async def main():
        async with answering() as server:
            pool = Pool(address(server.url), limit, timeout_s, time.monotonic)
            try:
                return await scenario(server, Load(pool, requests, time.monotonic), pool)
            finally:
                await pool.close()

    return run(main(), loop)


async def offered(load, rate, duration_s, limit=0):
    """Offers a rate: the tally and whether it was whole."""
    start = time.monotonic() + LEAD_S
    tally = Tally(Window(start, start + duration_s))
    whole = await load.run(poisson(rate, start, start + duration_s, "test"), tally, limit)
    return tally, whole


def row(tally, cpu=0.0):
    return tally.row(1.0, cpu, tally.window.end, stream=False, partial=False)


@pytest.mark.parametrize("loop", LOOPS)
def test_all_that_arrives_is_sent_and_answered(loop):
    async def scenario(server, load, _):
        tally, whole = await offered(load, 400, 0.5)
        return whole, server.asked, row(tally)

    whole, asked, found = measured(scenario, loop=loop)
    assert (whole, asked, found.intended, found.answered, found.failures) == (True, 200, 200, 200, {})


def test_requests_are_sent_in_turn():
    bodies = []

    async def scenario(server, load, _):
        def serve(request):
            bodies.append(request.body)
            request.transport.write(answer())

        server.serve = serve
        await offered(load, 60, 0.1, 1)

    measured(scenario, requests=[REQUEST % 10, REQUEST % 20, REQUEST % 30])
    assert bodies == [b"10", b"20", b"30"] * 2


def test_a_stall_is_seen_by_all_who_would_have_called_meanwhile():
    """A closed loop with four connections would have had four slow calls of hundreds, and a fine p99."""

    async def scenario(server, load, _):
        loop = asyncio.get_running_loop()
        stalled = []
        over = asyncio.Event()

        def serve(request):
            if over.is_set() or server.asked < 100:
                request.transport.write(answer())
                return
            if not stalled:
                loop.call_later(1.0, resume)
            stalled.append(request)

        def resume():
            over.set()
            for request in stalled:
                request.transport.write(answer())

        server.serve = serve
        tally, _ = await offered(load, 200, 2.0)
        return len(stalled), row(tally)

    stalled, found = measured(scenario, limit=4)
    assert stalled == 4
    assert (found.intended, found.answered) == (400, 400)
    assert found.waited > 120
    assert found.latency_s.p99 > 0.9
    assert found.latency_s.p90 > 0.6
    assert found.latency_s.p50 < found.latency_s.mean
    assert found.latency_s.max >= 1.0
    assert found.late_s.p90 < 0.5  # that is the server's fault, not the generator's


def test_a_generator_that_is_held_up_says_so():
    async def scenario(_, load, __):
        def hold_up():
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                pass

        asyncio.get_running_loop().call_later(0.1, hold_up)
        return row((await offered(load, 200, 0.5))[0])

    found = measured(scenario)
    assert found.late_s.p99 > 0.2
    assert "late" in found.unreliable


def test_connections_are_bounded_and_used_again():
    async def scenario(server, load, pool):
        held = []
        server.serve = held.append
        running = asyncio.ensure_future(offered(load, 500, 0.2))
        await until(lambda: len(held) == 5)
        busy, opened = pool.busy, server.most_open
        server.serve = server.gives(answer())
        for request in held:
            request.transport.write(answer())
        tally, _ = await running
        return busy, opened, server.most_open, tally.answered

    assert measured(scenario, limit=5) == (5, 5, 5, 100)


def test_a_server_that_never_answers():
    """Those under way and those that no connection was free for are given up, each after the same time."""

    async def scenario(server, load, pool):
        server.serve = lambda request: None
        tally, whole = await offered(load, 100, 0.3)
        return whole, pool.busy, row(tally)

    whole, busy, found = measured(scenario, limit=3, timeout_s=0.2)
    assert (whole, busy) == (True, 0)
    assert (found.answered, found.failures) == (0, {"timed-out": 30})
    assert 0.199 < found.latency_s.p50 < 5.0


def test_a_server_that_goes_away():
    async def scenario(server, load, pool):
        running = asyncio.ensure_future(offered(load, 500, 20.0))
        await until(lambda: server.asked > 50)
        server.stop()
        tally, whole = await running
        return whole, pool.gone, tally.answered

    whole, gone, answered = measured(scenario)
    assert not whole
    assert gone
    assert answered >= 50


def test_connections_that_are_cut_off_are_opened_anew():
    async def scenario(server, load, pool):
        def serve(request):
            if server.asked % 10 == 0:
                request.transport.abort()
            else:
                request.transport.write(answer())

        server.serve = serve
        tally, whole = await offered(load, 500, 0.2)
        return whole, pool.gone, row(tally)

    whole, gone, found = measured(scenario)
    assert (whole, gone) == (True, "")
    assert (found.answered, found.failures) == (90, {"connection-lost": 10})


def test_it_can_be_stopped():
    async def scenario(server, load, pool):
        server.serve = lambda request: None
        running = asyncio.ensure_future(offered(load, 500, 20.0))
        await until(lambda: server.asked > 10)
        load.stop()
        _, whole = await running
        return whole, pool.busy

    assert measured(scenario) == (False, 0)


def test_nobody_listens():
    async def main():
        pool = Pool(Address("", 0, "/nonexistent/s"), 5, 1.0, time.monotonic)
        load = Load(pool, [REQUEST % 10], time.monotonic)
        tally, whole = await offered(load, 500, 20.0)
        return whole, pool.gone, dict(row(tally).failures)

    whole, gone, failures = run(main(), "uvloop")
    assert not whole
    assert "No such file" in gone
    assert set(failures) == {"not-connected"}


@pytest.mark.parametrize("loop", LOOPS)
def test_the_timer(loop):
    async def main():
        fired = []
        timer = Timer(lambda: fired.append(time.monotonic()))
        try:
            due = time.monotonic() + 0.05
            timer.set(due + 10)
            timer.set(due)
            await until(lambda: fired)
            timer.set(0.0)
            await until(lambda: len(fired) == 2)
        finally:
            timer.close()
        return fired[0] - due

    assert 0 <= run(main(), loop) < 5.0


# ── the whole course ─────────────────────────────────────────────────────────────────────────────


def swept(scenario, requests=(REQUEST % 10,), **changed):
    options = {
        "rates": (), "duration_s": 0.3, "warm_up_s": 0.1, "timeout_s": 5.0, "connections": 20, "seed": 1, **changed
    }  # fmt: skip

    async def main():
        async with answering() as server:
            pool = Pool(address(server.url), options["connections"], options["timeout_s"], time.monotonic)
            sweep = Sweep(pool, requests, Options(**options), time.monotonic, time.process_time)
            try:
                return await scenario(server, sweep)
            finally:
                await pool.close()

    return run(main(), "uvloop")


def test_a_row_counts_what_comes_after_the_warm_up():
    async def scenario(server, sweep):
        found = await sweep.row(0, 200, stream=False)
        return server.asked, found

    asked, found = swept(scenario)
    assert (asked, found.intended, found.answered) == (80, 60, 60)
    assert 0 < found.generator_cpu < 3
    assert found.offered_rate == pytest.approx(200)


def test_the_closed_loop_finds_what_a_server_can():
    """One that answers each after 20 ms, one after the other: about 50 a second, whoever asks."""

    async def scenario(server, sweep):
        waiting = []
        loop = asyncio.get_running_loop()

        def serve(request):
            waiting.append(request)
            if len(waiting) == 1:
                loop.call_later(0.02, reply)

        def reply():
            waiting.pop(0).transport.write(answer())
            if waiting:
                loop.call_later(0.02, reply)

        server.serve = serve
        trials = await sweep.trials()
        return trials, sweep.rates(trials)

    trials, rates = swept(scenario, connections=4, duration_s=0.5)
    assert [trial.connections for trial in trials] == [1, 4]
    assert all(5 < trial.answered_rate < 52 for trial in trials)
    assert rates[0] == pytest.approx(max(trial.answered_rate for trial in trials) * 0.1, rel=0.01)


def test_rates_that_were_asked_for():
    async def scenario(_, sweep):
        return sweep.rates([Trial(1, 100.0)])

    assert swept(scenario, rates=(5.0, 7.0)) == (5.0, 7.0)


def test_every_example_once_until_one_fails():
    async def scenario(server, sweep):
        server.serve = Answering.gives(answer(), answer(b'{"code": "invalid-input"}', 422), answer())
        return [exchange.failure for exchange in await sweep.once()], server.asked

    assert swept(scenario, requests=[REQUEST % 10] * 3) == (["", "invalid-input"], 2)


def test_an_example_that_is_never_answered():
    async def scenario(server, sweep):
        server.serve = lambda request: None
        return [exchange.failure for exchange in await sweep.once()]

    assert swept(scenario, timeout_s=0.1) == ["timed-out"]

"""However a daemon ends, and whatever goes wrong meanwhile, it drains and leaves no socket; orders end with it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

import bentod.daemon.changing
import bentod.daemon.control
from bentod.daemon import run as running
from bentod.daemon.order import Order, Outcome
from bentod.daemon.run import run
from bentod.daemon.start import Start
from bentod.daemon.weights import NO_MODELS
from bentod.errors import UNFIT, PlanError, Problem, StartError
from tests.support import loops
from tests.support.children import Events
from tests.support.loops import until


class World:
    """What the fakes below do, and what they have done."""

    def __init__(self):
        self.did: list[str] = []
        self.claim = lambda: None
        self.start = lambda: None
        self.follow = lambda: None
        self.stopping = None
        self.orders: list[asyncio.Future] = []
        self.controls: list = []


class FakeNotifier:
    """Keeps each word to the service manager."""

    def __init__(self, world):
        self.world = world

    def __getattr__(self, word):
        return lambda *_: self.world.did.append(word)


class FakeDaemon:
    world: ClassVar[World]

    def __init__(self, desired, *_, **__):
        self.desired = desired
        self.launched, self.settled = asyncio.Event(), asyncio.Event()
        self.routing = SimpleNamespace(number=1, pools={})
        self.front = SimpleNamespace(urls=["http://x"], listeners=[])
        self.devices = SimpleNamespace(forgive=lambda: None)
        self.host = SimpleNamespace(hold=self.hold)

    async def hold(self, running, coming, there):
        assert running is None
        self.world.did.append(f"claim {coming.name}")
        if coming.name == "wanted":
            self.world.claim()
        return ""

    async def start(self, *_, **__):
        self.world.did.append(f"start {self.desired.plan.name}")
        self.launched.set()
        if self.desired.plan.name == "wanted":
            self.world.start()

    async def stop(self, reason, _):
        self.world.did.append(f"drain: {reason}")
        if self.world.stopping is not None:
            await self.world.stopping()


class FakeChanging:
    world: ClassVar[World]
    trouble = ""

    def __init__(self, *_):
        self.turn = asyncio.Lock()

    async def start(self):
        self.world.follow()

    async def stop(self):
        self.world.did.append("follow no more")

    def resumed(self, _):
        pass

    async def apply(self, order):
        order = asyncio.get_running_loop().create_future()
        self.world.orders.append(order)
        return await order


class FakeControl:
    world: ClassVar[World]

    def __init__(self, _, controlled):
        self.controlled = controlled

    def start(self):
        self.world.controls.append(self.controlled)

    async def stop(self):
        self.world.did.append("control stops")


class Anything:
    """Takes every call, and answers nothing."""

    def __init__(self, *_):
        self.heir = None

    def __getattr__(self, name):
        async def done(*_):
            return 1

        return (lambda *_: None) if name in {"take", "release"} else done


@pytest.fixture
def world(monkeypatch):
    found = World()
    for fake in (FakeDaemon, FakeChanging, FakeControl):
        fake.world = found
    monkeypatch.setattr(running, "Daemon", FakeDaemon)
    for name in ("Journal", "RunFolder", "Succession"):
        monkeypatch.setattr(running, name, Anything)
    monkeypatch.setattr(bentod.daemon.changing, "Changing", FakeChanging)
    monkeypatch.setattr(bentod.daemon.control, "Control", FakeControl)
    return found


def daemon(world, instead=False):
    """`run` with everything that it starts with."""

    def desired(name):
        loaded = SimpleNamespace(files=(Path("/p/bentofile.yaml"),))
        return SimpleNamespace(plan=SimpleNamespace(name=name), weights=NO_MODELS, loaded=loaded, inventory=None)

    start = Start(
        desired("wanted"),
        SimpleNamespace(run=Path("/r"), state="", control="", next_control=""),
        None,
        {},
        instead=desired("last") if instead else None,
        notifier=FakeNotifier(world),
    )
    return asyncio.create_task(run(start, Events()))


def fails(error):
    def fail():
        raise error

    return fail


def test_a_bug_while_it_starts_ends_it_after_a_drain(world):
    async def main():
        world.follow = fails(KeyError("oops"))
        with pytest.raises(KeyError, match="oops"):
            await daemon(world)
        assert world.did[-4:] == ["follow no more", "stopping", "drain: it did not start", "control stops"]

    loops.run(main())


def test_a_bug_while_it_drains_leaves_no_control_socket(world):
    async def main():
        async def broken():
            raise KeyError("oops")

        world.stopping = broken
        one = daemon(world)
        await until(lambda: world.controls)
        world.controls[0].stop("down")
        with pytest.raises(KeyError, match="oops"):
            await one
        assert world.did[-1] == "control stops"

    loops.run(main())


def test_what_others_were_quicker_to_get_may_be_there_for_the_last_good_generation(world):
    async def main():
        world.claim = fails(PlanError([Problem(UNFIT, "no GPU is left")]))
        one = daemon(world, instead=True)
        await until(lambda: len(world.controls) == 2)
        world.controls[1].stop("down")
        assert await one == 0
        assert "start wanted" not in world.did
        assert world.did.index("claim last") < world.did.index("start last")

    loops.run(main())


@pytest.mark.parametrize("told", [False, True])
def test_the_last_good_generation_starts_instead_unless_somebody_has_said_stop(world, told):
    async def main():
        world.start = fails(StartError("it broke"))

        async def come():
            if told and "start last" not in world.did:
                os.kill(os.getpid(), signal.SIGTERM)
                await until(lambda: world.controls[0].stopped)

        world.stopping = come
        one = daemon(world, instead=True)
        if told:
            with pytest.raises(StartError, match="it broke"):
                await one
            assert "start last" not in world.did
            return
        await until(lambda: len(world.controls) == 2)
        world.controls[1].stop("down")
        assert await one == 0
        assert "start last" in world.did

    loops.run(main())


def test_only_the_last_of_orders_that_overlap_says_ready(world):
    async def main():
        one = daemon(world)
        await until(lambda: "ready" in world.did and world.controls)
        orders = [asyncio.create_task(world.controls[0].apply(Order("apply"))) for _ in range(2)]
        await until(lambda: len(world.orders) == 2)
        assert world.did.count("reloading") == 2
        world.orders[0].set_result(Outcome("applied", 2))
        await orders[0]
        assert world.did.count("ready") == 1
        world.orders[1].set_result(Outcome("applied", 3))
        await orders[1]
        assert world.did.count("ready") == 2
        world.controls[0].stop("down")
        assert await one == 0

    loops.run(main())


def test_orders_end_with_the_daemon_and_whoever_gave_one_is_told(world):
    async def main():
        one = daemon(world)
        await until(lambda: "ready" in world.did and world.controls)
        ordered = asyncio.create_task(world.controls[0].apply(Order("apply")))
        left = asyncio.create_task(world.controls[0].apply(Order("apply")))
        await until(lambda: len(world.orders) == 2)
        for count in (3, 4):
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda count=count: len(world.orders) == count)
        left.cancel()
        await asyncio.wait({left})
        assert not any(order.cancelled() for order in world.orders)
        ends = []

        async def look():
            ends.extend(order.cancelled() for order in world.orders)

        world.stopping = look
        world.controls[0].stop("down")
        assert await one == 0
        assert ends == [True] * 4, "before anything is drained"
        assert (await ordered) == Outcome("failed", 1, error="the daemon stops")
        assert (await world.controls[0].apply(Order("apply"))).error == "the daemon stops"
        assert world.did.count("ready") == 1

    loops.run(main())


def test_a_bug_in_an_order_of_a_signal_is_told(world, capsys):
    async def main():
        one = daemon(world)
        await until(lambda: "ready" in world.did and world.controls)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: world.orders)
        world.orders[0].set_exception(KeyError("oops"))
        await until(lambda: world.did.count("ready") == 2)
        world.controls[0].stop("down")
        assert await one == 0

    loops.run(main())
    assert "KeyError: 'oops'" in capsys.readouterr().err

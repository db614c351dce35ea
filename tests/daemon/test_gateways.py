"""A gateway that has died before it was needed costs no time, and each loss is told of the gateway that is lost."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from bentod.daemon import gateways
from bentod.daemon.gateways import Gateways
from bentod.errors import StartError
from bentod.supervise.spawn import spawn
from bentod.wire.messages import Acknowledged, ServerLimits
from tests.support.children import Events, FakeChild
from tests.support.loops import run, until
from tests.support.stage import FakeStage, plan, service

LIMITS = ServerLimits(0, 1, 1.0, 1.0, 1.0, "off", "", "/files/1")


def of(log, name):
    return [keys for event, keys in log.all if event == name]


def table():
    return FakeStage(plan(service("s"))).routing.table()


def test_a_gateway_that_died_before_it_was_needed_is_replaced_at_once(tmp_path):
    async def main():
        spawned = spawn(["/bin/true"], {}, Path("/"), capture=False)
        spawned.popen.wait()
        log = Events()
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            one = Gateways(1, LIMITS, [listener.fileno()], spawned, log, lambda _: None)
            one.start()
            loop = asyncio.get_running_loop()
            begun = loop.time()
            await until(lambda: of(log, "gateway.started"))
            assert loop.time() - begun < gateways._RESTART_DELAY_S[-1] / 2
            assert [event["pid"] for event in of(log, "gateway.lost")] == [spawned.popen.pid]
            assert spawned.end.fileno() == -1
            await one.stop(0.0)

    run(main())


def test_a_gateway_that_does_not_take_its_routes_is_named(monkeypatch):
    async def main():
        children, log = [], Events()

        async def launch(*_):
            children.append(FakeChild())
            return children[-1]

        monkeypatch.setattr(gateways, "launch_gateway", launch)
        monkeypatch.setattr(gateways, "_ACKNOWLEDGE_S", 0.05)
        one = Gateways(2, LIMITS, [], None, log, lambda _: None)
        one.start()
        await until(lambda: len(children) == 2)
        routes = table()
        pushing = asyncio.create_task(one.push(routes))
        await until(lambda: children[0].channel.sent)
        children[0].say(Acknowledged(routes.number))
        with pytest.raises(StartError, match="gateway 1"):
            await pushing
        [lost] = await until(lambda: of(log, "gateway.lost"))
        assert (lost["gateway"], lost["pid"]) == (1, children[1].pid)
        assert lost["reason"] == "it did not acknowledge its routes"
        await one.stop(0.0)

    run(main())

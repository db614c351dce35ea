"""Worker processes that start before they are needed."""

import asyncio
import sys
from pathlib import Path

from bentod.daemon.spares import MOST, Spares
from bentod.supervise.spawn import spawn
from tests.support.daemon import alive

READS = [sys.executable, "-c", "import socket, sys; socket.socket(fileno=int(sys.argv[1])).recv(1)"]
DIES = [sys.executable, "-c", ""]


class Started:
    """Starts children, and knows them."""

    def __init__(self, argv=READS):
        self.argv = argv
        self.pids = []

    def __call__(self, environ):
        spawned = spawn(self.argv, environ, Path("/"), capture=True)
        self.pids.append(spawned.popen.pid)
        return spawned


def run(scenario, argv=READS, **given):
    started = Started(argv)

    async def main():
        spares = Spares(started, **given)
        await scenario(spares, started)
        await spares.close()

    asyncio.run(main())
    assert not any(alive(pid) for pid in started.pids)


def test_one_is_taken_by_its_environment_and_only_once():
    async def scenario(spares, started):
        spares.prepare({"A": "1"})
        spares.prepare({"A": "1"})
        assert len(started.pids) == 1
        assert spares.take({"A": "2"}) is None
        spare = spares.take({"A": "1"})
        assert spare.popen.pid == started.pids[0]
        assert spares.take({"A": "1"}) is None
        spare.abandon()

    run(scenario)


def test_there_are_never_many():
    async def scenario(spares, started):
        for number in range(3 * MOST):
            spares.prepare({"N": str(number)})
        assert len(started.pids) == MOST

    run(scenario)


def test_one_that_nobody_takes_ends():
    async def scenario(spares, started):
        spares.prepare({})
        while alive(started.pids[0]):
            await asyncio.sleep(0.01)
        assert spares.take({}) is None

    run(scenario, kept_s=0.05)


def test_one_that_has_died_is_not_given_away():
    async def scenario(spares, started):
        spares.prepare({})
        while alive(started.pids[0]):
            await asyncio.sleep(0.01)
        assert spares.take({}) is None

    run(scenario, DIES)


def test_one_that_cannot_be_started_is_no_trouble_yet():
    async def scenario(spares, started):
        spares.prepare({})
        assert spares.take({}) is None

    run(scenario, ["/not/there"])

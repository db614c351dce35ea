"""What services need of this host, as it is measured."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

from bentod.daemon.usage import sizes, usage
from bentod.daemon.use import Meter
from bentod.plan.difference import Usage
from bentod.plan.model import RecyclePolicy
from tests.support.stage import FakeStage, plan, service

MIB = 1024 * 1024
PARENT = """
import os, sys
held = bytes([1]) * 1_000_000
if os.fork() == 0:
    own = bytes([1]) * 60_000_000
    os.write(1, b"x")
sys.stdin.read()
"""


@contextmanager
def forked():
    """A process with a child in its group that has 57 MiB."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
    with subprocess.Popen([sys.executable, "-c", PARENT], **pipes, process_group=0) as process:
        try:
            assert process.stdout.read(1) == b"x"
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def pool(pid, **changed):
    one = SimpleNamespace(plan=replace(service("s"), **changed), start_s=None)
    one.status = lambda: SimpleNamespace(workers=[SimpleNamespace(pid=pid), SimpleNamespace(pid=None)])
    return {"s": one}


def test_the_usage_of_workers_that_are_not_there_is_nothing():
    async def main():
        return await usage(FakeStage(plan(service("s", 2))).routing.pools)

    assert asyncio.run(main()) == {"s": Usage((), None)}


def test_what_a_worker_has_is_what_all_its_processes_have():
    """As status shows it, and as its limit counts it."""
    policy = RecyclePolicy(max_calls=None, max_age_s=None, max_memory=1)
    with forked() as pid:
        [found] = asyncio.run(usage(pool(pid)))["s"].workers
        weighed = asyncio.run(sizes(pool(pid, recycle=policy), Meter()))
    assert found > 57 * MIB
    assert weighed[pid] > 57 * MIB


def test_nothing_is_weighed_where_nobody_is_recycled_for_it():
    policy = RecyclePolicy(max_calls=1, max_age_s=None, max_memory=None)
    assert asyncio.run(sizes({**pool(os.getpid()), **pool(os.getpid(), recycle=policy)}, Meter())) == {}

"""Real processes that do not want to end, or end badly."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from bentod.supervise.pool import Pool
from bentod.supervise.state import WorkerState
from tests.support.children import Events, plan, policy
from tests.support.daemon import alive, eventually
from tests.support.loops import run, until
from tests.support.real import READY, RealLauncher, started

HOLDS_THE_INTERPRETER = READY + "ctypes.PyDLL(None).sleep(600)"
IGNORES = READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(600)"
FORKS = READY + (
    "code = 'import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(600)'\n"
    "one = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE)\n"
    "one.stdout.readline(); print(one.pid, flush=True); time.sleep(600)"
)


@pytest.mark.parametrize("code", [HOLDS_THE_INTERPRETER, IGNORES, FORKS], ids=["holds", "ignores", "forks"])
def test_who_does_not_end_is_killed_with_all_that_it_started(code, tmp_path):
    async def main():
        pool, launcher, events = started(code, tmp_path)
        assert await pool.settled(), pool.failure()
        pid = pool.route().workers[0].pid
        others = [int(await until(lambda: launcher.lines and launcher.lines[0]))] if code is FORKS else []
        os.kill(pid, 0)
        await asyncio.wait_for(pool.stop(0.2), 10)
        [worker] = pool.status().workers
        assert (worker.state, worker.pid) == (WorkerState.STOPPED, None)
        assert (worker.exit.kind, worker.exit.text) == ("told", "killed: it did not drain within 0.2 s")
        eventually(lambda: not any(alive(one) for one in (pid, *others)))
        assert "worker.lost" not in events.names

    run(main())


@pytest.mark.parametrize(
    ("end", "kind", "text"),
    [
        ("os._exit(7)", "exit", "exited with code 7"),
        ("os._exit(4)", "start", "the target cannot start"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "signal", "killed by SIGSEGV: it crashed in native code"),
        ("os.kill(os.getpid(), signal.SIGTERM)", "signal", "killed by SIGTERM"),
    ],
)
def test_the_kind_of_a_real_end(end, kind, text, tmp_path):
    async def main():
        pool, _, events = started(READY + end, tmp_path, restart=policy(limit=0))
        await until(lambda: pool.status().workers[0].state is WorkerState.FAILED)
        [(_, keys)] = [(name, keys) for name, keys in events.all if name == "worker.lost"]
        assert (keys["kind"], keys["reason"]) == (kind, text)
        await pool.stop(1.0)

    run(main())


def test_what_a_process_used_is_known_after_its_end(tmp_path):
    async def main():
        launcher = RealLauncher("x = b'x' * 64_000_000; import signal, os; os.kill(os.getpid(), 9)", tmp_path, tmp_path)
        child = await launcher.launch(None, None)
        assert await child.wait() == -signal.SIGKILL
        assert child.peak > 64_000_000
        child.channel.close()
        await asyncio.sleep(0)

    run(main())


def test_a_project_that_is_gone_is_a_reason_and_may_come_back(tmp_path):
    async def main():
        folder = tmp_path / "project"
        folder.mkdir()
        launcher, events = RealLauncher(READY + "channel.receive()", folder, tmp_path), Events()
        pool = Pool(
            plan(restart=policy(limit=1000, delay_s=0.02, max_delay_s=0.02)), folder, launcher, lambda: None, events
        )
        pool.start()
        assert await pool.settled(), pool.failure()
        pool.accept()
        folder.rmdir()
        os.kill(pool.route().workers[0].pid, signal.SIGKILL)
        words = f"cannot be started: the project's folder {folder} is gone"
        await until(lambda: any(keys.get("reason") == words for _, keys in events.all))
        folder.mkdir()
        await until(lambda: pool.route().workers)
        await pool.stop(1.0)

    run(main())

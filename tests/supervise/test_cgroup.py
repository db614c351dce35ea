"""Memory limits by control groups: of a kernel that only keeps files, and of a real one where there is one."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bentod.plan.grants import Needs
from bentod.plan.model import WorkerPlan
from bentod.supervise.cgroup import LEAF, delegated
from bentod.supervise.guard import Guard
from bentod.supervise.limits import Limits
from tests.support.children import plan

ROOT = Path(__file__).parents[2]
FILES = ("cgroup.procs", "cgroup.subtree_control", "cgroup.controllers", "cgroup.kill")
MEMORY = ("memory.max", "memory.oom.group", "memory.swap.max", "memory.events")
DAEMON, CHILD, GRANDCHILD, SHELL = 100, 101, 102, 50


class FakeKernel:
    """Keeps the rules that matter: a process is in one group, a group that divides has no processes, one with processes
    is not removed. `refuses`: what cannot be written."""

    def __init__(self, root: Path, processes: dict[int, int], own: str = "unit", controllers: str = "cpu memory pids"):
        self.root, self.mount = root, root / "sys/fs/cgroup"
        self.refuses = self.no_controller = ""
        self.born: list[int] = []
        proc = root / "proc"
        (proc / "self").mkdir(parents=True)
        (proc / "self/cgroup").write_text(f"0::/{own}\n")
        (proc / "self/mountinfo").write_text(
            "23 1 0:20 / /proc rw - proc proc rw\n31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
        )
        for pid, parent in processes.items():
            self.bear(pid, parent)
        self.own = self.mount / own
        self.own.mkdir(parents=True)
        self._files(self.own, controllers)
        self._set(self.own, list(processes))

    def bear(self, pid: int, parent: int) -> None:
        (self.root / f"proc/{pid}").mkdir()
        (self.root / f"proc/{pid}/stat").write_text(f"{pid} (py) thon) S {parent} {pid} 0")

    def _files(self, folder: Path, controllers: str) -> None:
        cpu = ("cpu.weight", "cpu.max") if "cpu" in controllers.split() else ()
        for name in (*FILES, *(MEMORY if "memory" in controllers else ()), *cpu):
            (folder / name).write_text("")
        (folder / "cgroup.controllers").write_text(controllers)

    def inside(self, folder: Path) -> list[int]:
        return [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]

    def _set(self, folder: Path, pids: list[int]) -> None:
        (folder / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))

    def make(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._files(folder, (folder.parent / "cgroup.subtree_control").read_text())

    def _divide(self, folder: Path, controller: str) -> str:
        """The controllers that the groups within are divided by, with one more."""
        if controller not in (folder / "cgroup.controllers").read_text().split():
            raise OSError(errno.ENOENT, "no such controller")
        if controller == self.no_controller:
            raise OSError(errno.EINVAL, "there are realtime processes")
        for one in (one for one in folder.iterdir() if one.is_dir()):
            (one / "cpu.weight").write_text("") if controller == "cpu" else None
        return " ".join(sorted({*(folder / "cgroup.subtree_control").read_text().split(), controller}))

    def remove(self, folder: Path) -> None:
        if self.inside(folder):
            raise OSError(errno.EBUSY, "busy")
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()

    def write(self, path: Path, text: str) -> None:
        if path.name == self.refuses:
            raise OSError(errno.EACCES, "refused")
        folder = path.parent
        if path.name == "cgroup.procs":
            return self._join(folder, int(text))
        if path.name == "cgroup.subtree_control":
            if self.born:
                self._set(folder, [*self.inside(folder), self.born.pop()])
            if self.inside(folder):
                raise OSError(errno.EBUSY, "busy")
            text = self._divide(folder, text.removeprefix("+"))
        if path.name == "cgroup.kill":
            return self._set(folder, [])
        path.write_text(text)
        return None

    def _join(self, folder: Path, pid: int) -> None:
        if not (self.root / f"proc/{pid}").exists():
            raise ProcessLookupError
        if (folder / "cgroup.subtree_control").read_text():
            raise OSError(errno.EBUSY, "busy")
        for other in (self.own, *(one for one in self.own.iterdir() if one.is_dir())):
            self._set(other, [one for one in self.inside(other) if one != pid])
        self._set(folder, [*self.inside(folder), pid])

    def groups(self):
        return delegated(self.root, DAEMON, self)


FAMILY = {DAEMON: SHELL, CHILD: DAEMON, GRANDCHILD: CHILD}


def text(path: Path) -> str:
    return path.read_text().strip()


def test_a_worker_has_a_group_with_its_limit_and_everybody_else_is_in_a_leaf(tmp_path):
    kernel = FakeKernel(tmp_path, FAMILY)
    groups = kernel.groups()
    assert kernel.inside(kernel.own) == []
    assert sorted(kernel.inside(kernel.own / LEAF)) == sorted(FAMILY)
    assert text(kernel.own / "cgroup.subtree_control") == "cpu memory"
    group = groups.group(CHILD, 2 << 30)
    folder = kernel.own / f"bentod-worker-{CHILD}"
    assert kernel.inside(folder) == [CHILD]
    assert [text(folder / name) for name in MEMORY[:3]] == [str(2 << 30), "1", "0"]
    group.limit(None)
    assert [text(folder / name) for name in MEMORY[:3]] == ["max", "0", "max"]
    assert group.remove()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("cpus", "weight"), [(None, "100"), (0.5, "50"), (1, "100"), (2, "200"), (0.001, "1"), (512, "10000")]
)
def test_cpus_that_others_want_are_divided_by_what_was_promised_and_never_limited(cpus, weight, tmp_path):
    """A quota would stop a worker for what is left of each tenth of a second while its CPU does nothing."""
    kernel = FakeKernel(tmp_path, FAMILY)
    groups = kernel.groups()
    assert groups.shares
    group, folder = groups.group(CHILD, None, cpus), kernel.own / f"bentod-worker-{CHILD}"
    assert [text(folder / name) for name in ("cpu.weight", "cpu.max", *MEMORY[:3])] == [weight, "", "", "", ""]
    group.share(3)
    assert text(folder / "cpu.weight") == "300"
    assert text(kernel.own / LEAF / "cpu.weight") == str(100 * len(os.sched_getaffinity(0)))


def test_a_worker_that_has_more_than_a_lower_limit_is_replaced_and_not_killed(tmp_path):
    kernel = FakeKernel(tmp_path, FAMILY)
    group = kernel.groups().group(CHILD, 4 << 30)
    folder = kernel.own / f"bentod-worker-{CHILD}"
    (folder / "memory.current").write_text(f"{3 << 30}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {1 << 29}\nactive_file {1 << 29}\n")
    guard = Guard(0, CHILD, (), 4 << 30, group, lambda *_, **__: None)
    guard.adopt((), 1 << 30)
    assert guard.over == "it has 2048 MiB, more than its `resources.memory` of 1 GiB"
    assert text(folder / "memory.max") == str(4 << 30)
    guard.adopt((), 2 << 30)
    assert (guard.over, text(folder / "memory.max")) == ("", str(2 << 30))


def test_where_the_kernel_does_not_divide_cpus_memory_is_limited_all_the_same(tmp_path):
    kernel = FakeKernel(tmp_path, FAMILY)
    kernel.no_controller = "cpu"
    groups = kernel.groups()
    assert not groups.shares
    groups.group(CHILD, 5, 0.5).share(1)
    folder = kernel.own / f"bentod-worker-{CHILD}"
    assert text(folder / "memory.max") == "5"
    assert not (folder / "cpu.weight").exists()


@pytest.mark.parametrize(
    ("needs", "divides", "grouped"),
    [
        (Needs(cpus=0.5), True, True),
        (Needs(cpus=0.5), False, False),
        (Needs(cpus=0.5, memory=5), False, True),
        (Needs(gpus=1), True, False),
    ],
)
def test_a_worker_has_a_group_only_for_what_it_keeps(needs, divides, grouped, tmp_path):
    kernel = FakeKernel(tmp_path, FAMILY)
    kernel.no_controller = "" if divides else "cpu"
    guard = Limits(kernel.groups).guard(CHILD, plan(1, needs=needs), WorkerPlan(0, {}, {}), lambda *_, **__: None)
    assert (guard.group is not None) == grouped


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ("", ""),
        ("low 0\nhigh 0\nmax 9\noom 0\noom_kill 0", ""),
        ("max 9\noom 1\noom_kill 2\noom_group_kill 1", "limit"),
        ("max 0\noom 0\noom_kill 1", "host"),
    ],
)
def test_whose_limit_it_was_that_a_worker_died_of(events, found, tmp_path):
    kernel = FakeKernel(tmp_path, FAMILY)
    group = kernel.groups().group(CHILD, 1)
    (kernel.own / f"bentod-worker-{CHILD}/memory.events").write_text(events)
    assert group.killed() == found


def test_children_that_are_born_meanwhile_move_too(tmp_path):
    kernel = FakeKernel(tmp_path, FAMILY)
    kernel.bear(103, CHILD)
    kernel.born = [103]
    assert kernel.groups() is not None
    assert sorted(kernel.inside(kernel.own / LEAF)) == sorted([*FAMILY, 103])


@pytest.mark.parametrize(
    ("processes", "controllers"),
    [
        ({**FAMILY, SHELL: 1}, "cpu memory"),
        ({**FAMILY, 77: SHELL}, "cpu memory"),
        (FAMILY, "cpu pids"),
        (FAMILY, ""),
    ],
    ids=["its parent", "a sibling", "no memory controller", "no controllers"],
)
def test_a_group_that_is_not_its_own_is_left_alone(processes, controllers, tmp_path):
    kernel = FakeKernel(tmp_path, processes, controllers=controllers)
    assert kernel.groups() is None
    assert sorted(kernel.inside(kernel.own)) == sorted(processes)
    assert [one for one in kernel.own.iterdir() if one.is_dir()] == []


def test_a_process_that_cannot_be_seen_is_foreign(tmp_path):
    kernel = FakeKernel(tmp_path, FAMILY)
    kernel._set(kernel.own, [DAEMON, 0])
    assert kernel.groups() is None


def test_what_cannot_be_divided_is_as_it_was(tmp_path):
    kernel = FakeKernel(tmp_path, FAMILY)
    kernel.refuses = "cgroup.subtree_control"
    assert kernel.groups() is None
    assert sorted(kernel.inside(kernel.own)) == sorted(FAMILY)
    assert not (kernel.own / LEAF).exists()


@pytest.mark.parametrize("refused", ["memory.max", "cgroup.procs"])
def test_a_group_that_cannot_be_made_is_an_error_and_leaves_nothing(refused, tmp_path):
    kernel = FakeKernel(tmp_path, FAMILY)
    groups = kernel.groups()
    kernel.refuses = refused
    with pytest.raises(OSError, match="refused"):
        groups.group(CHILD, 1)
    assert not (kernel.own / f"bentod-worker-{CHILD}").exists()


def test_the_daemon_that_takes_over_finds_its_group_divided(tmp_path):
    kernel = FakeKernel(tmp_path, FAMILY)
    assert kernel.groups() is not None
    (tmp_path / "proc/self/cgroup").write_text(f"0::/unit/{LEAF}\n")
    kernel.bear(200, DAEMON)
    kernel._join(kernel.own / LEAF, 200)
    groups = delegated(tmp_path, 200, kernel)
    kernel.bear(201, 200)
    groups.group(201, 5)
    assert kernel.inside(kernel.own / "bentod-worker-201") == [201]


def test_groups_of_workers_that_have_gone_are_removed(tmp_path):
    kernel = FakeKernel(tmp_path, FAMILY)
    groups = kernel.groups()
    kernel.make(kernel.own / "bentod-worker-999")
    kernel.make(kernel.own / f"bentod-worker-{GRANDCHILD}")
    groups.group(CHILD, 1)
    assert sorted(one.name for one in kernel.own.iterdir() if one.is_dir()) == [
        LEAF,
        f"bentod-worker-{CHILD}",
        f"bentod-worker-{GRANDCHILD}",
    ]


@pytest.mark.parametrize("missing", ["proc/self/cgroup", "proc/self/mountinfo"])
def test_without_control_groups_there_are_none(missing, tmp_path):
    kernel = FakeKernel(tmp_path, FAMILY)
    (tmp_path / missing).unlink()
    assert kernel.groups() is None


def test_control_groups_of_the_first_version_are_none(tmp_path):
    kernel = FakeKernel(tmp_path, FAMILY)
    (tmp_path / "proc/self/cgroup").write_text("4:memory:/unit\n3:cpu:/\n")
    assert kernel.groups() is None


# ── a real kernel ────────────────────────────────────────────────────────────────────────────────

INSIDE = """
import asyncio, json, os, sys
from pathlib import Path
from bentod.plan.grants import Needs
from tests.support.children import policy
from tests.support.loops import until
from tests.support.real import READY, started
MIB = 1024 * 1024
own, folder = Path(sys.argv[1]), Path(sys.argv[2])
said = {}

async def main():
    eater = READY + "held = [bytes([1]) * 10_000_000 for _ in range(40)]\\nchannel.receive()"
    pool, _, events = started(eater, folder, needs=Needs(memory=100 * MIB), restart=policy(limit=0))
    await until(lambda: pool.status().workers[0].state.value == "failed")
    said["lost"] = [keys for name, keys in events.all if name == "worker.lost"]
    await pool.stop(1.0)
    pool, _, events = started(READY + "channel.receive()", folder, needs=Needs(memory=100 * MIB))
    assert await pool.settled()
    [one] = own.glob("bentod-worker-*")
    said["limit"], said["inside"] = (one / "memory.max").read_text(), (one / "cgroup.procs").read_text()
    said["pid"], said["watched"] = pool.route().workers[0].pid, bool([*pool._around.limits._guards][0].weighs)
    await pool.stop(1.0)
    said["left"] = [one.name for one in own.iterdir() if one.is_dir()]

Path(own / "cgroup.procs").write_text(str(os.getpid()))
asyncio.run(main())
print(json.dumps(said))
"""


def room() -> Path | None:
    """A folder of the kernel's in which this test may make a group that can be divided."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        words, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            mount = Path(words.split()[4])
            own = Path("/proc/self/cgroup").read_text().rpartition("0::/")[2].splitlines()[0]
            for folder in (mount / own, mount):
                if os.access(folder, os.W_OK) and "memory" in (folder / "cgroup.controllers").read_text().split():
                    return folder
    return None


def test_the_kernel_kills_a_worker_with_more_memory_than_it_was_promised(tmp_path):
    parent = room()
    if parent is None:
        pytest.skip("needs a control group (version 2) with the memory controller that this process may divide")
    own = parent / f"bentod-test-{os.getpid()}"
    try:
        if "memory" not in (parent / "cgroup.subtree_control").read_text().split():
            (parent / "cgroup.subtree_control").write_text("+memory")
        own.mkdir()
    except OSError as error:
        pytest.skip(f"the control group {parent} cannot be divided: {error.strerror}")
    try:
        command = [sys.executable, "-c", INSIDE, str(own), str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    finally:
        for folder in (*(one for one in own.iterdir() if one.is_dir()), own):
            folder.rmdir()
    said = json.loads(done.stdout)
    [lost] = said["lost"]
    assert lost["kind"] == "memory"
    assert lost["reason"] == "killed by the kernel: it used more than its `resources.memory` of 100 MiB"
    assert (said["limit"], said["inside"]) == (f"{100 << 20}\n", f"{said['pid']}\n")
    assert said["watched"] is False
    assert said["left"] == [LEAF]

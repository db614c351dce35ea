"""What processes use: by group, monotone, and measured no more than it is worth."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentod.daemon.use import Meter, Use, host, memory, own, processes
from tests.support.daemon import eventually

TICKS = os.sysconf("SC_CLK_TCK")


class Proc:
    """A /proc of our own. Times are in seconds."""

    def __init__(self, root):
        self.root = root
        self.reads = []
        (root / "proc").mkdir()

    def put(self, pid, group, own_s=0.0, children_s=0.0, *, threads=1, state="S", started=1, name="x", pss=None):
        folder = self.root / "proc" / str(pid)
        folder.mkdir(exist_ok=True)
        ticks = [round(own_s * TICKS), 0, round(children_s * TICKS), 0]
        rest = [state, 1, group, group, 0, -1, 0, 0, 0, 0, 0, *ticks, 20, 0, threads, 0, started, 0, 0]
        (folder / "stat").write_text(f"{pid} ({name}) {' '.join(map(str, rest))}\n")
        if pss is not None:
            (folder / "smaps_rollup").write_text(f"Rss: 9 kB\nPss:      {pss} kB\nPss_Anon: 1 kB\n")

    def end(self, pid):
        for file in (self.root / "proc" / str(pid)).iterdir():
            file.unlink()
        (self.root / "proc" / str(pid)).rmdir()


@pytest.fixture
def proc(tmp_path):
    return Proc(tmp_path)


def test_a_worker_is_its_whole_group(proc):
    proc.put(10, 10, 2.0, 1.0, threads=3, pss=100)
    proc.put(11, 10, 4.0, threads=2, pss=50)
    proc.put(12, 12, 8.0, threads=9, pss=7)
    proc.put(13, 1, 16.0)
    found = Meter(proc.root).read([10, 12]).groups
    assert found == {10: Use(7.0, 5, 150 * 1024, 2), 12: Use(8.0, 9, 7 * 1024, 1)}


@pytest.mark.parametrize("name", ["a b", "x) S 1 77 (y", "((", ")", "", "\N{SNOWMAN}"])
def test_a_process_may_have_any_name(proc, name):
    proc.put(10, 10, 2.0, name=name)
    assert [(one.pid, one.group, one.own_s) for one in processes([10], proc.root)] == [(10, 10, 2.0)]


@pytest.mark.parametrize("text", ["", "10", "10 (x)", "10 (x) S", "10 (x) S 1 10 " + "many " * 40, "10 (x) S 1 10 1 2"])
def test_what_cannot_be_read_is_not_there(proc, text):
    proc.put(10, 10)
    (proc.root / "proc/10/stat").write_text(text)
    assert Meter(proc.root).read([10]).groups == {}


def test_a_group_without_its_leader_is_gone(proc):
    proc.put(11, 10, 4.0)
    assert Meter(proc.root).read([10]).groups == {}
    proc.put(10, 10, 1.0, state="Z")
    assert Meter(proc.root).read([10]).groups == {}


def test_without_groups_and_without_proc_nothing_is_found(tmp_path):
    assert Meter(tmp_path).read([]).groups == {}
    assert Meter(tmp_path).read([1, 2]).groups == {}
    assert own(tmp_path) == Use(0.0, 0, None)
    assert memory(None) is None
    assert memory(1, tmp_path) is None
    assert host(tmp_path).cpu_s is None
    assert host(tmp_path).cpus >= 1


def test_the_dead_that_nobody_has_waited_for_count_their_time_but_no_threads(proc):
    proc.put(10, 10, 1.0, threads=2, pss=5)
    proc.put(11, 10, 4.0, state="Z")
    assert Meter(proc.root).read([10]).groups[10] == Use(5.0, 2, 5 * 1024, 1)


def test_memory_that_is_not_told_is_not_known(proc):
    proc.put(10, 10)
    proc.put(11, 10, pss=3)
    assert Meter(proc.root).read([10]).groups[10].memory is None


# ── time only grows ──────────────────────────────────────────────────────────────────────────────


def test_a_child_that_ends_between_two_lines_does_not_take_its_time_along(proc):
    meter = Meter(proc.root)
    proc.put(10, 10, 1.0)
    proc.put(11, 10, 50.0)
    assert meter.read([10]).groups[10].cpu_s == 51.0
    proc.end(11)  # its parent was read before it had waited for it
    assert meter.read([10]).groups[10].cpu_s == 51.0
    proc.put(10, 10, 2.0, 50.0)
    assert meter.read([10]).groups[10].cpu_s == 52.0


def test_a_child_that_nobody_waits_for_does_not_stop_the_clock_for_long(proc):
    meter = Meter(proc.root)
    proc.put(10, 10, 1.0)
    proc.put(11, 10, 50.0)
    meter.read([10])
    proc.end(11)
    proc.put(10, 10, 2.0)
    assert meter.read([10]).groups[10].cpu_s == 51.0
    proc.put(10, 10, 3.0)
    assert meter.read([10]).groups[10].cpu_s == 52.0
    proc.put(10, 10, 4.5)
    assert meter.read([10]).groups[10].cpu_s == 53.5


def test_a_number_that_is_given_again_is_another_process(proc):
    meter = Meter(proc.root)
    proc.put(10, 10, 100.0, started=1, pss=9)
    meter.read([10])
    proc.put(10, 10, 1.0, started=2, pss=3)
    assert meter.read([10]).groups[10] == Use(1.0, 1, 3 * 1024, 1)


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from(["work", "fork", "wait", "lose", "miss"]), st.integers(0, 3), st.floats(0, 50)),
        max_size=30,
    )
)
def test_whatever_becomes_of_children_time_only_grows_and_never_exceeds_what_was_used(tmp_path_factory, steps):
    proc = Proc(tmp_path_factory.mktemp("proc"))
    meter = Meter(proc.root)
    leader, waited, used, children, last = 0.0, 0.0, 0.0, {}, 0.0
    for what, which, some in steps:
        child, seconds = 20 + which, round(some, 2)
        if what == "work":
            leader, used = leader + seconds, used + seconds
        elif what == "fork":
            children[child] = children.get(child, 0.0) + seconds
            used += seconds
        elif child in children:
            gone = children.pop(child)
            proc.end(child)
            waited += gone if what != "lose" else 0.0
        for pid, time_s in children.items():
            proc.put(pid, 10, time_s)
        proc.put(10, 10, leader, waited)
        if what == "miss":
            continue
        found = meter.read([10]).groups[10].cpu_s
        assert last <= found <= used + 0.02 * len(steps) + 0.01
        last = found


# ── what is measured, and how often ──────────────────────────────────────────────────────────────


def test_the_memory_of_a_large_process_is_not_walked_all_the_time(proc, monkeypatch):
    now = [0.0]

    def walk(pid, root):
        now[0] += 0.1
        return memory(pid, root)

    monkeypatch.setattr("bentod.daemon.use.memory", walk)
    meter = Meter(proc.root, lambda: now[0])
    sizes = []
    for second in (0, 4, 6):
        now[0] = float(second)
        proc.put(10, 10, second, pss=second + 5)
        found = meter.read([10]).groups[10]
        assert found.cpu_s == second
        sizes.append(found.memory // 1024)
    assert sizes == [5, 5, 11]


def test_real_processes_are_measured():
    code = (
        "import subprocess, sys, threading, time\n"
        "burn = 'import time\\nwhile time.process_time() < 0.3: pass'\n"
        "subprocess.run([sys.executable, '-c', burn])\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "print('there', flush=True)\n"
        "subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    )
    meter = Meter()
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, process_group=0) as child:
        try:
            child.stdout.readline()
            found = eventually(lambda: (use := meter.read([child.pid]).groups[child.pid]).processes >= 2 and use)
            assert found.cpu_s >= 0.3
            assert found.threads >= 3
            assert found.memory > 1_000_000
        finally:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        assert meter.read([child.pid]).groups == {}


def test_this_process_is_measured_without_the_children_that_it_has_waited_for():
    before = own()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
    after = own()
    assert before.cpu_s <= after.cpu_s < before.cpu_s + 0.25
    assert after.threads == threading.active_count() or after.threads > 1
    assert after.memory > 1_000_000


def test_the_host_is_what_this_process_may_use(tmp_path):
    cpus = sorted(os.sched_getaffinity(0))
    (tmp_path / "proc/self").mkdir(parents=True)
    lines = [f"cpu{number} 100 50 30 9999 777 5 5 10 100 50" for number in (*cpus, 4095)]
    (tmp_path / "proc/stat").write_text("\n".join(["cpu 1 2 3 4", *lines, "intr 5"]))
    (tmp_path / "proc/meminfo").write_text("MemTotal: 4000 kB\nMemAvailable: 1000 kB\n")
    found = host(tmp_path)
    assert found.cpu_s == round(len(cpus) * 200 / TICKS, 2)
    assert (found.memory, found.available) == (4000 * 1024, 1000 * 1024)
    assert host().cpu_s > 0

"""What the kernel says of process groups, and how CPUs are named."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bentod.plan import words
from bentod.supervise import affinity
from bentod.supervise.processes import members, proportional, resident, threads

PAGE = os.sysconf("SC_PAGE_SIZE")


def process(proc, pid, group, *, name="python", pages=0, pss_kib=None, tasks=()):
    folder = proc / str(pid)
    (folder / "task").mkdir(parents=True)
    for task in (pid, *tasks):
        (folder / "task" / str(task)).mkdir()
    (folder / "stat").write_text(f"{pid} ({name}) S 1 {group} 0 0")
    (folder / "statm").write_text(f"999999 {pages} 7 1 0 5 0\n")
    if pss_kib is not None:
        (folder / "smaps_rollup").write_text(f"55 [rollup]\nRss: 9999 kB\nPss: {pss_kib} kB\nPss_Anon: 1 kB\n")


def test_who_is_in_a_group_whatever_its_name(tmp_path):
    process(tmp_path, 10, 10)
    process(tmp_path, 11, 10, name="a) S 1 99 (b")
    process(tmp_path, 20, 20)
    process(tmp_path, 30, 1)
    (tmp_path / "40").mkdir()
    (tmp_path / "self").mkdir()
    found = members({10, 20, 50}, tmp_path)
    assert {group: sorted(pids) for group, pids in found.items()} == {10: [10, 11], 20: [20], 50: []}
    assert members({10}, tmp_path / "none") == {10: []}


def test_threads_of_those_that_still_run(tmp_path):
    process(tmp_path, 10, 10, tasks=(12, 13))
    process(tmp_path, 11, 10)
    assert sorted(threads([10, 11, 99], tmp_path)) == [10, 11, 12, 13]


def test_memory_counts_what_is_shared_once_where_the_kernel_tells(tmp_path):
    process(tmp_path, 10, 10, pages=100, pss_kib=64)
    process(tmp_path, 11, 10, pages=50)
    assert resident([10, 11, 99], 4096, tmp_path) == 150 * 4096
    assert proportional([10, 11, 99], 4096, tmp_path) == 64 * 1024 + 50 * 4096


def test_what_is_said_of_this_process_is_plausible():
    assert 0 < proportional([os.getpid()], PAGE) <= resident([os.getpid()], PAGE) * 1.05
    assert os.getpid() in threads([os.getpid()])
    assert os.getpid() in members({os.getpgrp()})[os.getpgrp()]


@pytest.mark.parametrize(
    ("cpus", "text"),
    [((3,), "CPU 3"), ((0, 1, 2), "CPUs 0-2"), ((6, 0, 1), "CPUs 0-1,6"), ((0, 2, 4), "CPUs 0,2,4")],
)
def test_cpus_in_words(cpus, text):
    assert words.cpus(cpus) == text


def test_a_process_that_has_ended_has_not_left_its_cpus():
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert affinity.pin([done.pid], {0}) == ""
    assert not affinity.strayed([done.pid], {0})

"""How a process ended, in words."""

from __future__ import annotations

import errno
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.supervise.exit import Exit, exited, kernel_kills, not_started


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (0, Exit("exit", "exited with code 0")),
        (3, Exit("exit", "exited with code 3")),
        (4, Exit("start", "the target cannot start")),
        (-signal.SIGKILL, Exit("signal", "killed by SIGKILL")),
        (-signal.SIGTERM, Exit("signal", "killed by SIGTERM")),
        (-signal.SIGSEGV, Exit("signal", "killed by SIGSEGV: it crashed in native code")),
        (-35, Exit("signal", "killed by signal 35")),
    ],
)
def test_exit_codes_and_signals_have_their_words(code, found):
    assert exited(code) == found


def test_the_kernels_want_of_memory_is_told_from_other_kills():
    assert exited(-9, starved=True) == Exit("oom", "killed by the kernel: out of memory")
    assert exited(-9, starved=True, peak=700 * 2**20).text == "killed by the kernel: out of memory (it had 700 MiB)"
    assert exited(-15, starved=True).kind == "signal"
    assert exited(1, starved=True).kind == "exit"


@given(st.integers(-64, 255), st.booleans(), st.none() | st.integers(0, 2**50))
def test_every_end_has_a_kind_and_words(code, starved, peak):
    found = exited(code, starved=starved, peak=peak)
    assert found.kind in {"exit", "signal", "oom", "start"}
    assert found.text


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EAGAIN, "x"), "no more processes are allowed"),
        (OSError(errno.ENOMEM, "x"), "no memory"),
        (OSError(errno.EMFILE, "x"), "too many files"),
        (FileNotFoundError(errno.ENOENT, "x", "/project"), "folder /project is gone"),
        (NotADirectoryError(errno.ENOTDIR, "x", "/project"), "folder /project is gone"),
        (FileNotFoundError(errno.ENOENT, "x", "/usr/bin/python"), "/usr/bin/python is gone"),
        (PermissionError(errno.EACCES, "Permission denied", "/usr/bin/python"), "Permission denied"),
        (OSError("something else"), "something else"),
    ],
)
def test_what_cannot_be_started_says_why(error, words):
    found = not_started(error, "/project")
    assert found.kind == "start"
    assert words in found.text


def machine(tmp_path, groups, files):
    """Folders like /proc and the control groups."""
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self/cgroup").write_text(groups)
    (proc / "vmstat").write_text("pgfault 9\noom_kill 7\n")
    for name, text in files.items():
        (cgroups / name).parent.mkdir(parents=True, exist_ok=True)
        (cgroups / name).write_text(text)
    return proc, cgroups


@pytest.mark.parametrize(
    ("groups", "files", "count"),
    [
        ("0::/\n", {}, 7),
        ("0::/a/b\n", {"a/b/memory.events": "low 0\noom 4\noom_kill 3\n"}, 3),
        ("9:cpu,cpuacct:/x\n4:memory:/a\n", {"memory/a/memory.oom_control": "under_oom 0\noom_kill 2\n"}, 2),
        ("rubbish\n", {}, 7),
    ],
)
def test_the_count_is_that_of_the_own_group_where_there_is_one(tmp_path, groups, files, count):
    assert kernel_kills(*machine(tmp_path, groups, files)) == count


def test_where_the_system_does_not_tell_there_is_no_count(tmp_path):
    assert kernel_kills(tmp_path / "none", tmp_path / "none") is None


def test_this_machine_can_be_asked():
    count = kernel_kills()
    assert count is None or count >= 0

"""Who computes on a GPU, in this PID namespace and in others."""

from __future__ import annotations

import os

import pytest

from bentod.inventory.processes import process
from bentod.inventory.xid import words
from bentod.plan.inventory import GpuProcess

ME = os.getpid()


@pytest.fixture
def root(tmp_path):
    def make(namespace, *files):
        for name, target in {
            "self/ns/pid": f"pid:[{namespace}]",
            **{f"{ME}/fd/{number}": file for number, file in enumerate(files)},
        }.items():
            link = tmp_path / "proc" / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
        (tmp_path / f"proc/{ME}").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"proc/{ME}/comm").write_text("a name\n")
        return tmp_path

    return make


def test_a_process_has_a_name_and_a_group(root):
    found = process(ME, 5, 0.5, root(4026531836))
    assert found == GpuProcess(ME, "a name", 5, os.getpgid(0), 0.5)


@pytest.mark.parametrize("pid", [0, -1, 1 << 30])
def test_who_is_not_here_is_nobody(pid):
    assert process(pid, 5, None) == GpuProcess(0, "", 5, 0, None)


def test_in_a_container_a_process_that_has_the_number_by_chance_is_nobody(root):
    assert process(ME, 5, None, root(4026532000, "/dev/null", "/dev/shm/x")) == GpuProcess(0, "", 5)


def test_in_a_container_a_process_with_files_of_the_driver_is_the_one(root):
    assert process(ME, 5, None, root(4026532000, "/dev/null", "/dev/nvidiactl")).pid == ME


def test_in_a_container_who_cannot_be_looked_into_is_believed(root):
    assert process(ME, 5, None, root(4026532000)).pid == ME


def test_a_process_whose_name_cannot_be_read_has_none(tmp_path):
    assert process(ME, 5, None, tmp_path) == GpuProcess(ME, "", 5, os.getpgid(0))


def test_numbers_of_errors_have_words():
    assert words(79) == "Xid 79: it has fallen off the bus"
    assert words(7777) == "Xid 7777"

"""The variables that tell a worker its resources."""

from __future__ import annotations

import pytest

from bentod.plan.granted import POOLS, device, variables
from bentod.plan.grants import Grant, Needs, Share

ONE = Grant((Share("GPU-1", 1.0, 8 << 30),))
TWO = Grant((Share("GPU-2", 1.0, 8 << 30), Share("MIG-7", 1.0, 8 << 30)))


def test_a_worker_with_gpus_sees_them_by_uuid_and_nothing_else() -> None:
    """In the order in which it was given them: the first is `cuda:0`."""
    found = variables(Needs(gpus=2), TWO, 1, hide=False)
    assert found == {
        "BENTOD_DEVICE": "cuda:0",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "GPU-2,MIG-7",
        "NVIDIA_VISIBLE_DEVICES": "GPU-2,MIG-7",
    }
    assert device(TWO) == "cuda:0"


def test_gpus_that_are_given_are_seen_whatever_is_hidden_elsewhere() -> None:
    """What a worker has been given it sees."""
    assert variables(Needs(gpus=1), ONE, 1, hide=True)["CUDA_VISIBLE_DEVICES"] == "GPU-1"


def test_a_worker_without_gpus_sees_none_where_they_are_hidden() -> None:
    """Empty hides them from CUDA; the container runtime's word for none is `void`."""
    hidden = {"BENTOD_DEVICE": "cpu", "CUDA_VISIBLE_DEVICES": "", "NVIDIA_VISIBLE_DEVICES": "void"}
    assert variables(Needs(gpus=0), Grant(), 1, hide=True) == hidden
    assert variables(None, Grant(), 1, hide=True) == hidden
    assert variables(None, Grant(), 1, hide=False) == {"BENTOD_DEVICE": "cpu"}
    assert device(Grant()) == "cpu"


@pytest.mark.parametrize(
    ("cpus", "threads", "size", "all_of_them"),
    [
        (1, 1, 1, 1),
        (4, 1, 4, 4),
        (4, 2, 2, 4),
        (4, 3, 1, 4),
        (1, 8, 1, 1),
        (0.5, 1, 1, 1),
        (2.5, 1, 3, 3),
        (2.5, 2, 1, 3),
    ],
)
def test_thread_pools_are_as_large_as_the_cpus_that_a_call_has(
    cpus: float, threads: int, size: int, all_of_them: int
) -> None:
    """Calls that run side by side in one worker share its CPUs; each has one thread at least."""
    found = variables(Needs(cpus=cpus), Grant(cpus=(0,)), threads, hide=False)
    assert {found[name] for name in POOLS} == {str(size)}
    assert found["TOKENIZERS_PARALLELISM"] == ("true" if size > 1 else "false")
    assert found["BENTOD_CPUS"] == str(all_of_them)


def test_without_cpus_nothing_is_said_about_threads() -> None:
    """A service that says nothing about CPUs starts as many threads as its libraries like."""
    found = variables(Needs(memory=1 << 30), Grant(), 2, hide=False)
    assert found == {"BENTOD_DEVICE": "cpu"}


def test_the_order_is_always_the_same() -> None:
    """So that what is compared and printed does not change by itself."""
    found = variables(Needs(cpus=2, gpus=1), ONE, 1, hide=False)
    assert list(found) == sorted(found)

"""How services get from old to new workers where these need GPUs that others have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bentod.plan.difference import Difference, GatewayChange, ServiceChange, Usage
from bentod.plan.grants import Share
from bentod.plan.inventory import Claim
from bentod.plan.steps import steps
from tests.support.devices import GIB, granted
from tests.support.hosts import gpu, host, python
from tests.support.stage import plan, service

HOST = (gpu(0, free=24 * GIB), gpu(1, free=24 * GIB))


def on(*devices, memory=24, part=1.0, name="s"):
    """A service with a worker on each of these GPUs, that has so many GiB of it."""
    workers = [granted(index, f"GPU-{at}", part=part, memory=memory * GIB) for index, at in enumerate(devices)]
    return replace(service(name), workers=tuple(workers))


def stepped(old, new, devices=HOST, usage=None, claims=(), **actions):
    """The steps by service: mode and reason."""
    changes = tuple(ServiceChange(name, action) for name, action in actions.items())
    difference, there = Difference(changes, (), GatewayChange("keep")), host(*devices, claims=claims)
    found = steps(difference, plan(*old), plan(*new), usage or {}, None, there)[1]
    return {step.service: (step.mode, step.reason) for step in found}


@pytest.mark.parametrize(
    ("old", "new", "actions", "waits"),
    [
        ([], [on(0)], {"s": "add"}, ""),
        ([on(0, name="t")], [on(1), on(0, name="t")], {"s": "add", "t": "keep"}, ""),
        ([on(0, name="t")], [on(0)], {"s": "add", "t": "remove"}, "GPU 0"),
        ([on(0), on(1, name="t")], [on(0, 1)], {"s": "live", "t": "remove"}, "GPU 1"),
        ([on(0), on(1, name="t")], [on(0), on(1, name="t")], {"s": "live", "t": "keep"}, ""),
        ([on(0)], [on(0, 1)], {"s": "live"}, ""),
        ([on(0, 1, name="t")], [on(1), on(0, name="t")], {"s": "add", "t": "live"}, "GPU 1"),
    ],
)
def test_who_comes_waits_for_who_goes_only_where_both_want_a_gpu(old, new, actions, waits):
    told = f"its new worker needs about 24576 MiB on {waits}, where 0 MiB can be used: who leaves it must stop first"
    assert stepped(old, new, **actions) == ({"s": ("stop_first", told)} if waits else {})


@pytest.mark.parametrize(
    ("processes", "usage", "mode"),
    [
        ((), {}, "overlap"),
        ((python(memory=9),), {}, "stop_first"),
        ((python(memory=8),), {}, "overlap"),
        ((python(memory=None),), {}, "overlap"),
        ((replace(python(memory=9), pid=0),), {}, "overlap"),
        ((python(memory=9),), {"s": Usage(gpus={"GPU-0": (GIB,)})}, "overlap"),
    ],
    ids=["nobody", "too much", "just fits", "not told", "whose is not known", "measured"],
)
def test_what_others_have_on_a_gpu_is_not_left(processes, usage, mode):
    some, devices = on(0, memory=8, part=0.3), (gpu(0, free=14 * GIB, processes=processes),)
    assert stepped([some], [some], devices, usage, s="restart")["s"][0] == mode


def test_a_change_and_a_recycled_worker_go_by_one_rule_whether_two_fit_on_a_gpu():
    """By the change alone they would overlap with 0.95 of what is free, where a recycled worker stopped first."""
    from bentod.supervise.devices import lacking

    some = on(0, memory=8, part=0.3)
    for free in range(1, 16):
        has = int(free * GIB * 0.93)
        one = replace(gpu(0, free=free * GIB), processes=(replace(python(memory=0), group=7, pid=7, memory=has),))
        mode = stepped([some], [some], (one,), {"s": Usage(gpus={"GPU-0": (has,)})}, s="restart")["s"][0]
        assert (mode == "overlap") == (lacking(some.workers[0], 7, {one.uuid: one}) == "")


@pytest.mark.parametrize(("size", "mode"), [(8, "overlap"), (9, "stop_first")])
def test_what_another_daemon_has_promised_on_a_gpu_is_not_left(size, mode):
    claim = Claim("t of /x", 7, (Share("GPU-0", 0.3, size * GIB),))
    old = [on(0, memory=8, part=0.3)]
    assert stepped(old, old, (gpu(0),), claims=(claim,), s="restart")["s"][0] == mode

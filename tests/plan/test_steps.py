"""How services get from old to new workers: what the spec says, or what the memory allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentod.plan.difference import Difference, GatewayChange, ServiceChange, Step, Usage
from bentod.plan.model import Plan, ServerPlan
from bentod.plan.steps import steps
from tests.support.children import plan as service

MIB = 1024 * 1024
GIB = 1024 * MIB


def plan(**services) -> Plan:
    """A plan with services of so many workers, or of (workers, reload)."""
    made = tuple(
        service(wanted[0], name=name, reload=wanted[1])
        for name, wanted in ((name, one if isinstance(one, tuple) else (one, "auto")) for name, one in services.items())
    )
    server = ServerPlan(("127.0.0.1:1",), "", 1, 1.0, 1.0, 1.0, 1.0, True)
    return Plan("app", "1", "", {}, Path("/p"), {}, made, (), server)


def stepped(old, new, usage, available, actions=None):
    """The budget, and the steps by service."""
    actions = actions or {one.name: "restart" for one in new.services}
    changes = tuple(ServiceChange(name, action) for name, action in actions.items())
    budget, found = steps(Difference(changes, (), GatewayChange("keep")), old, new, usage, available)
    return budget, {step.service: step for step in found}


def of(old, new, sizes, available, start_s=2.5) -> Step:
    return stepped(plan(s=old), plan(s=new), {"s": Usage(tuple(size * MIB for size in sizes), start_s)}, available)[1][
        "s"
    ]


@pytest.mark.parametrize(
    ("old", "new", "sizes", "available", "mode", "gap"),
    [
        (1, 1, [100], GIB, "overlap", 0.0),
        (1, 1, [100], 164 * MIB, "overlap", 0.0),  # 64 MiB stay free
        (1, 1, [100], 163 * MIB, "stop_first", 2.5),
        (1, 1, [1900], 2110 * MIB, "stop_first", 2.5),  # a tenth stays free
        (1, 1, [1890], 2110 * MIB, "overlap", 0.0),
        (2, 2, [100, 300], 464 * MIB, "overlap", 0.0),
        (2, 2, [100, 300], 463 * MIB, "one_by_one", 0.0),
        (2, 2, [100, 300], 64 * MIB, "one_by_one", 0.0),
        (2, 2, [100, 300], 10 * MIB, "stop_first", 2.5),
        (2, 3, [100, 100], 164 * MIB, "one_by_one", 0.0),
        (2, 3, [100, 100], 163 * MIB, "stop_first", 2.5),
        (3, 1, [100, 100, 100], 80 * MIB, "one_by_one", 0.0),
        (1, 2, [100], 200 * MIB, "stop_first", 2.5),
        (1, 1, [], 0, "overlap", 0.0),  # what is not known counts as nothing
        (1, 1, [100_000], None, "overlap", 0.0),  # this host does not tell
        (1, 1, [100_000], 0, "stop_first", 2.5),
        ((1, "auto"), (1, "overlap"), [100_000], 0, "overlap", 0.0),
        ((2, "auto"), (2, "stop_first"), [1], GIB, "stop_first", 2.5),
        ((1, "overlap"), (1, "auto"), [100_000], 0, "stop_first", 2.5),
    ],
)
def test_the_way_follows_from_the_spec_or_the_memory(old, new, sizes, available, mode, gap):
    found = of(old, new, sizes, available)
    assert (found.mode, found.gap_s) == (mode, gap)
    assert found.reason


def test_the_gap_is_unknown_where_no_start_was_measured():
    assert of(1, (1, "stop_first"), [1], None, start_s=None).gap_s is None


def test_reasons_tell_mebibytes():
    assert of(2, 2, [100, 300], GIB).reason == "its 2 new workers need about 400 MiB, and 922 MiB can be used"
    assert of(1, 1, [100], 0).reason.endswith("and 0 MiB can be used: the old must stop first")


def test_services_share_the_memory_in_order():
    old = plan(a=1, b=1, c=2)
    usage = {name: Usage((100 * MIB,), 1.0) for name in "abc"}
    budget, found = stepped(old, old, usage, 300 * MIB)
    assert {name: step.mode for name, step in found.items()} == {"a": "overlap", "b": "overlap", "c": "one_by_one"}
    assert (budget.available, budget.running, budget.expected) == (300 * MIB, 300 * MIB, 200 * MIB)


def test_growth_of_a_live_service_takes_memory_too():
    old, new = plan(a=1, b=1), plan(a=3, b=1)
    usage = {name: Usage((100 * MIB,), 1.0) for name in "ab"}
    budget, found = stepped(old, new, usage, 300 * MIB, {"a": "live", "b": "restart"})
    assert {name: step.mode for name, step in found.items()} == {"b": "stop_first"}
    assert budget.expected == 200 * MIB


def test_only_restarts_have_steps():
    new = plan(a=1, b=1, c=1)
    budget, found = stepped(plan(a=1, b=1), new, {}, GIB, {"a": "keep", "b": "live", "c": "add"})
    assert (found, budget.expected) == ({}, 0)
    assert stepped(None, new, {}, GIB, dict.fromkeys("abc", "add"))[1] == {}

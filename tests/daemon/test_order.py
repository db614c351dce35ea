"""Orders: what is refused and why, and the words for a change that nobody ordered."""

from __future__ import annotations

import pytest

from bentod.daemon.order import Order, Outcome, first_cause, reason, refusal
from bentod.errors import Problem
from bentod.plan.difference import (
    ApiCause,
    ApiChange,
    Budget,
    Cause,
    Difference,
    GatewayChange,
    Proposal,
    ServiceChange,
)

BREAKS = ApiChange(
    "x", "breaking", (ApiCause("/input", "more is fine", False), ApiCause("/output/type", "is another", True))
)


def proposal(*apis, services=(), gateways=(), documents=(), state="s1"):
    found = Difference(tuple(services), apis, GatewayChange("keep", tuple(gateways)), tuple(documents))
    return Proposal(1, state, found, Budget(None, 0, 0), ())


def keys(*names):
    return [Cause("key", name) for name in names]


def test_what_would_break_callers_is_refused_unless_it_is_allowed():
    said = refusal(Order("apply"), proposal(BREAKS, ApiChange("y", "removed")))
    assert (
        said
        == "this would break callers (x: /output/type is another; y: removed); --allow-breaking does it all the same"
    )
    assert refusal(Order("apply", allow_breaking=True), proposal(BREAKS)) == ""
    assert refusal(Order("apply"), proposal(ApiChange("x", "compatible"), ApiChange("y", "added"))) == ""


def test_a_plan_that_is_out_of_date_is_refused_whatever_is_allowed():
    assert "make a new one" in refusal(Order("apply", state="s0", allow_breaking=True), proposal())
    assert refusal(Order("apply", state="s1"), proposal()) == ""


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a"], "changed: a"),
        (["a", "a", "b"], "changed: a, b"),
        (["a", "b", "c", "d", "e"], "changed: a, b, c and 2 more"),
    ],
)
def test_the_reason_names_a_few_causes_once(names, said):
    services = [ServiceChange(f"s{number}", "restart", tuple(keys(name))) for number, name in enumerate(names)]
    assert reason(proposal(services=services)) == said


def test_the_reason_names_causes_of_all_kinds():
    found = proposal(BREAKS, gateways=keys("server.listen"), documents=keys("version"))
    assert reason(found, most=9) == "changed: apis.x.input, apis.x.output.type, server.listen, version"


def test_the_first_cause_is_one_that_breaks():
    assert first_cause(BREAKS) == "/output/type is another"
    assert first_cause(ApiChange("x", "removed", (ApiCause("", "gone", True),))) == "removed"


def test_an_outcome_is_plain_data():
    found = Outcome("failed", 3, 1.23456, "e", "t", (Problem("c", "m"),)).document()
    assert (found["seconds"], found["problems"][0]["code"], found["plan"]) == (1.235, "c", None)

"""A plan as JSON and as text: nothing is lost, the published schema holds, and a terminal obeys none of it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.plan.build import build
from bentod.plan.diff import difference
from bentod.plan.difference import (
    ApiCause,
    ApiChange,
    Budget,
    Cause,
    Difference,
    GatewayChange,
    Proposal,
    ServiceChange,
    Step,
    Usage,
)
from bentod.plan.document import document, proposal, text
from bentod.plan.steps import steps
from tests.support.specs import loaded

ROOT = Path(__file__).parents[2]
CASES = sorted((ROOT / "tests/cases/plan").glob("*.case"))
SCHEMA = json.loads((ROOT / "schemas/plan.schema.json").read_text(encoding="utf-8"))
MIB = 1024 * 1024

causes = st.lists(st.builds(Cause, st.sampled_from(["key", "file", "state"]), st.text(), st.text(), st.text())).map(
    tuple
)
actions = st.sampled_from(["keep", "live", "restart", "add", "remove"])
proposals = st.builds(
    Proposal,
    st.integers(0, 99),
    st.text(),
    st.builds(
        Difference,
        st.lists(st.builds(ServiceChange, st.text(), actions, causes), unique_by=lambda one: one.name).map(tuple),
        st.lists(
            st.builds(
                ApiChange,
                st.text(),
                st.sampled_from(["same", "compatible", "breaking", "added", "removed"]),
                st.lists(
                    st.builds(ApiCause, st.text().map(lambda name: name and f"/{name}"), st.text(), st.booleans())
                ).map(tuple),
            ),
            unique_by=lambda one: one.name,
        ).map(tuple),
        st.builds(GatewayChange, actions, causes),
        causes,
    ),
    st.builds(Budget, st.none() | st.integers(0, 1 << 50), st.integers(0, 1 << 50), st.integers(0, 1 << 50)),
    st.lists(
        st.builds(
            Step,
            st.text(),
            st.sampled_from(["overlap", "one_by_one", "stop_first"]),
            st.text(),
            st.none() | st.floats(0, 1e6),
        )
    ).map(tuple),
)


def parts(case):
    """The old spec, the new one, and the text that is expected."""
    given, _, expected = case.read_text(encoding="utf-8").partition("───\n")
    old, new = re.split(r"^═══ \w+\n", given, flags=re.MULTILINE)[1:]
    return old, new, expected


def proposed(folder, old, new):
    """What it would do to go from one spec to the other."""
    plans = [build(loaded(folder, spec).spec, Path("/project"), {}) for spec in (old, new)]
    found = difference(plans[0], plans[1], {"changed": (Cause("file", "hello.py"),)})
    usage = {one.name: Usage((100 * MIB,) * len(one.workers), 1.25) for one in plans[0].services}
    return Proposal(3, "abc", found, *steps(found, plans[0], plans[1], usage, 350 * MIB))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_plan_reads_exactly_like_this(case, tmp_path):
    old, new, expected = parts(case)
    made = document(proposed(tmp_path, old, new))
    jsonschema_rs.Draft202012Validator(SCHEMA).validate(made)
    found = text(made, colour=False)
    if os.environ.get("UPDATE_CASES"):
        given = case.read_text(encoding="utf-8").partition("───\n")[0]
        case.write_text(f"{given}───\n{found}", encoding="utf-8")
    else:
        assert found == expected
    coloured = text(made, colour=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == found


@given(proposals)
def test_a_document_holds_all_of_a_proposal(wanted):
    made = json.loads(json.dumps(document(wanted)))
    assert proposal(made) == wanted
    assert made["empty"] == wanted.difference.empty


@given(proposals, st.booleans())
def test_a_terminal_obeys_nothing_that_a_plan_holds(wanted, colour):
    found = text(document(wanted), colour)
    assert not re.search(
        r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", re.sub(r"\x1b\[[0-9;]*m", "", found)
    )
    assert found.endswith("\n")


@pytest.mark.parametrize(
    "wrong",
    [{}, [], None, "x", {"base": 1}, {"base": 1, "services": []}],
    ids=repr,
)
def test_what_is_no_plan_is_refused(wrong):
    with pytest.raises(ValueError, match="this is no plan"):
        proposal(wrong)


def test_a_plan_with_one_thing_more_or_less_is_refused(tmp_path):
    old, new, _ = parts(next(case for case in CASES if case.stem == "many"))
    made = document(proposed(tmp_path, old, new))
    for key in made:
        with pytest.raises(ValueError, match="this is no plan"):
            proposal({name: value for name, value in made.items() if name != key})
    with pytest.raises(ValueError, match="this is no plan"):
        proposal({**made, "more": 1})


def test_the_schema_describes_itself():
    jsonschema_rs.meta.validate(SCHEMA)
    assert SCHEMA["$id"] == "https://bentod.dev/schemas/plan.schema.json"
    objects = [SCHEMA]
    while objects:
        here = objects.pop()
        if isinstance(here, dict):
            if here.get("type") == "object" and "properties" in here:
                assert here["additionalProperties"] is False
                assert set(here["required"]) == set(here["properties"])
            objects += here.values()
        elif isinstance(here, list):
            objects += here

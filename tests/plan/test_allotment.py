"""What workers get of a host, in a plan as JSON and as text."""

import json
from pathlib import Path

import jsonschema_rs
from hypothesis import given, settings
from hypothesis import strategies as st

from bentod.plan.allotment import Allotment, GpuAllotment, allotment
from bentod.plan.devices import place
from bentod.plan.difference import Budget, Difference, GatewayChange, GpuBudget, Proposal, Step
from bentod.plan.document import document, proposal, text
from bentod.plan.grants import Grant, Share
from tests.support.hosts import GIB, demand, gpu, host, python

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/plan.schema.json").read_text("utf-8"))
FREE = Budget(None, 0, 0)
NOTHING = Difference((), (), GatewayChange("keep"))

sizes = st.integers(0, 2**40)
grants = st.builds(
    Grant,
    st.lists(st.builds(Share, st.text(), st.sampled_from([0.1, 0.25, 1.0]), sizes), max_size=2).map(tuple),
    st.lists(st.integers(0, 99), max_size=3).map(tuple),
)
gpus = st.builds(GpuAllotment, st.text(), st.text(), st.text(), sizes, st.floats(0, 1), sizes, sizes)
allotments = st.builds(
    Allotment,
    st.dictionaries(st.text(), st.lists(grants, max_size=3).map(tuple), max_size=3),
    st.lists(gpus, max_size=3).map(tuple),
    st.lists(st.text(), max_size=2).map(tuple),
)


def of(found, budget=FREE, steps=()):
    return document(Proposal(1, "", NOTHING, budget, steps, found))


@settings(max_examples=200)
@given(st.none() | allotments)
def test_nothing_is_lost_the_schema_holds_and_a_terminal_obeys_none_of_it(found):
    made = json.loads(json.dumps(of(found)))
    jsonschema_rs.Draft202012Validator(SCHEMA).validate(made)
    assert proposal(made).allotment == found
    assert all(char.isprintable() or char == "\n" or not char.isascii() for char in text(made))


def test_only_what_is_given_is_told():
    inventory = host(gpu(0, processes=(python(memory=3), python(0, 5))), gpu(1, state="failed"), gpu(2))
    demands = [demand("a", 2, gpus=0.5, gpu_memory=6), demand("b", cpus=2), demand("c", 3)]
    found = allotment(place(demands, inventory), inventory)
    assert found is not None
    assert [*found.services] == ["a", "b"]
    assert [(one.index, one.part, one.given // GIB, one.others // GIB) for one in found.gpus] == [
        ("0", 0, 0, 3),
        ("2", 1, 12, 0),
    ]
    only_cpus = allotment(place(demands[1:], inventory), inventory)
    assert only_cpus is not None
    assert only_cpus.gpus == ()
    assert allotment(None, inventory) is allotment(place(demands, inventory), None) is None


def test_text_of_many_workers_is_short():
    inventory = host(2, cpus=200, memory=None)
    found = allotment(place([demand("a", 200, gpus=0.01, cpus=1), demand("b", 3, cpus=0.5)], inventory), inventory)
    told = text(of(found))
    assert "    a  and 136 more\n" in told
    assert "    b  3 workers on CPU" in told
    assert len(told.splitlines()) < 75


def test_the_budget_of_each_gpu_is_told():
    inventory = host(1)
    found = allotment(place([demand("a", gpus=0.5)], inventory), inventory)
    budget = Budget(
        None,
        0,
        0,
        (
            GpuBudget("GPU-0", "NVIDIA A10", 24 * GIB, 20 * GIB, 4 * GIB, 12 * GIB),
            GpuBudget("GPU-x", "", 0, None, 0, 0),
        ),
    )
    made = of(found, budget, (Step("a", "overlap", "it fits"),))
    told = text({**made, "empty": False})
    assert "    GPU 0: 4096 MiB in use, about 12288 MiB more meanwhile, 20480 MiB are free\n" in told
    assert "    GPU GPU-x: 0 MiB in use, about 0 MiB more meanwhile\n" in told

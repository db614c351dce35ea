"""An inventory as a document and as a file: there and back, and all that can be wrong in one."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.errors import SpecError
from bentod.inventory.document import document, inventory, read
from bentod.plan.inventory import Device, GpuProcess, Inventory

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/inventory.schema.json").read_text(encoding="utf-8"))
GIB = 1 << 30
part = st.none() | st.floats(0, 1)
count = st.integers(0, 1 << 50)
processes = st.builds(
    GpuProcess, pid=count, name=st.text(max_size=9), memory=st.none() | count, group=count, utilization=part
)
devices = st.builds(
    Device,
    uuid=st.text(max_size=9),
    name=st.text(max_size=9),
    memory=count,
    index=st.sampled_from(["0", "12", "0:3", ""]),
    parent=st.text(max_size=9),
    free=st.none() | count,
    utilization=part,
    processes=st.lists(processes, max_size=2).map(tuple),
    state=st.sampled_from(["ok", "failed", "out"]),
    reason=st.text(max_size=9),
    errors=st.none() | count,
)
inventories = st.builds(
    Inventory,
    cpus=st.floats(0.1, 1e4),
    cpu_ids=st.lists(st.integers(0, 500), unique=True, max_size=4).map(lambda found: tuple(sorted(found))),
    memory=st.none() | count,
    devices=st.lists(devices, max_size=3).map(tuple),
    gpus=st.sampled_from(["ok", "none", "failed"]),
    reason=st.text(max_size=9),
    driver=st.text(max_size=9),
)


@given(inventories)
def test_there_and_back(found):
    made = document(found)
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    assert inventory(json.loads(json.dumps(made))) == found


def test_the_schema_is_one_and_says_where_it_is():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == "https://bentod.dev/schemas/inventory.schema.json"


@pytest.fixture
def file(tmp_path):
    def write(text, name="host.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_what_was_printed_can_be_read(file):
    gpu = Device("GPU-1", "NVIDIA H100 80GB HBM3", 80 * GIB, "0", free=3, processes=(GpuProcess(7, "python", 5, 7),))
    found = Inventory(3.5, (0, 1, 2, 5), 64 * GIB, (gpu,), "ok", "", "560.35.03")
    assert read(file(json.dumps(document(found), indent=2), "host.json")) == found
    assert read(file(json.dumps(document(found)))) == found


def test_a_person_writes_only_what_matters(file):
    text = """
    cpus: 2.5
    memory: 64GiB
    devices:
      - {uuid: GPU-a, name: NVIDIA L4, memory: 24GiB}
      - {uuid: GPU-b, memory: 25769803776, free: 1GiB, processes: [{pid: 3, memory: 2GiB}]}
    """
    found = read(file(text))
    assert found == Inventory(
        2.5,
        (0, 1, 2),
        64 * GIB,
        (
            Device("GPU-a", "NVIDIA L4", 24 * GIB, "0"),
            Device("GPU-b", "", 24 * GIB, "1", free=GIB, processes=(GpuProcess(3, memory=2 * GIB),)),
        ),
        "ok",
    )
    assert read(file("cpus = 4\n", "host.toml")) == Inventory(4.0, (0, 1, 2, 3))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{}", [("", "missing-key")]),
        ("[1]", [("", "wrong-type")]),
        ("cpus: [", [("", "syntax")]),
        ("cpus: 0", [("cpus", "wrong-value")]),
        ("cpus: many\nmemory: lots", [("cpus", "wrong-type"), ("memory", "wrong-value")]),
        ("cpus: 1\nmemory: -5", [("memory", "wrong-value")]),
        ("cpus: 1e300", [("cpus", "wrong-value")]),
        ("cpus: 1000000000", [("cpus", "wrong-value")]),
        ("cpus: 1\ncpu_ids: [70000]", [("cpu_ids[0]", "wrong-value")]),
        ("cpus: 1\ndevices: [{uuid: 'a,b', memory: 1}]", [("devices[0].uuid", "wrong-value")]),
        ('cpus: 1\ndevices: [{uuid: "a\\0", memory: 1}]', [("devices[0].uuid", "wrong-value")]),
        ("cpus: 1\ndevices: [{uuid: a, memory: 1, parent: a}]", [("devices[0].parent", "wrong-value")]),
        (
            "cpus: 1\ndevices: [{uuid: a, memory: 1, parent: b}, {uuid: b, memory: 1, parent: a}]",
            [("devices[0].parent", "wrong-value"), ("devices[1].parent", "wrong-value")],
        ),
        ("cpus: 3\ncpu_ids: [0, 1]", [("cpu_ids", "wrong-value")]),
        ("cpus: 1\ncpu_ids: [0, 0]", [("cpu_ids", "wrong-value")]),
        ("cpus: 1\ngpu: 3\ngpus: some", [("gpu", "unknown-key"), ("gpus", "wrong-value")]),
        ("cpus: 1\ndevices: [{uuid: a}]", [("devices[0]", "missing-key")]),
        ("cpus: 1\ndevices: [{uuid: a, memory: 1, nam: x}]", [("devices[0].nam", "unknown-key")]),
        ("cpus: 1\ndevices: [{uuid: '', memory: 1}]", [("devices[0].uuid", "wrong-value")]),
        ("cpus: 1\ndevices: [{uuid: a, memory: 1}, {uuid: a, memory: 1}]", [("devices[1].uuid", "duplicate")]),
        ("cpus: 1\ndevices: [{uuid: a, memory: 1GiB, free: 2GiB}]", [("devices[0].free", "wrong-value")]),
        ("cpus: 1\ndevices: [{uuid: a, memory: 1, index: one}]", [("devices[0].index", "wrong-value")]),
        ("cpus: 1\ndevices: [{uuid: a, memory: 1, utilization: 50}]", [("devices[0].utilization", "wrong-value")]),
        (
            "cpus: 1\ndevices: [{uuid: a, memory: 1, processes: [{pid: x, nme: y}]}]",
            [("devices[0].processes[0].nme", "unknown-key"), ("devices[0].processes[0].pid", "wrong-type")],
        ),
    ],
)
def test_all_that_is_wrong_is_told_at_its_place(file, text, wrong):
    with pytest.raises(SpecError) as caught:
        read(file(text))
    assert sorted((one.path, one.code) for one in caught.value.problems) == sorted(wrong)
    assert all(one.line > 0 for one in caught.value.problems)


def test_a_mistyped_key_has_a_hint_and_so_has_a_wrong_size(file):
    with pytest.raises(SpecError) as caught:
        read(file("cpus: 1\nmemroy: 1GiB\ndevices: [{uuid: a, memory: 24 gigs}]"))
    assert [one.hint for one in caught.value.problems] == [
        "did you mean `memory`?",
        "a whole number, or such as `80GiB`",
    ]


@pytest.mark.parametrize("text", ["", "[1]", "host"])
def test_what_is_no_inventory_at_all_is_not_called_a_spec(file, text):
    with pytest.raises(SpecError) as caught:
        read(file(text))
    [problem] = caught.value.problems
    assert "spec" not in problem.message
    assert problem.hint == "`bentod inventory --json` on the host writes such a file"


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SpecError, match="does not exist"):
        read(tmp_path / "host.json")


@pytest.mark.parametrize("data", [{}, {"cpus": "x"}, {"cpus": 1, "devices": [{"uuid": 1, "memory": 1}]}, []])
def test_nonsense_is_no_inventory(data):
    with pytest.raises(ValueError, match="no inventory"):
        inventory(data)

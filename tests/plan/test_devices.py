"""Who gets which CPUs and GPUs, case by case, and what is said where something is missing."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bentod.plan.devices import place
from bentod.plan.devices_words import TIMES
from bentod.plan.grants import Demand, Grant, Needs, Share
from bentod.plan.inventory import Device, Inventory
from tests.support.hosts import GIB, demand, gpu, host, names, python, wrong

CASES = sorted((Path(__file__).parents[1] / "cases" / "devices").glob("*.yaml"))
A10, H100 = "NVIDIA A10", "NVIDIA H100 80GB HBM3"


def golden():
    """Each case of each table."""
    tables = {file.stem: yaml.safe_load(file.read_text("utf-8")) for file in CASES}
    return [pytest.param(case, id=f"{stem}: {name}") for stem, cases in tables.items() for name, case in cases.items()]


def host_of(devices=(), **said):
    """The host of a case; a GPU is its memory, or all that there is to say of it."""
    found = []
    for index, one in enumerate(devices):
        more = dict(one) if isinstance(one, dict) else {"memory": one}
        more["processes"] = tuple(python(**process) for process in more.get("processes", ()))
        found.append(gpu(more.pop("index", index), **more))
    return host(*found, **{"cpus": 8, "gpus": "ok", **said})


@pytest.mark.parametrize("case", golden())
def test_tables(case):
    inventory = host_of(**case["host"])
    demands = [demand(f"s{index}", **{"workers": 1, **want}) for index, want in enumerate(case["wants"], 1)]
    demands = [replace(one, workers=None) if one.workers == "auto" else one for one in demands]
    found = place(demands, inventory)
    assert wrong(demands, inventory, found) == []
    given = {name: " ".join(one or "none" for one in some) for name, some in names(found, inventory).items()}
    assert given == {name: str(some) for name, some in case.get("get", {}).items()}
    assert [lack.message for lack in found.lacks] == [one["says"] for one in case.get("lack", [])]
    assert [(lack.key, lack.hint) for lack in found.lacks] == [
        (one["key"], one["help"]) for one in case.get("lack", [])
    ]


def lack(demands, inventory, held=()):
    """The only one."""
    found = place(demands, inventory, dict(held))
    [one] = found.lacks
    return one.service, one.key, one.message, one.hint


def test_every_service_that_lacks_something_is_named_with_its_own_numbers():
    demands = [
        demand("a", 2, gpus=1),
        demand("b", 1, gpus=1, gpu_type="*T4*"),
        demand("c", cpus=40, gpus=4),
        demand("d", 3, memory=20),
        demand("e", 2, memory=30),
        demand("f", 2, gpus=0.5),
    ]
    found = place(demands, host(2))
    assert {(one.service, one.key): one.message.partition("short by ")[2] for one in found.lacks} == {
        ("b", "gpu_type"): "",
        ("c", "cpus"): "24",
        ("c", "gpus"): "4",
        ("e", "memory"): "56.0 GiB",
        ("f", "gpus"): "1",
    }
    assert {*found.grants} == {"a", "d"}
    [of_f] = [one.message for one in found.lacks if one.service == "f"]
    assert of_f == f"f wants 2 {TIMES} 0.5 GPU, 2 of 2 GPUs are given to a (2), short by 1"


def test_who_runs_is_not_the_one_who_is_refused():
    """A service that is new lacks what others have, however large it is."""
    running = place([demand("old", gpus=0.5)], host(1)).grants
    assert lack([demand("new", gpus=1), demand("old", gpus=0.5)], host(1), running)[0] == "new"
    assert lack([demand("new", 2, memory=20), demand("old", memory=60)], host(1), {"old": [Grant()]})[0] == "new"


def test_gpus_of_one_worker_are_neighbours_of_one_kind():
    inventory = host(gpu(0, H100, 80), gpu(1), gpu(2), gpu(3, H100, 80), gpu(4, H100, 80), gpu(5))
    found = names(place([demand("pair", gpus=2)], inventory), inventory)
    assert found == {"pair": ["1,2"]}
    found = names(
        place(
            [demand("pairs", 2, gpus=2, gpu_type="*H100*"), demand("one", gpus=1)],
            host(gpu(0, H100), *(gpu(n, H100) for n in (1, 3, 4, 5))),
        ),
        inventory,
    )
    assert found == {"pairs": ["0,1", "3,4"], "one": ["5"]}


def test_single_gpus_leave_long_rows_whole():
    inventory = host(gpu(0), gpu(1), gpu(2), gpu(3), gpu(5))
    assert names(place([demand("one", gpus=1)], inventory), inventory) == {"one": ["5"]}


def test_what_is_scarce_is_left_to_those_who_need_it():
    """A service that takes any GPU gets none that another must have, not even one that is better."""
    inventory = host(gpu(0, H100, 80), gpu(1))
    found = place([demand("any", gpus=1), demand("large", gpus=1, gpu_memory=60)], inventory)
    assert names(found, inventory) == {"any": ["1"], "large": ["0"]}
    found = place([demand("part", gpus=0.5), demand("auto", None, gpus=1, gpu_type="*H100*")], inventory)
    assert names(found, inventory) == {"part": ["1"], "auto": ["0"]}


def test_whole_gpus_are_exchanged_until_everybody_has_some():
    """Each choice alone looks right, and leads nowhere; exchanges find the one way there is."""
    inventory = host(gpu(0, "A", 8), gpu(1, "AB", 24), gpu(2, "B", 48))
    demands = [
        demand("a", gpus=1, gpu_type="A*"),
        demand("b", gpus=1, gpu_type="*B"),
        demand("c", gpus=1, gpu_memory=40),
    ]
    assert names(place(demands, inventory), inventory) == {"a": ["0"], "b": ["1"], "c": ["2"]}


def test_parts_share_by_time_and_by_memory():
    inventory = host(gpu(0, memory=24), gpu(1, memory=24))
    found = place([demand("a", 2, gpus=0.2, gpu_memory=10), demand("b", gpus=0.2, gpu_memory=10)], inventory)
    assert names(found, inventory) == {"a": ["0", "0"], "b": ["1"]}
    [share] = found.grants["b"][0].shares
    assert share == Share("GPU-1", 0.2, 10 * GIB)
    [share] = place([demand("m", gpu_memory=6)], inventory).grants["m"][0].shares
    assert share == Share("GPU-0", 0.25, 6 * GIB)
    [share] = place([demand("f", gpus=0.25)], inventory).grants["f"][0].shares
    assert share == Share("GPU-0", 0.25, 6 * GIB)


@pytest.mark.parametrize("part", [0.1, 0.2, 0.05, 1 / 3, 1 / 7, 0.33])
def test_parts_fill_a_gpu_to_the_last(part):
    """Ten times 0.1 is one."""
    assert place([demand("a", int(1 / part + 1e-9), gpus=part)], host(1)).lacks == ()
    assert place([demand("a", int(1 / part + 1e-9) + 1, gpus=part)], host(1)).lacks != ()


def test_strangers_memory_is_theirs_and_idle_gpus_come_first():
    inventory = host(gpu(0, processes=(python(memory=10),)), gpu(1))
    assert names(place([demand("a", 2, gpus=0.5)], inventory), inventory) == {"a": ["1", "1"]}
    assert names(place([demand("a", 3, gpus=0.5)], inventory), inventory) == {"a": ["1", "1", "0"]}
    assert place([demand("a", 4, gpus=0.5)], inventory).lacks != ()
    with_whole = [demand("a", gpus=0.5), demand("b", None, gpus=1)]
    assert names(place(with_whole, inventory), inventory) == {"a": ["0"], "b": ["1"]}


def test_a_process_of_which_nobody_knows_whose_it_is_takes_nothing():
    inventory = host(gpu(0, processes=(python(0, 20),)))
    assert place([demand("a", gpus=1)], inventory).lacks == ()
    assert place([demand("a", 2, gpu_memory=12)], inventory).lacks == ()


def test_a_divided_gpu_is_given_only_in_its_parts():
    parent = gpu(0, "NVIDIA A100", 40)
    halves = [gpu(f"0:{n}", "NVIDIA A100 MIG 3g.20gb", 20, uuid=f"MIG-{n}", parent=parent.uuid) for n in (0, 1)]
    inventory = host(parent, *halves, gpu(1, "NVIDIA A100", 40))
    assert names(place([demand("a", 3, gpus=1)], inventory), inventory) == {"a": ["1", "0:0", "0:1"]}
    assert place([demand("a", 4, gpus=1)], inventory).lacks != ()
    assert names(place([demand("p", 3, gpus=0.5)], inventory), inventory) == {"p": ["0:0", "0:0", "0:1"]}
    assert place([demand("two", gpus=2)], inventory).lacks != ()


def test_auto_takes_what_services_with_a_number_leave_in_turns():
    inventory = host(4, cpus=8, memory=None)
    found = place([demand("a", None, gpus=1), demand("b", None, gpus=0.5), demand("c", gpus=1)], inventory)
    assert {name: len(grants) for name, grants in found.grants.items()} == {"a": 2, "b": 2, "c": 1}
    found = place([demand("a", None, gpus=1, cpus=3)], inventory)
    assert len(found.grants["a"]) == 2, "more would have to share CPUs"
    found = place([demand("a", None, gpus=1, memory=20)], host(4, memory=64))
    assert len(found.grants["a"]) == 3, "more would not have the memory"


@pytest.mark.parametrize(
    ("wanted", "inventory", "workers"),
    [
        ({}, host(cpus=8), 8),
        ({"cpus": 2}, host(cpus=7), 3),
        ({"cpus": 0.5}, host(cpus=2.5), 5),
        ({"gpus": 0}, host(2, cpus=4), 4),
        ({}, host(cpus=0.5), 1),
        ({"cpus": 0.001}, host(cpus=64), 1024),
        ({"memory": 20}, host(cpus=8, memory=64), 3),
    ],
)
def test_auto_without_gpus_goes_by_the_cpus(wanted, inventory, workers):
    assert len(place([demand("a", None, **wanted)], inventory).grants["a"]) == workers


def test_auto_must_have_room_for_one():
    [one] = place([demand("a", gpus=1), demand("b", None, gpus=1)], host(1)).lacks
    assert (one.service, one.message) == ("b", "b wants 1 GPU, 1 of 1 GPU is given to a (1), short by 1")


def cpus(demands, inventory, held=()):
    found = place(demands, inventory, dict(held))
    return {name: [grant.cpus for grant in grants] for name, grants in found.grants.items()}, list(found.notes)


def test_cpus_are_disjoint_while_there_are_enough():
    found, notes = cpus([demand("a", 2, cpus=2), demand("b", 2, cpus=1), demand("c")], host(cpus=6))
    assert found == {"a": [(0, 1), (2, 3)], "b": [(4,), (5,)], "c": [()]}
    assert notes == []


def test_parts_of_cpus_share_one_up_to_the_whole():
    found, notes = cpus([demand("a", 4, cpus=0.5), demand("b", 1, cpus=2)], host(cpus=4))
    assert found == {"a": [(2,), (3,), (2,), (3,)], "b": [(0, 1)]}
    found, notes = cpus([demand("a", 2, cpus=1.5), demand("b", cpus=1)], host(cpus=4))
    assert notes == []
    assert len({*found["a"][0]} & {*found["a"][1]}) <= 1


def test_too_few_cpus_are_shared_evenly_and_that_is_said():
    found, notes = cpus([demand("a", 4, cpus=1)], host(cpus=2))
    assert found == {"a": [(0,), (1,), (0,), (1,)]}
    assert notes == ["a (4) want 4 CPUs together, this host has 2: workers share them"]


def test_a_quota_below_the_number_of_cpus_is_said_too():
    inventory = replace(host(cpus=8), cpus=2.0)
    found, notes = cpus([demand("a", 4, cpus=1)], inventory)
    assert len({cpu for some in found["a"] for cpu in some}) == 4, "they still need not share any"
    assert notes == ["a (4) want 4 CPUs together, this host has 2: workers share them"]


def test_cpus_that_run_stay_and_odd_numbers_are_fine():
    inventory = replace(host(cpus=4), cpu_ids=(2, 3, 8, 9))
    held = {"b": [Grant((), (3,))], "c": [Grant((), (0,))]}
    found, _ = cpus([demand("a", cpus=2), demand("b", cpus=1), demand("c", cpus=1)], inventory, held)
    assert found == {"a": [(8, 9)], "b": [(3,)], "c": [(2,)]}
    held = {"a": [Grant((), (2,))], "b": [Grant((), (2,))]}
    found, _ = cpus([demand("a", cpus=1), demand("b", cpus=1)], inventory, held)
    assert found == {"a": [(2,)], "b": [(3,)]}, "nobody needs to share any more"


def test_a_host_that_does_not_tell_its_cpus_binds_nobody():
    found, _ = cpus([demand("a", cpus=2)], replace(host(cpus=4), cpu_ids=()))
    assert found == {"a": [()]}


def held_on(inventory, **services):
    """By service, what workers have that run on these GPUs, one string of indexes each."""
    uuids = {device.index: device.uuid for device in inventory.devices}
    return {
        name: [Grant(tuple(Share(uuids.get(index, index), 1, 0) for index in some.split(","))) for some in workers]
        for name, workers in services.items()
    }


def test_a_worker_keeps_what_it_has():
    inventory = host(4)
    held = held_on(inventory, a=["3"], b=["2"])
    found = place([demand("a", 2, gpus=1), demand("b", 2, gpus=0.5), demand("c", gpus=1)], inventory, held)
    assert names(found, inventory) == {"a": ["3", "0"], "b": ["2", "2"], "c": ["1"]}


def test_a_worker_whose_gpu_is_gone_gets_another_and_the_others_stay():
    inventory = host(gpu(0), gpu(1, state="failed"), gpu(2), gpu(3))
    held = held_on(inventory, a=["0", "1", "GPU-gone"])
    assert names(place([demand("a", 3, gpus=1)], inventory, held), inventory) == {"a": ["0", "2", "3"]}


def test_strangers_that_come_later_do_not_drive_out_who_runs():
    """A worker's own children look like strangers, if they lead process groups."""
    inventory = host(gpu(0, processes=(python(memory=20),)), gpu(1))
    held = held_on(inventory, a=["0"])
    found = place([demand("a", gpus=1)], inventory, held)
    assert names(found, inventory) == {"a": ["0"]}
    assert found.notes == ("a has GPU 0 beside process 4711 (python, 20.0 GiB)",)
    found = place([demand("a", 2, gpus=0.4)], inventory, held_on(inventory, a=["0", "0"]))
    assert names(found, inventory) == {"a": ["0", "0"]}
    assert found.notes == ("a has GPU 0 beside process 4711 (python, 20.0 GiB)",)


def test_who_must_move_moves_alone():
    """`wide` needs two that are free: one service goes, the others stay."""
    inventory = host(4)
    held = held_on(inventory, a=["0"], b=["1"], c=["2"], d=["3"])
    demands = [*(demand(name, gpus=0.5) for name in "abcd"), demand("whole", gpus=1)]
    found = names(place(demands, inventory, held), inventory)
    assert sum(found[name] != [str(index)] for index, name in enumerate("abcd")) == 1


def test_auto_shrinks_for_others_without_moving():
    inventory = host(4)
    held = held_on(inventory, a=["2", "0", "3", "1"])
    found = place([demand("a", None, gpus=1), demand("new", gpus=1)], inventory, held)
    assert names(found, inventory) == {"a": ["2", "0", "3"], "new": ["1"]}


def test_auto_that_loses_a_gpu_in_the_middle_fills_the_gap_with_its_last():
    inventory = host(gpu(0), gpu(1, state="out", reason="Xid 48"), gpu(2), gpu(3))
    held = held_on(inventory, a=["0", "1", "2", "3"])
    assert names(place([demand("a", None, gpus=1)], inventory, held), inventory) == {"a": ["0", "3", "2"]}


def test_nothing_wanted_nothing_given():
    found = place([demand("a", 2), demand("b", gpus=0)], host(gpus="none"))
    assert found.grants == {"a": (Grant(), Grant()), "b": (Grant(),)}
    assert (found.lacks, found.notes) == ((), ())
    assert place([], host(2)).grants == {}


def test_a_driver_that_tells_no_memory_can_still_be_shared_by_time():
    inventory = host(gpu(0, memory=0))
    assert place([demand("a", 2, gpus=0.5), demand("b")], inventory).lacks == ()
    assert "has 0.0 MiB" in lack([demand("a", gpu_memory=1)], inventory)[2]


def test_messages_of_many_stay_short():
    demands = [*(demand(f"service-{index:02}", gpus=1) for index in range(30)), demand("late", gpus=0.5)]
    message = lack(demands, host(30))[2]
    assert re.search(r"and 27 others, short by 0.5$", message)


@pytest.mark.parametrize(
    "needs", [Needs(gpus=1), Needs(gpus=2), Needs(gpus=0.5), Needs(gpu_memory=1), Needs(gpus=1, gpu_type="Z")]
)
@pytest.mark.parametrize("workers", [1, None])
def test_where_a_gpu_works_that_is_divided_into_instances_that_do_not_there_is_none(needs, workers):
    divided = Device("GPU-0", "A", 1 << 34, "0")
    part = Device("MIG-0", "A", 1 << 33, "0:0", parent="GPU-0", state="failed", reason="lost")
    [lack] = place([Demand("s", needs, workers)], Inventory(4.0, (0,), 1 << 34, (divided, part), "ok"), {}).lacks
    assert "but GPU 0:0 has failed (lost)" in lack.message

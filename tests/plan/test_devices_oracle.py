"""Placement against an oracle that tries everything: nothing is booked twice, and nothing is missed that fits."""

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from bentod.plan.devices import place
from bentod.plan.grants import Share
from bentod.plan.inventory import Claim
from tests.support.hosts import GIB, claimed, demand, gpu, host, possible, python, wrong

TYPES = ("NVIDIA A10", "NVIDIA H100")
STATES = ("", "", "", "", "", "", "", "", "taken", "unknown", "failed", "divided")
WHOLE = (1, 1, 1, 1, 2)
PARTS = (0.1, 0.25, 0.3, 1 / 3, 0.5, 0.6, 0.75, 0.9, None, None, None)
MEMORY = (None, None, None, None, None, 2, 4, 6, 12, 24)
NAMES = (None, None, None, "*h100*", "NVIDIA A10")

cases = st.integers(0, 2**63).map(Random)
"""Much is drawn for each of many cases; Hypothesis would take longer to draw it than all the rest takes."""


def some_host(random, most=4):
    """Few GPUs, alike or not; some taken, divided, or not well."""
    count = random.choice((1, 2, 3, most, most))
    if random.random() < 0.4:
        return host(count)
    return host(*(one for index in range(count) for one in some_gpu(random, index)))


def some_gpu(random, index):
    kind, size, state = random.choice(TYPES), random.choice((8, 24)), random.choice(STATES)
    if state == "divided":
        parent = gpu(index, kind, size)
        halves = (gpu(f"{index}:{n}", kind, size // 2, uuid=f"MIG-{index}-{n}", parent=parent.uuid) for n in (0, 1))
        return [parent, *halves]
    processes = {"taken": (python(memory=random.choice((None, 4, 6))),), "unknown": (python(0),)}
    return [gpu(index, kind, size, processes=processes.get(state, ()), state="failed" if state == "failed" else "ok")]


def some_services(random, shapes, most=4):
    """Few services of every shape."""
    found = []
    for number in range(random.randint(1, most)):
        gpus = random.choice(shapes)
        memory = random.choice(MEMORY) or (3 if gpus is None else None)
        kind = random.choice(NAMES)
        found.append(
            demand(
                f"s{number}",
                random.choice((1, 1, 2, 3)) if (gpus or 0) < 1 else 1,
                gpus=gpus,
                gpu_memory=memory,
                gpu_type=kind,
            )
        )
    return found


def some_claims(random, inventory):
    """What workers of other daemons have, of GPUs that are there: any two may be of one owner."""
    left = {device.uuid: [1.0, device.memory] for device in inventory.devices}
    found = []
    for device in random.choices(inventory.devices, k=random.randint(1, 3)):
        part = random.choice([0.1, 1 / 3, 0.5, 1.0])
        size = random.choice([1, 2, device.memory // GIB]) * GIB
        if part <= left[device.uuid][0] and size <= left[device.uuid][1]:
            left[device.uuid][0] -= part
            left[device.uuid][1] -= size
            found.append(Claim(random.choice(["a", "b"]), 1, (Share(device.uuid, part, size),)))
    return tuple(found)


def missed(random, shapes, *, others=False):
    """Whether something was missed that fits, perhaps beside what `others` have."""
    inventory, demands = some_host(random), some_services(random, shapes)
    if others:
        inventory = replace(inventory, claims=some_claims(random, inventory))
    found = place(demands, inventory)
    assert wrong(demands, inventory, found) == []
    return bool(found.lacks) == possible(demands, inventory, claimed(inventory))


@settings(max_examples=10_000)
@given(cases)
def test_whole_gpus_are_found_whenever_there_is_a_way(random):
    assert not missed(random, WHOLE)


@settings(max_examples=4_000)
@given(cases)
def test_parts_and_whole_gpus_are_found_whenever_there_is_a_way(random):
    assert not missed(random, (*WHOLE, *PARTS))


@settings(max_examples=700)
@given(cases)
def test_whole_gpus_are_found_beside_what_other_daemons_have(random):
    assert not missed(random, WHOLE, others=True)


@settings(max_examples=700)
@given(cases)
def test_parts_are_found_beside_what_other_daemons_have(random):
    assert not missed(random, (*WHOLE, *PARTS), others=True)

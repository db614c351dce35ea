"""What runs keeps what it has: placing again changes nothing, and what is new moves nobody without need."""

from dataclasses import replace
from itertools import combinations

from hypothesis import given, settings

from bentod.plan.devices import place
from tests.plan.test_devices_oracle import PARTS, WHOLE, cases, some_host, some_services
from tests.support.hosts import GIB, possible, wrong

MIXED = (*WHOLE, *PARTS)


def everything(random, most=4):
    """Services that want CPUs, memory and GPUs, with and without a number of workers."""
    found = []
    for one in some_services(random, (*MIXED, 0, 0), most):
        more = {
            "cpus": random.choice((None, None, 0.5, 1, 1.5, 2, 3)),
            "memory": random.choice((None, 2 * GIB, 5 * GIB)),
        }
        workers = None if random.random() < 0.25 else one.workers
        found.append(replace(one, needs=replace(one.needs, **more), workers=workers))
    return found


@settings(max_examples=700)
@given(cases)
def test_placing_again_changes_nothing(random):
    inventory, demands = replace(some_host(random), cpus=random.choice((2, 4, 16))), everything(random)
    inventory = replace(inventory, cpu_ids=tuple(range(inventory.cpus)))
    first = place(demands, inventory)
    assert wrong(demands, inventory, first) == []
    fitting = [one for one in demands if one.service in first.grants]
    first = place(fitting, inventory)
    assert place(fitting, inventory, first.grants) == first


@settings(max_examples=700)
@given(cases)
def test_the_order_in_which_a_driver_lists_gpus_does_not_matter(random):
    inventory, demands = some_host(random), everything(random)
    devices = list(inventory.devices)
    random.shuffle(devices)
    assert place(demands, replace(inventory, devices=tuple(devices))) == place(demands, inventory)


@settings(max_examples=500)
@given(cases)
def test_the_order_of_services_does_not_decide_whether_they_fit(random):
    inventory, demands = some_host(random), some_services(random, MIXED)
    other = random.sample(demands, len(demands))
    assert bool(place(demands, inventory).lacks) == bool(place(other, inventory).lacks)


def used(inventory, demands, grants):
    """By GPU, the part and the bytes that these services have."""
    found = {one.uuid: [0.0, 0] for one in inventory.devices}
    for one in demands:
        for share in (share for grant in grants.get(one.service, ()) for share in grant.shares):
            found[share.device][0] += share.part
            found[share.device][1] += share.memory
    return found


@settings(max_examples=1_000)
@given(cases)
def test_as_few_services_move_as_possible(random):
    inventory, demands = some_host(random), some_services(random, MIXED, 3)
    running = place(demands, inventory).grants
    demands = [one for one in demands if one.service in running]
    new = replace(some_services(random, MIXED, 1)[0], service="new")
    found = place([*demands, new], inventory, running)
    assert wrong([*demands, new], inventory, found) == []
    if found.lacks:
        assert not possible([*demands, new], inventory)
        return
    moved = {name for name, grants in running.items() if found.grants[name] != grants}
    for some in (some for size in range(len(moved)) for some in combinations(demands, size)):
        kept = used(inventory, [one for one in demands if one not in some], running)
        assert not possible([*some, new], inventory, kept), f"{some} are enough, {moved} have moved"


@settings(max_examples=150)
@given(cases)
def test_eight_gpus_and_twenty_services_of_every_shape(random):
    inventory = replace(some_host(random, most=8), cpus=64, cpu_ids=tuple(range(64)))
    demands = everything(random, most=20)
    first = place(demands, inventory)
    assert wrong(demands, inventory, first) == []
    fitting = [one for one in demands if one.service in first.grants]
    first = place(fitting, inventory)
    second = place(random.sample(fitting, len(fitting)), inventory, first.grants)
    assert (second.grants, second.lacks) == (first.grants, ())

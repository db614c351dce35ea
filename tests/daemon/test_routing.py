"""Which pool answers for what: one API for each name and path, one pool for each service."""

from __future__ import annotations

from bentod.daemon.routing import rehearsal, unused
from bentod.supervise.state import WorkerState
from bentod.wire.messages import Ceiling, Example
from tests.support.stage import FakeStage, api, plan, service

TWO = (service("a"), service("b"))


def staged(old):
    stage = FakeStage(old)
    return stage, stage.routing


def moved(stage, plan, name):
    """A pool that has not been started yet, moved to."""
    pool = stage.pool(plan, next(one for one in plan.services if one.name == name), 2, {})
    stage.routing.move(plan, pool)
    return pool


def routes(routing):
    return [(one.pool, one.admit, one.retiring) for one in routing.table().services]


def test_tables_are_numbered_and_of_a_generation():
    _, routing = staged(plan(*TWO))
    first, second = routing.table(), routing.table()
    assert (first.generation, second.number - first.number) == (1, 1)


def test_calls_wait_for_a_pool_until_it_has_a_worker_once():
    stage, routing = staged(plan(*TWO))
    pool = moved(stage, plan(*TWO), "b")
    assert routes(routing) == [("a@1", True, False), ("b@2", True, False), ("b@1", True, True)]
    pool.state = {0: WorkerState.READY}
    assert routes(routing)[1] == ("b@2", True, False)
    pool.state = {}
    assert routes(routing)[1] == ("b@2", False, False)


def test_a_pool_that_does_not_come_is_waited_for_no_longer():
    stage, routing = staged(plan(*TWO))
    moved(stage, plan(*TWO), "b")
    routing.arrived("b")
    assert routes(routing)[1] == ("b@2", False, False)


def test_a_pool_retires_once_and_is_gone_or_comes_back():
    stage, routing = staged(plan(*TWO))
    before = routing.pools["b"]
    pool = moved(stage, plan(*TWO), "b")
    routing.move(routing.plan, before)
    assert [one[::2] for one in routes(routing)] == [("a@1", False), ("b@1", False), ("b@2", True)]
    routing.gone(pool)
    assert len(routes(routing)) == 2
    new = stage.pool(routing.plan, TWO[0], 3, {})
    routing.show(3, plan(TWO[0]), {"a": new})
    assert [one[::2] for one in routes(routing)] == [("a@3", False), ("a@1", True), ("b@1", True)]


def test_of_two_apis_at_one_path_the_one_that_came_last_holds_and_the_other_returns():
    old = plan(*TWO, apis=[api("x", "a", path="/p"), api("y", "b", path="/q")])
    new = plan(*TWO, apis=[api("x", "a", path="/z"), api("y", "b", path="/p")])
    stage, routing = staged(old)
    before = routing.pools["b"]
    moved(stage, new, "b")
    assert [(one.name, one.path) for one in routing.table().apis] == [("y", "/p")]
    moved(stage, new, "a")
    assert sorted((one.name, one.path) for one in routing.table().apis) == [("x", "/z"), ("y", "/p")]
    routing.move(old, before)
    routing.move(old, stage.pools[0])
    assert routing.table().apis == old.apis


def test_an_api_that_moves_between_services_is_in_one_of_them():
    old = plan(*TWO, apis=[api("x", "a"), api("y", "b")])
    new = plan(*TWO, apis=[api("x", "b"), api("y", "b")])
    stage, routing = staged(old)
    moved(stage, new, "b")
    assert [(one.name, one.service) for one in routing.table().apis] == [("x", "b"), ("y", "b")]


def test_types_of_the_pool_that_came_last_hold_while_it_serves_beside_others():
    stage, routing = staged(plan(*TWO, types={"T": 1, "U": 1}))
    before = routing.pools["a"]
    moved(stage, plan(*TWO, types={"T": 2}), "a")
    assert routing.table().types == {"T": 2, "U": 1}
    routing.move(routing.plan, before)
    assert routing.table().types == {"T": 1, "U": 1}


def test_a_rehearsal_has_only_the_apis_of_the_service_that_have_examples():
    tried = api("x", "a", examples=(Example("e", 1),))
    wanted = plan(*TWO, apis=[tried, api("y", "a"), api("z", "b", examples=(Example("e", 1),))])
    route = staged(wanted)[1].table().services[0]
    table = rehearsal(wanted, route)
    assert (table.apis, table.services) == ((tried,), (route,))


def test_no_two_pools_have_one_key():
    assert unused("a@1", set()) == "a@1"
    assert unused("a@1", {"a@1", "b@1"}) == "a@1.2"
    assert unused("a@1", {"a@1", "a@1.2", "a@1.3"}) == "a@1.4"


def test_what_a_gateway_learns_of_batches_reaches_all_and_ends_with_the_pool():
    stage, routing = staged(plan(*TWO))
    before = routing.pools["b"]
    found = Ceiling("b", "b@1", "b", 16, 32)
    assert routing.bounded(found)
    assert not routing.bounded(found)
    assert not routing.bounded(Ceiling("b", "b@1", "b", 20, 40))
    assert not routing.bounded(Ceiling("b", "b@7", "b", 4, 8))  # a pool that has gone meanwhile
    assert [one.ceilings for one in routing.table().services] == [(), (found,)]
    lower = Ceiling("b", "b@1", "b", 8, 16)
    assert routing.bounded(lower)
    assert [one.ceilings for one in routing.table().services] == [(), (lower,)]
    assert routing.bounded(Ceiling("b", "b@1", "b", 0, 0))
    assert not routing.bounded(Ceiling("b", "b@1", "b", 0, 0))
    assert routing.bounded(found)
    moved(stage, plan(*TWO), "b")
    assert [one.ceilings for one in routing.table().services] == [(), (), ()]
    assert not routing.bounded(lower)
    routing.gone(before)
    assert not routing._ceilings

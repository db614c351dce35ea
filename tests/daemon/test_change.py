"""A change succeeds as a whole or leaves everything as it was, whatever fails, and whenever; and while it is made, as
many workers serve as its way promises."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from bentod.daemon.change import Change
from bentod.daemon.stage import fit
from bentod.errors import StartError
from bentod.plan.difference import Difference, GatewayChange, ServiceChange, Step
from bentod.supervise.state import WorkerState
from tests.support.devices import granted
from tests.support.loops import run
from tests.support.stage import FakeStage, api, plan, service

KEPT = ("keep", "live")


@dataclass(frozen=True)
class Wish:
    """What shall become of one service."""

    action: str
    mode: str = "overlap"
    before: int = 1
    after: int = 1


def change_of(stage, wishes, gateways="keep", old=None, new=None, pins=None):
    """The change that fulfils the wishes; services are called s0, s1, …"""
    named = {f"s{number}": wish for number, wish in enumerate(wishes)}
    new = new or plan(*(service(name, one.after) for name, one in named.items() if one.action != "remove"))
    changes = tuple(ServiceChange(name, one.action) for name, one in named.items())
    steps = [Step(name, one.mode, "") for name, one in named.items() if one.action == "restart"]
    return new, Change(stage, 2, new, Difference(changes, (), GatewayChange(gateways)), steps, pins or {})


def staged(wishes, failing=()):
    old = [service(f"s{number}", one.before) for number, one in enumerate(wishes) if one.action != "add"]
    return FakeStage(plan(*old), failing)


def wishes():
    count = st.integers(1, 4)
    modes = st.sampled_from(["overlap", "one_by_one", "stop_first"])
    same = count.map(lambda number: Wish("keep", before=number, after=number))
    other = st.builds(Wish, st.sampled_from(["live", "add", "remove"]), before=count, after=count)
    return st.lists(st.one_of(same, other, st.builds(Wish, st.just("restart"), modes, count, count)), max_size=4)


def failures():
    one = st.tuples(st.just("start"), st.integers(1, 12))
    return st.sets(st.one_of(one, st.just(("live", 1)), st.just(("prepare", 1))), max_size=2)


def promised(wish):
    """How many workers serve at the least while a change is made."""
    if wish.action in {*KEPT, "remove"} or wish.mode == "overlap":
        return wish.before
    return min(wish.before, wish.after, 1) if wish.mode == "one_by_one" and wish.before > 1 else 0


class Guard:
    """Looks whenever something happens."""

    def __init__(self, stage, wishes):
        self.stage, self.wishes = stage, wishes
        self.wrong = []
        stage.seen = self.note

    def note(self):
        """A change survives whatever is raised below it, so what is wrong is kept for the end."""
        try:
            self.look()
        except AssertionError as error:
            self.wrong.append(str(error))

    def look(self):
        stage, live = self.stage, self.stage.routing.number == 2
        retired = {key for _, key in stage.events("retire")}
        for number, wish in enumerate(self.wishes):
            pool = stage.routing.pools.get(f"s{number}")
            if pool is None:
                assert live or wish.action == "add"
                continue
            assert not pool.closed
            assert pool.key not in retired, f"{pool.key} is routed and told to stop"
            assert len(pool.ready) >= (wish.after if live else promised(wish)), (wish, pool.key, pool.state)


def fulfilled(stage, wishes, new, originals):
    routing, fresh = stage.routing, stage.pools[len(originals) :]
    assert (routing.number, routing.plan) == (2, new)
    assert set(routing.pools) == {one.name for one in new.services}
    for number, wish in enumerate(wishes):
        pool = routing.pools.get(f"s{number}")
        before = originals.get(f"s{number}")
        assert (pool is before and not pool.closed) if wish.action in KEPT else pool is None or pool in fresh
        assert pool is None or sorted(pool.state) == pool.ready == list(range(wish.after))
        assert pool is None or pool.live
        if wish.action in {"restart", "remove"}:
            assert stage.events("retire").count(("retire", before.key)) == 1
            assert before.closed
    assert {pool.key for pool in fresh} == {pool.key for pool in routing.pools.values() if pool in fresh}
    names = [name for name, *_ in stage.log]
    pushed = len(names) - 1 - names[::-1].index("push")
    assert "accept" not in names[pushed:]
    assert "shrink" not in names[:pushed]
    assert names.index("swap") > pushed
    assert names.count("swap") == 1
    assert "drop" not in names
    assert {one.name: one for one in routing.table().services} == {
        name: pool.route() for name, pool in routing.pools.items()
    }


def undone(stage, originals, old):
    routing = stage.routing
    assert (routing.number, routing.plan) == (1, old)
    assert set(routing.pools) == set(originals)
    table = routing.table()
    assert (table.apis, table.types) == (old.apis, old.types)
    assert {one.name: one for one in table.services} == {name: pool.route() for name, pool in routing.pools.items()}
    for name, pool in routing.pools.items():
        wanted = next(one for one in old.services if one.name == name)
        assert (pool.plan, pool.live, pool.closed) == (wanted, True, False)
        assert sorted(pool.state) == pool.ready == [worker.index for worker in wanted.workers]
        if pool is not originals[name]:
            assert pool.pins == originals[name].files
            assert originals[name].closed
    for pool in stage.pools:
        if pool not in routing.pools.values():
            assert pool.closed
            assert stage.events("retire").count(("retire", pool.key)) == 1
    assert not stage.events("swap")
    assert not stage.front.prepared


@example([Wish("restart", "one_by_one", 2, 1), Wish("restart", "stop_first")], {("start", 2)}, "keep")
@given(wishes(), failures(), st.sampled_from(["keep", "live", "restart"]))
def test_a_change_succeeds_as_a_whole_or_leaves_everything_as_it_was(wishes, failing, gateways):
    async def main():
        stage = staged(wishes, failing)
        old, originals = stage.routing.plan, dict(stage.routing.pools)
        guard = Guard(stage, wishes)
        new, change = change_of(stage, wishes, gateways)

        def forgive():
            if stage.events("drop"):
                stage.forgiving = True  # what has run before starts again

        stage.on_tick = forgive
        try:
            found = await change.run()
        except StartError:
            event("failed")
            await stage.drained()
            assert not guard.wrong
            undone(stage, originals, old)
        else:
            event("succeeded")
            await stage.drained()
            assert not guard.wrong
            assert found == stage.routing.pools
            fulfilled(stage, wishes, new, originals)

    run(main())


@given(wishes(), st.integers(1, 40), st.sampled_from(["keep", "restart"]))
def test_a_change_that_is_cancelled_leaves_nothing_that_it_started(wishes, at, gateways):
    async def main():
        stage = staged(wishes)
        originals = list(stage.routing.pools.values())
        _, change = change_of(stage, wishes, gateways)
        task = asyncio.create_task(change.run())
        stage.on_tick = lambda: task.cancel() if stage.ticks == at else None
        try:
            await task
        except asyncio.CancelledError:
            event("cancelled")
        await stage.drained()
        if stage.routing.number == 2:
            assert not stage.events("drop")
            return
        fresh = [pool for pool in stage.pools if pool not in originals]
        assert fresh == list(change.pools), "nothing is started for a change that is given up"
        serving = stage.routing.pools.values()
        assert all(pool.closed is (pool not in serving) for pool in fresh), "calls come until the daemon stops"
        assert not stage.front.prepared
        for pool in originals:
            assert {worker.index for worker in pool.plan.workers} >= set(pool.state)

    run(main())


# ── one service in the place of another ──────────────────────────────────────────────────────────


def test_of_two_services_that_stop_first_both_come_back_with_their_code_if_the_second_fails():
    async def main():
        wishes = [Wish("restart", "stop_first"), Wish("restart", "stop_first", 2, 3)]
        stage = staged(wishes, {("start", 3)})
        old = dict(stage.routing.pools)
        _, change = change_of(stage, wishes)
        with pytest.raises(StartError, match="service s1: it broke") as failed:
            await change.run()
        assert failed.value.traceback == "Traceback …"
        now = stage.routing.pools
        assert {name: (pool.pins, pool.ready) for name, pool in now.items()} == {
            "s0": (old["s0"].files, [0]),
            "s1": (old["s1"].files, [0, 1]),
        }
        assert [pool.key for pool in now.values()] == ["s0@2.2", "s1@2.2"], "gateways tell them from what has failed"

    run(main())


def test_what_cannot_come_back_at_once_does_not_hold_up_what_comes_next():
    async def main():
        wishes = [Wish("restart", "stop_first"), Wish("restart", "one_by_one", 2, 2)]
        stage = staged(wishes, {("start", 2)})

        def get_stuck():
            for pool in stage.pools:
                pool.stuck = bool(stage.events("drop"))

        stage.on_tick = get_stuck
        with pytest.raises(StartError):
            await change_of(stage, wishes)[1].run()
        assert stage.routing.pools["s1"].key == "s1@1"
        assert stage.routing.pools["s0"].key == "s0@2.2"
        admitted = {one.name: one.admit for one in stage.routing.table().services if not one.retiring}
        assert admitted == {"s0": False, "s1": True}, "calls wait for it no longer"
        for pool in stage.pools:
            pool.closed = True

    run(main())


@pytest.mark.parametrize(("before", "after"), [(4, 1), (2, 5), (3, 3), (2, 1)])
def test_one_by_one_leaves_no_old_worker(before, after):
    async def main():
        wishes = [Wish("restart", "one_by_one", before, after)]
        stage = staged(wishes)
        [old] = stage.routing.pools.values()
        await change_of(stage, wishes)[1].run()
        await stage.drained()
        assert old.closed
        assert stage.events("retire") == [("retire", "s0@1")]
        stops = [index for _, key, [index] in stage.events("stop") if key == "s0@1"]
        assert stops == list(range(min(before, after)))

    run(main())


def test_one_by_one_begins_where_nothing_is_lost():
    """A worker that is down is replaced first, so that those that serve go on."""

    async def main():
        stage = staged([Wish("restart", "one_by_one", 3, 3)])
        [old] = stage.routing.pools.values()
        old.state[1] = WorkerState.BACKOFF
        await change_of(stage, [Wish("restart", "one_by_one", 3, 3)])[1].run()
        assert [indexes for name, key, indexes in stage.events("stop")] == [[1], [0], [2]]

    run(main())


def test_a_service_that_grew_shrinks_again_if_another_fails():
    async def main():
        stage = staged([Wish("live", before=1, after=3), Wish("restart")], {("start", 3)})
        [grown, _] = stage.routing.pools.values()
        with pytest.raises(StartError):
            await change_of(stage, [Wish("live", before=1, after=3), Wish("restart")])[1].run()
        assert sorted(grown.state) == grown.ready == [0]
        assert [(event[0], event[2]) for event in stage.log if event[0] in {"grow", "adopt"}] == [
            ("grow", 3),
            ("adopt", 1),
        ]

    run(main())


# ── what it waits for ────────────────────────────────────────────────────────────────────────────


def test_a_kept_service_that_is_down_keeps_no_other_from_going_live():
    async def main():
        wishes = [Wish("keep", before=2, after=2), Wish("restart"), Wish("live", before=1, after=2)]
        stage = staged(wishes)
        down = stage.routing.pools["s0"]
        down.state[0], down.state[1], down.stuck = WorkerState.STARTING, WorkerState.FAILED, True
        down.inconsistent = ("late.py",)
        await change_of(stage, wishes)[1].run()
        assert stage.routing.number == 2

    run(main())


def test_what_was_ready_and_died_while_others_started_is_a_failure():
    async def main():
        stage = staged([])
        first, slow = (stage.pool(plan(), service(name), 2, {}) for name in ("first", "slow"))
        slow.stuck = True
        for pool in (first, slow):
            pool.start()

        def go_on():
            if stage.ticks == 20:
                first.state[0] = WorkerState.FAILED
                slow.stuck = False

        stage.on_tick = go_on
        with pytest.raises(StartError, match="service first: it broke"):
            await fit([first, slow])

    run(main())


def test_a_file_that_workers_of_one_pool_met_before_and_after_an_edit_fails_the_change():
    async def main():
        stage = staged([Wish("restart", "stop_first")])
        make = stage.pool

        def inconsistent(*args):
            made = make(*args)
            made.inconsistent = ("half.py",) if "2.2" not in made.key else ()
            return made

        stage.pool = inconsistent
        with pytest.raises(StartError, match=r"service s0: half\.py was edited while its workers started"):
            await change_of(stage, [Wish("restart", "stop_first")])[1].run()
        assert stage.routing.pools["s0"].key == "s0@2.2"

    run(main())


def test_a_bug_in_between_leaves_no_half_of_a_change():
    async def main():
        stage = staged([Wish("restart"), Wish("live", before=1, after=2)])
        old, originals = stage.routing.plan, dict(stage.routing.pools)

        async def broken(*_):
            raise KeyError("x")

        stage.try_live = broken
        with pytest.raises(StartError, match="KeyError: 'x'") as failed:
            await change_of(stage, [Wish("restart"), Wish("live", before=1, after=2)])[1].run()
        assert "in broken" in failed.value.traceback
        undone(stage, originals, old)

    run(main())


@pytest.mark.parametrize("where", ["accept", "push", "swap", "retire", "shrink", "adopt"])
def test_a_bug_after_the_point_of_no_return_leaves_a_change_that_is_live(where, capsys, monkeypatch):
    async def main():
        wishes = [Wish("restart"), Wish("keep"), Wish("live", before=3, after=1), Wish("remove")]
        stage = staged(wishes)
        old = dict(stage.routing.pools)

        def broken(*_):
            raise KeyError("oops")

        holder = {"swap": stage.front, "shrink": old["s1"], "adopt": old["s1"]}.get(where, stage)
        monkeypatch.setattr(holder, where, broken)
        found = await change_of(stage, wishes)[1].run()
        await stage.drained()
        assert stage.routing.number == 2
        assert found == stage.routing.pools
        if where != "retire":
            assert old["s0"].closed
            assert old["s3"].closed
        assert old["s2"].ready == [0]
        assert where == "swap" or stage.events("swap")

    run(main())
    assert "KeyError: 'oops'" in capsys.readouterr().err


def test_a_file_that_moved_meanwhile_fails_the_change():
    async def main():
        stage = staged([Wish("restart")])
        old, originals = stage.routing.plan, dict(stage.routing.pools)
        asked = []

        async def moved(pools):
            asked.extend(pools)
            return "model.py"

        with pytest.raises(StartError, match=r"model\.py was edited"):
            await change_of(stage, [Wish("restart")])[1].run(moved)
        assert [pool.key for pool in asked] == ["s0@2"]
        undone(stage, originals, old)

    run(main())


# ── GPUs that others leave ───────────────────────────────────────────────────────────────────────


def on(name, *gpus):
    """A service with a worker on each of these GPUs."""
    return replace(service(name), workers=tuple(granted(index, gpu) for index, gpu in enumerate(gpus)))


@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
@pytest.mark.parametrize(
    ("old", "new", "actions"),
    [
        ([on("t", "A")], [on("s", "A")], {"t": "remove", "s": "add"}),
        ([on("s", "A"), on("t", "B")], [on("s", "A", "B")], {"s": "live", "t": "remove"}),
        ([on("s", "A"), on("t", "B", "C")], [on("s", "A", "C"), on("t", "B")], {"s": "live", "t": "live"}),
        ([on("t", "A", "B")], [on("s", "B"), on("t", "A")], {"s": "add", "t": "live"}),
        ([on("s", "A"), on("t", "B")], [on("s", "B")], {"s": "restart", "t": "remove"}),
    ],
    ids=["add", "grow", "grow as another shrinks", "add as another shrinks", "move"],
)
def test_a_gpu_that_is_left_is_never_another_s_before(old, new, actions, fails):
    async def main():
        stage = FakeStage(plan(*old), {("start", 1)} if fails else ())
        before, wrong = dict(stage.routing.pools), []

        def look():
            alive = (WorkerState.READY, WorkerState.STARTING)
            gpus = [
                share.device
                for pool in stage.pools
                for worker in pool.plan.workers
                if pool.state.get(worker.index) in alive
                for share in worker.grant.shares
            ]
            wrong.extend({gpu for gpu in gpus if gpus.count(gpu) > 1})
            stage.forgiving = bool(stage.events("drop"))

        stage.seen = look
        changes = tuple(ServiceChange(*one) for one in actions.items())
        steps = [Step("s", "stop_first", "")]
        change = Change(stage, 2, plan(*new), Difference(changes, (), GatewayChange("keep")), steps, {})
        if fails:
            with pytest.raises(StartError):
                await change.run()
        else:
            await change.run()
        await stage.drained()
        assert wrong == []
        wanted = old if fails else new
        assert {name: pool.ready for name, pool in stage.routing.pools.items()} == {
            one.name: [worker.index for worker in one.workers] for one in wanted
        }
        if fails:
            assert stage.routing.pools["t"] is before["t"]

    run(main())


# ── APIs that move ───────────────────────────────────────────────────────────────────────────────


def test_an_api_that_moves_to_a_service_which_fails_is_where_it_was():
    async def main():
        both = [service("s0"), service("s1")]
        old = plan(*both, apis=[api("x", "s0"), api("y", "s1", path="/old")])
        new = plan(*both, apis=[api("x", "s1"), api("y", "s0", path="/x2")])
        stage = FakeStage(old, {("start", 2)})
        wishes = [Wish("restart", "stop_first"), Wish("restart", "stop_first")]
        with pytest.raises(StartError):
            await change_of(stage, wishes, new=new)[1].run()
        assert stage.routing.table().apis == old.apis
        for _, _, table in stage.events("push"):
            served = [one.path for one in table.apis]
            assert len(served) == len(set(served)) == len({one.name for one in table.apis})

    run(main())


def test_settings_of_a_failed_service_s_apis_are_seen_by_nobody_afterwards():
    async def main():
        stage = FakeStage(plan(service("s0"), types={"T": 1}), {("start", 1)})
        new = plan(service("s0"), apis=[api("s0", "s0", timeout_s=1.0)], types={"T": 2, "U": 3})
        with pytest.raises(StartError):
            await change_of(stage, [Wish("restart", "stop_first")], new=new)[1].run()
        tables = [table for _, _, table in stage.events("push")]
        assert [(table.types, table.apis[0].timeout_s) for table in tables] == [
            ({"T": 2, "U": 3}, 1.0),
            ({"T": 1}, 30.0),
        ]

    run(main())

"""A service's pool is replaced while calls arrive, wait and run: nobody fails because of it, and nothing is left."""

from __future__ import annotations

import asyncio
import gc
import json
import random
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest

from bentod.dispatch.deadlines import Deadlines
from bentod.dispatch.dispatcher import Dispatcher
from bentod.dispatch.queue import Queue
from bentod.dispatch.worker import Worker
from bentod.gateway import gateway as gateway_module
from bentod.gateway.app import App
from bentod.gateway.gateway import Gateway
from bentod.gateway.heads import Heads
from bentod.wire.messages import Killed, Stats, Unusable
from tests.support.asgi import LIMITS, Client, Response, api, method, table
from tests.support.links import FakeLink, FakeWorkers, service, worker
from tests.support.loops import run, turns

STRING = {"type": "string"}


def pool(name: str, *pids: int, threads: int = 1, methods=(), **changed):
    """A pool of the service `s`."""
    workers = [worker(pid, threads, threads) for pid in pids]
    return replace(service(*workers, methods=methods or (method("f", "x"),)), pool=name, **changed)


class Bench:
    """A gateway whose workers a test plays."""

    def __init__(self) -> None:
        self.told: list = []
        self.workers = FakeWorkers()
        self.app = App(LIMITS, None)
        self.gateway = Gateway(self.app, self.told.append, connect=self.workers.connect)
        self.number = 0

    async def apply(self, *pools, apis=None, **changed) -> None:
        self.number += 1
        apis = (api(),) if apis is None else apis
        await self.gateway.apply(table(*apis, services=pools, number=self.number, **changed))

    async def post(self, value=1, path="/f", headers=()) -> Response:
        client = Client(path, [json.dumps(value).encode()], "POST", headers)
        await self.app(client.scope, client.receive, client.send)
        assert client.response is not None
        return client.response

    async def posted(self, count: int, **options) -> list[asyncio.Task[Response]]:
        """Requests that have reached the gateway."""
        tasks = []
        for number in range(count):
            tasks.append(asyncio.create_task(self.post(number, **options)))
            await turns()
        return tasks

    def answer(self, pid: int, text: str = "") -> None:
        """A worker answers all that it has."""
        link = self.workers[pid]
        for entry in [one for one in link.entries if one[0] in (0, 1)]:
            link.entries.remove(entry)
            link.answer(entry[1], f"{text}{entry[4]}")

    def arguments(self, pid: int) -> list:
        return [entry[4] for entry in self.workers[pid].entries if entry[0] in (0, 1)]

    def stats(self) -> Stats:
        return self.gateway.stats(1, 0)


class Slow(Client):
    """A client whose body arrives when a test says so."""

    def __init__(self, path: str = "/f") -> None:
        super().__init__(path, [b"7"], "POST", [])
        self.may = asyncio.Event()

    async def receive(self):
        await self.may.wait()
        return await super().receive()


def test_what_waits_moves_to_the_new_pool_and_what_runs_ends_in_the_old():
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1))
        tasks = await bench.posted(4)
        tasks[2].cancel()
        await turns()
        await bench.apply(pool("s@2", 2), pool("s@1", 1, retiring=True))
        await turns()
        assert bench.arguments(1) == [0]
        assert bench.arguments(2) == [1]
        assert not bench.workers[1].closed
        (counted,) = bench.stats().apis
        assert (counted.waiting, counted.running) == (1, 2)
        assert bench.stats().workers == {"1": 0, "2": 0}
        late = await bench.posted(1)
        for number in (1, 3, 0):
            assert bench.arguments(2) == [number]
            bench.answer(2, "new")
        bench.answer(1, "old")
        found = [(await task).json for task in (*tasks[:2], tasks[3], *late)]
        assert found == ["old0", "new1", "new3", "new0"]
        assert bench.workers[1].closed
        assert len(bench.gateway._pools) == 1
        (counted,) = bench.stats().apis
        assert (counted.waiting, counted.running, counted.codes["ok"]) == (0, 0, 4)
        assert not [one for one in bench.told if isinstance(one, Unusable)]

    run(main())


def test_what_the_new_pool_cannot_serve_is_finished_by_the_old():
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1, 2))
        tasks = await bench.posted(5)
        changed = (api(output=STRING),)
        await bench.apply(pool("s@2", 3), pool("s@1", 1, 2, retiring=True), apis=changed)
        new = await bench.posted(1)
        assert bench.arguments(3) == [0]
        bench.workers[1].die()  # its call runs again at the other, which is needed still
        for _ in range(5):
            bench.answer(2, "old")
            await turns()
        bench.answer(3, "new")
        assert sorted([(await task).json for task in tasks]) == [f"old{number}" for number in range(5)]
        assert (await new[0]).json == "new0"
        assert bench.workers[2].closed
        assert len(bench.gateway._pools) == 1

    run(main())


def test_the_last_call_of_an_old_worker_that_dies_runs_again_in_the_old_pool_or_in_the_new():
    async def main():
        for changed, where in (({}, 3), ({"output": STRING}, 2)):
            bench = Bench()
            await bench.apply(pool("s@1", 1, 2))
            tasks = await bench.posted(2)
            await bench.apply(pool("s@2", 3), pool("s@1", 1, 2, retiring=True), apis=(api(**changed),))
            before = bench.arguments(1)
            bench.workers[1].die()
            await turns()
            if where == 2:
                bench.answer(2)
            assert bench.arguments(where) == before
            for pid in (2, 3):
                bench.answer(pid)
            assert sorted([(await task).json for task in tasks]) == ["0", "1"]
            assert bench.told == []
            await turns()
            assert bench.workers[2].closed

    run(main())


def test_calls_that_only_the_old_pool_could_serve_are_not_ready_when_it_is_dead():
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1))
        tasks = await bench.posted(3)
        await bench.apply(pool("s@2", 3), pool("s@1", 1, retiring=True, admit=False), apis=(api(output=STRING),))
        bench.workers[1].die()
        answers = [await task for task in tasks]
        assert {one.code for one in answers} == {"not-ready"}
        assert {one.headers["retry-after"] for one in answers} == {"1"}
        assert len(bench.gateway._pools) == 1

    run(main())


def test_an_old_pool_may_get_another_worker():
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1))
        tasks = await bench.posted(2)
        await bench.apply(pool("s@2", 3), pool("s@1", 1, retiring=True), apis=(api(output=STRING),))
        bench.workers[1].die()
        await turns()
        assert not any(task.done() for task in tasks)
        await bench.apply(pool("s@2", 3), pool("s@1", 2, retiring=True), apis=(api(output=STRING),))
        for _ in tasks:
            bench.answer(2)
        assert [(await task).json for task in tasks] == ["0", "1"]
        assert len(bench.gateway._pools) == 1

    run(main())


@pytest.mark.parametrize("named", [True, False])
def test_an_api_that_is_removed_is_finished_and_then_forgotten(named):
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1))
        tasks = await bench.posted(3)
        await bench.apply(*[pool("s@1", 1, retiring=True)] * named, apis=())
        assert (await bench.post()).status == 404
        assert [one.waiting for one in bench.stats().apis] == [2]
        for _ in tasks:
            bench.answer(1)
        assert [(await task).json for task in tasks] == ["0", "1", "2"]
        bench.stats()
        assert bench.stats().apis == ()
        assert bench.workers[1].closed
        assert len(bench.gateway._pools) == 0

    run(main())


@pytest.mark.parametrize("stays", [True, False])
@pytest.mark.parametrize("changed", [None, 1, 2])
def test_a_body_may_arrive_three_tables_later_as_long_as_its_worker_stays(changed, stays):
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1))
        client = Slow()
        slow = asyncio.create_task(bench.app(client.scope, client.receive, client.send))
        await turns()
        for number in (2, 3, 4):
            other = {"output": STRING} if changed is not None and number > changed else {}
            await bench.apply(
                pool(f"s@{number}", number), pool(f"s@{number - 1}", number - 1, retiring=True), apis=(api(**other),)
            )
        assert not bench.workers[1].closed
        assert bench.workers[2].closed
        if stays:
            client.may.set()
        else:
            bench.workers[1].die()
            await turns()
            client.may.set()
        await turns()
        where = 1 if stays else 4
        if stays or changed is None:
            assert bench.arguments(where) == [7]
            bench.answer(where)
        await slow
        assert bench.workers[1].closed or not stays
        assert len(bench.gateway._pools) == 1
        assert client.response is not None
        if stays or changed is None:
            assert client.response.json == "7"
        else:
            assert (client.response.status, client.response.code) == (503, "not-ready")
            assert client.response.headers["retry-after"] == "1"

    run(main())


def test_a_late_call_that_only_the_old_pool_can_serve_is_served_while_that_is_there():
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1))
        (running,) = await bench.posted(1)
        client = Slow()
        slow = asyncio.create_task(bench.app(client.scope, client.receive, client.send))
        await turns()
        await bench.apply(pool("s@2", 2), pool("s@1", 1, retiring=True), apis=(api(output=STRING),))
        client.may.set()
        await turns()
        bench.answer(1)
        bench.answer(1)
        await slow
        assert client.response is not None
        assert (client.response.json, (await running).json) == ("7", "0")
        await turns()
        assert bench.workers[1].closed

    run(main())


@pytest.mark.parametrize("how", ["leaves", "is cut off", "sends nonsense"])
def test_workers_wait_no_longer_for_a_body_that_will_not_come(how):
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1))
        client = Slow()
        slow = asyncio.create_task(bench.app(client.scope, client.receive, client.send))
        await turns()
        await bench.apply(pool("s@2", 2), pool("s@1", 1, retiring=True), apis=(api(output=STRING),))
        assert not bench.workers[1].closed
        if how == "is cut off":
            slow.cancel()
        else:
            client.unread = [] if how == "leaves" else [b"{"]
            client.may.set()
        await slow
        assert bench.workers[1].closed
        assert len(bench.gateway._pools) == 1

    run(main())


def test_workers_that_have_to_make_room_do_not_wait_for_a_body_that_the_new_ones_can_have():
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1))
        client = Slow()
        slow = asyncio.create_task(bench.app(client.scope, client.receive, client.send))
        await turns()
        await bench.apply(pool("s@2"), pool("s@1", 1, retiring=True))
        assert bench.workers[1].closed
        client.may.set()
        await turns()
        await bench.apply(pool("s@2", 2))
        await turns()
        bench.answer(2)
        await slow
        assert client.response is not None
        assert client.response.json == "7"

    run(main())


def test_a_client_that_leaves_takes_its_call_with_it_wherever_it_waits_or_runs():
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1))
        tasks = await bench.posted(3)
        await bench.apply(pool("s@2", 2), pool("s@1", 1, retiring=True))
        await turns()
        for task in tasks:
            task.cancel()
        await turns()
        assert [len(bench.workers[pid].cancels) for pid in (1, 2)] == [1, 1]
        (counted,) = bench.stats().apis
        assert (counted.waiting, counted.running) == (0, 2)
        for pid in (1, 2):
            bench.workers[pid].refuse(bench.workers[pid].calls[0], "cancelled", 0.0)
        assert bench.stats().apis[0].running == 0
        assert bench.workers[1].closed

    run(main())


def test_a_deadline_is_kept_in_whatever_pool():
    async def main():
        bench = Bench()
        apis = (api(timeout_s=0.05),)
        await bench.apply(pool("s@1", 1), apis=apis)
        tasks = await bench.posted(3)
        await bench.apply(pool("s@2", 2), pool("s@1", 1, retiring=True), apis=apis)
        assert {(await task).code for task in tasks} == {"deadline-exceeded"}
        assert bench.stats().apis[0].waiting == 0

    run(main())


def test_a_pool_that_retired_may_be_wanted_again():
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1))
        tasks = await bench.posted(2)
        await bench.apply(pool("s@2", 2), pool("s@1", 1, retiring=True))
        await bench.apply(pool("s@1", 1), pool("s@2", 2, retiring=True))
        tasks += await bench.posted(1)
        bench.answer(2, "two")
        for _ in range(2):
            bench.answer(1, "one")
            await turns()
        assert [(await task).json for task in tasks] == ["one0", "two1", "one0"]
        assert bench.workers[2].closed
        assert len(bench.gateway._pools) == 1

    run(main())


def test_only_pools_of_today_count_for_readiness():
    async def main():
        bench = Bench()
        await bench.apply(pool("s@2", 2), pool("s@1", retiring=True, state="stopping"))
        client = Client("/readyz", [b""], "GET", [])
        await bench.app(client.scope, client.receive, client.send)
        assert client.response is not None
        assert client.response.status == 200
        assert client.response.json["services"] == {"s": {"state": "ready", "ready": 1, "wanted": 1}}

    run(main())


def test_another_pool_needs_no_compiling_and_a_large_table_lets_others_have_their_turn(monkeypatch):
    compiled, gaps = [], []
    real = gateway_module.compiled
    monkeypatch.setattr(gateway_module, "compiled", lambda *given: (compiled.append(given[0]), real(*given))[1])
    monkeypatch.setattr(gateway_module, "_AT_ONCE_S", -1.0)

    async def main():
        bench = Bench()
        apis = tuple(api(f"f{number}", path=f"/{number}") for number in range(20))

        async def others():
            while True:
                gaps.append(len(compiled))
                await asyncio.sleep(0)

        task = asyncio.create_task(others())
        await bench.apply(pool("s@1", 1), apis=apis)
        task.cancel()
        before = dict(bench.app._routes.operations)
        await bench.apply(pool("s@2", 2), pool("s@1", 1, retiring=True), apis=apis)
        after = bench.app._routes.operations
        assert all(after[path].bodies is before[path].bodies for path in before)
        assert all(after[path].dispatcher is not before[path].dispatcher for path in before)

    run(main())
    assert len(compiled) == 20
    assert max(after - before for before, after in pairwise(gaps)) == 1


# ── calls that kill ──────────────────────────────────────────────────────────────────────────────


def test_a_call_that_kills_two_workers_is_named_and_refused_from_then_on():
    async def main():
        bench = Bench()
        heads = Heads(bench.app)
        bytes_ = [(b"x-request-id", b"mine"), (b"content-length", b"1")]
        await bench.apply(pool("s@1", 1, 2, 3))
        assert heads.fitting(b"/f", bytes_) is not None
        task = asyncio.create_task(bench.post(5, headers=[("X-Request-Id", "mine")]))
        for deaths in (1, 2):
            await turns()
            victim = next(link for link in bench.workers.links if link.calls and not link.gone)
            victim.die()
            assert bench.told[-2:] == [
                Killed("s", int(victim.path[1:]), "f", "mine", deaths),
                Unusable("s", int(victim.path[1:]), "its link to a gateway broke"),
            ]
        first = await task
        assert (first.code, first.json["detail"]) == ("worker-lost", "2 workers died while they ran this call")
        again = await bench.post(5, headers=[("X-Request-Id", "mine")])
        assert again.json == first.json
        assert heads.fitting(b"/f", bytes_) is None
        assert heads.fitting(b"/f", [(b"x-request-id", b"other"), (b"content-length", b"1")]) is not None
        assert bench.arguments(3) == []
        for headers in ([("X-Request-Id", "other")], []):
            other = asyncio.create_task(bench.post(6, headers=headers))
            await turns()
            bench.answer(3)
            assert (await other).json == "6"

    run(main())


def test_calls_in_company_are_not_accused():
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1, threads=2))
        tasks = await bench.posted(2)
        bench.workers[1].die()
        await bench.apply(pool("s@1", 2, threads=1))
        await turns()
        assert [one for one in bench.told if isinstance(one, Killed)] == []
        bench.workers[2].die()  # one of them ran alone
        await turns()
        (killed,) = [one for one in bench.told if isinstance(one, Killed)]
        assert (killed.pid, killed.deaths) == (2, 2)
        await bench.apply(pool("s@1", 3, threads=1))
        bench.answer(3)
        assert sorted([(await task).status for task in tasks]) == [200, 503]

    run(main())


def test_a_worker_that_leaves_may_be_killed_by_others():
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1))
        (task,) = await bench.posted(1)
        await bench.apply(pool("s@2", 2), pool("s@1", 1, retiring=True))
        bench.workers[1].die()
        await turns()
        bench.answer(2)
        assert (await task).json == "0"
        assert bench.told == []

    run(main())


# ── many times ───────────────────────────────────────────────────────────────────────────────────


KINDS = (Dispatcher, Queue, Deadlines, Worker, FakeLink)


def alive() -> list[int]:
    """How many there are of what comes and goes with a pool."""
    gc.collect()
    everything = Counter(map(type, gc.get_objects()))
    return [everything[kind] for kind in KINDS]


class Load:
    """Clients that ask again and again, of workers that answer late or die."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.chance = random.Random(7)
        self.asked = 0
        self.running = True
        self.answers: list[Response] = []
        self.unready: set[str] = set()

    async def client(self, number: int) -> None:
        while self.running:
            self.asked += 1
            value = self.asked
            answer = await self.bench.post(value, path=("/f", "/g")[number % 2])
            assert answer.status != 200 or answer.json == value
            if answer.status != 200 and answer.code == "not-ready":
                self.unready.add(("/f", "/g")[number % 2])
            self.answers.append(answer)
            await turns(number % 3)

    def play(self) -> None:
        """Have each new link answer by itself."""
        for link in self.bench.workers.links:
            if link.handler is None:
                link.handler = partial(self.handle, link)
                for entry in link.entries:
                    if entry[0] in (0, 1):
                        link.handler(entry)

    def handle(self, link: FakeLink, entry) -> None:
        self.later(link, entry, self.chance.choice([0, 0, 1, 3]))

    def later(self, link: FakeLink, entry, left: int) -> None:
        if left >= 0:
            asyncio.get_running_loop().call_soon(self.later, link, entry, left - 1)
        elif int(link.path[1:]) % 2 and self.chance.random() < 0.006:  # the other one of its pool never dies
            link.die()
        else:
            link.answer(entry[1], entry[4], 0.001)

    async def swap(self, number: int) -> None:
        """The next pool. Every third time the API `g` changes; some pools are dropped from the table at once."""
        methods = (method("f", "x"), method("g", "x"))
        output = True if number // 3 % 2 else {}
        apis = (api(timeout_s=60.0), api("g", output=output, max_size=4, method="g", timeout_s=60.0))
        old = pool(f"s@{number - 1}", 2 * number - 2, 2 * number - 1, threads=2, methods=methods, retiring=True)
        new = pool(f"s@{number}", 2 * number, 2 * number + 1, threads=2, methods=methods)
        await self.bench.apply(new, *[old] * (number % 4 > 0), apis=apis)
        self.play()
        self.bench.workers.links[:] = [link for link in self.bench.workers.links if not link.gone]
        await turns(self.chance.choice([0, 1, 4]))


def test_a_thousand_tables_under_load_cost_no_call_and_leave_nothing():
    async def main():
        others = alive()[0]  # what other tests left
        bench = Bench()
        load = Load(bench)
        await load.swap(1)
        clients = [asyncio.create_task(load.client(number)) for number in range(4)]
        for number in range(2, 20):
            await load.swap(number)
        before = alive()
        try:
            for number in range(20, 1020):
                await load.swap(number)
        finally:
            load.running = False  # a client that is cancelled asks again
        await asyncio.gather(*clients)
        await load.swap(1020)
        await turns()
        bench.workers.links[:] = [link for link in bench.workers.links if not link.gone]
        assert len(load.answers) == load.asked > 1_000
        assert {one.code for one in load.answers if one.status != 200} <= {"worker-lost", "not-ready"}
        assert load.unready <= {"/g"}  # what only a dead pool could have served
        assert len(bench.gateway._pools) == 1
        assert len(asyncio.all_tasks()) <= 2
        after = alive()
        assert all(now <= then for now, then in zip(after, before, strict=True)), (before, after)
        assert after[0] - others == 1

    run(main(), limit_s=100)

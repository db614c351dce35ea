"""What a gateway learns of batches that run out of memory: told to the daemon, shown, and taken from the others."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

from bentod.gateway.app import App
from bentod.gateway.gateway import Gateway
from bentod.wire.entries import DONE, RAISED, SQUEEZED
from bentod.wire.messages import Ceiling
from tests.support.asgi import LIMITS, Client, api, method, table
from tests.support.links import FakeWorkers, service, worker
from tests.support.loops import run, turns

API = api(takes="items", max_size=8, input={"type": "integer"})
LEARNED = Ceiling("s", "s@1", "f", 4, 8)


def pool(name, pid, *ceilings, retiring=False):
    route = service(worker(pid), methods=(method("f", "x"),))
    return replace(route, pool=name, retiring=retiring, ceilings=ceilings)


class Bench:
    def __init__(self):
        self.told = []
        self.workers = FakeWorkers()
        self.app = App(LIMITS, None)
        self.gateway = Gateway(self.app, self.told.append, connect=self.workers.connect)
        self.number = 0

    async def apply(self, *pools, apis=(API,)):
        self.number += 1
        await self.gateway.apply(table(*apis, services=pools, number=self.number))

    async def post(self, value):
        client = Client("/f", [json.dumps(value).encode()], "POST", [])
        await self.app(client.scope, client.receive, client.send)
        return client.response

    async def posted(self, count):
        tasks = [asyncio.create_task(self.post(number)) for number in range(count)]
        await turns(4)
        return tasks

    def batch(self, pid):
        """The last batch of a worker."""
        return self.workers[pid].batches[-1]

    async def squeezed(self, pid, size, well, again=0):
        """A batch of that size runs out of memory."""
        tasks = await self.posted(size)
        batch = self.batch(pid)
        assert len(batch) == size
        fine = batch if not again else batch[:well]
        self.workers[pid].tell(
            [SQUEEZED, batch[-1], size, well, again],
            *([DONE, one, 1.0, one] for one in fine),
            *([RAISED, one, 1.0, "out-of-memory", "Tried to allocate", "", []] for one in batch if one not in fine),
        )
        return await asyncio.gather(*tasks)

    def limit(self):
        return self.gateway._operations["f"].queue.limits.max_size

    def stats(self):
        [found] = self.gateway.stats(1, 0).apis
        return found.most, found.at


def test_what_is_learned_is_told_once_and_counted():
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1))
        assert bench.stats() == (0, 0)
        answers = await bench.squeezed(1, 8, 4)
        assert [answer.status for answer in answers] == [200] * 8
        assert bench.told == [LEARNED]
        assert bench.stats() == (4, 8)
        await bench.apply(pool("s@1", 1, LEARNED))  # as the daemon then says to all
        assert (bench.limit(), bench.stats(), bench.told) == (4, (4, 8), [LEARNED])

    run(main())


def test_calls_of_a_half_that_failed_are_told_why():
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1))
        answers = await bench.squeezed(1, 8, 4, 4)
        assert [answer.status for answer in answers] == [200] * 4 + [503] * 4
        assert {answer.code for answer in answers[4:]} == {"out-of-memory"}
        assert all(b"allocate" not in answer.body for answer in answers)

    run(main())


def test_it_ends_with_the_pool():
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1))
        await bench.squeezed(1, 8, 4)
        await bench.apply(pool("s@2", 2), pool("s@1", 1, LEARNED, retiring=True))
        assert (bench.limit(), bench.stats()) == (8, (0, 0))
        await bench.squeezed(2, 6, 3)
        assert bench.told == [LEARNED, Ceiling("s", "s@2", "f", 3, 6)]

    run(main())


def test_it_survives_other_tables_and_other_limits():
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1))
        await bench.squeezed(1, 8, 4)
        await bench.apply(pool("s@1", 1), apis=(replace(API, max_size=64),))
        assert bench.limit() == 4
        await bench.apply(pool("s@1", 1), apis=(replace(API, max_size=2),))
        assert bench.limit() == 2
        await bench.apply(pool("s@1", 1, LEARNED), apis=(replace(API, input={"type": "number"}),))
        assert bench.limit() == 4  # another queue, of the same workers

    run(main())


def test_what_others_have_learned_holds_here_and_is_not_told_again():
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1, LEARNED))
        assert (bench.limit(), bench.stats(), bench.told) == (4, (4, 8), [])
        await bench.apply(pool("s@1", 1, Ceiling("s", "s@1", "f", 2, 4)))
        assert bench.limit() == 2
        await bench.apply(pool("s@1", 1, LEARNED))
        assert bench.limit() == 2
        others = Ceiling("other", "s@1", "f", 1, 2), Ceiling("s", "s@1", "gone", 1, 2)
        await bench.apply(pool("s@1", 1, *others))
        assert bench.limit() == 2

    run(main())


def test_a_guess_that_was_wrong_is_taken_back():
    async def main():
        bench = Bench()
        await bench.apply(pool("s@1", 1))
        await bench.squeezed(1, 8, 0, 4)
        assert bench.told == [Ceiling("s", "s@1", "f", 2, 4)]
        await bench.squeezed(1, 2, 0, 1)
        assert bench.told[1:] == [Ceiling("s", "s@1", "f", 0, 0)]
        assert bench.limit() == 8

    run(main())

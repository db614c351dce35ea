"""What services need of this host, as it is measured."""

from __future__ import annotations

import asyncio

from bentod.daemon.usage import usage
from bentod.plan.difference import Usage
from tests.support.stage import FakeStage, plan, service


def test_the_usage_of_workers_that_are_not_there_is_nothing():
    async def main():
        return await usage(FakeStage(plan(service("s", 2))).routing.pools)

    assert asyncio.run(main()) == {"s": Usage((), None)}

"""Orders wait for each other; a signal that is said twice is carried out once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from bentod.daemon.notify import Notifier
from bentod.daemon.order import Order, Outcome
from bentod.daemon.ordered import Ordered
from tests.support.loops import run, until


class Changes:
    """Carries out orders one at a time, each when it is let."""

    trouble = ""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.let = asyncio.Semaphore(0)
        self.begun: list[str] = []

    async def apply(self, order: Order) -> Outcome:
        async with self.turn:
            self.begun.append(order.reason)
            await self.let.acquire()
            return Outcome("applied", len(self.begun))

    async def stop(self) -> None:
        """Nothing is followed."""


def ordered() -> tuple[Ordered, Changes, SimpleNamespace]:
    settled = asyncio.Event()
    settled.set()
    daemon = SimpleNamespace(
        settled=settled,
        devices=SimpleNamespace(forgive=lambda: None),
        routing=SimpleNamespace(number=1),
        front=SimpleNamespace(urls=[]),
    )
    succession = SimpleNamespace(heir=None)
    found, changes = Ordered(daemon, succession, Notifier(""), lambda _: None), Changes()
    found.equip(changes)
    return found, changes, succession


def test_signals_that_come_while_one_waits_are_carried_out_with_it_and_keep_nobody_waiting():
    async def main():
        found, changes, _ = ordered()
        found.hang_up()
        await until(lambda: changes.begun == ["SIGHUP"])
        for _ in range(1_000):
            found.hang_up()
        await asyncio.sleep(0)
        ordering = asyncio.create_task(found.apply(Order("apply")))
        await asyncio.sleep(0)
        for _ in range(1_000):
            found.hang_up()
        for _ in range(3):
            changes.let.release()
        assert (await ordering).outcome == "applied"
        await until(lambda: len(changes.begun) == 3)
        assert sorted(changes.begun) == ["SIGHUP", "SIGHUP", "apply"]
        found.hang_up()
        changes.let.release()
        await until(lambda: len(changes.begun) == 4)
        await found.end()

    run(main())


def test_who_orders_what_another_daemon_has_to_do_by_now_is_told_so():
    async def main():
        found, _, succession = ordered()
        await found.end()
        assert (await found.apply(Order("apply"))).error == "the daemon stops"
        succession.heir = SimpleNamespace(version="2.0", pid=7)
        assert (await found.apply(Order("apply"))).error == "bentod 2.0 (pid 7) has taken over: try again"

    run(main())

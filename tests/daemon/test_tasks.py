"""Tasks end with their owner, and what goes wrong in them is told."""

from __future__ import annotations

import asyncio

from bentod.daemon.tasks import Tasks
from bentod.daemon.trouble import Again, survived
from bentod.errors import StartError
from tests.support.loops import run, turns


async def fails(error):
    raise error


def test_the_end_waits_until_all_have_cleaned_up():
    async def main():
        tasks, cleaned = Tasks(), []

        async def works(name):
            try:
                await asyncio.Event().wait()
            finally:
                await turns()
                cleaned.append(name)

        for name in "ab":
            tasks.start(works(name))
        await turns()
        await tasks.end()
        assert sorted(cleaned) == ["a", "b"]
        await tasks.end()

    run(main())


def test_what_nobody_expected_is_told_and_the_rest_is_for_those_who_wait(capsys):
    async def main():
        tasks = Tasks()
        tasks.start(fails(KeyError("oops")))
        expected = tasks.start(fails(StartError("not now")))
        await asyncio.wait({expected})
        await tasks.end()

    run(main())
    told = capsys.readouterr().err
    assert "KeyError: 'oops'" in told
    assert "in fails" in told
    assert "not now" not in told


def test_what_is_done_again_and_again_tells_each_kind_of_trouble_once(capsys):
    again = Again()
    for _ in range(3):
        with again.survived():
            raise KeyError("one")
        with again.survived():
            raise KeyError("another place")
        with survived():
            raise ValueError("whenever")
    told = capsys.readouterr().err
    assert (told.count("KeyError: 'one'"), told.count("KeyError: 'another place'")) == (1, 1)
    assert told.count("ValueError: whenever") == 3

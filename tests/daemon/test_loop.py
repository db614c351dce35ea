"""Reloads that cause each other end; somebody who edits quickly is not taken for one of them."""

from __future__ import annotations

import pytest

from bentod.daemon.loop import TIMES, AutomaticChange, looping, while_starting


def changes(*files: set[str], every_s: float = 1.0) -> list[AutomaticChange]:
    return [AutomaticChange(at * every_s, frozenset(names)) for at, names in enumerate(files)]


def test_a_file_that_is_written_by_each_start_is_named():
    assert looping(changes(*[{"cache.json"}] * TIMES)) == "cache.json"
    assert looping(changes(*[{"b", "a"}] * TIMES)) == "a"
    assert looping(changes(set(), *[{"a"}] * TIMES)) == "a"


@pytest.mark.parametrize(
    "found",
    [
        changes(),
        changes(*[{"a"}] * (TIMES - 1)),
        changes(*[{"a"}] * (TIMES - 1), set()),
        changes(*[{"a"}] * 4, set(), *[{"a"}] * 4),
        changes(*[{"a"}] * 4, *[{"b"}] * 4),
        changes(*[{"a"}] * TIMES, every_s=9),
    ],
    ids=["none", "too few", "the last was another", "with a gap", "not the same", "too slow"],
)
def test_anything_else_is_no_loop(found):
    assert looping(found) is None


def test_only_what_is_written_while_workers_start_is_evidence():
    written = {"before": 9.0, "while": 10.5, "at the end": 11.0, "answered": 11.2, "later": 12.0}
    assert while_starting(written, started=10.0, ready=11.0) == {"while", "at the end"}


def test_a_hundred_quick_edits_after_each_answer_are_no_loop():
    found = []
    for number in range(100):
        started = number * 0.5
        written = {"app.py": started + 0.3 + 0.01}
        found.append(AutomaticChange(started, while_starting(written, started, started + 0.3)))
        assert looping(found) is None

"""How far a fetch is, as people see it: a bar that moves, or a line for each tenth."""

from __future__ import annotations

import io
import re

import pytest

from bentod.cli.progress import ProgressLines, bar, duration, percent, size
from bentod.models.progress import Progress

MIB = 1024 * 1024


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def fetch(shown, clock, *, note="", total=100 * MIB, model="m"):
    shown(Progress(model))
    for done in range(0, total + 1, max(1, total // 100)):
        clock.now += 0.1
        shown(Progress(model, done, total, 3, "weights.bin", "fetching"))
    shown(Progress(model, total, total, 3, "", "ready", note))


@pytest.fixture
def clock():
    return Clock()


def test_lines_where_there_is_no_terminal(clock):
    stream = io.StringIO()
    fetch(ProgressLines(stream, terminal=False, clock=clock), clock)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "model m asks the hub"
    assert lines[1:-1] == [f"model m: {tenth * 10} % of 100 MiB" for tenth in range(11)]
    assert lines[-1] == "model m is ready: 3 files, 100 MiB"


def test_a_bar_in_a_terminal(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    stream = io.StringIO()
    fetch(ProgressLines(stream, terminal=True, clock=clock), clock)
    drawn = re.split(r"\r\x1b\[2K", stream.getvalue())
    assert drawn[1] == "m asks the hub"
    assert "m [############............]  50 % of 100 MiB  10.0 MiB/s  0:05 left" in drawn
    assert drawn[-1] == "model m is ready: 3 files, 100 MiB\n"
    assert max(map(len, drawn)) < 100
    assert "\n" not in "".join(drawn[:-1])


def test_a_bar_is_cut_to_the_terminal(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    stream = io.StringIO()
    shown = ProgressLines(stream, terminal=True, clock=clock)
    shown(Progress("m" * 50, 1, 2, 1, "", "fetching"))
    assert stream.getvalue() == "\r\x1b[2K" + "m" * 19
    shown.close()
    shown.close()
    assert stream.getvalue().count("\n") == 1


def test_what_was_there_already_is_not_worth_a_line_but_a_warning_is(clock):
    stream = io.StringIO()
    shown = ProgressLines(stream, terminal=False, clock=clock)
    shown(Progress("m", 5, 5, 1, state="ready"))
    assert stream.getvalue() == ""
    shown(Progress("n"))
    shown(Progress("n", 5, 5, 1, state="ready", note="the hub is away"))
    assert stream.getvalue().splitlines()[-1] == "model n: warning: the hub is away"


def test_two_models_have_their_own_counts(clock):
    stream = io.StringIO()
    shown = ProgressLines(stream, terminal=False, clock=clock)
    fetch(shown, clock, model="a")
    fetch(shown, clock, model="b")
    assert [line for line in stream.getvalue().splitlines() if "10 %" in line] == [
        "model a: 10 % of 100 MiB",
        "model b: 10 % of 100 MiB",
    ]


def test_who_waits_is_told_why(clock):
    stream = io.StringIO()
    shown = ProgressLines(stream, terminal=False, clock=clock)
    shown(Progress("m", state="waiting"))
    shown(Progress("m", 1, 2, 1, state="verifying"))
    assert stream.getvalue().splitlines() == [
        "model m waits for another process, which fetches it, too",
        "model m is verified",
    ]


def test_bytes_that_were_thrown_away_give_no_odd_rate(clock):
    shown = ProgressLines(io.StringIO(), terminal=True, clock=clock)
    for done in (50, 100, 0, 10):
        clock.now += 1
        shown(Progress("m", done, 100, 1, "", "fetching"))


@pytest.mark.parametrize(
    ("done", "total", "found"), [(0, 0, 0), (5, 10, 50), (20, 10, 100), (-5, 10, 0), (999, 1000, 99)]
)
def test_percent(done, total, found):
    assert percent(Progress("m", done, total)) == found
    assert "%" in bar(Progress("m", done, total, state="fetching"), 0.0)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (200 * MIB, "200 MiB"),
        (5 << 40, "5.0 TiB"),
        (1 << 60, "1048576 TiB"),
    ],
)
def test_size(count, text):
    assert size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (3599, "59:59"), (7325, "2:02:05")])
def test_duration(seconds, text):
    assert duration(seconds) == text

"""The daemon's events as lines: for a person, for a program, and kept."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from bentod.observe.events import EVENTS
from bentod.observe.log import json_line, make_log, text_line


class Lines:
    """A sink that keeps what it gets."""

    def __init__(self):
        self.lines = []

    def write(self, lines):
        self.lines.append(lines)


def logs(form="json", level="info", *, colour=False):
    """A log with its two sinks."""
    shown, kept = Lines(), Lines()
    return make_log(form, level, shown, kept, colour=colour), shown.lines, kept.lines


def keys_of(name):
    """Some value for each documented key of an event."""
    numbers = {
        "pid",
        "worker",
        "gateway",
        "seconds",
        "delay_s",
        "attempt",
        "abandoned",
        "generation",
        "services",
        "apis",
    }
    return {key: 7 if key in numbers else f"<{key}>" for key in EVENTS[name].split(", ")}


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_the_documented_keys_are_enough_for_every_event(name):
    text = text_line({"event": name, "level": "info", "time": "t", **keys_of(name)}, colour=False).decode()
    assert text.endswith("\n")
    assert len(text) > 12


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_every_event_makes_a_line_of_json_in_order(name):
    log, shown, kept = logs()
    log(name, **keys_of(name))
    event = json.loads(shown[0])
    assert list(event)[:3] == ["time", "level", "event"]
    assert {key: event[key] for key in keys_of(name)} == keys_of(name)
    assert event["level"] == "info"
    assert datetime.fromisoformat(event["time"]).utcoffset() is not None
    assert kept == shown


def test_a_person_gets_text_and_the_file_gets_json():
    log, shown, kept = logs("text")
    log("daemon.stopping", reason="SIGTERM")
    assert shown[0].endswith(b"  stopping: SIGTERM\n")
    assert json.loads(kept[0])["reason"] == "SIGTERM"


def test_what_is_below_the_level_is_written_nowhere():
    log, shown, kept = logs(level="error")
    log("worker.lost", level="warning", service="s", worker=0, pid=1, reason="x")
    assert (shown, kept) == ([], [])
    log("worker.failed", level="error", service="s", worker=0, reason="x")
    assert (len(shown), len(kept)) == (1, 1)
    assert json.loads(shown[0])["level"] == "error"


def test_colours_only_where_they_are_wanted():
    event = {"event": "worker.failed", "level": "error", "service": "s", "worker": 0, "reason": "r"}
    assert b"\x1b" not in text_line(event, colour=False)
    assert text_line(event, colour=True, clock="12:00:00") == (
        b"\x1b[2m12:00:00\x1b[0m  \x1b[31ms/0 failed: r\x1b[0m\n"
    )


def test_an_event_is_one_line_of_json_whatever_it_says():
    for text in ("a\nb", "\udc80", "\x00", "\u2028"):
        assert json_line({"event": "worker.output", "line": text}).count(b"\n") == 1


def test_an_unknown_event_is_a_bug():
    log, _, _ = logs()
    with pytest.raises(AssertionError):
        log("daemon.danced")


def test_values_that_json_does_not_know_are_written_as_text(tmp_path):
    log, shown, _ = logs()
    log("daemon.stopping", reason=tmp_path)
    assert json.loads(shown[0])["reason"] == str(tmp_path)

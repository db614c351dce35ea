"""Access lines: what they say, and when they are written."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from datetime import datetime

import pytest

from bentod.observe.access import AccessLog, access_log, json_line, text_line
from bentod.observe.events import EVENTS
from tests.support.loops import run, turns, until


@dataclasses.dataclass
class Request:
    """A finished request."""

    method: str = "POST"
    path: str = "/greet"
    status: int = 200
    code: str = "ok"
    log: str = ""
    started: float = 0.0
    queue_s: float = 0.001
    run_s: float = 0.25
    first_s: float = 0.0
    bytes_in: int = 10
    bytes_out: int = 20
    request_id: str = "id-1"


class Lines:
    """A sink that keeps what it gets."""

    def __init__(self):
        self.writes = []

    def write(self, lines):
        self.writes.append(lines)


def test_a_json_line_has_exactly_the_documented_keys():
    request = Request(status=500, code="target-raised", log="ValueError: x", first_s=0.125)
    event = json.loads(json_line(request, "greet", 0.5))
    assert list(event) == ["time", "level", "event", *EVENTS["call.finished"].split(", ")]
    assert event["event"] == "call.finished"
    assert (event["level"], event["status"], event["api"], event["error"]) == ("error", 500, "greet", "ValueError: x")
    assert datetime.fromisoformat(event["time"]).utcoffset() is not None


@pytest.mark.parametrize(
    ("code", "level"), [("ok", "info"), ("client-gone", "info"), ("target-raised", "error"), ("worker-lost", "error")]
)
def test_a_stream_that_broke_off_is_an_error(code, level):
    assert json.loads(json_line(Request(status=200, code=code), "greet", 0.5))["level"] == level


def test_a_good_answer_has_no_error():
    event = json.loads(json_line(Request(), "greet", 0.5))
    assert "error" not in event
    assert (event["level"], event["seconds"], event["run_s"]) == ("info", 0.5, 0.25)


@pytest.mark.parametrize("form", [json_line, text_line])
def test_a_request_is_one_line_whatever_its_error_says(form):
    line = form(Request(status=500, log="ValueError: a\nb\r\nc\x0bd", code="target-raised"), "greet", 0.1)
    assert line.endswith(b"\n")
    assert len(line.decode().splitlines()) == 1


def test_a_text_line_says_what_a_person_wants_to_know():
    text = text_line(Request(status=503, code="queue-full"), "greet", 0.0021).decode()
    for part in ("503", "POST /greet", "2.1 ms", "queue 1.0", "run 250.0", "queue-full"):
        assert part in text
    assert "ok" not in text_line(Request(), "greet", 0.1).decode()


def test_text_that_cannot_be_encoded_is_escaped():
    assert b"\\udc80" in text_line(Request(path="/\udc80"), "greet", 0.1)


def test_lines_of_one_moment_are_written_together_and_soon():
    async def main():
        lines = Lines()
        log = AccessLog(text_line, lines)
        for _ in range(10):
            log.add(Request(started=time.monotonic()), "greet")
        await turns()
        assert lines.writes == []
        await until(lambda: lines.writes)
        assert [write.count(b"\n") for write in lines.writes] == [10]
        log.add(Request(), "greet")
        await until(lambda: len(lines.writes) == 2)

    run(main())


def test_lines_do_not_pile_up_without_limit():
    async def main():
        lines = Lines()
        log = AccessLog(lambda *_: b"x\n", lines)
        for _ in range(10_000):
            log.add(Request(), "greet")
        assert sum(write.count(b"\n") for write in lines.writes) > 5000
        log.flush()
        assert sum(write.count(b"\n") for write in lines.writes) == 10_000
        log.flush()
        written = len(lines.writes)
        await asyncio.sleep(0.1)  # the timer that is set already must find nothing to write
        assert len(lines.writes) == written

    run(main())


def test_off_is_off_and_a_file_gets_the_lines(tmp_path):
    async def main():
        assert access_log("off", "") is None
        for form in ("json", "text"):
            add = access_log(form, str(tmp_path / form)).add
            assert add is not None
            add(Request(), "greet")
        await until(lambda: (tmp_path / "json").read_bytes() and (tmp_path / "text").read_bytes())
        assert json.loads((tmp_path / "json").read_text())["api"] == "greet"
        assert "POST /greet" in (tmp_path / "text").read_text()

    run(main())

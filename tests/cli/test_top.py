"""`bentod top` as pure functions: from two answers to rates, from these to lines, from these to a screen."""

from __future__ import annotations

import argparse
import copy
import json
import os
import re
import termios
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentod.cli import top
from bentod.cli.top import changed
from bentod.cli.top_rates import rated
from bentod.cli.top_screen import cut, fitted, painted, size
from bentod.cli.top_table import lines

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/status.schema.json").read_text())
GIB = 1 << 30


def worker(pid, **values):
    known = {
        "index": 0, "pid": pid, "state": "ready", "calls": 0, "restarts": 0, "reason": "", "start_seconds": 0.1,
        "memory": GIB, "memory_limit": None, "cpu_seconds": 1.0, "threads": 3, "cpus": [], "gpus": [],
    }  # fmt: skip
    return {**known, **values}


def gpu(**values):
    known = {"uuid": "GPU-a", "index": "0", "name": "H200", "part": 0.5, "memory_granted": 4 * GIB}
    return {**known, "memory": GIB, "utilization": 0.25, **values}


def device(**values):
    known = {
        "uuid": "GPU-a", "index": "0", "name": "H200", "parent": "", "memory": 8 * GIB, "free": 2 * GIB,
        "utilization": 0.5, "state": "ok", "reason": "", "processes": [],
    }  # fmt: skip
    return {**known, **values}


def api(**values):
    return {"path": "/a", "service": "s", "waiting": 0, "running": 0, "calls": {}, **values}


def status(*workers, up=10.0, pid=5, devices=(), **values):
    service = {"state": "ready", "ready": len(workers), "wanted": 2, "reason": "", "workers": list(workers)}
    known = {
        "name": "app", "version": "1", "url": "http://h:1", "urls": ["http://h:1"], "state": "ready", "generation": 3,
        "uptime_seconds": up, "apis": {"a": api()}, "services": {"s": service},
        "daemon": {"pid": pid, "memory": GIB, "python": "3.11.2", "cpu_seconds": 1.0, "threads": 4},
        "gateways": [{"index": 0, "pid": 6, "state": "ready", "restarts": 0, "memory": GIB, "cpu_seconds": 2.0,
                      "threads": 1}],
        "host": {"cpus": 2.0, "cpu_seconds": 100.0, "memory": 8 * GIB, "available": 6 * GIB, "devices": list(devices),
                 "gpus": "ok", "reason": ""},
    }  # fmt: skip
    return {**known, **values}


def found_in(document, pid):
    [one] = [one for one in document["services"]["s"]["workers"] if one["pid"] == pid]
    return one["cpu_percent"], one["calls_per_second"]


# ── rates ────────────────────────────────────────────────────────────────────────────────────────


def test_rates_are_of_the_time_between_two_answers():
    before = status(worker(7), worker(8, calls=5), apis={"a": api(calls={"ok": 5})})
    after = status(
        worker(7, cpu_seconds=4.0, calls=30),
        worker(8, cpu_seconds=1.0, calls=5),
        up=12.0,
        apis={"a": api(calls={"ok": 30, "queue-full": 5})},
    )
    after["host"]["cpu_seconds"] = 103.0
    found = rated(before, after)
    assert (found_in(found, 7), found_in(found, 8)) == ((150.0, 15.0), (0.0, 0.0))
    assert (found["host"]["cpu_percent"], found["apis"]["a"]["calls_per_second"]) == (150.0, 15.0)
    assert (found["daemon"]["cpu_percent"], found["gateways"][0]["cpu_percent"]) == (0.0, 0.0)
    assert found["interval_seconds"] == 2.0


def test_workers_that_were_not_there_before_have_no_rates():
    before, after = status(worker(7)), status(worker(9, cpu_seconds=9.0), worker(None, cpu_seconds=None), up=11.0)
    found = rated(before, after)
    assert (found_in(found, 9), found_in(found, None)) == ((None, None), (None, None))


def test_another_daemon_is_not_compared_with_the_one_before():
    found = rated(status(worker(7), up=99.0), status(worker(7, cpu_seconds=9.0), pid=50))
    assert found_in(found, 7) == (None, None)
    assert found["daemon"]["cpu_percent"] is found["host"]["cpu_percent"] is None
    assert "interval_seconds" not in found


def test_what_shrinks_was_begun_anew():
    before = status(worker(7, calls=50), apis={"a": api(calls={"ok": 50})})
    found = rated(before, status(worker(7, calls=3), up=11.0, apis={"a": api(calls={"ok": 3})}))
    assert found_in(found, 7) == (0.0, None)
    assert found["apis"]["a"]["calls_per_second"] is None


def test_one_answer_alone_has_no_rates():
    found = rated(status(worker(7)), status(worker(7)))
    assert found_in(found, 7) == (None, None)
    assert "interval_seconds" not in found


@pytest.mark.parametrize("missing", ["host", "apis"])
def test_a_daemon_of_an_older_version_tells_less(missing):
    before, after = status(worker(7)), status(worker(7), up=11.0)
    for document in (before, after):
        document.pop("host") if missing == "host" else document["apis"].update(a={"path": "/a", "service": "s"})
        for one in [document["daemon"], *document["gateways"], *document["services"]["s"]["workers"]]:
            for key in ("cpu_seconds", "threads", "gpus", "memory_limit", "cpus"):
                one.pop(key, None)
    found = rated(before, after)
    assert found_in(found, 7)[0] is None
    assert any("app 1" in line for line in lines(found, "12:00:00"))


def test_both_documents_are_as_their_schema_says():
    validator = jsonschema.Draft202012Validator(SCHEMA)
    before, after = status(worker(7, gpus=[gpu()])), status(worker(7, gpus=[gpu()]), up=12.0, devices=[device()])
    told = copy.deepcopy((before, after))
    for document in (before, rated(before, after), rated(status(pid=9), after)):
        validator.validate(document)
    assert (before, after) == told


# ── lines ────────────────────────────────────────────────────────────────────────────────────────


def shown(*workers, notices=(), **values):
    before, after = status(*workers, **values), status(*workers, **{"up": 11.0, **values})
    return lines(rated(before, after), "12:00:00", notices)


def test_a_frame_of_a_host_without_gpus_says_nothing_of_them():
    text = "\n".join(shown(worker(7)))
    assert text.splitlines() == [
        "app 1  ready  generation 3  up 11 s  12:00:00",
        "host  cpu 0.0 % of 200 %  memory 2.0 GiB of 8.0 GiB",
        "",
        "           pid      state  cpu %   memory  threads  calls/s  running  waiting",
        "daemon       5               0.0  1.0 GiB        4",
        "gateway 0    6      ready    0.0  1.0 GiB        1",
        "s               1/2 ready    0.0  1.0 GiB        3        0        0        0",
        "  0          7      ready    0.0  1.0 GiB        3        0",
    ]


def test_a_frame_with_gpus():
    processes = [
        {"pid": 7, "name": "python", "memory": GIB, "service": "s"},
        {"pid": 8, "name": "python", "memory": GIB, "service": "s"},
        {"pid": 99, "name": "train", "memory": 3 * GIB, "service": None},
        {"pid": 0, "name": "", "memory": None, "service": None},
    ]
    first = worker(7, memory_limit=2 * GIB, gpus=[gpu()])
    second = worker(8, index=1, gpus=[gpu(memory=None, utilization=None), gpu(index="1")])
    found = shown(first, second, devices=[device(processes=processes), device(index="1", free=None, utilization=None)])
    assert found[3:6] == [
        "gpu     gpu %   memory       of",
        "0 H200     50  6.0 GiB  8.0 GiB  2 of s, train (pid 99) 3.0 GiB, a process that is not seen here",
        "1 H200      -        -  8.0 GiB",
    ]
    cells = [re.split(r"\s{2,}", line.strip()) for line in found[7:]]
    assert cells[0] == ["pid", "state", "cpu %", "memory", "limit", "threads", "gpu", "gpu %", "gpu memory", "granted",
                        "calls/s", "running", "waiting"]  # fmt: skip
    assert cells[3] == ["s", "2/2 ready", "0.0", "2.0 GiB", "6", "50", "2.0 GiB", "0", "0", "0"]
    assert cells[4] == ["0", "7", "ready", "0.0", "1.0 GiB", "2.0 GiB", "3", "0", "25", "1.0 GiB", "4.0 GiB", "0"]
    assert cells[5][-5:] == ["0,1", "25", "1.0 GiB", "8.0 GiB", "0"]


def test_what_is_wrong_is_said():
    found = shown(worker(7, state="backoff", reason="it broke\nTraceback"), notices=["the daemon is gone"])
    assert found[1] == "! the daemon is gone"
    assert found[-1].endswith("  it broke")
    change = {"state": "failed", "reason": "r", "since": "", "problems": []}
    assert "! the last change failed" in shown(worker(7), change=change)[1]
    assert shown(worker(7), change={**change, "state": "applying"})[1] == "! changing: r"
    host = {"cpus": 1.0, "cpu_seconds": None, "memory": None, "available": None, "devices": [], "gpus": "failed"}
    found = shown(worker(7), host={**host, "reason": "Driver/library version mismatch"})
    assert found[1:3] == ["! GPUs cannot be seen: Driver/library version mismatch", "host  cpu - % of 100 %"]
    out = device(state="out", reason="Xid 79: fallen off the bus")
    assert "OUT: Xid 79: fallen off the bus" in shown(worker(7), devices=[out])[4]


def test_a_worker_on_a_gpu_that_it_was_not_given_is_told():
    intruder = worker(7, restarts=3, gpus=[gpu(), gpu(index="1", part=0)])
    assert shown(intruder)[-1].endswith("  computes on gpu 1, which it was not given")
    assert shown(worker(7, restarts=3))[-1].endswith("  3 restart(s)")


def test_calls_that_run_and_wait_are_the_services():
    apis = {"a": api(running=2, waiting=5), "b": api(running=1), "c": {"path": "/c", "service": "s"}}
    other = {"d": {**api(waiting=100), "service": "t"}}
    assert shown(worker(7), apis={**apis, **other})[-2].split()[-2:] == ["3", "5"]


def test_before_anything_has_started_there_is_little():
    nothing = {"gateways": [], "services": {}, "apis": {}, "urls": [], "url": "", "state": "starting"}
    assert len(shown(**nothing)) == 5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (7260, "2 h 1 min"), (200_000, "2 d 7 h")],
)
def test_how_long_it_is_up(seconds, text):
    assert f"  up {text}  " in shown(worker(7), up=seconds)[0]


def test_what_is_another_one_than_before_is_said():
    assert changed(status(), status()) == ""
    assert changed(status(), status(generation=4)) == "generation 4 after 3"
    assert changed(status(), status(pid=9, generation=1)) == "another daemon: pid 9 after 5, generation 1"


# ── the screen ───────────────────────────────────────────────────────────────────────────────────


def width(text):
    """Columns, as a terminal counts them."""
    return sum(0 if cut(sign, 0) else 1 if cut(sign, 1) else 2 for sign in text)


def test_lines_are_cut_and_not_wrapped():
    assert cut("0123456789", 4) == "0123"
    assert cut("日本語", 5) == "日本"
    assert cut("e\u0301e\u0301e\u0301", 2) == "e\u0301e\u0301"


@pytest.mark.parametrize("sign", ["\x1b", "\n", "\r", "\t", "\x00", "\x7f", "\x9b", "\u202e", "\u200b", "\ud800"])
def test_nothing_that_a_terminal_would_obey_is_painted(sign):
    assert cut(f"a{sign}[2Jb", 20) == "a?[2Jb"


@settings(max_examples=50)
@given(st.lists(st.text(max_size=30), max_size=12), st.integers(1, 20), st.integers(1, 10))
def test_a_frame_never_exceeds_its_terminal(texts, columns, rows):
    found = fitted(texts, columns, rows)
    assert len(found) <= rows
    assert all(width(line) <= columns for line in found)
    written = painted(texts, columns, rows)
    assert written.count("\n") == max(0, len(found) - 1)
    assert re.sub(r"\x1b\[[HKJ]|\r\n", "", written).isprintable()


@pytest.mark.parametrize(("told", "taken"), [((0, 0), (80, 24)), ((132, 0), (132, 24)), ((1, 1), (1, 1))])
def test_a_terminal_that_does_not_know_its_size_is_a_usual_one(told, taken):
    controller, terminal = os.openpty()
    with os.fdopen(controller), os.fdopen(terminal, "w") as stream:
        termios.tcsetwinsize(terminal, (told[1], told[0]))
        assert size(stream) == taken


def test_lines_that_have_no_room_are_counted():
    assert fitted(["a", "b", "c"], 80, 3) == ["a", "b", "c"]
    assert fitted(["a", "b", "c", "d"], 80, 3) == ["a", "b", "… 2 more lines, in a higher terminal"]
    assert fitted(["a", "b"], 80, 1) == ["… 2 more lines, in a higher terminal"]


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\xa0", "\u3000"])
def test_other_blanks_and_ends_of_lines_are_blanks(sign):
    assert cut(f"a{sign}b", 9) == "a b"


@pytest.mark.parametrize("text", ["0", "0s", "1", "199ms", "2h", "-1s", "nan", "infs", ""])
def test_intervals_that_cannot_be(text):
    with pytest.raises(argparse.ArgumentTypeError, match="200ms to 1h"):
        top._interval(text)


def test_intervals():
    assert (top._interval("200ms"), top._interval("2s"), top._interval("1h")) == (0.2, 2.0, 3600.0)

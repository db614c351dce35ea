"""`bentod status` for people: what it adds when something is wrong."""

import json
from pathlib import Path

import jsonschema
import pytest

from bentod.cli.status import _lines

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/status.schema.json").read_text())
WORKER = {
    "index": 0, "pid": 7, "state": "ready", "calls": 3, "restarts": 0, "reason": "", "start_seconds": 0.1,
    "memory": 1048576,
}  # fmt: skip
STATUS = {
    "name": "app", "version": "1", "url": "http://h:1", "urls": ["http://h:1"], "state": "ready", "generation": 3,
    "uptime_seconds": 1.0, "daemon": {"pid": 5, "memory": None, "python": "3.11.2"}, "gateways": [],
    "services": {"s": {"state": "ready", "ready": 1, "wanted": 1, "reason": "", "workers": [WORKER]}},
    "apis": {},
}  # fmt: skip
PROBLEM = {
    "code": "unknown-key", "message": "unknown key `x`", "file": "b.yaml", "line": 3, "column": 1, "path": "x",
    "hint": "did you mean `y`?",
}  # fmt: skip


def told(**more):
    status = {**STATUS, **more}
    validator = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
    validator.validate(status)
    return "\n".join(_lines(status))


def change(state, reason="", problems=()):
    return {"state": state, "reason": reason, "since": "2026-01-02T03:04:05.678+00:00", "problems": list(problems)}


def test_nothing_is_added_when_nothing_is_wrong():
    plain = told()
    assert told(change=change("idle"), watch={"state": "on", "reason": ""}) == plain
    assert "watch" not in plain


def test_a_change_that_failed_is_told_first():
    text = told(change=change("failed", "service s: examples: one: expected 1, found 2"))
    lines = text.splitlines()
    assert lines[0].startswith("app 1  ready  generation 3")
    assert lines[2].startswith("THE LAST CHANGE FAILED, ")
    assert lines[2].endswith("; generation 3 keeps serving")
    assert lines[3] == "  service s: examples: one: expected 1, found 2"
    assert "bentod history" in lines[4]


def test_problems_of_a_spec_are_shown_with_their_places():
    text = told(change=change("failed", "1 problem(s)", [PROBLEM]))
    assert "  b.yaml:3:1: x: unknown key `x`" in text
    assert "did you mean `y`?" in text
    assert "WAS REFUSED" in told(change=change("refused", "this would break callers"))


def test_a_change_that_is_made():
    assert "CHANGING since 2026" in told(change=change("applying", "changed: hello.py"))


@pytest.mark.parametrize(
    ("state", "reason", "line"),
    [
        ("off", "", "watch    off: edits wait for `bentod apply`"),
        ("suspended", "x.py is written", "watch    suspended: edits are not seen (x.py is written)"),
        ("failed", "too many files", "watch    failed: edits are not seen (too many files)"),
        ("on", "not all folders", "watch    on (not all folders)"),
    ],
)
def test_what_is_not_watched(state, reason, line):
    assert f"  {line}" in told(watch={"state": state, "reason": reason}).splitlines()


def test_pools_and_ends_of_workers():
    ended = {
        **WORKER,
        "recycled": 2,
        "exit": {"kind": "oom", "text": "killed by the kernel: out of memory"},
        "age_seconds": 3.0,
    }
    service = {**STATUS["services"]["s"], "pool": "s@3", "workers": [ended]}
    text = told(services={"s": service})
    assert "pool s@3" in text
    assert "recycled 2 time(s)" in text
    assert "the one before: killed by the kernel" in text


def test_batches_that_ran_out_of_memory_are_told():
    known = {"path": "/f", "service": "s", "waiting": 0, "running": 0, "batches": 4, "batched": 64, "calls": {"ok": 64}}
    ceiling = {"size": 16, "out_of_memory_at": 32}
    assert "64 ok, 16.0 calls a batch" in told(apis={"f": known}).splitlines()[-1]
    text = told(apis={"f": {**known, "batch_ceiling": ceiling}})
    assert text.splitlines()[-1] == "  64 ok, 16.0 calls a batch, batches of at most 16 (out of memory at 32)"

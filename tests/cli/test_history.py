"""`bentod history` and `bentod show`: what they say of records, with and without a daemon."""

import json
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from bentod.cli import history, rollback, show
from bentod.cli.main import main
from bentod.cli.when import ago, local
from bentod.daemon.git import Git
from bentod.daemon.history import History, Record, ServiceRecord
from tests.support.control import ControlStandIn

GIT = Git("0123456789abcdef0123456789abcdef01234567", "main", dirty=True)


def record(number, outcome="live", **more):
    given = {
        "time": "2026-01-02T03:04:05.678+00:00",
        "reason": "apply",
        "bentod": "0.1",
        "seconds": 0.612,
        "git": GIT,
        "files": {"/p/bentofile.yaml": "# as written\nbentod: 1\nname: app"},
        "spec": {"bentod": 1, "name": "app"},
        "services": {"s": ServiceRecord("d" * 64, {"hello.py": "a" * 64, "b.py": "b" * 64})},
    }
    return Record(number, **{**given, **more}, outcome=outcome)


@pytest.fixture
def where():
    """The folders of a daemon, that of its sockets short."""
    folder = Path(tempfile.mkdtemp(prefix="bc"))
    yield SimpleNamespace(history=folder / "history", control=folder / "s", state=folder)
    shutil.rmtree(folder)


@pytest.fixture
def run(where, monkeypatch, capsys):
    for module in (history, show, rollback):
        monkeypatch.setattr(module, "located", lambda args: where)

    def run(*words):
        code = main(words)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def write(where, *records):
    for one in records:
        History(where.history).begin(one)


@pytest.fixture
def running(where):
    """Makes a daemon that runs a generation."""
    servers = []

    def start(generation):
        servers.append(ControlStandIn(where.control))
        servers[-1].answers["/status"] = (200, {"generation": generation})
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def rows(out):
    return [line.split() for line in out.splitlines()]


def test_the_table(where, run, running):
    write(
        where,
        record(1, reason="start"),
        record(2, "failed", error="service s: went wrong\nmore", seconds=1.5),
        record(3, git=None, reason="changed: hello.py"),
        record(4, "starting", seconds=None, git=replace(GIT, dirty=False)),
        record(5, "refused", git=replace(GIT, dirty=None, commit="")),
    )
    running(3)
    code, out, _ = run("history")
    head, five, four, three, two, one = rows(out)
    assert code == 0
    assert head == ["number", "when", "outcome", "seconds", "commit", "reason"]
    assert (five[0], five[6:]) == ("5", ["refused", "0.61", "(none)?", "apply"])
    assert (four[0], four[6:]) == ("4", ["starting", "012345678", "apply"])
    assert (three[0], three[6:]) == ("3", ["running", "0.61", "-", "changed:", "hello.py"])
    assert two[6:] == ["failed", "1.50", "012345678*", "apply:", "service", "s:", "went", "wrong"]
    assert one[6:] == ["live", "0.61", "012345678*", "start"]
    assert one[1:3] == local("2026-01-02T03:04:05.678+00:00").split()
    assert len({line.index("apply") for line in out.splitlines() if "apply" in line}) == 1


def test_without_a_daemon_nothing_runs_and_what_began_was_cut_off(where, run):
    write(where, record(1), record(2, "starting", seconds=None))
    code, out, err = run("history")
    assert (code, err) == (0, "")
    assert [line[6] for line in rows(out)[1:]] == ["cut", "live"]


def test_what_began_before_the_one_that_runs_was_cut_off(where, run, running):
    write(where, record(1, "starting"), record(2))
    running(2)
    assert [row["outcome"] for row in json.loads(run("history", "--json")[1])] == ["live", "starting"]
    assert "cut off" in run("history")[1]


def test_the_newest_and_json(where, run, running):
    write(where, *(record(n) for n in range(1, 31)))
    running(30)
    assert len(rows(run("history")[1])) == 21
    assert len(rows(run("history", "-n", "0")[1])) == 31
    found = json.loads(run("history", "-n", "2", "--json")[1])
    assert [row["number"] for row in found] == [30, 29]
    assert [row["running"] for row in found] == [True, False]
    assert found[0]["git"] == {"commit": GIT.commit, "branch": "main", "dirty": True}


def test_no_records_and_damaged_ones(where, run):
    assert run("history") == (0, "", "no generation has been recorded\n")
    assert run("history", "--json")[1] == "[]\n"
    write(where, record(1))
    (where.history / "2.json").write_text("{")
    code, out, err = run("history")
    assert (code, len(rows(out))) == (0, 2)
    assert "2.json is no record" in err


def test_show_says_all(where, run):
    write(where, record(7, "failed", error="service s: wrong\nsecond line"))
    code, out, _ = run("show", "7")
    assert code == 0
    for text in (
        "generation 7  failed  after 0.61 s\n",
        "by bentod 0.1\n",
        "  git 012345678 on main, with changes that were not committed\n",
        "error\n  service s: wrong\n  second line\n",
        "service s  dddddddddddd\n  bbbbbbbbbbbb  b.py\n  aaaaaaaaaaaa  hello.py\n",
        "spec  /p/bentofile.yaml\n  # as written\n  bentod: 1\n  name: app\n",
    ):
        assert text in out


def test_show_the_spec_only(where, run):
    write(where, record(1), record(2, files={"/p/a.yaml": "name: a", "/p/b.yaml": "name: b"}, spec={"name": "b"}))
    assert run("show", "1", "--spec")[1] == "# as written\nbentod: 1\nname: app\n"
    assert run("show", "2", "--spec")[1] == "name: b\n"
    assert json.loads(run("show", "2", "--json")[1])["files"] == {"/p/a.yaml": "name: a", "/p/b.yaml": "name: b"}


def test_show_a_difference_of_another_version(where, run):
    write(where, record(1, difference={"nothing": "known"}))
    code, out, _ = run("show", "1")
    assert (code, "another version" in out) == (0, True)


def test_show_what_is_not_there(where, run):
    code, out, err = run("show", "9")
    assert (code, out) == (2, "")
    assert "no record of a generation 9; see `bentod history`" in err


PROBLEM = {"file": "", "line": 0, "column": 0, "path": "services.s.resources.gpus", "message": "s wants 2 GPUs"}

# ── rollback ─────────────────────────────────────────────────────────────────────────────────────


def answer(outcome, generation, **more):
    return 200, {"outcome": outcome, "generation": generation, "seconds": 0.5, "error": "", "traceback": "",
                 "problems": [], "plan": None, **more}  # fmt: skip


def test_rollback_goes_to_the_live_one_before(where, run, running):
    write(where, record(1), record(2), record(3, "failed"), record(4), record(5, "failed"))
    server = running(4)
    server.answers["/apply"] = answer("applied", 6)
    server.answers["/plan"] = (422, {"problems": [{"code": "c", "message": "it is broken"}]})
    code, out, _ = run("rollback")
    assert code == 0
    assert server.sent("/apply")[0]["generation"] == 2
    assert out.splitlines()[0] == "generation 6 is live, and is what generation 2 was (0.50 s)"
    assert "cannot be used: it is broken" in out


def test_rollback_that_is_told_where_to(where, run, running):
    server = running(4)
    server.answers["/apply"] = answer("unchanged", 4)
    assert run("rollback", "3", "--allow-breaking") == (0, "nothing to do: generation 4 is what generation 3 was\n", "")
    order = server.sent("/apply")[0]
    assert (order["generation"], order["allow_breaking"]) == (3, True)


def test_rollback_to_nothing(where, run, running):
    write(where, record(1, "failed"), record(2))
    server = running(2)
    code, _, err = run("rollback")
    assert (code, server.sent("/apply")) == (2, [])
    assert "no generation was live before 2" in err


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (answer("failed", 4, error="worker died", traceback="Traceback: x"), 4, "failed: worker died\nTraceback: x\n"),
        (answer("refused", 4, error="would break"), 2, "refused: would break\n"),
        (answer("failed", 4, error="1 problem(s)", problems=[PROBLEM | {"code": "does-not-fit"}]), 3, "s wants 2 GPUs"),
        (answer("failed", 4, error="1 problem(s)", problems=[PROBLEM | {"code": "wrong-value"}]), 2, "s wants 2 GPUs"),
        ((404, {"error": "there is no record of a generation 9"}), 2, "no record"),
    ],
)
def test_rollback_that_does_not_work(where, run, running, given, code, said):
    running(4).answers["/apply"] = given
    got, out, err = run("rollback", "9")
    assert (got, out) == (code, "")
    assert said in err
    assert ("generation 4 keeps serving" in err) == (given[0] == 200)


def test_moments():
    now = datetime(2026, 1, 2, tzinfo=UTC)
    times = {1: "1 s ago", 59: "59 s ago", 60: "1 min ago", 3599: "60 min ago", 3600: "1 h ago", 200000: "2 d ago"}
    assert {s: ago((now - timedelta(seconds=s)).isoformat(), now) for s in times} == times
    assert ago((now + timedelta(seconds=9)).isoformat(), now) == "0 s ago"
    assert (ago("?"), local("?")) == ("", "?")

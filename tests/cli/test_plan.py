"""`bentod plan` and `bentod apply` against a stand-in for the daemon, and without any daemon."""

import hashlib
import json
import os
import pty
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from bentod.cli import apply, plan
from bentod.cli.main import main
from bentod.daemon.history import History, Record, ServiceRecord
from bentod.plan.difference import ApiChange, Budget, Cause, Difference, GatewayChange, Proposal, ServiceChange, Step
from bentod.plan.document import document
from tests.support.control import ControlStandIn
from tests.support.daemon import eventually
from tests.support.specs import BASE, MODULE

CHANGED = ServiceChange("s", "restart", (Cause("key", "services.s.threads", "1", "2"),))
KEPT = ServiceChange("s", "keep")
ROW = {"code": "c", "message": "it is broken", "file": "b.yaml", "line": 1, "column": 2, "path": "p", "hint": "h"}


def made(*services, base=3, state="a" * 64, verdict="same"):
    """A plan as it comes from the daemon."""
    difference = Difference(services or (CHANGED,), (ApiChange("greet", verdict),), GatewayChange("keep"))
    steps = tuple(Step(one.name, "overlap", "it fits") for one in services or (CHANGED,) if one.action == "restart")
    return json.loads(json.dumps(document(Proposal(base, state, difference, Budget(None, 0, 0), steps))))


def answer(outcome, generation=4, **more):
    empty = {"seconds": 0.614, "error": "", "traceback": "", "problems": [], "plan": made()}
    return 200, {"outcome": outcome, "generation": generation, **empty, **more}


@pytest.fixture
def where(tmp_path, monkeypatch):
    """The folders of a daemon, that of its socket short; the current folder has a spec."""
    monkeypatch.chdir(tmp_path)
    Path("hello.py").write_text(MODULE)
    Path("bentofile.yaml").write_text(json.dumps(BASE))
    folder = Path(tempfile.mkdtemp(prefix="bc"))
    found = SimpleNamespace(control=folder / "s", history=folder / "history", objects=folder / "objects", state=folder)
    for module in (plan, apply):
        monkeypatch.setattr(module, "located", lambda args: found)
    yield found
    shutil.rmtree(folder)


@pytest.fixture
def run(where, capsys):
    def run(*words):
        code = main(words)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def server(where):
    server = ControlStandIn(where.control)
    server.answers = {"/plan": (200, made()), "/apply": answer("applied")}
    yield server
    server.stop()


# ── plan ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_plan_is_shown(server, run):
    code, out, err = run("plan")
    assert (code, err) == (0, "")
    assert "services.s.threads" in out
    assert "\x1b" not in out
    assert "\x1b" in run("plan", "--colour", "always")[1]
    assert json.loads(run("plan", "--json")[1]) == made()


def test_the_exit_code_says_whether_something_differs(server, run):
    assert run("plan", "--exit-code")[0] == 2
    server.answers["/plan"] = (200, made(KEPT))
    assert run("plan", "--exit-code")[0] == run("plan")[0] == 0


def test_the_files_and_the_generation_are_sent(server, run, tmp_path):
    run("plan", "-f", "bentofile.yaml", "--against", "2")
    run("-f", "bentofile.yaml", "plan")
    run("plan")
    file = [str(tmp_path / "bentofile.yaml")]
    assert server.sent("/plan") == [
        {"files": file, "against": 2}, {"files": file, "against": None}, {"files": None, "against": None},
    ]  # fmt: skip


def test_problems_are_shown_as_validate_does(server, run):
    server.answers["/plan"] = (422, {"problems": [ROW]})
    code, out, err = run("plan")
    assert (code, out) == (2, "")
    assert "b.yaml:1:2: p: it is broken" in err
    code, out, _ = run("plan", "--json")
    assert (code, json.loads(out)) == (2, {"ok": False, "problems": [ROW]})


def test_a_plan_is_saved_for_oneself(server, run):
    code, out, _ = run("plan", "-o", "x.json")
    assert code == 0
    assert "services.s.threads" in out
    assert json.loads(Path("x.json").read_text()) == made()
    assert stat.S_IMODE(Path("x.json").stat().st_mode) == 0o600
    code, _, err = run("plan", "-o", "nowhere/x.json")
    assert (code, "cannot be saved" in err) == (3, True)


def test_what_is_not_compared_with_what_runs_is_not_saved(server, run):
    assert run("plan", "-o", "x.json", "--against", "2")[0] == 2
    server.stop, stop = (lambda: None), server.stop
    stop()
    assert run("plan", "-o", "x.json")[0] == 3
    assert not Path("x.json").exists()


def test_without_a_daemon_everything_is_new(where, run):
    code, out, _ = run("plan")
    assert code == 0
    assert out.startswith("no daemon runs, and none has: everything is new\n")
    assert run("plan", "--exit-code")[0] == 2
    assert json.loads(run("plan", "--json")[1])["base"] == 0


def test_without_a_daemon_a_broken_spec_is_told(where, run):
    Path("bentofile.yaml").write_text("bentod: 1\nnaem: x\n")
    code, _, err = run("plan")
    assert (code, "unknown key `naem`" in err) == (2, True)
    assert json.loads(run("plan", "--json")[1])["ok"] is False


def test_without_a_daemon_the_last_live_generation_counts(where, run, tmp_path):
    history = History(where.history)
    code = (tmp_path / "hello.py").read_bytes()
    imported = {"hello.py": hashlib.sha256(code).hexdigest()}
    where.objects.mkdir()
    (where.objects / imported["hello.py"]).write_bytes(code)
    for number, outcome in ((1, "live"), (2, "live"), (3, "failed")):
        files = {str(tmp_path / "bentofile.yaml"): json.dumps(BASE)}
        services = {"s": ServiceRecord("", imported)}
        history.begin(Record(number, "", "", "", outcome, files=files, services=services))
    code, out, _ = run("plan", "--exit-code")
    assert code == 0
    assert out.startswith("no daemon runs; compared with generation 2, the last that was live\n")
    assert run("plan", "--against", "1")[1].startswith("no daemon runs; compared with generation 1\n")
    code, _, err = run("plan", "--against", "9")
    assert (code, "no record of a generation 9" in err) == (3, True)


def test_a_git_revision_needs_no_daemon(server, run, tmp_path):
    environ = {**os.environ, "HOME": "/nowhere"}
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"], ["tag", "123"]):
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@e", *words]
        subprocess.run(command, cwd=tmp_path, env=environ, check=True)
    assert run("plan", "--against", "HEAD", "--exit-code")[0] == 0
    Path("hello.py").write_text(MODULE + "\n")
    code, out, _ = run("plan", "--against", "git:123", "--exit-code")
    assert code == 2
    assert out.startswith("compared with 123 (")
    assert "hello.py" in out
    assert server.asked == []
    code, _, err = run("plan", "--against", "nothing")
    assert (code, "git knows no revision `nothing`" in err) == (3, True)


@pytest.mark.parametrize(
    ("against", "number"), [("3", 3), ("007", 7), ("git:3", None), ("1" * 40, None), ("v1", None), (None, None)]
)
def test_what_is_a_generation(against, number):
    assert plan._generation(against) == number


# ── apply ────────────────────────────────────────────────────────────────────────────────────────


def test_apply_tells_the_plan_and_its_end(server, run):
    code, out, err = run("apply")
    assert (code, err) == (0, "")
    assert "services.s.threads" in out
    assert out.endswith("\ngeneration 4 is live (0.61 s)\n")
    assert server.sent("/apply") == [{"files": None, "allow_breaking": False, "state": None, "generation": None}]


def test_apply_of_nothing(server, run):
    server.answers = {"/plan": (200, made(KEPT)), "/apply": answer("unchanged", 3, plan=made(KEPT))}
    code, out, _ = run("apply")
    assert (code, out) == (0, "nothing to do: generation 3 runs what the file says\n")


def test_apply_that_fails(server, run):
    server.answers["/apply"] = answer("failed", 3, error="service s: ValueError", traceback="Traceback:\n  x\n")
    code, _, err = run("apply")
    assert code == 4
    assert err == "failed: service s: ValueError\nTraceback:\n  x\ngeneration 3 keeps serving\n"


def test_apply_that_is_refused(server, run):
    server.answers["/apply"] = answer("refused", 3, error="this would break callers (greet: gone); --allow-breaking …")
    code, _, err = run("apply")
    assert code == 2
    assert "greet: gone" in err
    assert "--allow-breaking" in err
    run("apply", "--allow-breaking")
    assert server.sent("/apply")[1]["allow_breaking"] is True


def test_apply_of_a_broken_spec(server, run):
    server.answers["/plan"] = (422, {"problems": [ROW]})
    assert run("apply")[0] == 2
    assert server.sent("/apply") == []
    server.answers["/plan"] = (200, made())
    server.answers["/apply"] = answer("failed", 3, error="1 problem(s)", problems=[ROW], plan=None)
    code, _, err = run("apply")
    assert (code, "b.yaml:1:2: p: it is broken" in err) == (2, True)


def test_apply_as_json_says_nothing_else(server, run):
    code, out, err = run("apply", "--json")
    assert (code, json.loads(out), err) == (0, answer("applied")[1], "")
    server.answers["/apply"] = answer("failed", 3)
    assert run("apply", "--json")[0] == 4


def test_apply_that_only_plans(server, run):
    code, out, _ = run("apply", "--plan")
    assert (code, "services.s.threads" in out) == (0, True)
    assert json.loads(run("apply", "--plan", "--json")[1]) == made()
    assert server.sent("/apply") == []


def test_what_came_in_between_is_told(server, run):
    server.answers["/apply"] = answer("applied", plan=made(KEPT, state="b" * 64))
    assert "changed meanwhile" in run("apply")[1]


def test_a_saved_plan_is_applied_as_it_is(server, run):
    run("plan", "-o", "x.json")
    assert run("apply", "x.json")[0] == 0
    assert server.sent("/apply")[0]["state"] == "a" * 64


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (made(base=5, state="b" * 64), "made when generation 3 ran, and generation 5 runs now"),
        (made(state="b" * 64), "no longer say what they said"),
    ],
)
def test_a_saved_plan_is_refused_once_things_have_moved(server, run, now, said):
    run("plan", "-o", "x.json")
    server.answers["/plan"] = (200, now)
    code, out, err = run("apply", "x.json")
    assert (code, server.sent("/apply")) == (2, [])
    assert "x.json is out of date" in err
    assert said in err
    assert "what would be done by now" in out
    code, out, _ = run("apply", "x.json", "--json")
    assert (code, json.loads(out)["outcome"], said in json.loads(out)["error"]) == (2, "refused", True)


@pytest.mark.parametrize("text", ["{", "[]", '{"state": 1}', "\xff", None])
def test_what_is_no_plan(server, run, text):
    if text is not None:
        Path("x.json").write_text(text, encoding="latin-1")
    code, _, err = run("apply", "x.json")
    assert (code, server.asked) == (3, [])
    assert "x.json" in err
    Path("y.yaml").write_text("bentod: 1")
    assert "named by `-f`" in run("apply", "y.yaml")[2]


def test_apply_without_a_daemon(where, run):
    code, out, err = run("apply")
    assert (code, out) == (3, "")
    assert "bentod up" in err


# ── in a terminal ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def started(server, where, tmp_path):
    """Starts `bentod apply` in a terminal of its own; gives what it has shown so far."""
    program = f"""
import sys
from pathlib import Path
from types import SimpleNamespace
from bentod.cli import apply, main
apply.located = lambda args: SimpleNamespace(control=Path({str(where.control)!r}))
sys.exit(main.main(["apply"]))
"""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-P", "-c", program]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = bytearray()

    def read():
        while select.select([ours], [], [], 0)[0]:
            try:
                shown.extend(os.read(ours, 4096))
            except OSError:  # it has ended
                break
        return shown.decode("utf-8", "replace")

    yield process, read
    process.kill()
    process.wait()
    os.close(ours)


@pytest.fixture
def never(server):
    server.answers["/apply"] = "never"


@pytest.mark.usefixtures("never")
def test_waiting_is_seen_and_may_be_interrupted(started):
    process, read = started
    eventually(lambda: "applying … 1 s" in read())
    process.send_signal(signal.SIGINT)
    eventually(lambda: "the change goes on in the daemon" in read())
    assert process.wait(10) == 130
    assert "Traceback" not in read()

"""The command line's verbs about changes, against a running daemon that does not act by itself."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.support.daemon import eventually, running
from tests.support.project import api, project

pytestmark = [pytest.mark.e2e, pytest.mark.beside]
SCHEMAS = Path(__file__).parents[2] / "schemas"
CODE = "import time\ntime.sleep({})\ndef say(text):\n    return {!r}\n"


@pytest.fixture
def app(tmp_path):
    folder = project(
        tmp_path / "p",
        files={"code.py": CODE.format(0, "one")},
        services={"code": {"target": "code.py"}},
        apis={"say": api("code", "say", "text")},
        reload={"watch": False},
    )
    with running(folder) as app:
        app.code = folder / "code.py"
        yield app


def said(app):
    return app.post("/say", {"text": "x"})[2]


def validate(name, document):
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)


def test_plan_apply_history_show_and_rollback(app, tmp_path):
    assert app.cli("plan", "--exit-code").returncode == 0
    app.code.write_text(CODE.format(0, "two"))
    planned = app.cli("plan", "--exit-code", "--json", "-o", str(tmp_path / "x.json"))
    assert planned.returncode == 2
    validate("plan", json.loads(planned.stdout))
    assert said(app) == "one"

    applied = app.cli("apply", str(tmp_path / "x.json"))
    assert applied.returncode == 0, applied.stderr
    assert "code.py" in applied.stdout
    assert re.search(r"^generation 2 is live \(\d+\.\d\d s\)$", applied.stdout, re.MULTILINE)
    assert said(app) == "two"
    assert app.cli("apply").stdout == "nothing to do: generation 2 runs what the file says\n"
    outdated = app.cli("apply", str(tmp_path / "x.json"))
    assert outdated.returncode == 2
    assert "made when generation 1 ran, and generation 2 runs now" in outdated.stderr

    back = app.cli("rollback")
    assert back.returncode == 0, back.stderr
    assert "generation 3 is live, and is what generation 1 was" in back.stdout
    assert "the files on disk say something else" in back.stdout
    assert said(app) == "one"

    history = json.loads(app.cli("history", "--json").stdout)
    assert [(row["number"], row["outcome"], row["running"]) for row in history] == [
        (3, "live", True), (2, "live", False), (1, "live", False),
    ]  # fmt: skip
    shown = app.cli("show", "2").stdout
    assert "generation 2  live" in shown
    assert shown.count("code.py") >= 2
    assert yaml.safe_load(app.cli("show", "2", "--spec").stdout)["name"] == "e2e"
    events = [json.loads(line)["event"] for line in app.cli("events", "--json", "-n", "1000").stdout.splitlines()]
    assert events.count("generation.ready") == 3
    assert not {"worker.output", "call.finished"} & set(events)


def test_a_change_that_fails_is_told_until_it_is_mended(app):
    app.code.write_text(CODE.format(0, "one") + "raise RuntimeError('went wrong')\n")
    failed = app.cli("apply")
    assert failed.returncode == 4
    assert "went wrong" in failed.stderr
    assert "Traceback" in failed.stderr
    assert "generation 1 keeps serving" in failed.stderr
    status = app.status()
    validate("status", status)
    assert status["change"]["state"] == "failed"
    text = app.cli("status").stdout
    assert "THE LAST CHANGE FAILED" in text
    assert "generation 1 keeps serving" in text
    assert said(app) == "one"
    app.code.write_text(CODE.format(0, "one"))
    assert app.cli("apply").returncode == 0
    assert "THE LAST CHANGE" not in app.cli("status").stdout


def test_who_interrupts_apply_stops_nothing(app):
    app.code.write_text(CODE.format(3, "late"))
    command = [sys.executable, "-P", "-m", "bentod", "apply", *app.spec]
    with subprocess.Popen(
        command, env=app.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        eventually(lambda: app.control()["change"]["state"] == "applying")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "the change goes on in the daemon" in err
    eventually(lambda: app.control()["generation"] == 2)
    eventually(lambda: said(app) == "late")

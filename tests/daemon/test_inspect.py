"""Targets that are imported in throw-away processes, and what their code may do there."""

import contextlib
import os
import sys
from pathlib import Path

import pytest

from bentod.daemon.inspect import inspect_targets
from bentod.spec.load import load
from tests.support.specs import loaded

ENVIRON = {**os.environ, "FROM_OUTSIDE": "yes"}
SPEC = "bentod: 1\nname: app\nservices:\n  s: {target: module}\napis:\n  f: {service: s}\n"


def inspected(tmp_path, module, spec=SPEC, timeout_s=60.0, **files):
    found = loaded(tmp_path, spec, **{"module.py": module, **files})
    return inspect_targets(found, timeout_s, ENVIRON)


def test_a_target_that_fits_is_fine(tmp_path):
    assert inspected(tmp_path, "def f(x): ...") == []


@pytest.mark.parametrize(
    "module",
    [
        "import sys\nprint('x' * 1_000_000)\nsys.stderr.write('y' * 1_000_000)\ndef f(x): ...",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()\ndef f(x): ...",
        "import subprocess\nsubprocess.Popen(['sleep', '1000'])\ndef f(x): ...",
        "import os, sys\nos.close(1)\nos.close(2)\ndef f(x): ...",
        "import os\nassert os.environ['FROM_OUTSIDE'] == 'yes'\ndef f(x): ...",
        "import atexit, time\natexit.register(time.sleep, 1000)\ndef f(x): ...",
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef f(x): ...",
    ],
    ids=["prints", "threads", "processes", "closes", "environment", "atexit", "signals"],
)
def test_what_user_code_may_do_while_it_is_imported(tmp_path, module, capfd):
    assert inspected(tmp_path, module) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("module", "code", "says"),
    [
        (
            "import nowhere\ndef f(x): ...",
            "import-failed",
            "module.py:1: ModuleNotFoundError: No module named 'nowhere'",
        ),
        ("def f(x): ...\ndef g():\n    1 / 0\ng()", "import-failed", "module.py:3: ZeroDivisionError"),
        ("import helper\ndef f(x): ...", "import-failed", "helper.py:2: RuntimeError: here"),
        ("def f(x): ...\nraise SystemExit(3)", "import-failed", "SystemExit: 3"),
        ("def f(x): ...\nraise KeyboardInterrupt", "import-failed", "KeyboardInterrupt"),
        ("import os\ndef f(x): ...\nprint('bye')\nos._exit(3)", "import-exited", "exit status 3"),
        ("import os\ndef f(x): ...\nos._exit(0)", "import-exited", "exit status 0"),
        ("import os, signal\ndef f(x): ...\nos.kill(os.getpid(), signal.SIGKILL)", "import-exited", "SIGKILL"),
        ("import os\ndef f(x): ...\nos.closerange(3, 100)\nos._exit(1)", "import-exited", "exit status 1"),
        ("f = 3", "missing-attribute", "not callable"),
        ("def f(x): yield x", "missing-stream", "`f` is a generator"),
        ("async def f(x): yield x", "missing-stream", "`f` is a generator"),
        ("async def f(x, y): ...", "parameter-count", "2 arguments"),
    ],
)
def test_what_is_wrong_with_a_target_is_one_problem(tmp_path, module, code, says):
    [problem] = inspected(tmp_path, module, **{"helper.py": "def x(): ...\nraise RuntimeError('here')"})
    assert problem.code == code
    assert says in problem.message
    assert problem.line > 0


def test_a_package_that_is_missing_is_looked_for_in_the_python_that_runs_bentod(tmp_path):
    [problem] = inspected(tmp_path, "import nowhere\ndef f(x): ...")
    assert problem.hint.endswith(f"`{sys.executable} -m pip install` puts them there")


def test_the_last_words_of_a_process_that_ended_are_told(tmp_path):
    [problem] = inspected(tmp_path, "import os\ndef f(x): ...\nprint('no licence', flush=True)\nos._exit(3)")
    assert problem.hint == "its last output: no licence"


def processes_in(folder):
    """The processes whose current folder is `folder`."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            found += [link] if link.readlink() == folder else []
    return found


def test_an_import_that_never_ends_is_killed_with_all_that_it_started(tmp_path):
    module = """
import subprocess, time
def f(x): ...
subprocess.Popen(["sleep", "1000"])
while True: time.sleep(1)
"""
    [problem] = inspected(tmp_path, module, timeout_s=3.0)
    assert problem.code == "import-timeout"
    assert "did not end within 3 s" in problem.message
    assert processes_in(tmp_path.resolve()) == []


def test_services_and_apis_are_judged_together(tmp_path):
    spec = """\
bentod: 1
name: app
services:
  s: {target: module}
  c: {target: "module:Model", init: {sise: 1}, hooks: {start: warm}}
apis:
  f: {service: s, input: {type: object, properties: {nmae: {}}, required: [nmae]}}
  g: {target: "module:g"}
  run: {service: c}
  go: {target: "module:Model.go"}
"""
    module = """
def f(name, context): ...
def g(a, b): ...
class Model:
    warm = None
    def __init__(self, size): ...
    def run(self, x, context): ...
    @staticmethod
    def go(x): ...
"""
    found = sorted(inspected(tmp_path, module, spec), key=lambda p: (p.line, p.column))
    assert [(p.line, p.path, p.code) for p in found] == [
        (5, "services.c.init.sise", "misspelt-parameter"),
        (5, "services.c.hooks", "missing-attribute"),
        (7, "apis.f.input.properties.nmae", "misspelt-parameter"),
        (8, "apis.g.input", "parameter-count"),
        (10, "apis.go.target", "missing-parameter"),
    ]


def test_the_environment_of_the_spec_is_seen(tmp_path):
    spec = SPEC.replace("name: app", "name: app\nenv: {A: a}").replace(
        "module}", "module, env: {B: '${worker.index}'}}"
    )
    assert inspected(tmp_path, "import os\nassert os.environ['A'] + os.environ['B'] == 'a0'\ndef f(x): ...", spec) == []


def test_a_project_cannot_shadow_what_bentod_imports(tmp_path):
    files = {"socket.py": "raise RuntimeError", "msgpack.py": "raise RuntimeError"}
    assert inspected(tmp_path, "def f(x): ...", **files) == []


def test_an_example_that_bentod_ships_fits():
    root = Path(__file__).parents[2]
    assert inspect_targets(load([root / "specs/hello/bentofile.yaml"], {}), 60.0, ENVIRON) == []


def test_a_stream_needs_a_generator_and_gets_one(tmp_path):
    spec = SPEC.replace("f: {service: s}", "f: {service: s, stream: sse}\n  g: {service: s, stream: raw}")
    [problem] = inspected(tmp_path, "def f(x): return [x]\nasync def g(x): yield x", spec)
    assert (problem.path, problem.code, problem.line) == ("apis.f.stream", "no-generator", 6)


def test_what_a_callable_takes_is_compared_with_its_parameters(tmp_path):
    spec = SPEC.replace("{service: s}", "{service: s, takes: items, batching: {}, input: {properties: {a: {}, b: {}}}}")
    [problem] = inspected(tmp_path, "def f(a, b): ...", spec)
    assert (problem.path, problem.code, problem.line) == ("apis.f.takes", "parameter-count", 6)
    assert "`takes: items` passes one" in problem.message
    [problem] = inspected(tmp_path, "def f(calls): yield", spec)
    assert (problem.path, problem.code) == ("apis.f.takes", "conflict")
    assert inspected(tmp_path, "def f(calls, context): ...", spec) == []

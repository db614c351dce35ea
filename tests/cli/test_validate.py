"""`bentod validate`: what it prints, in four forms, and its exit code."""

import json
import subprocess
import sys

import pytest

from bentod.cli.main import main
from bentod.cli.problems import show
from bentod.errors import Problem
from tests.support.specs import BASE, laid_over, write


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *words):
    code = main(["validate", *words])
    return code, capsys.readouterr().out


def test_a_good_spec_is_one_line(project, capsys):
    write(project, {"bentofile.yaml": json.dumps(laid_over(BASE, {"apis": {"greet": {"input": {"type": "string"}}}}))})
    assert run(capsys) == (0, "bentofile.yaml is valid: 1 service, 1 api\n")


def test_a_good_spec_as_json(project, capsys):
    write(project, {"bentofile.yaml": json.dumps(BASE)})
    assert json.loads(run(capsys, "--no-import", "--format", "json")[1]) == {"ok": True, "problems": []}


def test_problems_as_text_show_the_line_and_a_caret(project, capsys):
    write(project, {"bentofile.yaml": "bentod: 1\nname: app\napis:\n\tgreet: 1\n"})
    assert run(capsys, "--no-import")[0] == 2
    write(project, {"bentofile.yaml": "bentod: 1\nname: app\nversoin: 1\napis: {greet: {target: 'hello:greet'}}\n"})
    assert run(capsys, "--no-import") == (2, """\
bentofile.yaml:3:1: versoin: unknown key `versoin`
    3 | versoin: 1
      | ^
    hint: did you mean `version`?
1 problem
""")  # fmt: skip


def test_problems_as_json_have_exactly_these_keys(project, capsys):
    write(project, {"bentofile.yaml": "bentod: 1\nname: app\nversoin: 1\napis: {greet: {target: 'hello:greet'}}\n"})
    code, out = run(capsys, "--format", "json")
    assert code == 2
    assert json.loads(out) == {
        "ok": False,
        "problems": [
            {
                "file": "bentofile.yaml", "line": 3, "column": 1, "path": "versoin", "code": "unknown-key",
                "message": "unknown key `versoin`", "hint": "did you mean `version`?",
            }
        ],
    }  # fmt: skip


def test_no_spec_is_a_problem(project, capsys):
    code, out = run(capsys, "--format", "json")
    assert (code, json.loads(out)["problems"][0]["code"]) == (2, "no-spec")


def test_output_of_user_code_does_not_mix_with_json(project):
    write(project, {"bentofile.yaml": json.dumps(BASE), "hello.py": "print('noise')\ndef greet(x): ..."})
    command = [sys.executable, "-m", "bentod", "validate", "--format", "json"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert (done.returncode, json.loads(done.stdout)["ok"], done.stderr) == (0, True, "")


def test_imports_are_judged_unless_told_otherwise(project, capsys):
    write(project, {"bentofile.yaml": json.dumps(BASE), "hello.py": "def greet(): ..."})
    assert "takes no positional argument" in run(capsys)[1]
    assert run(capsys, "--no-import")[0] == 0


PROBLEM = Problem("some-code", "100% of\nit, failed: yes", "a,b:c.yaml", 2, 3, "apis.x", "a hint")


def test_github_commands_are_escaped():
    assert show([PROBLEM], "github") == (
        "::error file=a%2Cb%3Ac.yaml,line=2,col=3,title=some-code::apis.x: 100%25 of%0Ait, failed: yes (a hint)"
    )
    assert show([Problem("c", "m")], "github") == "::error title=c::m"


def test_sarif_names_rule_place_and_path():
    log = json.loads(show([PROBLEM, Problem("c", "m", "/tmp/x y.yaml")], "sarif"))
    assert log["version"] == "2.1.0"
    [run_] = log["runs"]
    assert [rule["id"] for rule in run_["tool"]["driver"]["rules"]] == ["c", "some-code"]
    first, second = run_["results"]
    assert first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "file:///tmp/x%20y.yaml"
    assert "region" not in first["locations"][0]["physicalLocation"]
    assert second["ruleIndex"] == 1
    assert second["locations"][0]["physicalLocation"]["region"] == {"startLine": 2, "startColumn": 3}
    assert second["locations"][0]["logicalLocations"] == [{"fullyQualifiedName": "apis.x"}]


def test_text_is_safe_for_terminals_and_narrow(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\n\tb: \x1b[31m" + "y" * 1000 + "\n", encoding="utf-8")
    text = show(
        [Problem("c", "m", str(path), 2, 2), Problem("c", "m", str(path), 2, 500), Problem("c", "m", str(path), 9, 1)]
    )
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) < 300
    lines = text.splitlines()
    assert lines[2].index("^") == lines[1].index("b:")
    assert lines[-1] == "3 problems"


def test_colours_are_only_for_terminals():
    assert "\x1b[31m" in show([PROBLEM], colour=True)
    assert "\x1b" not in show([PROBLEM])

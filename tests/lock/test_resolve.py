"""Resolvers: which is taken, what it is told, and what is said when it fails. They are scripts that a test wrote."""

import sys
from pathlib import Path

import pytest

from bentod.lock.base_image import digest_of
from bentod.lock.resolve import Question, Resolver, Unresolvable, find, resolve
from tests.support.locks import pylock

QUESTION = Question(("six>=1",), ("x<2",), "3.12", "https://x.example/simple", ("https://y.example/simple",))
LOCK = pylock({"name": "six", "version": "1.0"})


def program(folder, text, name="uv"):
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport os, sys\n{text}\n")
    path.chmod(0o755)
    return path


def answering(folder, text):
    return Resolver((str(program(folder, text)), "pip", "compile"), "uv")


def test_uv_is_told_everything_as_words(tmp_path):
    saw = tmp_path / "saw"
    text = f"""
open({str(saw)!r}, "w").write(repr((sys.argv[1:], open(sys.argv[-1]).read(), open("constraints.txt").read())))
open(sys.argv[sys.argv.index("--output-file") + 1], "w").write({LOCK!r})"""
    found = resolve(QUESTION, answering(tmp_path, text), {"PATH": ""}, 30)
    assert [package.name for package in found.packages] == ["six"]
    words, asked, limits = eval(saw.read_text())
    assert (asked, limits) == ("six>=1\n", "x<2\n")
    assert words[:2] == ["pip", "compile"]
    assert {"--universal", "--no-config", "--generate-hashes", "--upgrade"} <= set(words)
    assert words[words.index("--default-index") + 1] == "https://x.example/simple"
    assert words[words.index("--index") + 1] == "https://y.example/simple"
    assert words[words.index("--python-version") + 1] == "3.12"


def test_what_is_locked_is_given_to_uv(tmp_path):
    (tmp_path / "before.toml").write_text(LOCK)
    text = 'assert "--upgrade" not in sys.argv and "six" in open("pylock.toml").read()'
    question = Question((), (), "3.12", previous=tmp_path / "before.toml")
    assert resolve(question, answering(tmp_path, text), {"PATH": ""}, 30).packages[0].name == "six"


FAILURES = {
    "no solution": ("sys.exit('error: no solution for https://user:hunter2@x.example/simple')", "no solution"),
    "no words": ("sys.exit(1)", "did not say why"),
    "many words": ("print('\\n'.join(map(str, range(9999))), file=sys.stderr); sys.exit(1)", "9998"),
    "control characters": ("sys.exit('\\x1b[31mred')", "[31mred"),
    "nothing written": ("", "does not exist"),
    "half a lock": ("open('pylock.toml', 'w').write('[')", "not valid TOML"),
    "no lock of PEP 751": ("open('pylock.toml', 'w').write('a = 1')", "PEP 751"),
}


@pytest.mark.parametrize(("text", "said"), FAILURES.values(), ids=FAILURES)
def test_failures_are_told_in_the_resolvers_words(tmp_path, text, said):
    with pytest.raises(Unresolvable) as caught:
        resolve(QUESTION, answering(tmp_path, text), {"PATH": ""}, 30)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 2500
    assert "hunter2" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_resolver_that_hangs_is_ended(tmp_path):
    with pytest.raises(Unresolvable, match="longer than"):
        resolve(QUESTION, answering(tmp_path, "import signal; signal.pause()"), {"PATH": ""}, 0.5)


def test_a_resolver_that_is_gone(tmp_path):
    with pytest.raises(Unresolvable, match="cannot be run"):
        resolve(QUESTION, Resolver((str(tmp_path / "uv"),), "uv"), {"PATH": ""}, 5)


def test_uv_is_found_beside_python_or_on_the_path(tmp_path):
    (tmp_path / "bin").mkdir()
    uv = program(tmp_path / "bin", "")
    assert find({"PATH": ""}, tmp_path / "bin/python", "3.12", "3.11").command[0] == str(uv)
    assert find({"PATH": str(tmp_path / "bin")}, tmp_path / "python", "3.12", "3.11").command[0] == str(uv)


def pip(folder, version):
    return program(folder, f"print('pip {version} from x')", "python")


def test_pip_serves_if_it_can_lock_for_this_python(tmp_path):
    assert find({"PATH": ""}, pip(tmp_path, "25.1"), "3.12", "3.12").name == "pip"
    with pytest.raises(Unresolvable, match="locks for the Python that runs it"):
        find({"PATH": ""}, pip(tmp_path, "26.0.1"), "3.12", "3.11")
    with pytest.raises(Unresolvable, match=r"pip 25\.0 cannot lock"):
        find({"PATH": ""}, pip(tmp_path, "25.0"), "3.12", "3.12")


def test_neither_is_there(tmp_path):
    with pytest.raises(Unresolvable, match="install uv"):
        find({"PATH": ""}, program(tmp_path, "sys.exit(1)", "python"), "3.12", "3.12")
    with pytest.raises(Unresolvable, match="there is no pip"):
        find({"PATH": ""}, Path("/nowhere/python"), "3.12", "3.12")


def test_the_digest_of_a_base_image():
    digest = "sha256:" + "0" * 64
    assert digest_of(f"python:3.12@{digest}", {}) == digest
    assert digest_of("python:3.12", {"DOCKER_HOST": "tcp://127.0.0.1:9"}) == ""

"""What the environment says instead of the spec: where to listen, and that nothing is watched."""

import pytest

from bentod.daemon.overrides import Overrides, overrides
from bentod.errors import SpecError
from tests.support.sources import Project


def wrong(**environ):
    with pytest.raises(SpecError) as caught:
        overrides(environ)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("environ", "addresses"),
    [
        ({}, ()),
        ({"BENTOD_LISTEN": ""}, ()),
        ({"BENTOD_LISTEN": "0.0.0.0:${PORT:-3000}"}, ("0.0.0.0:3000",)),
        ({"BENTOD_LISTEN": "0.0.0.0:${PORT:-3000}", "PORT": ""}, ("0.0.0.0:3000",)),
        ({"BENTOD_LISTEN": "0.0.0.0:${PORT:-3000}", "PORT": "8080"}, ("0.0.0.0:8080",)),
        ({"BENTOD_LISTEN": "${HOST}:${PORT}", "HOST": "[::]", "PORT": "0"}, ("[::]:0",)),
        ({"BENTOD_LISTEN": " 127.0.0.1:1 , unix:/tmp/a.sock,127.0.0.1:1,"}, ("127.0.0.1:1", "unix:/tmp/a.sock")),
        ({"BENTOD_LISTEN": "unix:/tmp/$$a.sock"}, ("unix:/tmp/$a.sock",)),
    ],
)
def test_addresses_are_filled_in_from_the_environment(environ, addresses):
    assert overrides(environ) == Overrides(addresses)


@pytest.mark.parametrize(
    "text", ["nonsense", "0.0.0.0", "0.0.0.0:99999", "999.0.0.1:80", ",", " ", "a b:80", "unix:a", "fd://1"]
)
def test_what_is_no_address_is_said_with_the_variable(text):
    problem = wrong(BENTOD_LISTEN=text)
    assert problem.path == "BENTOD_LISTEN"
    assert "such as" in problem.hint


@pytest.mark.parametrize("text", ["0.0.0.0:${PORT}", "0.0.0.0:${PORT:?set it}", "0.0.0.0:${", "$PORT", "${spec.dir}:1"])
def test_what_cannot_be_filled_in_is_said_with_the_variable(text):
    problem = wrong(BENTOD_LISTEN=text)
    assert problem.path == "BENTOD_LISTEN"
    assert "PORT" not in text or "PORT" in problem.message + problem.hint


@pytest.mark.parametrize("port", ["secret", "70000", "80\n", "80 ", "\x1b[1m", "80;rm"])
def test_what_a_variable_holds_is_not_shown(port):
    problem = wrong(BENTOD_LISTEN="0.0.0.0:${PORT}x", PORT=port)
    assert port.strip() not in problem.message + problem.hint
    assert (problem.message + problem.hint).isprintable()


def test_control_characters_are_not_shown():
    problem = wrong(BENTOD_LISTEN="0.0.0.0:\x1b[1m")
    assert problem.message.isprintable()


@pytest.mark.parametrize("word", ["false", "FALSE", " 0 ", "no", "off"])
def test_watching_can_be_switched_off(word):
    assert overrides({"BENTOD_WATCH": word}).unwatched == "BENTOD_WATCH=false"


@pytest.mark.parametrize("word", ["", "1", "true", "yes", "On"])
def test_otherwise_the_spec_says_whether_files_are_watched(word):
    assert overrides({"BENTOD_WATCH": word}) == Overrides()


def test_anything_else_is_said_with_the_variable():
    assert wrong(BENTOD_WATCH="maybe").path == "BENTOD_WATCH"


def test_the_plan_follows_the_environment_and_what_is_written_does_not(tmp_path):
    project = Project(
        tmp_path, {"BENTOD_LISTEN": "unix:/tmp/x.sock", "BENTOD_WATCH": "0"}, server={"listen": "[::1]:1"}
    )
    found = project.read()
    assert found.plan.server.listen == ("unix:/tmp/x.sock",)
    assert found.plan.reload.watch is False
    assert found.loaded.spec.server.listen == ("[::1]:1",)
    project.environ = {}
    assert project.read().plan.reload.watch is True

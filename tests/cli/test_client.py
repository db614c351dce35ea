"""The client of the control socket: what it makes of answers and of silence."""

import asyncio
import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from bentod.cli.client import Client, NotRunning, Unanswered, UnknownApi, UnknownGeneration
from bentod.errors import Problem, SpecError
from tests.support.control import ControlStandIn


@pytest.fixture(scope="module")
def only_server():
    folder = Path(tempfile.mkdtemp(prefix="bc"))
    server = ControlStandIn(folder / "s")
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def server(only_server):
    only_server.answers, only_server.asked = {}, []
    return only_server


@pytest.fixture
def client(server):
    return Client(server.path)


def test_what_is_sent(server, client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server.answers = {"/plan": (200, {"base": 1}), "/apply": (200, {"outcome": "unchanged"})}
    assert asyncio.run(client.plan([Path("a.yaml"), tmp_path / "b.yaml"], 3)) == {"base": 1}
    assert asyncio.run(client.plan(())) == {"base": 1}
    asyncio.run(client.apply((), allow_breaking=True, state="x"))
    asyncio.run(client.apply((), allow_breaking=False, generation=2))
    both = [str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]
    assert server.sent("/plan") == [{"files": both, "against": 3}, {"files": None, "against": None}]
    assert server.sent("/apply") == [
        {"files": None, "allow_breaking": True, "state": "x", "generation": None},
        {"files": None, "allow_breaking": False, "state": None, "generation": 2},
    ]


def test_problems_come_as_they_were_found(server, client):
    row = {"code": "c", "message": "m", "file": "f", "line": 1, "column": 2, "path": "p", "hint": "h", "later": 1}
    server.answers["/plan"] = (422, {"problems": [row]})
    with pytest.raises(SpecError) as caught:
        asyncio.run(client.plan(()))
    assert caught.value.problems == (Problem("c", "m", "f", 1, 2, "p", "h"),)
    server.answers["/plan"] = (422, {"error": "a pattern"})
    with pytest.raises(SpecError, match="a pattern"):
        asyncio.run(client.plan(()))


def test_an_unknown_generation(server, client):
    server.answers["/plan"] = server.answers["/apply"] = (404, {"error": "no generation 9"})
    for asked in (client.plan((), 9), client.apply((), allow_breaking=False, generation=9)):
        with pytest.raises(UnknownGeneration, match="no generation 9"):
            asyncio.run(asked)


@pytest.mark.parametrize(
    ("answer", "said"),
    [("cut", "ended before it answered"), (None, "of another version"), ((503, {"error": "starting"}), "starting")],
)
def test_no_answer_is_not_the_same_as_no_daemon(server, client, answer, said):
    server.answers["/apply"] = answer
    with pytest.raises(Unanswered, match=said):
        asyncio.run(client.apply((), allow_breaking=False))


@pytest.mark.parametrize("route", ["/status", "/stop", "/apis/f"])
def test_a_daemon_that_is_stopped_is_named_with_what_to_do(tmp_path, route):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        with pytest.raises(Unanswered, match=rf"\(pid {os.getpid()}\) has not answered for 0.05 s.*kill -KILL"):
            asyncio.run(Client(tmp_path / "s", patience_s=0.05).get(route))


def test_no_daemon(tmp_path):
    for asked in (Client(tmp_path / "s").get("/status"), Client(tmp_path / "s").plan(())):
        with pytest.raises(NotRunning, match="bentod up"):
            asyncio.run(asked)


@pytest.mark.parametrize(
    ("name", "said"), [("gret", "did you mean `greet`\\?"), ("nothing", "it serves: greet, same"), ("", "greet")]
)
def test_an_unknown_api(server, client, name, said):
    server.answers[f"/apis/{name}"] = (404, {"apis": ["greet", "same"]})
    with pytest.raises(UnknownApi, match=said):
        asyncio.run(client.api(name))

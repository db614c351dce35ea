"""A callable that runs out of memory in large batches: everybody gets his answer, and batches stay smaller."""

import pytest

from tests.support.crowd import together
from tests.support.daemon import eventually, running
from tests.support.http import request
from tests.support.project import api, project

pytestmark = [pytest.mark.e2e, pytest.mark.beside]
NUMBER = {"type": "integer"}
APIS = {
    "hold": api("s", "hold", "gate"),
    "ran": api("s", "ran"),
    "huge": api("s", "huge", "room"),
    "doubled": {
        "service": "s", "method": "doubled", "takes": "items", "batching": {"max_size": 32}, "input": NUMBER,
        "output": NUMBER,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    services = {"s": {"target": "greedy.py"}}
    folder = project(tmp_path_factory.mktemp("greedy"), "greedy", services=services, apis=APIS)
    with running(folder) as app:
        app.folder = folder
        yield app


def crowd(app, folder, count):
    """So many calls that wait together have their answers; the sizes that they ran in."""
    folder.mkdir()
    before = len(app.post("/ran", {})[2])
    answers = together(app, folder, [request("/doubled", number) for number in range(count)])
    assert [(answer.status, answer.json) for answer in answers] == [(200, 2 * number) for number in range(count)]
    return app.post("/ran", {})[2][before:]


def test_batches_run_in_halves_and_are_smaller_from_then_on(app, tmp_path):
    assert "batch_ceiling" not in app.status()["apis"]["doubled"]
    assert crowd(app, tmp_path / "1", 32) == [32, 16, 16]
    eventually(lambda: app.events("batch.ceiling"))
    [event] = app.events("batch.ceiling")
    assert (event["service"], event["api"], event["most"], event["at"]) == ("s", "doubled", 16, 32)
    assert app.status()["apis"]["doubled"]["batch_ceiling"] == {"size": 16, "out_of_memory_at": 32}
    assert "batches of at most 16 (out of memory at 32)" in app.cli("status").stdout
    sizes = crowd(app, tmp_path / "2", 50)
    assert (sum(sizes), max(sizes)) == (50, 16)
    assert len(app.events("batch.ceiling")) == 1
    assert app.events("worker.lost") == []
    target = app.folder / "greedy.py"
    target.write_text(target.read_text().replace("ROOM = 20", "ROOM = 40"))
    assert app.cli("apply").returncode == 0
    assert "batch_ceiling" not in app.status()["apis"]["doubled"]  # other workers: this is learned anew
    assert crowd(app, tmp_path / "3", 32) == [32]


def test_a_call_that_runs_out_of_memory_alone_is_told_so_and_its_worker_lives(app):
    [worker] = app.pids()
    status, headers, body = app.post("/huge", {"room": 80}, {"x-request-id": "me"})
    assert (status, headers["content-type"]) == (503, "application/problem+json")
    assert body == {
        "type": "https://bentod.dev/problems/out-of-memory", "title": "The model ran out of memory", "status": 503,
        "code": "out-of-memory", "request_id": "me",
    }  # fmt: skip
    assert [worker] == app.pids()
    assert app.status()["apis"]["huge"]["calls"] == {"out-of-memory": 1}
    eventually(lambda: app.events("worker.output", line="out of memory: 1 call(s) fail"))

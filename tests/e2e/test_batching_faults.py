"""Batches that go wrong: who is to blame gets an error, the others their answers."""

import contextlib
import os
import signal

import pytest

from tests.support.crowd import note, together, waiting
from tests.support.daemon import eventually, running
from tests.support.http import Connection, request
from tests.support.load import load
from tests.support.project import api, project

pytestmark = pytest.mark.e2e
QUICK = {"delay": "10ms", "max_delay": "50ms", "limit": 1000}
COLUMNS = {"takes": "columns", "batching": {}}
ROWS = {"takes": "rows", "batching": {}}
COUNTS = [
    "few", "many", "generator", "iterator", "map", "set", "none", "dict", "str", "bytes", "number", "strange",
    "nothing", "once more",
]  # fmt: skip


def token(method, service="s", **more):
    return api(service, method, "token", "log", **more)


def rows(method, *others, **more):
    kinds = {"token": {"type": "array"}, "log": True, **dict.fromkeys(others, True)}
    return {
        **api("s", method, *kinds), **ROWS, "input": {"type": "object", "properties": kinds, "required": list(kinds)},
        **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    apis = {
        "hold": api("s", "hold", "gate"),
        "hold_async": api("s", "hold_async", "gate"),
        "poisoned": token("poisoned", **COLUMNS),
        "poisoned_async": token("poisoned_async", **COLUMNS),
        "poisoned_items": token("poisoned_items", takes="items", batching={}),
        "poisoned_rows": rows("poisoned_rows"),
        "poisoned_once": token("poisoned", retry=False, **COLUMNS),
        "partly": token(
            "partly", output={"type": "integer", "maximum": 100}, errors={"builtins:ValueError": 422}, **COLUMNS
        ),
        "partly_rows": rows("partly_rows", errors={"builtins:ValueError": 422}),
        "miscounted": api("s", "miscounted", "token", "kind", "log", **COLUMNS),
        "miscounted_async": api("s", "miscounted_async", "token", "kind", "log", **COLUMNS),
        "miscounted_alone": api("s", "miscounted", "token", "kind", "log", takes="columns"),
        "miscounted_rows": rows("miscounted_rows", "kind"),
        "noted": token("noted", timeout="300ms", **COLUMNS),
        "leaving": token("noted", queue=2000, **COLUMNS),
        "deadly": token("deadly", **COLUMNS),
        "deadly_item": token("deadly_item", batching={}),
        "deadly_async": token("deadly_async", **COLUMNS),
        "stalled": token("noted", queue=8, takes="columns", batching={"max_size": 4}),
        "jumping": token("slow", takes="columns", batching={"max_size": 8}),
        "late": token("slow", takes="columns", timeout="1s"),
    }
    services = {"s": {"target": "faulty.py", "concurrency": 1, "restart": QUICK}}
    with running(project(tmp_path_factory.mktemp("faulty"), "faulty", services=services, apis=apis)) as app:
        yield app


@pytest.fixture
def crowd(app, tmp_path):
    """Sends calls that wait together; their answers and what the callable was called with."""

    def send(path, values, others=None):
        log = str(tmp_path / "log")
        bodies = [request(path, {"token": value, "log": log, **(others or {})}) for value in values]
        hold = "/hold_async" if path.endswith("async") else "/hold"
        return together(app, tmp_path, bodies, hold), note(tmp_path, "log")

    return send


@pytest.mark.parametrize("path", ["/poisoned", "/poisoned_async", "/poisoned_items", "/poisoned_rows"])
def test_one_poisoned_call_among_31(crowd, path):
    rows = path.endswith("rows")
    tokens = [[n] if rows else n for n in (*range(15), -1, *range(15, 31))]
    answers, runs = crowd(path, tokens)
    for value, answer in zip(tokens, answers, strict=True):
        assert answer.json == value if value not in (-1, [-1]) else answer.code == "target-raised"
    assert runs[0] == [-1 if one in (-1, [-1]) else one[0] if rows else one for one in tokens]
    assert runs[1:] == [[one] for one in runs[0]]  # once more, each alone


def test_what_may_not_run_again_fails_with_its_neighbours(crowd):
    answers, runs = crowd("/poisoned_once", [1, 2, -1, 3])
    assert [answer.code for answer in answers] == ["target-raised"] * 4
    assert runs == [[1, 2, -1, 3]]


def test_answers_that_are_exceptions_or_cannot_be_sent_are_one_calls_own(app, crowd):
    restarts = app.service("s")["workers"][0]["restarts"]
    tokens = [5, -1, -2, 6, -3, -4, 7, -5, -6, -7, 101, 8]
    answers, runs = crowd("/partly", tokens)
    assert [answer.code or answer.json for answer in answers] == [
        5, "target-raised", "target-raised", 6, "output-invalid", "output-unserializable", 7, "output-unserializable",
        "output-invalid", "target-raised", "output-invalid", 8,
    ]  # fmt: skip
    assert runs == [tokens]
    assert [answer.status for answer in answers[:4]] == [200, 422, 500, 200]
    assert "secret" not in answers[2].body.decode()
    assert app.service("s")["workers"][0]["restarts"] == restarts


def test_an_exception_among_rows_is_the_failure_of_the_call(crowd):
    answers, runs = crowd("/partly_rows", [[1, 2], [3, -1, 4], [], [5]])
    assert [answer.code or answer.json["token"] for answer in answers] == [[1, 2], "target-raised", [], [5]]
    assert answers[1].status == 422
    assert runs == [[1, 2, 3, -1, 4, 5]]


@pytest.mark.parametrize("kind", COUNTS)
def test_a_wrong_number_of_answers_fails_the_whole_batch_once(crowd, kind):
    answers, runs = crowd("/miscounted", [1, 2, 3], {"kind": kind})
    assert [(answer.status, answer.code) for answer in answers] == [(500, "output-count")] * 3
    assert runs == [[1, 2, 3]]


@pytest.mark.parametrize("kind", sorted({*COUNTS, "short dict"} - {"dict"}))
def test_a_wrong_number_of_rows(crowd, kind):
    answers, runs = crowd("/miscounted_rows", [[1, 2], [3], []], {"kind": kind})
    assert [(answer.status, answer.code) for answer in answers] == [(500, "output-count")] * 3
    assert runs == [[1, 2, 3]]


@pytest.mark.parametrize("path", ["/miscounted_alone", "/miscounted_async", "/miscounted"])
@pytest.mark.parametrize("kind", [kind for kind in COUNTS if kind != "once more"])
def test_a_wrong_number_of_answers_to_one_call(ask, tmp_path, path, kind):
    answer = ask(path, {"token": 1, "kind": kind, "log": str(tmp_path / "log")})
    assert (answer.status, answer.code) == (500, "output-count")


def test_expired_calls_never_reach_the_callable(app, crowd, tmp_path):
    with contextlib.ExitStack() as stack:
        gate, log = tmp_path / "gate", tmp_path / "log"
        gate.mkdir()
        holder = stack.enter_context(Connection(app.url))
        holder.send(request("/hold", {"gate": str(gate)}))
        eventually((gate / "begun").exists)
        connections = [stack.enter_context(Connection(app.url)) for _ in range(5)]
        for n, connection in enumerate(connections):
            connection.send(request("/noted", {"token": n, "log": str(log)}))
        answers = [connection.answer() for connection in connections]
        (gate / "open").touch()
        assert holder.answer().status == 200
    assert [(answer.status, answer.code) for answer in answers] == [(504, "deadline-exceeded")] * 5
    assert app.post("/noted", {"token": 5, "log": str(log)})[0] == 200
    assert note(tmp_path, "log") == [[5]]


def test_a_thousand_callers_that_leave_while_they_wait(app, tmp_path):
    gate, log = tmp_path / "gate", str(tmp_path / "log")
    gate.mkdir()
    with Connection(app.url) as holder, contextlib.ExitStack() as stack:
        holder.send(request("/hold", {"gate": str(gate)}))
        eventually((gate / "begun").exists)
        for n in range(1000):
            connection = stack.enter_context(Connection(app.url))
            connection.send(request("/leaving", {"token": n, "log": log}))
        eventually(lambda: waiting(app, 1) == 1000, what="all wait")
        stack.close()
        eventually(lambda: waiting(app, 1) == 0, what="none waits")
        with Connection(app.url) as last:
            last.send(request("/leaving", {"token": -1, "log": log}))
            eventually(lambda: waiting(app, 1) == 1)
            (gate / "open").touch()
            assert last.answer().json == -1
            assert holder.answer().status == 200
    assert note(tmp_path, "log") == [[-1]]


@pytest.mark.parametrize("how", ["kill", "exit"])
@pytest.mark.parametrize("path", ["/deadly", "/deadly_item", "/deadly_async"])
def test_a_killer_in_the_middle_of_a_batch_is_lost_and_its_neighbours_are_answered(app, crowd, path, how):
    lost = len(app.events("worker.lost"))
    tokens = [how if n == 15 else n for n in range(32)]
    answers, runs = crowd(path, tokens)
    for value, answer in zip(tokens, answers, strict=True):
        assert (answer.code or answer.json) == ("worker-lost" if value == how else value)
    deaths = sum(how in run for run in runs)
    assert deaths in (2, 3)  # three if the batch was ahead, and the answer before it was cut off
    eventually(lambda: len(app.events("worker.lost")) == lost + deaths)


def test_a_stalled_worker_with_a_full_queue(app, tmp_path):
    log = str(tmp_path / "log")
    for n in range(20):
        assert app.post("/stalled", {"token": n, "log": log})[2] == n
    [stalled] = app.pids()
    with contextlib.ExitStack() as stack:
        os.kill(stalled, signal.SIGSTOP)
        stack.callback(os.kill, stalled, signal.SIGCONT)
        connections = []
        while app.control()["apis"]["stalled"]["waiting"] < 8:  # one batch may be ahead
            assert len(connections) < 20
            connection = stack.enter_context(Connection(app.url))
            connection.send(request("/stalled", {"token": 100 + len(connections), "log": log}))
            connections.append(connection)
            eventually(lambda: waiting(app) == len(connections))
        for _ in range(3):
            status, headers, body = app.post("/stalled", {"token": 1, "log": log})
            assert (status, body["code"]) == (503, "queue-full")
            assert 1 <= int(headers["retry-after"]) <= 120
        os.kill(stalled, signal.SIGCONT)
        assert sorted(connection.answer().json for connection in connections) == list(
            range(100, 100 + len(connections))
        )
    assert max(map(len, note(tmp_path, "log"))) <= 4


def test_a_cost_that_jumps_tenfold_loses_no_call(app, tmp_path):
    log, cost = str(tmp_path / "log"), tmp_path / "cost"
    cost.write_text("0.002")
    with load(app.url, "/jumping", {"token": 1, "log": log}, clients=16) as clients:
        for seconds in ("0.02", "0.002", "0.02"):
            clients.more(100)
            cost.write_text(seconds)
        clients.more(100)
    assert set(clients.answers) == {"200"}, clients.answers
    sizes = [len(run) for run in note(tmp_path, "log")]
    assert max(sizes) <= 8
    assert clients.done <= sum(sizes) <= clients.done + 16  # some had left when their batch ran
    assert sum(sizes) / len(sizes) > 2


def test_what_cannot_be_in_time_is_refused_at_once(app, tmp_path):
    log = str(tmp_path / "log")
    (tmp_path / "cost").write_text("0.1")
    with contextlib.ExitStack() as stack:
        with load(app.url, "/late", {"token": 1, "log": log}, clients=3) as clients:
            clients.more(12)
        done = len(note(tmp_path, "log"))
        connections = [stack.enter_context(Connection(app.url)) for _ in range(60)]
        for connection in connections:
            connection.send(request("/late", {"token": 2, "log": log}))
        answers = [connection.answer() for connection in connections]
        good = [answer for answer in answers if answer.status == 200]
        refused = [answer for answer in answers if answer.status == 504]
        assert len(good) + len(refused) == 60
        assert 2 <= len(good) <= 10
        assert len(note(tmp_path, "log")) - done <= len(good) + 1
        assert sum("too late" in answer.json["detail"] for answer in refused) >= 40
        assert app.post("/late", {"token": 3, "log": log})[0] == 200

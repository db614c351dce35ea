"""Calls that wait: slots, queues, clients that leave, workers and gateways side by side."""

import contextlib

import pytest

from tests.support.daemon import eventually, running
from tests.support.http import Connection, request
from tests.support.project import Gate, api, project

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    target = {"target": "waiting.py"}
    folder = project(
        tmp_path_factory.mktemp("waiting"),
        "waiting",
        services={
            "one": {**target, "stop_timeout": "300ms"},
            "threads": {**target, "threads": 3},
            "async": {**target, "concurrency": 5},
            "workers": {**target, "workers": 3},
        },
        apis={
            "one": api("one", "hold", "gate", queue=2),
            "one_pid": api("one", "pid", queue=5),
            "threads": api("threads", "hold", "gate"),
            "async": api("async", "hold_async", "gate", queue=1),
            "workers": api("workers", "hold", "gate"),
            "pid": api("workers", "pid"),
        },
    )
    with running(folder) as app:
        yield app


@pytest.fixture
def gate(tmp_path):
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


@pytest.fixture
def clients(app, gate):
    """Makes clients that have each sent a request to a path."""
    with contextlib.ExitStack() as stack:

        def send(count, path, value=gate.input):
            connections = [stack.enter_context(Connection(app.url)) for _ in range(count)]
            for connection in connections:
                connection.send(request(path, value))
            return connections

        yield send
        gate.open()
        quiet(app)


def quiet(app):
    """Wait until nothing runs and nothing waits."""
    eventually(lambda: not any(api["running"] or api["waiting"] for api in app.control()["apis"].values()))


def waiting(app, name, count):
    eventually(lambda: app.control()["apis"][name]["waiting"] == count, what=f"{count} calls of {name} wait")


def stays(gate, calls):
    """That no further call begins: the gateway has had the chance, as it has answered others since."""
    assert gate.count() == calls


@pytest.mark.parametrize(("path", "slots"), [("/one", 1), ("/threads", 3), ("/async", 5), ("/workers", 3)])
def test_as_many_calls_run_as_there_are_slots(app, clients, gate, path, slots):
    connections = clients(slots + 1, path)
    gate.reached(slots)
    waiting(app, path[1:], 1)
    stays(gate, slots)
    gate.open()
    assert [connection.answer().status for connection in connections] == [200] * (slots + 1)
    assert gate.count() == slots + 1


def test_each_worker_gets_its_share(app, clients, gate):
    pids = {connection.answer().json for connection in clients(3, "/workers") if gate.reached(3) or gate.open() or True}
    assert pids == {worker["pid"] for worker in app.service("workers")["workers"]}


def test_one_more_than_may_wait_is_queue_full(app, clients, gate):
    running_ = clients(1, "/one")
    gate.reached()
    waiting_ = clients(2, "/one")
    waiting(app, "one", 2)
    [refused] = clients(1, "/one")
    answer = refused.answer()
    assert (answer.status, answer.code) == (503, "queue-full")
    assert int(answer.headers["retry-after"]) >= 1
    clients(1, "/one_pid", {})  # another API has a queue of its own
    waiting(app, "one_pid", 1)
    gate.open()
    assert [connection.answer().status for connection in running_ + waiting_] == [200] * 3


def test_calls_that_wait_are_served_in_order(app, clients, gate):
    clients(1, "/one")
    gate.reached()
    pids = clients(3, "/one_pid", {})
    waiting(app, "one_pid", 3)
    gate.open()
    assert [connection.answer().status for connection in pids] == [200] * 3


def test_health_and_docs_do_not_wait(app, clients, gate):
    clients(3, "/one")
    gate.reached()
    for path in ("/livez", "/readyz", "/docs", "/openapi.json", "/"):
        assert app.get(path)[0] == 200


def test_a_client_that_leaves_frees_its_place(app, clients, gate):
    clients(1, "/one")
    gate.reached()
    leaving = clients(2, "/one")
    waiting(app, "one", 2)
    for connection in leaving:
        connection.socket.close()
    waiting(app, "one", 0)
    [last] = clients(1, "/one")
    waiting(app, "one", 1)
    gate.open()
    assert last.answer().status == 200
    assert gate.count() == 2  # those of the clients that left have not run
    assert app.control()["apis"]["one"]["calls"]["client-gone"] >= 2


def test_a_client_that_leaves_cancels_an_async_call(app, clients, gate):
    [leaving] = clients(1, "/async")
    gate.reached()
    leaving.socket.close()
    gate.reached(1, "cancelled")
    quiet(app)


def test_a_client_that_leaves_does_not_harm_a_worker_that_is_in_time(app, clients, gate):
    """A synchronous call goes on to its deadline; only beyond that a worker is stuck."""
    pid = app.service("one")["workers"][0]["pid"]
    [leaving] = clients(1, "/one")
    gate.reached()
    leaving.socket.close()
    eventually(lambda: app.control()["apis"]["one"]["calls"].get("client-gone"))
    [patient] = clients(1, "/one_pid", {})
    assert not patient.ended(1.0)  # three times stop_timeout
    gate.open()
    patient.socket.settimeout(20)
    assert patient.answer().json == pid
    assert app.service("one")["workers"][0]["restarts"] == 0


def test_a_client_that_ends_only_its_own_side_is_answered_or_left(app, clients, gate):
    [half] = clients(1, "/one")
    gate.reached()
    half.socket.shutdown(1)
    quiet_or_answered = clients(1, "/one_pid", {})
    gate.open()
    assert quiet_or_answered[0].answer().status == 200


def test_several_gateways_share_the_workers(tmp_path):
    folder = project(
        tmp_path / "p",
        "waiting",
        services={"s": {"target": "waiting.py", "workers": 2, "threads": 2}},
        apis={"hold": api("s", "hold", "gate"), "pid": api("s", "pid")},
        server={"gateways": 3},
    )
    gate = Gate(tmp_path / "gate")
    with running(folder) as app, contextlib.ExitStack() as stack:
        assert len(app.pids("gateway")) == len(app.control()["gateways"]) == 3
        connections = [stack.enter_context(Connection(app.url)) for _ in range(24)]
        for connection in connections:
            connection.send(request("/hold", gate.input))
        gate.reached(4)
        gate.open()
        pids = {connection.answer().json for connection in connections}
        assert pids == set(app.pids())
        assert sum(worker["calls"] for worker in app.service("s")["workers"]) == 24

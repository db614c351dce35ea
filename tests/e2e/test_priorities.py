"""Who goes first, who may have how much, and that nobody is left out, not with several gateways either."""

import contextlib
import os
import signal
import threading

import pytest

from tests.support.crowd import busy, note, together, waiting
from tests.support.daemon import eventually, running
from tests.support.http import Connection, request
from tests.support.load import load
from tests.support.project import Gate, api, project

pytestmark = pytest.mark.e2e
QUICK = {"delay": "10ms", "max_delay": "50ms", "limit": 1000}
LATER = 2
"""Turns among ten that those have who wait longest, whatever their level."""


def noted(service="s", **more):
    return api(service, "noted", "token", "log", **more)


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    target = {"target": "ordered.py"}
    apis = {
        "hold": api("s", "hold", "gate"),
        "first": noted(priority=1),
        "usual": noted(),
        "last": noted(priority=9),
        "asked": noted(priority={"default": 5, "highest": 1}),
        "asked_little": noted(priority={"default": 5, "highest": 3}),
        "batched": api(
            "s", "columns", "token", "log", takes="columns", batching={"max_size": 3}, priority={"highest": 1}
        ),
        "hold_wide": api("wide", "hold", "gate"),
        "narrow": api("wide", "hold", "gate", concurrency=1),
        "narrow_batched": api("wide", "hold_columns", "gate", concurrency=2, takes="columns", batching={"max_size": 2}),
        "narrow_async": api("wide", "hold_async", "gate", concurrency=2),
        "quick": api("fair", "work", "seconds"),
        "slow": api("fair", "work", "seconds"),
    }
    services = {"s": target, "wide": {**target, "threads": 4, "concurrency": 4}, "fair": target}
    with running(project(tmp_path_factory.mktemp("ordered"), "ordered", services=services, apis=apis)) as app:
        yield app


@pytest.fixture
def order(app, tmp_path):
    """Sends calls (API, token, headers) that wait together; the tokens in the order in which they ran."""

    def send(*calls):
        log = str(tmp_path / "log")
        bodies = [request(f"/{name}", {"token": token, "log": log}, headers=headers) for name, token, headers in calls]
        assert {answer.status for answer in together(app, tmp_path, bodies, in_order=True)} == {200}
        return note(tmp_path, "log")

    return send


def after(tokens, early, late):
    """How many `late` ones ran before the last `early` one."""
    return sum(
        token.startswith(late) for token in tokens[: max(n for n, t in enumerate(tokens) if t.startswith(early))]
    )


def test_the_priority_of_an_api(order):
    calls = [(name, f"{name}{n}", {}) for name in ("last", "usual", "first") for n in range(5)]
    tokens = order(*calls)
    assert len(tokens) == 15
    assert after(tokens, "first", "last") + after(tokens, "first", "usual") <= LATER
    assert after(tokens, "usual", "last") <= LATER
    for name in ("last", "usual", "first"):
        mine = [token for token in tokens if token.startswith(name)]
        assert mine == sorted(mine)


def test_the_priority_that_a_client_asks_for(order):
    calls = [("asked", f"{level or 'none'}-{n}", {"x-priority": level} if level else {}) for n in range(3)
             for level in ("9", "", "1")]  # fmt: skip
    tokens = order(*calls)
    assert after(tokens, "1", "none") + after(tokens, "1", "9") <= LATER
    assert after(tokens, "none", "9") <= LATER


@pytest.mark.parametrize("level", ["0", "10", "-1", "high", "1.5", "", " ", "1, 2", "0x1"])
def test_what_is_no_level_is_ignored(app, tmp_path, order, level):
    calls = [("asked", f"usual{n}", {}) for n in range(3)] + [
        ("asked", f"odd{n}", {"x-priority": level}) for n in range(3)
    ]
    tokens = order(*calls)
    assert tokens == [f"usual{n}" for n in range(3)] + [f"odd{n}" for n in range(3)]


def test_nobody_gets_more_than_the_highest_level(order):
    calls = [("asked_little", f"b{n}", {"x-priority": "3"}) for n in range(3)]
    calls += [("asked_little", f"c{n}", {"x-priority": "1"}) for n in range(3)]
    calls += [("usual", f"a{n}", {"x-priority": "1"}) for n in range(3)]  # asks in vain
    tokens = order(*calls)
    assert after(tokens, "c", "a") <= LATER
    assert [token for token in tokens if token[0] in "bc"] == ["b0", "b1", "b2", "c0", "c1", "c2"]


def test_batches_are_made_of_the_first_level_before_others(order):
    calls = [("batched", n, {"x-priority": "9"}) for n in range(4)]
    calls += [("batched", n, {"x-priority": "1"}) for n in range(4, 8)]
    runs = order(*calls)
    assert sorted(token for run in runs for token in run) == list(range(8))
    assert max(map(len, runs)) <= 3
    tokens = [token for run in runs for token in run]
    ahead = 3  # a full batch may have been sent before the others came
    assert sum(token < 4 for token in tokens[: tokens.index(7)]) <= LATER + ahead


def test_a_late_level_does_not_starve(app, tmp_path):
    log = str(tmp_path / "log")
    with load(app.url, "/first", {"token": "first", "log": str(tmp_path / "others")}, clients=16) as others:
        others.more(50)
        for _ in range(5):
            before = others.done
            assert app.post("/last", {"token": "last", "log": log})[0] == 200
            assert others.done - before < 200
        others.more(50)
    assert set(others.answers) == {"200"}


def test_an_api_holds_no_more_slots_than_it_may(app, tmp_path):
    gates = {name: Gate(tmp_path / name) for name in ("narrow", "narrow_batched", "narrow_async")}
    with contextlib.ExitStack() as stack:
        connections = [
            (stack.enter_context(Connection(app.url)), name, gate) for name, gate in gates.items() for _ in range(6)
        ]
        for connection, name, gate in connections:
            connection.send(request(f"/{name}", gate.input))
        gates["narrow"].reached(1)
        gates["narrow_batched"].reached(2)
        gates["narrow_async"].reached(2)
        with busy(app, tmp_path, "/hold_wide"):  # there is room for others
            apis = app.control()["apis"]
            assert apis["narrow"]["running"] == gates["narrow"].count() == 1
            assert apis["narrow_async"]["running"] == gates["narrow_async"].count() == 2
            assert gates["narrow_batched"].count() == apis["narrow_batched"]["running"] <= 4
        for gate in gates.values():
            gate.open()
        assert {connection.answer().status for connection, _, _ in connections} == {200}
    assert {gate.count() for gate in gates.values()} == {6}


def test_two_apis_of_a_service_share_its_time(app):
    slow_s, quick_s = 0.02, 0.004
    with (
        load(app.url, "/slow", {"seconds": slow_s}, clients=8) as slow,
        load(app.url, "/quick", {"seconds": quick_s}, clients=8) as quick,
    ):
        slow.more(20)
        quick.more(20)
        first = slow.done, quick.done
        slow.more(60)
        last = slow.done, quick.done
    slow_time, quick_time = (last[0] - first[0]) * slow_s, (last[1] - first[1]) * quick_s
    assert 0.25 < quick_time / (slow_time + quick_time) < 0.75, (slow_time, quick_time)


@pytest.fixture
def several(tmp_path):
    """Starts a daemon with two gateways."""

    @contextlib.contextmanager
    def start(workers=1, **more):
        apis = {
            name: api("s", name, "token", takes="columns", batching={"max_size": 8})
            for name in ("work_columns", "work_columns_async", "short_columns")
        }
        apis |= {"work": api("s", "work", "seconds"), "hold": api("s", "hold", "gate", concurrency=2)}
        services = {"s": {"target": "ordered.py", "restart": QUICK, "workers": workers, **more}}
        folder = project(tmp_path / "p", "ordered", services=services, apis=apis, server={"gateways": 2})
        with running(folder) as app:
            yield app

    return start


class Asking:
    """Clients on connections of their own, each asking for its own token again and again."""

    def __init__(self, app, path, clients):
        self.app, self.path = app, path
        self.answers = [0] * clients
        self.wrong = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def _ask(self, number):
        try:
            with Connection(self.app.url) as connection:
                while not self.stopping.is_set():
                    token = f"{number}-{self.answers[number]}"
                    answer = connection.ask(request(self.path, {"token": token}))
                    if answer.status != 200 or answer.json["token"] != token or answer.json["together"] > 8:
                        self.wrong.append(answer)
                    self.answers[number] += 1
        except Exception as error:
            self.wrong.append(error)

    def more(self, each):
        """Wait until every client has so many more answers."""
        wanted = [count + each for count in self.answers]
        eventually(
            lambda: self.wrong or all(now >= then for now, then in zip(self.answers, wanted, strict=True)),
            what=f"{each} more answers for each of {self.answers}",
        )


def test_two_gateways_and_one_worker(several):
    with several(concurrency=1) as app:
        for path in ("/work_columns", "/work_columns_async", "/short_columns"):
            with Asking(app, path, 24) as clients:
                clients.more(20)
            assert not clients.wrong
            assert min(clients.answers) * 8 > max(clients.answers), clients.answers
        assert waiting(app) == 0


def test_two_gateways_and_two_workers_of_which_one_dies(several):
    with several(2) as app:
        with Asking(app, "/work_columns", 24) as clients:
            for number in range(4):
                victim = both_ready(app)[number % 2]
                os.kill(victim, signal.SIGKILL)
                clients.more(5)
                eventually(lambda victim=victim: victim not in both_ready(app))
        assert not clients.wrong
        assert waiting(app) == 0


def both_ready(app):
    """The process ids of two workers, once both are ready."""
    found = eventually(lambda: (now := app.service("s"))["ready"] == 2 and now, 30, "both are ready")
    return [worker["pid"] for worker in found["workers"]]


def test_a_queue_and_a_concurrency_are_for_all_gateways_together(several, tmp_path):
    gate = Gate(tmp_path / "gate")
    with several(threads=8) as app, contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Connection(app.url)) for _ in range(24)]
        for connection in connections:
            connection.send(request("/hold", gate.input))
        eventually(lambda: waiting(app) == 24)
        assert 1 <= gate.count() <= 2
        gate.open()
        assert {connection.answer().status for connection in connections} == {200}

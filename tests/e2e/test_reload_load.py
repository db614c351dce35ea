"""Changes under load: no request fails, and each answer comes wholly from one version."""

import time
from collections import Counter

import pytest

from tests.support.daemon import eventually, running
from tests.support.edits import (
    ALL,
    CHUNKS,
    INPUT,
    MAIN,
    WORDS,
    asking,
    failed,
    idle,
    live,
    pids,
    put,
    respec,
    save,
    versioned,
)
from tests.support.http import Connection, request
from tests.support.project import Gate, api, project

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
SOON = {"reload": {"debounce": "150ms"}}


@pytest.mark.parametrize(
    ("edits", "service", "server"),
    [(30, {}, {}), (8, {"workers": 2}, {"gateways": 2}), (6, {"workers": 2, "reload": "stop_first"}, {})],
)
def test_no_request_fails_while_the_code_is_edited_and_no_answer_is_of_two_versions(tmp_path, edits, service, server):
    folder = versioned(tmp_path, service, **SOON)
    spans = []
    with running(folder, overlay={"server": server}) as app:
        gateways = app.pids("gateway")
        with asking(app, ALL) as clients:
            clients.more()
            for number in range(edits):
                version = str(number % 2)
                save(folder, version)
                live(app, version)
                since = time.monotonic()
                clients.more(5)
                spans.append((version, since, time.monotonic()))
        assert app.pids("gateway") == gateways
        assert not app.events("worker.lost")
    clients.fine()
    answers = clients.whole()
    for version, since, until in spans:
        assert {said for outcome, said in answers if since <= outcome.begun < outcome.ended <= until} == {version}


def test_a_stream_ends_in_the_version_in_which_it_began(tmp_path):
    folder = versioned(tmp_path, **SOON)
    with running(folder) as app:
        with asking(app, {"/stream": 10.0}, {"n": CHUNKS}) as clients:
            for version in ("2", "3", "4"):
                clients.more(20)
                save(folder, version)
                live(app, version)
            clients.more(20)
        clients.fine()
        assert {said for _, said in clients.whole()} == {"1", "2", "3", "4"}


def test_broken_specs_and_modules_in_a_row_cost_nobody_anything(tmp_path):
    folder = versioned(tmp_path, **SOON)
    spec, main = (folder / "bentofile.yaml").read_text(), (folder / "main.py").read_text()
    specs = ["{", "", "bentod: 2", spec.replace("target", "traget"), spec.replace('"say"', '"gone"')]
    modules = ["def say(:", "raise RuntimeError('no')", "import not_there", "", "import os; os._exit(3)"]
    with running(folder) as app, asking(app, {"/say": 60.0, "/stream": 2.0}) as clients:
        before = pids(app), app.pids("gateway")
        for number in range(20):
            put(folder / "bentofile.yaml", specs[number % 5] + "\n" * number)
            assert eventually(lambda: failed(app)["reason"])
            since = app.control()["change"]["since"]
        for number in range(20):
            put(folder / "main.py", f"{modules[number % 5]}\n# {number}\n")
            put(folder / "bentofile.yaml", spec)
            later = eventually(lambda: (c := failed(app))["since"] != since and c, 30, number)  # noqa: B023
            since = later["since"]
            assert "s" in later["reason"]
        clients.more()
        assert (pids(app), app.pids("gateway")) == before
        put(folder / "main.py", main)
        eventually(lambda: app.control()["change"]["state"] == "idle")
        save(folder, "2")
        live(app, "2")
    clients.fine()
    assert {said for _, said in clients.whole()} <= {"1", "2"}


def test_the_newest_of_many_edits_wins_while_slow_workers_start(tmp_path):
    folder = versioned(tmp_path, {"workers": 2}, **SOON)
    slow = MAIN.replace("import time\n", "import time\n\ntime.sleep(0.4)\n")

    def edit(version):
        put(folder / "parts/words.py", WORDS.format(version=version))
        put(folder / "main.py", slow.format(version=version))
        respec(folder, lambda data: data["services"]["s"]["env"].update(VERSION=version))

    with running(folder) as app, asking(app, {"/say": 60.0, "/stream": 2.0}) as clients:
        most = 0
        for number in range(2, 20):
            edit(str(number))
            until = time.monotonic() + 0.25

            def looked(until=until):
                nonlocal most
                most = max(most, len(app.pids()))
                return time.monotonic() > until

            eventually(looked)
        live(app, "19")
        assert most <= 6, "one generation serves, one starts, one leaves"
        eventually(lambda: len(app.pids()) == 2)
    clients.fine()
    clients.whole()


def test_workers_come_and_go_under_load(tmp_path):
    folder = versioned(tmp_path, **SOON)
    with running(folder) as app, asking(app, ALL) as clients:
        [first] = pids(app)["s"]
        for workers in (4, 2, 8, 1):
            respec(folder, lambda data, workers=workers: data["services"]["s"].update(workers=workers))
            eventually(lambda workers=workers: len(idle(app)["services"]["s"]["workers"]) == workers, 60)
            eventually(lambda workers=workers: len(app.pids()) == workers, 60)
            clients.more(5)
        assert pids(app)["s"] == [first]
    clients.fine()
    clients.whole()


def test_two_apis_swap_their_routes_under_load(tmp_path):
    files = {f"{name}.py": f"def f(n):\n    return '{name}'\n" for name in ("one", "two")}
    folder = project(
        tmp_path,
        files=files,
        services={name: {"target": f"{name}.py"} for name in ("one", "two")},
        apis={name: {**api(name, "f", "n"), "route": f"/{name}"} for name in ("one", "two")},
        **SOON,
    )
    spans = []
    with running(folder) as app, asking(app, {"/one": 60.0, "/two": 60.0}) as clients:
        before = pids(app)
        for number in range(8):
            swapped = {"one": "two", "two": "one"} if number % 2 == 0 else {"one": "one", "two": "two"}
            respec(folder, lambda data, to=swapped: [data["apis"][a].update(route=f"/{r}") for a, r in to.items()])
            eventually(lambda to=swapped: app.post(f"/{to['one']}", INPUT)[2] == "one")
            idle(app)
            since = time.monotonic()
            clients.more(10)
            spans.append((since, time.monotonic(), {f"/{route}": name for name, route in swapped.items()}))
        assert pids(app) == before
    clients.fine()
    for since, until, table in spans:
        for path, load in clients.loads.items():
            said = {one.json for one in load.outcomes if since <= one.begun < one.ended <= until}
            assert said == {table[path]}


def test_a_renamed_service_answers_on(tmp_path):
    folder = versioned(tmp_path, **SOON)

    def rename(old, new):
        def change(data):
            data["services"][new] = data["services"].pop(old)
            for one in data["apis"].values():
                one["service"] = new

        respec(folder, change)

    with running(folder) as app, asking(app, ALL) as clients:
        for old, new in (("s", "t"), ("t", "u"), ("u", "s")):
            rename(old, new)
            eventually(lambda new=new: list(idle(app)["services"]) == [new])
            clients.more(5)
        eventually(lambda: len(app.pids()) == 1)
    clients.fine()
    clients.whole()


def test_calls_in_the_queue_end_with_the_code_and_the_schema_with_which_they_came(tmp_path):
    folder = project(
        tmp_path / "p",
        "waiting",
        files={"held.py": "import time\nfrom pathlib import Path\n\n\ndef hold(gate):\n"
               "    (Path(gate) / f'begun-{time.monotonic_ns()}').touch()\n"
               "    while not (Path(gate) / 'open').exists():\n        time.sleep(0.002)\n    return 'old'\n"},
        services={"s": {"target": "held.py", "stop_timeout": "60s"}},
        apis={"hold": api("s", "hold", "gate")},
        **SOON,
    )  # fmt: skip
    gate = Gate(tmp_path / "gate")
    with running(folder) as app, asking(app, {"/hold": 20.0}, gate.input) as clients:
        gate.reached()
        eventually(lambda: app.control()["apis"]["hold"]["waiting"] >= 10)
        asked = clients.loads["/hold"].asked

        def change(data):
            data["apis"]["hold"]["input"] = api("s", "hold", "number")["input"]

        put(folder / "held.py", "def hold(number):\n    return 'new'\n")
        respec(folder, change)
        eventually(lambda: app.post("/hold", {"number": 1})[2] == "new")
        idle(app)
        gate.open()
        eventually(lambda: len(clients.outcomes) > asked + 10)
    outcomes = clients.outcomes
    assert {one.status for one in outcomes} <= {200, 422}, Counter((one.status, one.body) for one in outcomes)
    early = sorted(outcomes, key=lambda one: one.begun)[:asked]
    assert {(one.status, one.body) for one in early} == {(200, b'"old"')}


@pytest.mark.parametrize("change", ["breaking", "compatible"])
def test_a_slow_upload_is_answered_by_the_code_for_which_it_began(tmp_path, change):
    code = "def f(x{}):\n    return '{}'\n"
    one, two = (api("s", "f", *names) for names in (["x"], ["x", "y"]))
    if change == "compatible":
        two["input"]["required"] = ["x"]
    more = "y" if change == "breaking" else "y=1"
    folder = project(
        tmp_path, files={"m.py": code.format("", "old")}, services={"s": {"target": "m.py"}}, apis={"f": one}, **SOON
    )
    sent = request("/f", {"x": "-" * 40})
    with (
        running(folder) as app,
        Connection(app.url) as slow,
        Connection(app.url) as leaves,
        Connection(app.url) as late,
    ):
        for client in (slow, leaves):
            client.send(sent[:-30])
        late.send(sent[:-1])
        assert app.post("/f", {"x": 1})[2] == "old"
        began = time.monotonic()
        put(folder / "m.py", code.format(f", {more}", "new"))
        respec(folder, lambda data: data["apis"].update(f=two))
        eventually(lambda: app.post("/f", {"x": 1, "y": 2})[2] == "new")
        idle(app)
        assert len(app.pids()) >= 2, "the old worker is there still; one may wait for the next edit"
        leaves.__exit__()
        for number in range(30, 0, -1):
            eventually(lambda n=number: time.monotonic() - began > 2 * (30 - n) / 30)
            assert app.post("/f", {"x": 1, "y": 2})[2] == "new"
            slow.send(sent[len(sent) - number : len(sent) - number + 1])
        late.send(sent[-1:])
        for client in (slow, late):
            answer = client.answer()
            assert (answer.status, answer.json) == (200, "old")
        eventually(lambda: len(app.pids()) == 1)
        assert not app.events("worker.lost")


def test_batching_queues_and_time_outs_change_under_load_and_no_process_does(tmp_path):
    folder = versioned(tmp_path, **SOON)
    with running(folder) as app, asking(app, ALL) as clients:
        before = pids(app)
        for number in range(10):

            def change(data, number=number):
                data["apis"]["together"]["batching"] = {"max_size": 2 + number, "max_delay": f"{number}ms"}
                data["apis"]["say"].update(queue=100 + number, timeout=f"{20 + number}s", priority=1 + number % 3)
                data["apis"]["say"]["concurrency"] = 1 + number % 4
                data["version"] = f"{number}.0.0"

            respec(folder, change)
            eventually(lambda number=number: app.get("/openapi.json")[2]["info"]["version"] == f"{number}.0.0")
            clients.more(5)
        idle(app)
        assert pids(app) == before
    clients.fine()
    clients.whole()

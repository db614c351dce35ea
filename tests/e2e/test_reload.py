"""Changes while a daemon serves: what is edited goes live, and nothing else restarts."""

import json
import os
import signal

import pytest

from tests.support.daemon import alive, eventually, running
from tests.support.project import api, project

pytestmark = pytest.mark.e2e

ONE = "WORD = 'one'\n\n\ndef say() -> str:\n    return WORD\n"
OTHER = "import shared\n\n\ndef say() -> str:\n    return shared.WORD\n"
SOON = {"reload": {"debounce": "20ms"}}


@pytest.fixture
def folder(tmp_path):
    return project(
        tmp_path,
        files={"one.py": ONE, "two.py": OTHER, "three.py": OTHER, "shared.py": "WORD = 'shared'\n"},
        services={name: {"target": f"{name}.py"} for name in ("one", "two", "three")},
        apis={name: {**api(name, "say"), "output": {"type": "string"}} for name in ("one", "two", "three")},
        **SOON,
    )


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    save(path, text.replace(old, new))


def save(path, text):
    """At once: half of a file would be an edit of its own."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)


def spec(folder, change):
    path = folder / "bentofile.yaml"
    data = json.loads(path.read_text())
    change(data)
    save(path, json.dumps(data))


def pids(app):
    return {name: [w["pid"] for w in s["workers"]] for name, s in app.control()["services"].items()}


def says(app, name):
    status, _, body = app.post(f"/{name}", {})
    assert status == 200, body
    return body


def went(app, number):
    """Wait until generation `number` is live, and nothing is under way."""
    eventually(lambda: (s := app.control())["generation"] == number and s["change"]["state"] == "idle", what=number)


def not_applied(app, state="failed"):
    return eventually(lambda: (c := app.control()["change"])["state"] == state and c, what=state)


def test_an_edited_module_restarts_the_services_that_imported_it_and_no_others(folder):
    with running(folder) as app:
        before = pids(app)
        edit(folder / "shared.py", "'shared'", "'edited'")
        eventually(lambda: says(app, "two") == "edited")
        went(app, 2)
        after = pids(app)
        assert says(app, "three") == "edited"
        assert before["one"] == after["one"]
        assert before["two"] != after["two"]
        assert before["three"] != after["three"]
        eventually(lambda: not any(alive(pid) for pid in (*before["two"], *before["three"])))
        assert app.events("generation.starting", generation=2)[0]["reason"] == "changed: shared.py"


def test_a_module_that_only_a_call_imports_counts_from_then_on(folder):
    (folder / "one.py").write_text("def say() -> str:\n    import late\n    return late.WORD\n")
    (folder / "late.py").write_text("WORD = 'late'\n")
    with running(folder) as app:
        assert says(app, "one") == "late"
        eventually(
            lambda: (
                "late.py" in json.loads(next(app.state.glob("history/1.json")).read_text())["services"]["one"]["files"]
            )
        )
        edit(folder / "late.py", "'late'", "'later'")
        eventually(lambda: says(app, "one") == "later")


def test_what_is_touched_or_written_again_is_no_change(folder):
    with running(folder) as app:
        eventually(lambda: app.control()["watch"]["state"] == "on")
        (folder / "one.py").touch()
        (folder / "one.py").write_text(ONE)
        edit(folder / "shared.py", "'shared'", "'edited'")
        eventually(lambda: says(app, "two") == "edited")
        assert len(app.events("generation.starting")) == 2
        assert app.events("worker.started", service="one").__len__() == 1


def test_batching_queues_time_outs_and_docs_restart_nothing(folder):
    with running(folder) as app:
        before = pids(app)

        def change(data):
            data["apis"]["one"].update(
                batching={"max_size": 4, "max_delay": "1ms"}, takes="columns", timeout="9s", queue=7
            )
            data["apis"]["one"]["summary"] = "New words"
            data["version"] = "2.0.0"

        spec(folder, change)
        went(app, 2)
        assert pids(app) == before
        _, _, document = app.get("/openapi.json")
        assert document["paths"]["/one"]["post"]["summary"] == "New words"
        assert document["info"]["version"] == "2.0.0"


def test_a_type_that_examples_do_not_fit_any_more_does_not_go_live(folder):
    def number(most):
        def change(data):
            data["types"] = {"Word": {"type": "string", "maxLength": most}}
            data["apis"]["one"].update(output={"$ref": "#/types/Word"}, examples=[{"name": "any", "input": {}}])

        return change

    with running(folder) as app:
        spec(folder, number(3))
        went(app, 2)
        live = app.control()["generation"]
        spec(folder, number(2))
        assert "example 'any'" in not_applied(app)["reason"]
        assert app.control()["generation"] == live
        assert says(app, "one") == "one"


def test_a_broken_spec_changes_nothing_until_it_is_mended(folder):
    with running(folder) as app:
        before = pids(app)
        good = (folder / "bentofile.yaml").read_text()
        for broken in ("{", "bentod: 1\nname: x\n", good.replace('"services"', '"servcies"'), ""):
            (folder / "bentofile.yaml").write_text(broken)
            problems = not_applied(app)["problems"]
            assert problems
            assert says(app, "one") == "one"
            (folder / "bentofile.yaml").write_text(good)
            eventually(lambda: app.control()["change"]["state"] == "idle")
        assert pids(app) == before
        assert app.control()["generation"] == 1


def test_a_broken_module_changes_nothing_until_it_is_mended(folder):
    with running(folder) as app:
        before = pids(app)
        for broken in (
            "def say(:\n",
            "raise RuntimeError('no')\n",
            "import not_there\n",
            "import os\nos._exit(3)\n",
            "",
        ):
            (folder / "one.py").write_text(broken)
            assert not_applied(app)["reason"]
            assert says(app, "one") == "one"
            (folder / "one.py").write_text(ONE)
            eventually(lambda: app.control()["change"]["state"] == "idle")
        assert pids(app)["two"] == before["two"]
        assert says(app, "one") == "one"


def test_a_worker_that_somebody_kills_while_it_starts_is_tried_once_more(folder):
    slow = "import os, pathlib\npathlib.Path(f'starting-{os.getpid()}').touch()\n"
    slow += "while not pathlib.Path('go').exists():\n    pass\n"
    with running(folder) as app:
        (folder / "one.py").write_text(slow + ONE.replace("'one'", "'slow'"))
        [started] = eventually(lambda: list(folder.glob("starting-*")))
        os.kill(int(started.name.partition("-")[2]), signal.SIGKILL)
        (folder / "go").touch()
        eventually(lambda: says(app, "one") == "slow")
        went(app, 3)
        assert "SIGKILL" in app.events("generation.failed", generation=2)[0]["error"]


def test_a_missing_module_that_appears_mends_a_failed_change(folder):
    with running(folder) as app:
        (folder / "one.py").write_text("from helper import WORD\n\n\ndef say() -> str:\n    return WORD\n")
        assert "helper" in not_applied(app)["reason"]
        (folder / "helper.py").write_text("WORD = 'helped'\n")
        eventually(lambda: says(app, "one") == "helped")


def test_more_workers_are_added_and_those_that_are_too_many_leave(folder):
    with running(folder) as app:
        [first] = pids(app)["one"]
        spec(folder, lambda data: data["services"]["one"].update(workers=4))
        went(app, 2)
        four = pids(app)["one"]
        assert first in four
        assert len(set(four)) == 4
        spec(folder, lambda data: data["services"]["one"].update(workers=1))
        went(app, 3)
        eventually(lambda: pids(app)["one"] == [first])
        eventually(lambda: not any(alive(pid) for pid in four if pid != first))


def test_services_and_apis_come_and_go(folder):
    with running(folder) as app:
        before = pids(app)

        def rename(data):
            data["services"]["uno"] = data["services"].pop("one")
            data["apis"]["uno"] = {**data["apis"].pop("one"), "service": "uno"}

        spec(folder, rename)
        went(app, 2)
        assert says(app, "uno") == "one"
        assert app.post("/one", {})[0] == 404
        assert {key: pid for key, pid in pids(app).items() if key != "uno"} == {
            "two": before["two"],
            "three": before["three"],
        }
        assert app.control()["services"].keys() == {"two", "three", "uno"}


def test_an_example_that_fails_keeps_a_change_from_going_live(folder):
    with running(folder) as app:
        spec(folder, lambda data: data["apis"]["one"].update(examples=[{"name": "word", "input": {}, "output": "one"}]))
        went(app, 2)
        edit(folder / "one.py", "'one'", "'eins'")
        reason = not_applied(app)["reason"]
        assert "example 'word'" in reason
        assert 'expected "one", got "eins"' in reason
        assert says(app, "one") == "one"
        spec(folder, lambda data: data["apis"]["one"]["examples"][0].update(output="eins"))
        eventually(lambda: says(app, "one") == "eins")


def test_a_worker_that_dies_after_a_failed_change_comes_back_with_the_code_that_was_good(folder):
    with running(folder) as app:
        (folder / "one.py").write_text("raise RuntimeError\n")
        not_applied(app)
        [pid] = pids(app)["one"]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: pids(app)["one"] not in ([pid], [None]))
        eventually(lambda: app.control()["state"] == "ready")
        assert says(app, "one") == "one"


def test_without_a_watch_a_signal_has_the_files_read_again(folder):
    spec(folder, lambda data: data["reload"].update(watch=False))
    with running(folder) as app:
        edit(folder / "one.py", "'one'", "'eins'")
        assert app.control()["watch"]["state"] == "off"
        assert says(app, "one") == "one"
        app.process.send_signal(signal.SIGHUP)
        eventually(lambda: says(app, "one") == "eins")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_that_stops_first_lets_its_calls_wait(folder, workers):
    spec(folder, lambda data: data["services"]["one"].update(reload="stop_first", workers=workers))
    with running(folder) as app:
        old = pids(app)["one"]
        edit(folder / "one.py", "'one'", "'eins'")
        eventually(lambda: says(app, "one") == "eins")
        went(app, 2)
        assert not set(old) & set(pids(app)["one"])


def test_a_service_that_stopped_first_and_cannot_start_is_back_as_it_was(folder):
    spec(folder, lambda data: data["services"]["one"].update(reload="stop_first"))
    with running(folder) as app:
        (folder / "one.py").write_text("raise RuntimeError('no')\n")
        assert "no" in not_applied(app)["reason"]
        assert says(app, "one") == "one"


def test_addresses_and_gateways_change_and_kept_addresses_go_on(folder):
    with running(folder) as app:
        overlay = next(app.run.parent.glob("overlay.yaml"))
        before = app.pids("gateway")
        data = json.loads(overlay.read_text())
        path = app.run.parent / "s"
        data["server"].update(listen=[data["server"]["listen"], f"unix:{path}"], gateways=2)
        overlay.write_text(json.dumps(data))
        app.process.send_signal(signal.SIGHUP)
        went(app, 2)
        assert says(app, "one") == "one"
        assert len(app.control()["gateways"]) == 2
        eventually(lambda: not any(alive(pid) for pid in before))
        data["server"].update(listen=data["server"]["listen"][:1], gateways=1)
        overlay.write_text(json.dumps(data))
        app.process.send_signal(signal.SIGHUP)
        went(app, 3)
        assert says(app, "one") == "one"
        eventually(lambda: not path.exists())

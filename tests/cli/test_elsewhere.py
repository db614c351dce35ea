"""`--inventory FILE`: a spec is planned and validated for another host."""

import hashlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from bentod.cli import plan
from bentod.cli.main import main
from bentod.daemon.history import History, Record, ServiceRecord
from bentod.inventory.document import document
from tests.support.hosts import gpu, host, python
from tests.support.project import api, project


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a verb in a project whose service `s` is as said."""
    monkeypatch.setattr(
        plan,
        "located",
        lambda args: SimpleNamespace(control=tmp_path / "no", history=tmp_path / "history", objects=tmp_path),
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # of this host; nobody asks for it

    def run(*words, **service):
        where = project(
            tmp_path / "p",
            files={"main.py": "def say(): ...\n", "broken.py": "def say(): ...\n\nraise ValueError('no')\n"},
            services={"s": {"target": "main:say", **service}, "other": {"target": "main:say"}},
            apis={"say": api("s", "say"), "too": api("other", "say")},
        )
        monkeypatch.chdir(where)
        code = main([words[0], "--inventory", str(tmp_path / "host.json"), *words[1:]])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def there(tmp_path):
    """A host that is told by a file."""

    def there(inventory):
        (tmp_path / "host.json").write_text(json.dumps(document(inventory)))

    there(host(2, cpus=4))
    return there


def test_what_each_worker_gets_is_shown(run, there):
    there(host(gpu(0), gpu(1, processes=(python(memory=2),)), cpus=4))
    code, out, err = run("plan", workers=3, resources={"gpus": 0.5, "gpu_memory": "6GiB", "cpus": 1})
    assert (code, err) == (0, "")
    assert out.startswith("nothing was live yet: everything is new\n")
    placement = out.partition("placement\n")[2].partition("\n\n")[0]
    assert placement.splitlines() == [
        "    s  worker 0 on GPU 0 (0.5 of its time, 6144 MiB), CPU 0",
        "    s  worker 1 on GPU 0 (0.5 of its time, 6144 MiB), CPU 1",
        "    s  worker 2 on GPU 1 (0.5 of its time, 6144 MiB), CPU 2",
        "    GPU 0  NVIDIA A10  1 of its time, 12288 MiB of 24576 MiB given",
        "    GPU 1  NVIDIA A10  0.5 of its time, 6144 MiB of 24576 MiB given, others have 2048 MiB",
    ]


def test_workers_without_gpus_take_one_line_and_notes_are_told(run, there):
    out = run("plan", workers=6, resources={"cpus": 1})[1]
    assert "placement\n    s  6 workers on CPUs 0-3\n  ! s (6) want 6 CPUs together, this host has 4" in out


def test_auto_follows_from_the_host(run, there):
    assert (
        len(json.loads(run("plan", "--json", workers="auto", resources={"gpus": 1})[1])["placement"]["services"]["s"])
        == 2
    )
    there(host(8))
    assert (
        len(json.loads(run("plan", "--json", workers="auto", resources={"gpus": 1})[1])["placement"]["services"]["s"])
        == 8
    )


def test_nothing_asked_nothing_shown(run, there):
    assert json.loads(run("plan", "--json")[1])["placement"] is None
    assert "placement" not in run("plan")[1]


def test_what_does_not_fit_ends_with_3_and_has_its_place(run, there):
    code, out, err = run("plan", workers=3, resources={"gpus": 0.75})
    assert (code, out) == (3, "")
    assert re.search(
        r"bentofile\.yaml:\d+:\d+: services\.s\.resources\.gpus: s wants 3 .* there are 2 GPUs, short by 0.75", err
    )
    assert "hint: 2 workers fit: `workers: 2`, or `workers: auto`" in err
    code, out, _ = run("plan", "--json", workers=3, resources={"gpus": 0.75})
    assert code == 3
    assert json.loads(out)["problems"][0]["path"] == "services.s.resources.gpus"


def test_validate_tells_of_it_with_all_else(run, there):
    words = ("validate", "--no-import", "--format", "json")
    assert run("validate", "--no-import", resources={"gpus": 2})[:2] == (
        0,
        "bentofile.yaml is valid: 2 services, 2 apis\n",
    )
    code, out, _ = run(*words, resources={"gpus": 3, "memory": "1TiB"})
    found = json.loads(out)["problems"]
    assert (code, [one["path"] for one in found]) == (3, ["services.s.resources.gpus", "services.s.resources.memory"])
    assert all(one["line"] and one["hint"] for one in found)
    code, out, _ = run(*words, resources={"gpus": 1.5})
    assert (code, len(json.loads(out)["problems"])) == (2, 1), "a spec that is wrong is placed nowhere"


def test_a_target_that_is_wrong_counts_for_more(run, there):
    code, out, _ = run("validate", target="broken:say", resources={"gpus": 3})
    assert code == 2
    assert "services.s.resources.gpus" in out
    assert "services.s.target" in out


@pytest.mark.parametrize("verb", [("validate", "--no-import"), ("plan",)])
def test_a_file_that_is_wrong_is_told(run, tmp_path, verb):
    (tmp_path / "host.json").write_text('{"cpus": "many"}')
    code, out, err = run(*verb, resources={"gpus": 1})
    assert code == 2
    assert "host.json" in out + err
    (tmp_path / "host.json").unlink()
    assert run(*verb)[0] == 2


def test_it_is_no_plan_to_be_saved(run, there):
    code, _, err = run("plan", "-o", "x.json")
    assert (code, Path("x.json").exists()) == (2, False)
    assert "leave out --inventory, or -o" in err


def test_what_was_live_is_placed_on_the_same_host(run, there, tmp_path):
    """So that `auto` shows no change where there is none, and what is new does not seem to move others."""
    run("plan", workers="auto", resources={"gpus": 1})
    spec = tmp_path / "p" / "bentofile.yaml"
    code = {"main.py": hashlib.sha256((tmp_path / "p" / "main.py").read_bytes()).hexdigest()}
    services = {name: ServiceRecord("", code) for name in ("s", "other")}
    History(tmp_path / "history").begin(
        Record(3, "", "start", "", "live", None, {str(spec): spec.read_text()}, {}, services)
    )
    code, out, err = run("plan", workers="auto", resources={"gpus": 1})
    assert (code, err) == (0, "")
    assert out.startswith("compared with generation 3, the last that was live\n\nplacement\n    s  worker 0 on GPU 0\n")
    assert out.endswith("\n\nNothing to do.\n")

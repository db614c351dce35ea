"""`bentod models`: what each action does, says and refuses, with its exit code."""

import json
import os
import pty
import shutil
import subprocess
import sys

import pytest

from bentod.cli import models
from bentod.cli.main import main
from tests.support.hub import Hub
from tests.support.project import project

WEIGHTS = b"\x00\x01" * 5000


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, and an empty store."""
    folder = tmp_path / "here"
    (folder / "weights" / "sub").mkdir(parents=True)
    (folder / "weights" / "a.bin").write_bytes(WEIGHTS)
    (folder / "weights" / "sub" / "b").write_text("b")
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith(("HF_", "BENTOD_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BENTOD_MODELS", str(tmp_path / "store"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return folder


@pytest.fixture
def run(here, capsys):
    def run(*words, code=0):
        assert main(["models", *map(str, words)]) == code
        return capsys.readouterr()

    return run


def stored(tmp_path):
    return tmp_path / "store"


def test_a_model_is_added_listed_and_shown(run, here, tmp_path):
    words = ["--label", "team=öps", "--metadata", "acc=0.97", "--metadata", "note=plain", "--framework", "torch==2.13"]
    said = run("add", "m", "weights", *words, "--framework", "numpy==2.4", "--signature", 'predict={"batchable": true}')
    tag = said.out.split()[0]
    assert "added: 9.8 KiB in 2 files, sha256:" in said.out
    assert f"{tag} is in the store already" in run("add", "m", "weights").out
    lines = [line.split() for line in run("list").out.splitlines()]
    assert lines[0] == ["model", "size", "files", "since"]
    assert lines[1][:5] == [tag, "latest", "9.8", "KiB", "2"]
    (listed,) = json.loads(run("list", "--json").out)["models"]
    shown = json.loads(run("show", "m", "--json").out)
    assert listed.items() <= shown.items()
    assert shown["labels"] == {"team": "öps"}
    assert shown["metadata"] == {"acc": 0.97, "note": "plain"}
    assert shown["context"]["versions"] == {"torch": "2.13", "numpy": "2.4"}
    assert shown["signatures"] == {"predict": {"batchable": True}}
    assert [file["path"] for file in shown["files_list"]] == ["a.bin", "sub/b"]
    assert shown["path"] == str(stored(tmp_path) / tag.replace(":", "/") / "files")
    text = run("show", tag).out
    assert "9.8 KiB in 2 files (10001 bytes)" in text
    assert text.endswith("1 B  sub/b\n")


def test_one_file_may_be_moved_into_the_store(run, here):
    assert "1 file," in run("add", "one:1", "weights/a.bin", "--move").out
    assert not (here / "weights" / "a.bin").exists()
    assert json.loads(run("show", "one", "--json").out)["path"].endswith("/one/1/files/a.bin")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "../m", "weights"], "no tag of a model"),
        (["add", "m:latest:1", "weights"], "no tag of a model"),
        (["add", "m", "nothing"], "does not exist"),
        (["add", "m", "weights", "--label", "x"], "KEY=VALUE"),
        (["add", "m", "weights", "--metadata", "=x"], "KEY=VALUE"),
        (["add", "m", "weights", "--framework", "torch 2"], "NAME==VERSION"),
        (["add", "m", "weights", "--signature", "p=1"], "no object of JSON"),
        (["show", "m"], "has no model m"),
        (["show", "hf://m"], "names no model of a hub"),
        (["export", "m", "m.tar"], "has no model m"),
        (["import", "nothing"], "does not exist"),
        (["verify", "m"], "has no model m"),
        (["verify", "hf://org/m"], "was not fetched"),
        (["rm", "m"], "has no model m"),
        (["rm", "hf://org/m"], "was not fetched"),
        (["pull"], "no bentofile"),
        (["pull", "--revision", "x"], "these options are for hf://ORG/NAME"),
        (["pull", "hf://org/../m"], "names no model of a hub"),
        (["pull", "hf://org/m@"], "names no model of a hub"),
        (["pull", "hf://org/m", "--endpoint", "https://me:secret@hub.example"], "is not a hub's URL"),
        (["show", "hf://org/m", "--endpoint", "file:///etc"], "is not a hub's URL"),
        (["pull", "hf://org/m", "other"], "not both at once"),
    ],
)
def test_what_means_nothing_is_refused(run, words, said, tmp_path):
    told = run(*words, code=2)
    assert said in told.err
    assert told.out == ""
    assert not stored(tmp_path).exists()


@pytest.mark.parametrize("label", ["a=x\ny", "a\x1b=1", "a=\u2028"])
def test_labels_are_single_lines(run, label):
    told = run("add", "m", "weights", "--label", label, code=3)
    assert "control character" in told.err
    assert told.err.removesuffix("\n").isprintable()
    assert run("list").out == ""


def test_what_no_model_may_hold_is_refused(run, here):
    (here / "weights" / "link").symlink_to("a.bin")
    assert "link is a link" in run("add", "m", "weights", code=3).err
    (here / "weights" / "link").unlink()
    assert "lies in" in run("add", "m", here.parent, code=3).err


def test_a_model_goes_from_store_to_store(run, here, tmp_path, monkeypatch):
    run("add", "m:1", "weights")
    for target in ("m.tar.gz", "out/"):
        assert f"m:1 exported: {here / target.rstrip('/')}" in run("export", "m", target).out
    assert "ends in .tar" in run("export", "m", "m.zip", code=3).err
    assert "not empty" in run("export", "m", "out/", code=3).err
    monkeypatch.setenv("BENTOD_MODELS", str(tmp_path / "other"))
    assert "m:1 added" in run("import", "m.tar.gz").out
    assert "m:1 is in the store already" in run("import", "out").out
    assert "copy:2 added" in run("import", "out", "copy:2").out
    assert run("verify").out == "copy:2: fine\nm:1: fine\n"
    (here / "m.tar.gz").write_bytes((here / "m.tar.gz").read_bytes()[:100])
    assert "damaged" in run("import", "m.tar.gz", "third", code=3).err
    assert "third" not in run("list").out


def test_damage_is_found_listed_and_removed(run, tmp_path):
    for version in ("1", "2", "3"):
        run("add", f"m:{version}", "weights")
    folder = stored(tmp_path) / "m"
    (folder / "1" / "files" / "sub" / "b").unlink()
    (folder / "1" / "files" / "sub" / "b").write_text("c")
    (folder / "2" / "manifest.json").unlink()
    (folder / "2" / "manifest.json").write_text("{}")
    told = run("verify", code=3).out.splitlines()
    assert told[:2] == ["m:1: damaged", "    sub/b was changed"]
    assert told[2] == "m:2: damaged"
    assert told[4] == "m:3: fine"
    assert run("verify", "m:3", "m:3").out == "m:3: fine\n" * 2
    listed = run("list")
    assert "m:2" not in listed.out
    assert "bentod models rm m:2" in listed.err
    assert len(json.loads(run("list", "--json").out)["damaged"]) == 1
    assert "bentod models rm m:2" in run("show", "m:2", code=3).err
    assert run("rm", "m:2", "m:1").out == "m:2 removed\nm:1 removed\n"
    assert run("verify").out == "m:3: fine\n"


def test_removing_asks_which_and_removes_all_or_none(run):
    for version in ("1", "12", "2"):
        run("add", f"m:{version}", "weights")
    assert "m has 3 versions: m:1, m:12, m:2; say which" in run("rm", "m", code=2).err
    assert "has no model other" in run("rm", "m:1", "other", code=2).err
    assert run("rm", "m:1", "--force", "m:latest").out == "m:1 removed\nm:2 removed\n"
    assert run("rm", "m").out == "m:12 removed\n"
    assert "no models in" in run("list").err
    assert "there are no models" in run("verify").err


def test_a_model_that_the_spec_names_is_not_removed_by_mistake(run, here):
    apis = {"a": {"target": "os:getcwd"}}
    project(here, models={"w": {"source": "store://m"}, "p": {"source": "weights"}}, apis=apis)
    assert "the store" in run("pull", code=3).err
    for version in ("1", "2"):
        run("add", f"m:{version}", "weights")
    assert run("rm", "m:1").out == "m:1 removed\n"
    assert "m:2 is the model `w` of the spec here; `--force` removes it all the same" in run("rm", "m:2", code=3).err
    lines = [line.split() for line in run("pull").out.splitlines()]
    assert [line[0] for line in lines] == ["model", "w", "p"]
    assert [one["name"] for one in json.loads(run("pull", "--json", "w").out)] == ["w"]
    assert "no model 'zz'; its models: w, p" in run("pull", "zz", code=2).err
    assert run("rm", "m:2", "--force").out == "m:2 removed\n"
    (here / "bentofile.yaml").write_text("broken: [")
    run("add", "m:1", "weights")
    assert "bentofile.yaml" in run("rm", "m:1", "-f", "bentofile.yaml", code=2).err
    assert run("rm", "m:1").out == "m:1 removed\n"


def test_a_bentoml_store_is_imported(run, here):
    for name, said in {"one": "", "two": "", "bad": "unknown: 1\n"}.items():
        folder = here / "bentoml" / "models" / name / "v1"
        folder.mkdir(parents=True)
        (folder / "model.yaml").write_text(f"name: {name}\nversion: v1\n{said}")
        (folder / "saved_model.pkl").write_text(name)
    (here / "bentoml" / "models" / "two" / "v1" / "custom_objects.pkl").write_bytes(b"\x80\x04")
    told = run("import", "--bentoml", "bentoml", code=3)
    assert [line.split()[:2] for line in told.out.splitlines()] == [["one:v1", "added:"], ["two:v1", "added:"]]
    assert "two:v1: custom_objects.pkl is kept as a file, and was not unpickled" in told.err
    assert "unknown key 'unknown'" in told.err
    assert "1 of 3 models could not be imported" in told.err
    assert "cannot all be x" in run("import", "--bentoml", "bentoml", "x", code=2).err
    assert "import it with --bentoml" in run("import", "bentoml/models/one/v1", code=2).err
    assert "mine:1 added" in run("import", "bentoml/models/one/v1", "mine:1", "--bentoml").out
    assert "unknown key" in run("import", "--bentoml", "bentoml/models/bad/v1", code=3).err


def test_models_of_a_hub_are_shown_pulled_verified_and_forgotten(run, here, monkeypatch, tmp_path):
    with Hub() as hub:
        commit = hub.add("org/model", {"a.bin": b"a" * 1000, "b.txt": b"b"})
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        (offered,) = json.loads(run("show", "hf://org/model", "--json").out)
        assert (offered["tag"], offered["size"], offered["fetched"]) == (f"hf://org/model@{commit}", 1001, False)
        assert "no models" in run("list").err
        (found,) = json.loads(run("pull", "hf://org/model", "--include", "*.bin", "--json").out)
        assert (found["commit"], found["files"], found["size"]) == (commit, 1, 1000)
        assert "1000 B" in run("pull", f"hf://org/model@{commit}", "--exclude", "*.txt").out
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # from here on nobody is asked
        listed = json.loads(run("list", "--json").out)["models"]
        assert [one["include"] for one in listed].count(["*.bin"]) == 1
        assert {one["tag"] for one in listed} == {f"hf://org/model@{commit}"}
        assert run("list").out.count(f"hf://org/model@{commit[:12]}") == 2
        assert len(json.loads(run("show", f"hf://org/model@{commit}", "--json").out)) == 2
        assert run("verify").out == f"hf://org/model@{commit[:12]}: fine\n" * 2
        blob = (tmp_path / "hf").rglob("*/blobs/*")
        shown = next(path for path in blob if path.stat().st_size == 1000)
        shown.chmod(0o644)
        shown.write_bytes(b"x" * 1000)
        assert "a.bin was changed" in run("verify", "hf://org/model", code=3).out
        told = run("rm", "hf://org/model").out
        assert told.count("forgotten; its files stay in") == 2
        assert shown.exists()
        assert "no models" in run("list").err


def test_parts_of_a_fetch_that_did_not_end_are_removed(run, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    part = tmp_path / "cache/models--org--model/blobs/ab.bentod.incomplete"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    assert "was not fetched" in run("rm", "hf://org/model@abc", code=2).err
    assert run("rm", "hf://org/model").out == "hf://org/model: 1000 B of a fetch that did not end removed\n"
    assert not part.exists()
    assert "was not fetched" in run("rm", "hf://org/model", code=2).err


def test_every_action_is_told_and_one_is_needed(run, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["models"])
    assert ended.value.code == 2
    with pytest.raises(SystemExit):
        main(["models", "--help"])
    told = capsys.readouterr().out
    assert all(f"    {action} " in told for action in models._ACTIONS)


def test_a_terminal_gets_a_bar_that_goes_away(here, tmp_path):
    """A model that is large enough to be seen."""
    with (here / "weights" / "large").open("wb") as stream:
        stream.truncate(64 << 20)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "bentod", "models", "add", "m", "weights"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True) as child:
        os.close(theirs)
        told = b""
        try:
            while piece := os.read(ours, 1 << 16):
                told += piece
        except OSError:  # how a terminal ends
            pass
        assert "added: 64" in child.stdout.read()
    os.close(ours)
    assert b"m [" in told
    assert b"%" in told
    assert told.endswith(b"\r\x1b[2K")


def test_who_needs_no_hub_does_not_load_its_library(here):
    script = (
        "import sys; from bentod.cli.main import main; code = main(['models', 'list']); "
        "sys.exit(code or ('huggingface_hub' in sys.modules) or ('bentod.spec.load' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0
    shutil.rmtree(here / "weights")

"""However files are saved, what they hold in the end goes live once; and what happens to a project's folder besides."""

import json
import os
import shutil
import signal
import subprocess

import pytest

from tests.support.daemon import eventually, running
from tests.support.edits import INPUT, asking, failed, idle, live, pids, put, respec, save, versioned
from tests.support.project import api, project

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
SOON = {"reload": {"debounce": "100ms"}}


def in_place(path, text, pause):
    path.write_text(text)


def in_two_steps(path, text, pause):
    with path.open("w") as file:
        file.flush()
        pause()
        file.write(text[: len(text) // 2])
        file.flush()
        pause()
        file.write(text[len(text) // 2 :])


def renamed_over(path, text, pause):
    put(path, text)


def swapped(path, text, pause):
    new, old = path.with_name("new.tmp"), path.with_name("old.tmp")
    new.write_text(text)
    path.rename(old)
    new.rename(path)
    old.rename(new)


def removed_and_made(path, text, pause):
    path.unlink()
    pause()
    path.write_text(text)


def with_a_backup(path, text, pause):
    backup = path.with_name(path.name + "~")
    path.rename(backup)
    path.write_text(text)
    backup.unlink()


def by_a_link(path, text, pause):
    there = path.with_name(f"{path.stem}.{len(list(path.parent.iterdir()))}")
    there.write_text(text)
    link = path.with_name("link.tmp")
    link.symlink_to(there)
    link.replace(path)


def of_an_older_time(path, text, pause):
    found = path.stat()
    path.write_text(text)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


WAYS = (
    in_place, in_two_steps, renamed_over, swapped, removed_and_made, with_a_backup, by_a_link, of_an_older_time,
)  # fmt: skip


def test_every_way_to_save_goes_live_and_costs_no_request(tmp_path):
    folder = versioned(tmp_path, **SOON)
    with running(folder) as app, asking(app, {"/say": 50.0, "/together": 20.0}) as clients:
        for number, way in enumerate(WAYS * 2, 2):
            path, version = folder / ("main.py" if number % 2 else "parts/words.py"), str(number)
            before = [version_of(folder / "main.py"), version_of(folder / "parts/words.py"), "1"]
            after = [
                version if path.name == "main.py" else before[0],
                version if path.name != "main.py" else before[1],
                "1",
            ]
            way(path, path.read_text().replace(f'"{version_of(path)}"', f'"{version}"'), lambda: clients.more(2))
            eventually(lambda after=after: app.post("/say", INPUT)[2] == after, 30, way.__name__)
            idle(app)
        for number, way in enumerate(WAYS, 50):
            path = folder / "bentofile.yaml"
            data = json.loads(path.read_text())
            data["services"]["s"]["env"]["VERSION"] = str(number)
            way(path, json.dumps(data), lambda: clients.more(2))
            eventually(lambda number=number: app.post("/say", INPUT)[2][2] == str(number), 30, way.__name__)
            idle(app)
    clients.fine()


def version_of(path):
    return path.read_text().partition('VERSION = "')[2].partition('"')[0]


def git(folder, *words):
    named = ["-c", "user.name=e2e", "-c", "user.email=e2e@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *named, *words], cwd=folder, check=True, capture_output=True)


def test_a_checkout_of_a_branch_without_a_package_and_back(tmp_path):
    folder = versioned(tmp_path, **SOON)
    git(folder, "init", "-b", "main")
    (folder / ".gitignore").write_text("__pycache__/\n.bentod/\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-m", "one")
    git(folder, "checkout", "-b", "other")
    save(folder, "2")
    main = (folder / "main.py").read_text()
    put(folder / "main.py", main.replace("from parts import words", "import words"))
    (folder / "parts/words.py").rename(folder / "words.py")
    shutil.rmtree(folder / "parts")
    git(folder, "add", "-A")
    git(folder, "commit", "-m", "two")
    git(folder, "checkout", "main")
    with running(folder) as app, asking(app, {"/say": 60.0, "/stream": 2.0}) as clients:
        for _ in range(3):
            git(folder, "checkout", "other")
            live(app, "2")
            git(folder, "checkout", "main")
            live(app, "1")
        assert not app.events("worker.lost")
    clients.fine()
    assert {said for _, said in clients.whole()} == {"1", "2"}


def test_a_module_that_imports_something_else_the_second_time_follows_that(tmp_path):
    code = (
        "from pathlib import Path\n"
        "if Path('which').read_text() == 'a':\n    from a import WORD\nelse:\n    from b import WORD\n"
        "\n\ndef f(n):\n    return WORD\n"
    )
    folder = project(
        tmp_path,
        files={"m.py": code, "which": "a", "a.py": "WORD = 'a'\n", "b.py": "WORD = 'b'\n"},
        services={"s": {"target": "m.py"}},
        apis={"f": api("s", "f", "n")},
        reload={"debounce": "50ms", "include": ["which"]},
    )

    def says(word):
        eventually(lambda: app.post("/f", INPUT)[2] == word, what=word)
        idle(app)

    with running(folder) as app:
        eventually(lambda: app.control()["watch"]["state"] == "on")
        put(folder / "which", "b")
        says("b")
        generation = idle(app)["generation"]
        (folder / "a.py").write_text("WORD = 'no longer of interest'\n")
        (folder / "b.py").write_text("WORD = 'b2'\n")
        says("b2")
        assert app.control()["generation"] == generation + 1
        put(folder / "which", "a")
        says("no longer of interest")


def test_workers_that_write_a_file_that_counts_are_not_reloaded_for_ever(tmp_path):
    code = (
        "import time\nfrom pathlib import Path\n\nimport made\n\nWORD = 1\n"
        "Path('made.py').write_text(f'WHEN = {time.time_ns()}\\n')\n\n\ndef f(n):\n    return WORD\n"
    )
    folder = project(
        tmp_path,
        files={"m.py": code, "made.py": ""},
        services={"s": {"target": "m.py"}},
        apis={"f": api("s", "f", "n")},
        reload={"debounce": "50ms"},
    )
    with running(folder) as app, asking(app, {"/f": 40.0}) as clients:
        watch = eventually(lambda: (w := app.control()["watch"])["state"] == "suspended" and w, 90)
        assert "made.py" in watch["reason"]
        before = pids(app)
        put(folder / "m.py", code.replace("WORD = 1", "WORD = 2"))
        clients.more(10)
        assert pids(app) == before
        done = app.cli("apply")
        assert done.returncode == 0, done.stderr
        assert app.post("/f", INPUT)[2] == 2
        eventually(lambda: app.control()["watch"]["state"] == "suspended", 90)
    clients.fine()


def test_files_that_are_gone_are_still_what_a_worker_that_dies_comes_back_with(tmp_path):
    folder = versioned(tmp_path, {"restart": {"delay": "20ms"}}, **SOON)
    texts = {path: path.read_text() for path in (folder / "main.py", folder / "parts/words.py")}
    with running(folder) as app:
        [pid] = pids(app)["s"]
        shutil.rmtree(folder / "parts")
        (folder / "main.py").unlink()
        failed(app)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: pids(app)["s"] not in ([pid], [None]), 30, "its successor")
        eventually(lambda: app.control()["state"] == "ready", 30)
        assert app.post("/say", INPUT)[2] == ["1"] * 3
        (folder / "parts").mkdir()
        for path, text in texts.items():
            path.write_text(text)
        idle(app)
        save(folder, "2")
        live(app, "2")


def test_a_folder_that_is_gone_serves_on_and_is_followed_again_when_it_is_back(tmp_path):
    folder = versioned(tmp_path / "p", {"restart": {"delay": "20ms", "max_delay": "100ms", "limit": 1000}}, **SOON)
    with running(folder, cwd=tmp_path) as app:
        [pid] = pids(app)["s"]
        folder.rename(tmp_path / "away")
        eventually(lambda: app.events("watch.failed"))
        assert app.post("/say", INPUT)[2] == ["1"] * 3
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: "is gone" in app.service("s")["reason"], 30, "it needs a folder to work in")
        (tmp_path / "away").rename(folder)
        eventually(lambda: app.control()["state"] == "ready", 30)
        assert app.post("/say", INPUT)[2] == ["1"] * 3
        idle(app)
        save(folder, "2")
        live(app, "2")


def test_a_thousand_touched_files_are_no_change_and_one_of_them_is_one(tmp_path):
    folder = versioned(tmp_path, reload={"debounce": "100ms", "include": ["data/"]})
    (folder / "data").mkdir()
    files = [folder / "data" / f"{number}.txt" for number in range(1_000)]
    for path in files:
        path.write_text("1")
    with running(folder) as app, asking(app, {"/say": 60.0}) as clients:
        before = pids(app)
        eventually(lambda: app.control()["watch"]["state"] == "on")
        for path in files:
            path.touch()
        clients.more(60)
        assert idle(app)["generation"] == 1
        assert pids(app) == before
        files[500].write_text("2")
        eventually(lambda: idle(app)["generation"] == 2)
        for path in files:
            path.write_text("3")
        eventually(lambda: idle(app)["generation"] >= 3)
        respec(folder, lambda data: data["reload"].pop("include"))
        eventually(lambda: app.get("/openapi.json")[0] == 200)
    clients.fine()

"""Plans without a daemon: against nothing, a recorded generation, a commit."""

import hashlib
import json
import os
import subprocess

import pytest

from bentod.cli.offline import Incomparable, against_commit, against_nothing, against_record, moved, resolved
from bentod.daemon.desired import read
from bentod.daemon.git import GitError
from bentod.daemon.history import Record, ServiceRecord
from tests.support.specs import BASE, laid_over

OTHER = {"services": {"o": {"target": "other.py"}}, "apis": {"last": {"service": "o"}}}
FILES = {
    "hello.py": "from lib import names\ndef greet(name): ...\n",
    "other.py": "def last(x): ...\n",
    "lib/__init__.py": "",
    "lib/names.py": "",
    "lib/unused.py": "",
}
ENVIRON = {**os.environ, "HOME": "/nowhere", "GIT_CONFIG_NOSYSTEM": "1"}


def write(folder, spec=(), **files):
    files = {"bentofile.yaml": json.dumps(laid_over(laid_over(BASE, OTHER), dict(spec))), **files}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def git(folder, *words):
    settings = ("-c", "user.name=t", "-c", "user.email=t@e", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *settings, *words], cwd=folder, env=ENVIRON, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "repo" / "app"
    write(folder, **FILES)
    git(folder.parent, "init", "-q")
    commit(folder)
    return folder


def commit(folder):
    git(folder.parent, "add", "-A")
    git(folder.parent, "commit", "-q", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


def desired(folder):
    return read([folder / "bentofile.yaml"], ENVIRON)


def since(folder, ref="HEAD"):
    return against_commit(desired(folder), resolved(ref, folder, ENVIRON), ENVIRON).difference


def causes(difference):
    return {one.name: (one.action, [cause.name for cause in one.causes]) for one in difference.services}


def test_against_nothing_all_is_new(project):
    found = against_nothing(desired(project))
    assert (found.base, {one.action for one in found.difference.services}) == (0, {"add"})


def test_against_the_commit_that_is_checked_out(project):
    assert since(project).empty
    assert since(project, git(project, "rev-parse", "HEAD")).empty


def test_code_counts_as_far_as_it_is_imported(project):
    (project / "lib/names.py").write_text("x = 1\n")
    (project / "lib/unused.py").write_text("x = 1\n")
    assert causes(since(project)) == {"s": ("restart", ["lib/names.py"]), "o": ("keep", [])}
    commit(project)
    assert since(project).empty
    assert causes(since(project, "HEAD~1"))["s"] == ("restart", ["lib/names.py"])


def test_modules_that_come_and_go(project):
    (project / "other.py").write_text("import new\ndef last(x): ...\n")
    (project / "new.py").write_text("")
    (project / "hello.py").write_text("def greet(name): ...\n")
    (project / "lib/names.py").unlink()
    found = causes(since(project))
    assert found["o"] == ("restart", ["new.py", "other.py"])
    assert found["s"] == ("restart", ["hello.py", "lib/names.py"])


def test_a_target_that_was_elsewhere(project):
    (project / "other.py").rename(project / "moved.py")
    write(project, {"services": {"o": {"target": "moved.py"}}})
    action, names = causes(since(project))["o"]
    assert action == "restart"
    assert "services.o.target" in names


def test_the_spec_as_it_was(project):
    write(project, {"services": {"o": {"threads": 4}}, "apis": {"last": {"queue": 7}}})
    found = since(project)
    assert causes(found) == {"s": ("keep", []), "o": ("restart", ["services.o.threads"])}
    assert [one.verdict for one in found.apis if one.name == "last"] != []


def test_the_folder_of_the_spec_is_no_difference(project):
    write(project, {"env": {"WHERE": "${spec.dir}/x"}, "services": {"o": {"env": {"A": "${spec.dir}"}}}})
    commit(project)
    assert since(project).empty


def test_env_files_that_git_does_not_hold_are_as_they_are_now(project):
    (project / ".gitignore").write_text(".env\n")
    (project / ".env").write_text("A=1\n")
    write(project, {"env_files": [".env"], "env": {"B": "${A}"}})
    commit(project)
    assert since(project).empty
    (project / ".env").write_text("A=2\n")
    assert since(project).empty


def test_examples_come_from_their_files_of_then(project):
    (project / "one.json").write_text("1")
    write(project, {"apis": {"last": {"examples": [{"name": "a", "input": "@one.json"}]}}})
    commit(project)
    assert since(project).empty


def test_a_commit_without_a_spec_that_could_be_used(project):
    good = git(project, "rev-parse", "HEAD")
    (project / "bentofile.yaml").write_text("bentod: 2")
    commit(project)
    write(project)
    with pytest.raises(Incomparable, match=r"[0-9a-f]{12}:bentofile.yaml:1: "):
        since(project)
    assert since(project, good).empty
    git(project, "rm", "-q", "--cached", "bentofile.yaml")
    git(project, "commit", "-q", "-m", "gone")
    with pytest.raises(Incomparable, match="does not exist"):
        since(project)


def test_revisions_that_there_are_not(project, tmp_path):
    for ref in ("nothing", "-x", "", "HEAD~99"):
        with pytest.raises(GitError):
            resolved(ref, project, ENVIRON)
    with pytest.raises(GitError, match="no git repository"):
        resolved("HEAD", tmp_path, ENVIRON)


def test_nothing_that_a_repository_names_is_run(project, tmp_path):
    (project / ".gitattributes").write_text("*.py filter=evil diff=evil\n")
    commit(project)
    for key in ("filter.evil.smudge", "filter.evil.clean", "diff.evil.textconv", "core.fsmonitor"):
        git(project, "config", key, f"touch {tmp_path}/ran; cat")
    assert since(project).empty
    assert not (tmp_path / "ran").exists()


def test_links_in_git_are_links(project):
    (project / "linked.py").symlink_to("hello.py")
    (project / "out").symlink_to("/etc")
    write(project, {"services": {"o": {"target": "linked:greet"}}, "apis": {"last": {"method": "greet"}}})
    commit(project)
    assert since(project).empty


# ── a recorded generation ────────────────────────────────────────────────────────────────────────


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def record(project, **more):
    spec = project / "bentofile.yaml"
    files = {"s": ["hello.py", "lib/names.py"], "o": ["other.py"]}
    services = {name: ServiceRecord("", {f: digest(project / f) for f in of}) for name, of in files.items()}
    return Record(3, "", "", "", "live", **{"files": {str(spec): spec.read_text()}, "services": services, **more})


def test_against_a_record(project):
    kept = record(project)
    assert against_record(desired(project), kept, ENVIRON).difference.empty
    (project / "lib/names.py").write_text("x = 1\n")
    (project / "other.py").unlink()
    (project / "third.py").write_text("def last(x): ...\n")
    write(project, {"services": {"o": {"target": "third.py"}}})
    with pytest.raises(Incomparable, match="generation 3 cannot be read any more: there is no file"):
        against_record(desired(project), kept, ENVIRON)
    (project / "other.py").write_text(FILES["other.py"])
    found = against_record(desired(project), kept, ENVIRON)
    assert found.base == 3
    assert causes(found.difference) == {"s": ("restart", ["lib/names.py"]), "o": ("restart", ["services.o.target"])}


def test_texts_are_moved_wherever_they_are():
    before = {"a": ["/t/x", ("/t",)], "b": 1, "c": Record(1, "/t", "", "", files={"k": "/t/y"})}
    after = moved(before, "/t", "/p")
    assert after["a"] == ["/p/x", ("/p",)]
    assert (after["c"].time, after["c"].files) == ("/p", {"k": "/p/y"})

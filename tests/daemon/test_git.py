"""What git says, in words where it says no; whatever the caller's environment and the repository's settings are."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bentod.daemon import git
from bentod.daemon.git import Git, GitError, describe, resolve

ENVIRON = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
AS = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")


def order(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *AS, *arguments], cwd=folder, check=True, capture_output=True, text=True, env=ENVIRON)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path) -> Path:
    folder = tmp_path / "repository"
    (folder / "project" / "lib").mkdir(parents=True)
    (folder / "other").mkdir()
    for name, text in {"project/bentofile.yaml": "one\n", "project/lib/é x.py": "1\n", "other/a.txt": "a\n"}.items():
        (folder / name).write_text(text)
    order(folder, "init")
    order(folder, "add", ".")
    order(folder, "commit", "-m", "first")
    return folder


@pytest.fixture
def project(repository) -> Path:
    return repository / "project"


def test_a_clean_project_is_at_its_commit(repository, project):
    assert describe(project, ENVIRON) == Git(order(repository, "rev-parse", "HEAD"), "main", dirty=False)


@pytest.mark.parametrize("name", ["bentofile.yaml", "new.py", "lib/new.py"])
def test_a_project_with_changes_is_dirty(project, name):
    (project / name).write_text("changed")
    assert describe(project, ENVIRON).dirty is True


def test_what_is_elsewhere_ignored_or_written_by_serving_is_no_change(repository, project):
    (repository / "other" / "a.txt").write_text("changed")
    (project / ".gitignore").write_text("*.log\n.gitignore\n")
    (project / "a.log").write_text("")
    for folder in (".bentod/logs", "__pycache__", "lib/__pycache__"):
        (project / folder).mkdir(parents=True)
        (project / folder / "a.pyc").write_text("")
    assert describe(project, ENVIRON).dirty is False


def test_a_commit_may_have_no_branch_and_a_branch_no_commit(repository, project, tmp_path):
    order(repository, "checkout", "--detach")
    assert describe(project, ENVIRON).branch == ""
    (tmp_path / "empty").mkdir()
    order(tmp_path / "empty", "init")
    assert describe(tmp_path / "empty", ENVIRON) == Git("", "main", dirty=False)


def test_without_a_repository_or_git_there_is_nothing_to_say(project, tmp_path):
    assert describe(tmp_path, ENVIRON) is None
    assert describe(tmp_path / "nowhere", ENVIRON) is None
    assert describe(project, {**ENVIRON, "PATH": str(tmp_path)}) is None


def test_where_looking_at_all_files_takes_too_long_only_the_commit_is_told(repository, project, monkeypatch):
    real = git._git

    def slow(project, environ, *arguments):
        if arguments[0] == "status":
            raise git._TooSlow("too slow")
        return real(project, environ, *arguments)

    monkeypatch.setattr(git, "_git", slow)
    assert describe(project, ENVIRON) == Git(order(repository, "rev-parse", "HEAD"), "main", dirty=None)


def test_git_that_hangs_is_ended(project, tmp_path, monkeypatch):
    program = tmp_path / "git"
    monkeypatch.setattr(git, "_LIMIT_S", 0.1)
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    environ = {**ENVIRON, "PATH": f"{tmp_path}:{ENVIRON['PATH']}"}
    assert describe(project, environ) is None
    with pytest.raises(GitError, match=r"git did not answer within 0.1 s"):
        resolve(project, environ, "HEAD")


@pytest.mark.parametrize("ref", ["nope", "", "-x", "--all", "a\0b", "HEAD:project", "HEAD~9", "a b"])
def test_an_unknown_revision_is_named(project, ref):
    with pytest.raises(GitError) as raised:
        resolve(project, ENVIRON, ref)
    assert str(raised.value) == f"git knows no revision `{ref}`"


def test_why_git_cannot_answer_is_said(project, tmp_path):
    with pytest.raises(GitError, match=f"{tmp_path} is in no git repository"):
        resolve(tmp_path, ENVIRON, "HEAD")
    with pytest.raises(GitError, match="there is no folder"):
        resolve(tmp_path / "nowhere", ENVIRON, "HEAD")
    with pytest.raises(GitError, match="git is not installed"):
        resolve(project, {"PATH": str(tmp_path)}, "HEAD")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_repository_of_somebody_else_is_none(repository, project):
    os.chown(repository / ".git", 12345, 12345)
    os.chown(repository, 12345, 12345)
    os.chown(project, 12345, 12345)
    assert describe(project, ENVIRON) is None
    with pytest.raises(GitError, match="repository of somebody else"):
        resolve(project, ENVIRON, "HEAD")


def test_neither_the_environment_nor_settings_lead_git_astray(repository, project, tmp_path):
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    for key in ("core.fsmonitor", "diff.external", "core.pager", "diff.t.textconv", "diff.t.command"):
        order(repository, "config", key, str(trap))
    (repository / ".git" / "info" / "attributes").write_text("*.yaml diff=t\n")
    hooks = repository / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-index-change", "reference-transaction"):
        (hooks / hook).symlink_to(trap)
    environ = {**ENVIRON, "GIT_DIR": str(tmp_path), "GIT_EXTERNAL_DIFF": str(trap), "LC_ALL": "de_DE.UTF-8"}
    (project / "bentofile.yaml").write_text("two\n")
    (tmp_path / "sprung").unlink(missing_ok=True)
    assert describe(project, environ).dirty is True
    assert not (tmp_path / "sprung").exists()


def test_nothing_is_written_or_locked(repository, project):
    os.utime(project / "bentofile.yaml")
    index = repository / ".git" / "index"
    before = index.stat().st_mtime_ns
    (repository / ".git" / "index.lock").write_text("")
    assert describe(project, ENVIRON).dirty is False
    assert index.stat().st_mtime_ns == before

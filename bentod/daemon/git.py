"""What git says of a project: which commit it is at, and what its files held at another."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bentod.errors import BentodError

_LIMIT_S = 2.0
_SETTINGS = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "core.quotePath=false", "protocol.allow=never")
"""No hook is run, and nothing is fetched. Filters that the user's own settings name may be."""
_OURS = (":(exclude).bentod", ":(exclude,glob)**/__pycache__/**")
"""What a project has only because it is served."""


class GitError(BentodError):
    """Git cannot answer."""


@dataclass(frozen=True, slots=True)
class Git:
    """Where a project is in its history. `commit` is "" before the first, `branch` is "" if none is checked out.
    `dirty` says whether the project's folder holds what is not committed, None if that would take too long."""

    commit: str
    branch: str
    dirty: bool | None


def describe(project: Path, environ: Mapping[str, str]) -> Git | None:
    """Where the project is; None if it is in no repository, or git is not to be had. May take some seconds."""
    files = ("--untracked-files=normal", "--ignore-submodules=dirty", "--", ".", *_OURS)
    try:
        return _described(_git(project, environ, "status", "--porcelain=v2", "--branch", "-z", *files))
    except _TooSlow:
        pass
    except GitError:
        return None
    try:
        commit = _git(project, environ, "rev-parse", "--verify", "HEAD").strip()
        return Git(commit, _git(project, environ, "branch", "--show-current").strip(), None)
    except GitError:
        return None


def resolve(project: Path, environ: Mapping[str, str], ref: str) -> str:
    """The commit that `ref` names: a branch, a tag, `HEAD~2`. Raises GitError."""
    if not ref or ref.startswith("-") or "\0" in ref:
        raise GitError(f"git knows no revision `{ref}`")
    _git(project, environ, "rev-parse", "--git-dir")
    try:
        found = _git(project, environ, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    except _Refused:
        raise GitError(f"git knows no revision `{ref}`") from None
    return found.strip()


class _Refused(GitError):
    """Git ran, and said no."""


class _TooSlow(GitError):
    """Git did not answer in time."""


def _described(status: str) -> Git:
    lines = [line for line in status.split("\0") if line]
    head = dict(line[2:].partition(" ")[::2] for line in lines if line.startswith("# "))
    commit, branch = head.get("branch.oid", ""), head.get("branch.head", "")
    return Git(
        commit="" if commit == "(initial)" else commit,
        branch="" if branch == "(detached)" else branch,
        dirty=any(not line.startswith("# ") for line in lines),
    )


def run(
    project: Path, environ: Mapping[str, str], *arguments: str, given: bytes = b"", limit_s: float | None = None
) -> bytes:
    """What git says to these arguments, and to `given` on its stdin, within 2 s or `limit_s`. Raises GitError."""
    limit_s = _LIMIT_S if limit_s is None else limit_s
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    argv = ["git", "--no-optional-locks", "--no-pager", "--no-replace-objects", *settings, *arguments]
    try:
        done = subprocess.run(
            argv, cwd=project, env=_environ(environ), input=given, capture_output=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise _TooSlow(f"git did not answer within {limit_s:g} s") from None
    except OSError as error:
        raise GitError(_why(error, project)) from None
    if done.returncode:
        raise _refusal(done.stderr.decode("utf-8", "replace"), project)
    return done.stdout


def _git(project: Path, environ: Mapping[str, str], *arguments: str) -> str:
    return run(project, environ, *arguments).decode("utf-8", "surrogateescape")


def _why(error: OSError, project: Path) -> str:
    if isinstance(error, FileNotFoundError):
        return "git is not installed" if project.is_dir() else f"there is no folder {project}"
    return f"git cannot be run in {project}: {error.strerror}"


def _refusal(said: str, project: Path) -> GitError:
    if "not a git repository" in said:
        return GitError(f"{project} is in no git repository")
    if "dubious ownership" in said:
        return GitError(f"{project} is in a git repository of somebody else (see git's setting safe.directory)")
    first = (said.strip().splitlines() or ["no reason given"])[0]
    return _Refused(f"git: {first.removeprefix('fatal: ')}")


def _environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Of the caller's environment all but what would lead git elsewhere."""
    kept = {name: value for name, value in environ.items() if not name.startswith("GIT_") and name != "LANGUAGE"}
    return {**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}

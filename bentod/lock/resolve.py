"""Requirements → exact versions with hashes: asks `uv`, or `pip lock`, which look at the package indexes."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.pylock import Pylock

from bentod.errors import BentodError, SpecError
from bentod.lock.pylock import validated
from bentod.lock.toml_lock import document

_OLDEST_PIP = (25, 1)
_MOST_LINES, _MOST_CHARS = 20, 2000
_CREDENTIALS = re.compile(r"//[^/@\s]+@")
_ASKED, _LIMITS, _OUT = "requirements.in", "constraints.txt", "pylock.toml"


class Unresolvable(BentodError):
    """No lock can be made: there is no resolver, or it found no solution."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be resolved: requirements and constraints as pip writes them, for Linux with this `python`.
    `previous` is the lock so far, whose versions are kept where they fit; None: the newest are taken."""

    packages: tuple[str, ...]
    constraints: tuple[str, ...]
    python: str
    index_url: str = ""
    extra_index_urls: tuple[str, ...] = ()
    previous: Path | None = None


@dataclass(frozen=True, slots=True)
class Resolver:
    """A program that resolves: its command, and which it is."""

    command: tuple[str, ...]
    name: str


def find(environ: Mapping[str, str], python: Path, running: str, wanted: str) -> Resolver:
    """`uv` beside this `python` or on PATH; else pip, if it can lock and the version that is `running` is the one that
    is `wanted`. Raises Unresolvable."""
    beside = python.parent / "uv"
    uv = str(beside) if beside.is_file() else shutil.which("uv", path=environ.get("PATH", ""))
    if uv is not None:
        return Resolver((uv, "pip", "compile"), "uv")
    version = _pip_version(python, environ)
    if version < _OLDEST_PIP:
        has = f"pip {version[0]}.{version[1]} cannot lock" if version > (0, 0) else "there is no pip"
        raise Unresolvable(f"nothing here can resolve packages: there is no uv, and {has}; install uv, or pip 25.1")
    if running != wanted:
        raise Unresolvable(
            f"pip locks for the Python that runs it, {running}, and `build.python` is {wanted}; install uv, which locks"
            " for any"
        )
    return Resolver((str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "lock"), "pip")


def resolve(question: Question, resolver: Resolver, environ: Mapping[str, str], timeout_s: float) -> Pylock:
    """The answer as PEP 751 has it. Raises Unresolvable with the resolver's own words."""
    with tempfile.TemporaryDirectory(prefix="bentod-lock-") as name:
        folder = Path(name)
        (folder / _ASKED).write_text("".join(f"{line}\n" for line in question.packages), "utf-8")
        (folder / _LIMITS).write_text("".join(f"{line}\n" for line in question.constraints), "utf-8")
        if question.previous is not None and resolver.name == "uv":
            shutil.copyfile(question.previous, folder / _OUT)
        words = _uv_words(question) if resolver.name == "uv" else _pip_words(question)
        _run([*resolver.command, *words], folder, {**environ, "UV_PYTHON_DOWNLOADS": "never"}, timeout_s)
        try:
            data, _ = document(folder / _OUT)
            return validated(data, _OUT)
        except SpecError as error:
            message = error.problems[0].message
            raise Unresolvable(f"{resolver.name} wrote a lock that is none: {message}; try another version") from None


def _uv_words(question: Question) -> list[str]:
    index = ["--default-index", question.index_url] if question.index_url else []
    more = [word for url in question.extra_index_urls for word in ("--index", url)]
    upgrade = [] if question.previous is not None else ["--upgrade"]
    return [
        *("--no-config", "--quiet", "--color", "never", "--universal", "--generate-hashes", "--no-header"),
        *("--no-annotate", "--python-version", question.python, "--format", "pylock.toml"),
        *(*index, *more, *upgrade, "--constraints", _LIMITS, "--output-file", _OUT, _ASKED),
    ]


def _pip_words(question: Question) -> list[str]:
    index = ["--index-url", question.index_url] if question.index_url else []
    more = [word for url in question.extra_index_urls for word in ("--extra-index-url", url)]
    return ["--quiet", *index, *more, "--constraint", _LIMITS, "--requirement", _ASKED, "--output", _OUT]


def _run(words: Sequence[str], folder: Path, environ: Mapping[str, str], timeout_s: float) -> None:
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unresolvable(f"resolving took longer than {timeout_s:g} seconds; see whether the index answers") from None
    except OSError as error:
        raise Unresolvable(f"{words[0]} cannot be run: {error.strerror or error}; install uv") from None
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace")
        raise Unresolvable(f"the packages cannot be resolved:\n{_shortened(said, folder)}")


def _shortened(said: str, folder: Path) -> str:
    """A resolver's words: not too many, without credentials and without the folder that is gone by now."""
    said = _CREDENTIALS.sub("//***@", said).replace(f"{folder}/", "")
    lines = ["".join(char if char.isprintable() else " " for char in line).rstrip() for line in said.splitlines()]
    lines = [line for line in lines if line.strip()]
    kept = lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES // 2], "  …", *lines[-_MOST_LINES // 2 :]]
    text = "\n".join(kept)
    return (text if len(text) <= _MOST_CHARS else text[: _MOST_CHARS - 1] + "…") or "it did not say why"


def _pip_version(python: Path, environ: Mapping[str, str]) -> tuple[int, int]:
    try:
        words = [str(python), "-m", "pip", "--version"]
        done = subprocess.run(
            words, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    found = re.match(rb"pip (\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)

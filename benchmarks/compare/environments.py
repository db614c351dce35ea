"""An environment for each server, made once: `python -m venv`, and pip with the versions in `requirements/`."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements"
REPOSITORY = Path(__file__).parents[2]
WORK = ("work.txt", "work-no-deps.txt")


class NotInstalledError(Exception):
    """An environment cannot be made: the message has the end of what pip said."""


def default_folder() -> Path:
    """Where environments are kept unless told otherwise: the user's folder for caches."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "bentod-compare"


class Environments:
    """The environments below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._made: dict[str, str | NotInstalledError] = {}

    def python(self, name: str) -> str:
        """The interpreter of an environment, made now unless it is there. Raises NotInstalledError."""
        if name not in self._made:
            try:
                self._made[name] = self._make(name)
            except NotInstalledError as error:
                self._made[name] = error
        found = self._made[name]
        if isinstance(found, NotInstalledError):
            raise found
        return found

    def _make(self, name: str) -> str:
        home = self._folder / name
        python, stamp = home / "bin" / "python", home / "installed"
        wanted = self._wanted(name)
        files = [REQUIREMENTS / file for file in (*WORK, f"{name}.txt")]
        texts = [file.read_text() for file in files if file.exists()]
        digest = hashlib.sha256(repr((wanted, texts)).encode()).hexdigest()
        if not (stamp.exists() and stamp.read_text() == digest):
            print(f"installing {name} into {home}", file=sys.stderr, flush=True)
            shutil.rmtree(home, ignore_errors=True)
            self._run([sys.executable, "-m", "venv", str(home)], name)
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            self._run([*pip, *wanted], name)
            self._run([*pip, "--no-deps", "--requirement", str(REQUIREMENTS / "work-no-deps.txt")], name)
            if name == "bentod":
                self._link(python)
            stamp.write_text(digest)
        return str(python)

    def _wanted(self, name: str) -> list[str]:
        work = ["--requirement", str(REQUIREMENTS / "work.txt")]
        if name == "bentod":
            return [*work, *tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]]
        return [*work, "--requirement", str(REQUIREMENTS / f"{name}.txt")]

    def _link(self, python: Path) -> None:
        """bentod as it lies here, not a copy."""
        script = "import sysconfig; print(sysconfig.get_path('purelib'))"
        packages = subprocess.run([str(python), "-c", script], check=True, capture_output=True, text=True).stdout
        (Path(packages.strip()) / "bentod-checkout.pth").write_text(f"{REPOSITORY}\n")

    def _run(self, words: list[str], name: str) -> None:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            last = [line for line in done.stdout.splitlines() if line.strip() and not line.startswith("WARNING")][-3:]
            raise NotInstalledError(f"{name}: {' | '.join(last)}")


def versions(peers: list[str]) -> str:
    """What is compared, in a line."""
    pinned = [(REQUIREMENTS / f"{peer}.txt").read_text().strip() for peer in peers if peer not in {"bentod", "bare"}]
    return " ".join(sorted(pinned))

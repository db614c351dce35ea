"""A real service manager for a test: systemd as a user's manager, in a mount namespace of its own. Needs root."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.daemon import eventually

_SYSTEMD = "/usr/lib/systemd/systemd"
_INSIDE = """
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system /run/user/0 && export XDG_RUNTIME_DIR=/run/user/0 || exit 9
exec "$@"
"""


class Manager:
    """Runs `systemctl --user` and other commands where the manager runs."""

    def __init__(self, process: subprocess.Popen[bytes], environ: dict[str, str]) -> None:
        self._process = process
        self._environ = environ

    def run(self, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command in the manager's namespace."""
        inside = ["nsenter", f"--target={self._process.pid}", "--mount", *command]
        return subprocess.run(inside, env=self._environ, capture_output=True, text=True, timeout=timeout, cwd="/")

    def systemctl(self, *words: str) -> str:
        """What `systemctl` prints; it has to succeed."""
        done = self.run("systemctl", "--user", "--no-pager", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.systemctl("show", "--value", "-p", name, unit)


@contextmanager
def manager(units: Path) -> Iterator[Manager]:
    """A manager that finds the units of a folder."""
    home = tempfile.mkdtemp(prefix="bs")
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("BENTOD_", "XDG_"))},
        "HOME": home,
        "XDG_RUNTIME_DIR": "/run/user/0",
        "SYSTEMD_UNIT_PATH": f"{units}:/usr/lib/systemd/user",
    }
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _INSIDE, "sh", _SYSTEMD, "--user"]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = Manager(process, environ)
    try:
        eventually(
            lambda: (
                process.poll() is not None
                or found.run("systemctl", "--user", "is-system-running").stdout.strip() in ("running", "degraded")
            ),
            20,
            "a service manager",
        )
        assert process.poll() is None, "the service manager does not start"
        yield found
    finally:
        if process.poll() is None:
            found.run("systemctl", "--user", "exit")
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(home, ignore_errors=True)


@functools.cache
def possible() -> bool:
    """Whether this machine lets a test have a manager."""
    if os.getuid() or not Path(_SYSTEMD).exists() or not all(map(shutil.which, ("unshare", "nsenter", "systemctl"))):
        return False
    try:
        with tempfile.TemporaryDirectory() as units, manager(Path(units)):
            return True
    except (AssertionError, OSError, subprocess.SubprocessError):
        return False

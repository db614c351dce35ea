"""The run folder (sockets, one daemon's lock) and the state folder (what survives)."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bentod.errors import BentodError

_MAX_SOCKET_PATH = 100


class AlreadyRunning(BentodError):
    """Another daemon runs this spec."""


class UnusableFolder(BentodError):
    """A folder cannot be used, and the reason is something that the user must mend."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where one spec's daemon keeps what."""

    run: Path
    state: Path
    files: Path
    """Of calls that have files: as large as they are, so not beside the sockets, where there may be memory only."""

    @property
    def control(self) -> Path:
        """The control socket."""
        return self.run / "control.sock"

    @property
    def logs(self) -> Path:
        """The folder of log files."""
        return self.state / "logs"

    @property
    def daemon_log(self) -> Path:
        """The daemon's events and the workers' output, JSON lines."""
        return self.logs / "daemon.log"


def folders(name: str, spec: Path, environ: Mapping[str, str], run: Path | None, state: Path | None) -> Folders:
    """The folders of the spec that is made of the file `spec` (the first, absolute). Raises UnusableFolder."""
    found = _folders(_parent(environ, run) / f"{name}-{_short(spec)}", _state(spec, state), environ)
    longest = found.run / "w" / "999999"
    if len(os.fsencode(max(longest, found.control, key=lambda path: len(str(path))))) > _MAX_SOCKET_PATH:
        raise UnusableFolder(
            f"the run folder {found.run} is too long for Unix sockets: set BENTOD_RUN to a shorter one"
        )
    return found


def located(spec: Path, environ: Mapping[str, str], run: Path | None, state: Path | None) -> Folders:
    """The folders of the daemon that runs the file `spec`, whatever that file says by now: it may be broken, or have
    another name, and its daemon must still be found."""
    parent = _parent(environ, run).absolute()
    running = [path.parent for path in parent.glob(f"*-{_short(spec)}/control.sock")]
    found = running[0] if running else parent / f"no-daemon-{_short(spec)}"
    return _folders(found, _state(spec, state), environ)


def _folders(run: Path, state: Path, environ: Mapping[str, str]) -> Folders:
    temporary = Path(environ.get("TMPDIR") or "/tmp", f"bentod-files-{os.getuid()}")  # noqa: S108 - mode 0700, checked
    own = f"{run.name}-{_short(run)}"  # BENTOD_RUN may differ where TMPDIR does not
    return Folders(run.absolute(), state, temporary.absolute() / own)


def _parent(environ: Mapping[str, str], run: Path | None) -> Path:
    """The folder of all run folders."""
    if run is not None:
        return run
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "bentod"
    return Path(f"/tmp/bentod-{os.getuid()}")  # noqa: S108 - made with mode 0700, and checked for its owner


def _short(spec: Path) -> str:
    return hashlib.sha256(str(spec.resolve()).encode()).hexdigest()[:8]


def _state(spec: Path, state: Path | None) -> Path:
    return (state or spec.parent / ".bentod").absolute()


class RunFolder:
    """The run folder, taken by this process until it ends: the lock goes with the process, however that ends."""

    def __init__(self, where: Folders) -> None:
        self._where = where
        self._lock = -1

    def take(self) -> None:
        """Make the folder ours, and clean away what a killed daemon left. Raises AlreadyRunning, UnusableFolder."""
        run = self._where.run
        try:
            for folder in (run.parent, run, self._where.files.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _check_private(folder)
            self._lock = _locked(run / "lock")
            _refuse_namesake(run)
        except BlockingIOError:
            raise AlreadyRunning(
                f"a daemon already runs this spec (see `bentod status`); its run folder is {run}"
            ) from None
        except OSError as error:
            raise UnusableFolder(f"cannot use the run folder {error.filename or run}: {error.strerror}") from None
        self._clean()
        (run / "w").mkdir(mode=0o700)
        self._where.files.mkdir(mode=0o700)
        try:
            self._where.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UnusableFolder(
                f"cannot use the state folder {self._where.state}: {error.strerror}; BENTOD_STATE names another"
            ) from None

    def release(self) -> None:
        """Remove the folder, the lock last."""
        self._clean()
        (self._where.run / "lock").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # another daemon may be making itself at home already
            self._where.run.rmdir()
        os.close(self._lock)

    def _clean(self) -> None:
        self._where.control.unlink(missing_ok=True)
        shutil.rmtree(self._where.run / "w", ignore_errors=True)
        shutil.rmtree(self._where.files, ignore_errors=True)


def _locked(path: Path) -> int:
    """The descriptor of the locked file at `path`. Raises BlockingIOError if somebody else has it.

    Its last owner may remove the file between our opening and our locking it: then the lock means nothing.
    """
    while True:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same(path, number):
                return number
        except BaseException:
            os.close(number)
            raise
        os.close(number)


def _refuse_namesake(run: Path) -> None:
    """One daemon per spec, whatever name the spec had when the other one started. Raises BlockingIOError."""
    for other in run.parent.glob(f"*-{run.name.rpartition('-')[2]}/lock"):
        if other.parent != run:
            os.close(_locked(other))


def _same(path: Path, number: int) -> bool:
    """Whether `path` still names the open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(number))
    except FileNotFoundError:
        return False


def _check_private(folder: Path) -> None:
    """Raises UnusableFolder for a folder of somebody else: who owns it decides what is in it."""
    found = folder.lstat()
    if found.st_uid != os.getuid() or not folder.is_dir() or folder.is_symlink():
        raise UnusableFolder(f"{folder} belongs to somebody else, or is no folder; BENTOD_RUN or TMPDIR names another")
    if found.st_mode & 0o077:
        folder.chmod(0o700)

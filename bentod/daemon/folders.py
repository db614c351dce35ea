"""The run folder (sockets, one daemon's lock) and the state folder (what survives)."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bentod.errors import BentodError

_MAX_SOCKET_PATH = 100
_SERVICES = Path("/run")
"""Where the system's service manager makes folders for services."""
_PARTS = "wxyz"
"""Names of the parts of a run folder: a daemon and its successor use different ones."""


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
    part: str = _PARTS[0]
    """What the folder of the workers' sockets is called."""
    spec: Path | None = field(default=None, compare=False)
    """The file that was named, links and all."""

    @property
    def note(self) -> Path:
        """Says which file was named: where a link of its path leads may change, and its daemon must still be found."""
        return self.run / "spec"

    @property
    def control(self) -> Path:
        """The control socket."""
        return self.run / "control.sock"

    @property
    def next_control(self) -> Path:
        """The control socket of a daemon that is about to take the place of another one."""
        return self.run / "control-next.sock"

    @property
    def sockets(self) -> Path:
        """The folder of the workers' sockets."""
        return self.run / self.part

    def with_part(self, part: str) -> Folders:
        """The same folders, with another part of the run folder, and of that for files."""
        first = self.files.name.removesuffix(f".{self.part}")
        name = first if part == _PARTS[0] else f"{first}.{part}"
        return replace(self, part=part, files=self.files.with_name(name))

    def free(self) -> Folders | None:
        """A part that nobody uses; None if there is none."""
        return next((one for one in map(self.with_part, _PARTS) if not one.sockets.exists()), None)

    @property
    def objects(self) -> Path:
        """The folder of what workers have imported."""
        return self.state / "objects"

    @property
    def history(self) -> Path:
        """The folder of records of generations."""
        return self.state / "history"

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
    found = _folders(_parent(environ, run) / f"{name}-{_short(spec)}", state_folder(spec, state), environ)
    longest = found.run / "w" / "999999"
    if len(os.fsencode(max(longest, found.control, key=lambda path: len(str(path))))) > _MAX_SOCKET_PATH:
        raise UnusableFolder(
            f"the run folder {found.run} is too long for Unix sockets: set BENTOD_RUN to a shorter one"
        )
    return replace(found, spec=spec)


def located(spec: Path, environ: Mapping[str, str], run: Path | None, state: Path | None) -> Folders:
    """The folders of the daemon that runs the file `spec`, whatever that file says by now: it may be broken, or have
    another name, and its daemon must still be found."""
    parents = [_parent(environ, run)] if run is not None else _parents(spec, environ)
    running = [path.parent for parent in parents for path in parent.absolute().glob(f"*-{_short(spec)}/control.sock")]
    if not running:
        everywhere = parents if run is not None else [*parents, *_SERVICES.glob("bentod-*")]
        running = [path for parent in everywhere for path in _noted(parent, spec) if (path / "control.sock").exists()]
    found = running[0] if running else parents[0] / f"no-daemon-{_short(spec)}"
    return _folders(found.absolute(), state_folder(spec, state), environ)


def service_folder(spec: Path) -> str:
    """The folder in `/run` that the system's service manager makes for the daemon that runs the file `spec`."""
    return f"bentod-{_short(spec)}"


def _parents(spec: Path, environ: Mapping[str, str]) -> list[Path]:
    """Where a daemon's run folder may lie: one that a service manager started has another environment than a shell."""
    return [_parent(environ, None), _parent({}, None), _SERVICES / service_folder(spec)]


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


def state_folder(spec: Path, state: Path | None) -> Path:
    """What survives of the daemon that runs the file `spec`. One with a name of its own has a folder of its own, since
    another spec may lie beside it."""
    folder = (state or spec.parent / ".bentod").absolute()
    return folder if spec.stem == "bentofile" else folder / spec.name


class RunFolder:
    """The run folder, held by this process until it ends: the lock goes with the process, however that ends.

    A daemon that is replaced by another one shares the lock with it. `ours`: the folder as a whole is this daemon's,
    not only its part.
    """

    def __init__(self, where: Folders) -> None:
        self._where = where
        self.lock = -1
        self.ours = False

    def take(self) -> None:
        """Make the folder ours, and clean away what a killed daemon left. Raises AlreadyRunning, UnusableFolder."""
        run = self._where.run
        try:
            for folder in (run.parent, run, self._where.files.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _check_private(folder)
            self.lock = _locked(run / "lock")
            _refuse_namesake(self._where)
        except BlockingIOError:
            if self.lock >= 0:
                self._leave()
            raise AlreadyRunning(
                "a daemon already runs this spec: `bentod apply` has it do what the spec says by now; "
                f"its run folder is {run}"
            ) from None
        except OSError as error:
            raise UnusableFolder(_unusable(self._where, error)) from None
        self.ours = True
        self._clean()
        self._make()
        with contextlib.suppress(OSError):  # such as a disk that is full
            self._where.note.write_bytes(os.fsencode(self._where.spec or ""))

    def join(self, lock: int) -> None:
        """Make a part of the folder ours that another daemon has left free; its `lock` is ours, too. Raises
        UnusableFolder."""
        self.lock = lock
        self._where.next_control.unlink(missing_ok=True)
        try:
            self._make()
        except OSError as error:
            raise UnusableFolder(f"cannot use the folder {error.filename}: {error.strerror}") from None

    def release(self) -> None:
        """Remove the folder, the lock last; or only what is ours of it."""
        if self.ours:
            self._clean()
            self._leave()
        else:
            remove_part(self._where)
            os.close(self.lock)

    def _leave(self) -> None:
        (self._where.run / "lock").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # another daemon may be making itself at home already
            self._where.run.rmdir()
        os.close(self.lock)

    def _make(self) -> None:
        self._where.sockets.mkdir(mode=0o700)
        self._where.files.mkdir(mode=0o700)
        try:
            self._where.state.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # such as a disk that is full
                (self._where.state / ".gitignore").write_text("*\n")
        except OSError as error:
            raise UnusableFolder(
                f"cannot use the state folder {self._where.state}: {error.strerror}; BENTOD_STATE names another"
            ) from None

    def _clean(self) -> None:
        for file in (self._where.control, self._where.next_control, self._where.note):
            file.unlink(missing_ok=True)
        for part in _PARTS:
            remove_part(self._where.with_part(part))


def _unusable(where: Folders, error: OSError) -> str:
    """What is wrong with a folder that nothing can be written to, such as in a container whose root is read-only."""
    path = Path(error.filename or where.run)
    if path in (where.files, *where.files.parents) and path not in where.run.parents:
        return f"cannot use the folder for files {path}: {error.strerror}; TMPDIR names another place"
    return f"cannot use the run folder {path}: {error.strerror}; BENTOD_RUN names another"


def remove_part(where: Folders) -> None:
    """Remove what a daemon that is gone, or goes, has in the folders that it shares with another one."""
    shutil.rmtree(where.sockets, ignore_errors=True)
    shutil.rmtree(where.files, ignore_errors=True)


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


def _refuse_namesake(where: Folders) -> None:
    """One daemon per spec, whatever name the spec had when the other one started, and wherever links led to it. Raises
    BlockingIOError."""
    parent = where.run.parent
    others = {path.parent for path in parent.glob(f"*-{where.run.name.rpartition('-')[2]}/lock")}
    if where.spec is not None:
        others.update(_noted(parent, where.spec))
    for other in others - {where.run}:
        os.close(_locked(other / "lock"))


def _noted(parent: Path, spec: Path) -> Iterator[Path]:
    """The run folders in `parent` of daemons for which the file was named that is `spec` by now."""
    for note in parent.absolute().glob("*/spec"):
        with contextlib.suppress(OSError, RuntimeError):  # not ours, or links that go round in circles
            if Path(os.fsdecode(note.read_bytes())).resolve() == spec.resolve():
                yield note.parent


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

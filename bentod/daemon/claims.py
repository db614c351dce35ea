"""What the daemons of a host have given to their workers, as they tell each other: a file of each in one folder."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

from bentod.plan.grants import Share
from bentod.plan.inventory import Claim, Inventory
from bentod.plan.model import Plan, ServicePlan, WorkerPlan

_FOLDER = "/dev/shm/bentod"  # noqa: S108 - for all users; what others write there is only read
_LOCK_S, _PAUSE_S = 5.0, 0.02
_MOST_BYTES, _LONGEST, _MOST_MEMORY = 1 << 20, 200, 1 << 62
_NO_CLAIMS = (ValueError, LookupError, TypeError, OverflowError, RecursionError)
"""What a file is met with that is of another version, or of nobody."""
_SLACK = 1e-6


class Claims:
    """What this daemon, that of the file `spec`, has given to its workers, and what others have. `BENTOD_CLAIMS` of
    `environ` names the folder. A daemon and its successor, which have one folder `run`, do not count as others to each
    other. A folder that cannot be used is said once, and then this daemon is alone. For any thread."""

    def __init__(
        self, environ: Mapping[str, str], spec: Path, run: Path, log: Callable[..., None] | None = None
    ) -> None:
        self._folder = Path(environ.get("BENTOD_CLAIMS") or _FOLDER)
        self._spec = str(spec)
        self._log = log
        self._key = _key(run)
        self._path = self._folder / f"{self._key}-{os.getpid()}-{os.urandom(4).hex()}.json"
        self._file = -1
        self._mine: list[Claim] = []
        self._turn = threading.Lock()
        self._released = False

    def others(self) -> tuple[Claim, ...]:
        """What other daemons have given, as far as they live."""
        found: tuple[Claim, ...] = ()
        with self._told():
            if self._folder.exists():
                with _locked(self._folder):
                    found = self._read()
        return found

    def hold(self, running: Plan | None, coming: Plan | None = None, there: Inventory | None = None) -> str:
        """From now on others see what workers have of what runs, and of what is about to, which was placed in what is
        `there`. Returns what keeps it from that: what another daemon was quicker to give to somebody; then nothing has
        changed."""
        new = _claims([coming], self._spec) if coming is not None else []
        mine = _claims([plan for plan in (running, coming) if plan is not None], self._spec)
        with self._turn:
            if self._released or (not mine and self._file < 0):
                return ""
            with self._told():
                _make(self._folder)
                with _locked(self._folder):
                    if taken := _taken(new, self._read(), there):
                        return taken
                    self._write(mine)
        return ""

    def renew(self) -> None:
        """Say again what others see no more: what lies in memory may be removed once a user has logged out."""
        with self._turn:
            if self._lost():
                with self._told():
                    _make(self._folder)
                    with _locked(self._folder):
                        self._write(self._mine)

    def release(self) -> None:
        """Nothing is given to anybody any more."""
        with self._turn, self._told():
            self._released = True
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
                self._path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._log is not None:
                reason = f"{self._folder} cannot be used: {error.strerror or error}; BENTOD_CLAIMS names another"
                self._log("claims.unusable", level="warning", reason=reason)
            self._log = None

    def _read(self) -> tuple[Claim, ...]:
        """The folder is locked."""
        scope = _scope()
        found: list[Claim] = []
        for path in sorted(self._folder.glob("*.json")):
            if not path.name.startswith(f"{self._key}-") and (text := _living(path)) is not None:
                with contextlib.suppress(*_NO_CLAIMS):
                    found += _parsed(json.loads(text), scope)
        return tuple(found)

    def _write(self, claims: Sequence[Claim]) -> None:
        """The folder is locked, so that nobody reads half of it. The lock on the file says that we live."""
        if self._lost():
            os.close(self._file)
            self._file = -1
        if self._file < 0:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            os.fchmod(self._file, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        data = json.dumps({"scope": _scope(), "claims": [asdict(one) for one in claims]}).encode()
        os.pwrite(self._file, data, 0)
        os.ftruncate(self._file, len(data))
        self._mine = list(claims)

    def _lost(self) -> bool:
        """Whether somebody has removed the file."""
        return self._file >= 0 and not os.fstat(self._file).st_nlink


def _key(run: Path) -> str:
    """Names a run folder on this host: containers may have the same path for different ones."""
    name = os.fsencode(run)
    with contextlib.suppress(OSError):
        name += b"\0%d" % Path("/proc/self/ns/mnt").stat().st_ino
    return hashlib.sha256(name).hexdigest()[:16]


def _scope() -> str:
    """Names what memory the workers share with those of others."""
    from bentod.inventory.memory import memory_scope  # only specs that ask for something of the host need it

    return memory_scope()


def _claims(plans: Sequence[Plan], spec: str) -> list[Claim]:
    """What the workers of all these plans have. What one has in several counts once; of one that is replaced by
    another, only its GPUs, which it has until the other is there."""
    found: dict[tuple[str, int, tuple[Share, ...]], Claim] = {}
    for later, plan in enumerate(reversed(plans)):
        named = {(service, worker) for service, worker, _ in found}
        for service, worker in ((one, worker) for one in plan.services for worker in one.workers):
            claim = _claim(service, worker, spec)
            if later and (service.name, worker.index) in named:
                claim = replace(claim, cpus=(), load=0.0, memory=0)
            if claim.shares or claim.load or claim.memory:
                found.setdefault((service.name, worker.index, claim.shares), claim)
    return list(found.values())


def _claim(service: ServicePlan, worker: WorkerPlan, spec: str) -> Claim:
    needs, grant = service.needs, worker.grant
    load = (needs.cpus if needs is not None and grant.cpus else None) or 0.0
    memory = (needs.memory if needs is not None else None) or 0
    return Claim(f"{service.name} of {spec}", os.getpid(), grant.shares, grant.cpus, load, memory)


def _taken(mine: Sequence[Claim], others: Sequence[Claim], there: Inventory | None) -> str:
    """What of what is `there` cannot be given since others have too much of it; empty if all can. Pure."""
    owner = _too_much_memory(mine, others, there.memory if there is not None else None)
    if owner:
        return f"memory was given to {owner} meanwhile"
    sizes = {device.uuid: device.memory for device in there.devices} if there is not None else {}
    wanted: dict[str, tuple[float, int]] = {}
    for share in (share for claim in mine for share in claim.shares):
        wanted[share.device] = _more(wanted, share)
    for claim in others:
        for share in (share for share in claim.shares if share.device in wanted):
            part, memory = wanted[share.device] = _more(wanted, share)
            if part > 1 + _SLACK or memory > sizes.get(share.device, memory):
                return f"GPU {share.device} was given to {claim.owner} meanwhile"
    return ""


def _too_much_memory(mine: Sequence[Claim], others: Sequence[Claim], size: int | None) -> str:
    """Who has what of the host's memory is wanted; empty if nobody has."""
    wanted = sum(claim.memory for claim in mine)
    if not wanted or size is None:
        return ""
    totals = accumulate((claim.memory for claim in others), initial=wanted)
    return next((claim.owner for claim, total in zip(others, islice(totals, 1, None), strict=True) if total > size), "")


def _more(had: Mapping[str, tuple[float, int]], share: Share) -> tuple[float, int]:
    part, memory = had.get(share.device, (0.0, 0))
    return part + share.part, memory + share.memory


def _parsed(data: Any, scope: str) -> Iterator[Claim]:
    """What a file says; its memory counts if it is of the same `scope`. Raises one of `_NO_CLAIMS`."""
    for one in data["claims"]:
        owner = "".join(letter for letter in str(one["owner"]) if letter.isprintable())[:_LONGEST]
        shares = tuple(
            Share(str(share["device"]), min(1.0, max(0.0, float(share["part"]))), _bytes(share["memory"]))
            for share in one["shares"]
        )
        memory = _bytes(one["memory"]) if data["scope"] == scope else 0
        cpus = tuple(int(cpu) for cpu in one["cpus"])
        yield Claim(owner, int(one["daemon"]), shares, cpus, min(float(len(cpus)), float(one["load"])), memory)


def _bytes(said: Any) -> int:
    return min(_MOST_MEMORY, max(0, int(said)))


def _living(path: Path) -> bytes | None:
    """What a daemon that lives has written; the file of one that has ended is removed."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            return None
        try:
            fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.pread(number, _MOST_BYTES, 0)
        with contextlib.suppress(OSError):  # it may be another user's
            path.unlink()
        return None
    finally:
        os.close(number)


def _make(folder: Path) -> None:
    """Every user of the host may write into it, and only remove what is their own."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(parents=True)
        folder.chmod(0o1777)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Nobody else reads or writes meanwhile. Raises TimeoutError if somebody does for too long."""
    number = _opened(folder / "lock")
    deadline, pause = time.monotonic() + _LOCK_S, threading.Event()
    try:
        while True:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError("another process holds it for too long") from None
                pause.wait(_PAUSE_S)
        yield
    finally:
        os.close(number)


def _opened(path: Path) -> int:
    """In a folder of everybody a file of another user cannot be opened as if to make it."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with contextlib.suppress(FileExistsError):
            number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            os.fchmod(number, 0o644)
            return number

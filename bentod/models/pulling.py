"""Fetching one model of a hub, as the fetching process does it: resolve, list, transfer, verify, record."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

from bentod.models import transfer
from bentod.models.home import ModelError
from bentod.models.hubcache import RepositoryCache
from bentod.models.huggingface import Hub, Offline
from bentod.models.orders import Limits
from bentod.models.patience import Passing, Stopped, patiently
from bentod.models.progress import Listing, Offered
from bentod.models.records import Fetched, Record, Records
from bentod.models.refused import explained
from bentod.models.revisions import pinned, revision_of
from bentod.models.tally import Tally
from bentod.models.transfer import Transfer
from bentod.plan.models import ModelPlan

TRANSFERS = "transfer"
"""How the names of the threads begin that fetch files. Some may outlive a pull that failed, for a moment."""

_GI = 1 << 30
_QUICK = 1
"""How often a hub is tried again that is not needed, since an earlier fetch is there."""


@dataclass(frozen=True, slots=True)
class Pull:
    """One model to fetch, with all that it takes. `cache` is the folder of huggingface_hub's cache."""

    model: ModelPlan
    hub: Hub
    records: Records
    cache: Path
    limits: Limits
    tally: Tally

    def offered(self) -> Listing:
        """What would be fetched. Raises ModelError."""
        with explained(self.model, self.hub):
            commit = pinned(self.model) or self._resolved(self.limits)
            return self._listing(commit, self.limits)

    def run(self) -> Record:
        """Fetch the model, unless it is there. Raises ModelError; then nothing is recorded."""
        self.records.make()
        with explained(self.model, self.hub):
            self.tally.say("listing")
            commit, note = pinned(self.model), ""
            if not commit:
                commit, note = self._newest()
            with _locked(self.records.lock_path(self.model, commit), lambda: self.tally.say("waiting")):
                record = self._known(commit)
                if record is None:
                    record, note = self._had(commit, note)
                if not pinned(self.model) and not note:
                    self.records.point(self.model, commit)
            self.tally.expect(Listing(commit, ()))
            return self._judged(record, note)

    def _newest(self) -> tuple[str, str]:
        """The commit of the model's revision, and a warning if it is that of an earlier fetch."""
        earlier = self.records.last(self.model) or self.records.elsewhere(self.model)
        limits = self.limits if earlier is None else _impatient(self.limits)
        try:
            return self._resolved(limits), ""
        except (Passing, Offline) as error:
            if earlier is None:
                raise
            revision = revision_of(self.model)
            said = f"`{revision}` is taken to be {earlier.commit}, as it was {earlier.fetched}"
            return earlier.commit, f"{self._fails(error)}; {said}"

    def _fails(self, error: Exception) -> str:
        return "HF_HUB_OFFLINE is set" if isinstance(error, Offline) else f"{self.hub.shown} fails: {error}"

    def _had(self, commit: str, note: str) -> tuple[Record, str]:
        """What the hub gives now; or what another one gave, with a warning, if this one cannot be reached."""
        other = self.records.elsewhere(self.model, commit)
        usable = other is not None and not other.trouble()
        try:
            listing = self._listing(commit, _impatient(self.limits) if usable else self.limits)
        except (Passing, Offline) as error:
            if other is None or not usable:
                raise
            return other, f"{note or self._fails(error)}; the files are those of {other.hub} for {commit}"
        return self._fetched(listing), note

    def _resolved(self, limits: Limits) -> str:
        ask = partial(self.hub.commit, self.model.source, revision_of(self.model))
        return patiently(ask, limits, Event())

    def _listing(self, commit: str, limits: Limits) -> Listing:
        return patiently(partial(self.hub.listing, self.model, commit), limits, Event())

    def _known(self, commit: str) -> Record | None:
        """The record of an earlier fetch, if its files are still what was fetched; that takes no network."""
        record = self.records.get(self.model, commit)
        if record is None or not record.trouble():
            return record
        files = [Offered(file.path, file.size, file.sha256) for file in record.files]
        self.tally.expect(Listing(commit, tuple(files)))
        self.tally.say("verifying")
        folder = Path(record.folder)
        for file in files:
            if not transfer.hashed(folder / file.path, file, self.tally.file(file.path), Event()):
                return None
        return self._recorded(record.endpoint, commit, folder, [_fetched(folder, file, file.sha256) for file in files])

    def _fetched(self, listing: Listing) -> Record:
        commit = listing.commit
        self.tally.expect(listing)
        cache = RepositoryCache(self.cache, self.model.source)
        missing = [file for file in listing.files if not _there(cache, commit, file)]
        _check_space(cache, missing)
        self.tally.say("fetching" if missing else "verifying")
        snapshot = cache.snapshot(commit)
        digests = self._transferred(cache, listing)
        if not pinned(self.model):
            cache.point(revision_of(self.model), commit)
        files = [_fetched(snapshot, file, digests[file.path]) for file in listing.files]
        return self._recorded(self.records.hub(self.model), commit, snapshot, files)

    def _transferred(self, cache: RepositoryCache, listing: Listing) -> dict[str, str]:
        """Have all files lie in the snapshot. Returns their sha256 by their paths."""
        stop = Event()
        most = max(1, min(self.limits.connections, len(listing.files)))
        pool = ThreadPoolExecutor(most, thread_name_prefix=TRANSFERS)
        tasks = {pool.submit(self._place, cache, listing.commit, file, stop): file.path for file in listing.files}
        try:
            return {tasks[task]: task.result() for task in as_completed(tasks)}
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)  # one may wait for another process

    def _place(self, cache: RepositoryCache, commit: str, file: Offered, stop: Event) -> str:
        """Have one file lie in the snapshot. Returns its sha256."""
        if stop.is_set():
            raise Stopped
        counted = self.tally.file(file.path)
        place = cache.snapshot(commit) / file.path
        if sha256 := transfer.hashed(place, file, counted, stop):
            return sha256
        blob = cache.blob(file)
        sha256 = transfer.hashed(blob, file, counted, stop)
        if not sha256:
            ask = partial(self.hub.stream, self.model.source, commit, file.path)
            sha256 = Transfer(file, blob, ask, self.limits, stop).run(counted)
        cache.link(commit, file)
        return sha256

    def _recorded(self, endpoint: str, commit: str, folder: Path, files: list[Fetched]) -> Record:
        record = Record.of(self.model, endpoint, commit, folder, files)
        self.records.put(record)
        return record

    def _judged(self, record: Record, note: str) -> Record:
        if self.model.digest and self.model.digest != record.digest:
            raise ModelError(
                f"its digest is {record.digest}, and the spec demands {self.model.digest}; "
                "find out which of them is right, and pin `revision` to a commit"
            )
        if self.model.locked and self.model.locked != record.digest:
            raise ModelError(
                f"its digest is {record.digest}, and {self.model.locked} is locked: the hub sends something else for "
                "the same commit; find out which of them is right, `bentod lock --upgrade` takes what the hub has"
            )
        self.tally.expect(Listing(record.commit, tuple(Offered(file.path, file.size) for file in record.files)))
        self.tally.file("")(record.size)
        self.tally.say("ready", note)
        return record


def _impatient(limits: Limits) -> Limits:
    return Limits(min(_QUICK, limits.retries), limits.delay_s, limits.longest_delay_s, 5.0, limits.silence_s)


def _fetched(folder: Path, file: Offered, sha256: str) -> Fetched:
    return Fetched(path=file.path, size=file.size, mtime_ns=(folder / file.path).stat().st_mtime_ns, sha256=sha256)


def _there(cache: RepositoryCache, commit: str, file: Offered) -> bool:
    """Whether a file of that size lies where the file belongs."""
    for place in (cache.snapshot(commit) / file.path, cache.blob(file)):
        with contextlib.suppress(OSError):
            if place.stat().st_size == file.size:
                return True
    return False


def _check_space(cache: RepositoryCache, missing: list[Offered]) -> None:
    """Raises ModelError if the disk is too small for what is missing."""
    needed, free = sum(file.size - transfer.partly(cache.blob(file)) for file in missing), cache.free()
    if needed > free:
        raise ModelError(
            f"{needed / _GI:.2f} GiB are to be fetched, and {cache.folder.parent} has {free / _GI:.2f} GiB free; "
            "make room, or have HF_HOME name a folder on another disk"
        )


@contextlib.contextmanager
def _locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Nobody else fetches the same meanwhile. The lock goes with the process."""
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)

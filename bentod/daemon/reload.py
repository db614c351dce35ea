"""Changes of generation: ordered, or seen in the files; judged, made one at a time, and recorded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bentod.daemon.change import Change, Moved
from bentod.daemon.daemon import Daemon
from bentod.daemon.desired import Desired, contents, read
from bentod.daemon.journal import Journal
from bentod.daemon.note import Note
from bentod.daemon.order import Order, Outcome, first_cause, reason, refusal
from bentod.daemon.proposal import Disk, Running, propose
from bentod.daemon.room import Room
from bentod.daemon.sources import Sources
from bentod.daemon.unsaid import refers
from bentod.daemon.usage import usage
from bentod.daemon.weights import fetched
from bentod.errors import PlanError, Problem, ProblemsError, SpecError, StartError
from bentod.models.hashes import Hashes
from bentod.plan.difference import Proposal
from bentod.plan.document import document
from bentod.spec.patterns import UnusablePattern
from bentod.supervise.state import ServiceState

_AGAIN = {
    True: "It is tried again as soon as a file changes, or with `bentod apply`.",
    False: "`bentod apply` tries it again.",
}
"""By whether the files are watched."""


class Reload:
    """Everything that changes which generation a daemon runs."""

    def __init__(
        self, daemon: Daemon, environ: Mapping[str, str], journal: Journal, sources: Sources, log: Callable[..., None]
    ) -> None:
        self.note = Note()
        self.span = (0.0, 0.0)
        """When the workers of the last change began to start, and when that was over: times of day."""
        self._daemon = daemon
        self._environ = environ
        self._journal = journal
        self._sources = sources
        self._log = log
        self._hashes = Hashes()
        self._turn = asyncio.Lock()
        self._again = False

    @property
    def turn(self) -> asyncio.Lock:
        """While somebody holds it, no change is made."""
        return self._turn

    async def plan(self, files: Sequence[Path] | None, against: int | None) -> dict[str, Any]:
        """What `apply` would do now; or what lies between a recorded generation and what the files say. Raises
        SpecError, PlanError, UnknownGeneration."""
        room = self._daemon.host.room(self._daemon.plan, forgiving=True)  # as somebody's order is
        desired = await self._read(files or self._sources.files, room)
        running = await self._running() if against is None else await self._recorded(against, room)
        disk = await self._disk(desired, running)
        return document((await asyncio.to_thread(self._proposed, running, desired, disk))[1])

    async def apply(self, order: Order) -> Outcome:
        """Carry out an order, after those that are under way. Raises UnknownGeneration."""
        async with self._turn:
            if order.anew:
                return await self._anew(order)
            if order.reason:
                await self._sources.news(files=order.files or ())
            return await self._tried(order)

    async def _anew(self, order: Order) -> Outcome:
        """Place what runs anew. What is known of the files stays so, and what was wrong with them."""
        before = self.note
        outcome = await self._tried(order)
        if outcome.outcome == "failed":
            self.note = replace(self.note, reason=f"{order.reason}; {self.note.reason}")
        elif before.state in {"failed", "refused"}:
            self.note = before
        return outcome

    async def consider(self, hints: Sequence[str]) -> Outcome | None:
        """The files may say something new: then that is applied. What they said before, to whatever end that came, is
        not tried again."""
        async with self._turn:
            if not await self._sources.news(hints):
                return None
            return await self._tried(Order("", allow_breaking=True))

    def resumed(self, error: ProblemsError | StartError) -> None:
        """What the files say cannot run, so this daemon begins with what ran last."""
        self._not("failed", str(error), getattr(error, "problems", ()))
        self._log("generation.resumed", level="error", reason=str(error))

    def unusable(self, error: UnusablePattern) -> None:
        """What runs names files that cannot be watched."""
        self._not("failed", str(error), _problems(error))

    async def _tried(self, order: Order) -> Outcome:
        """Carry out an order; once more, if somebody came between, and then although files still change, if it was
        given by somebody: it may be the workers that write them."""
        outcome = await self._apply(order)
        if not self._again:
            return outcome
        await self._sources.news()
        return await self._apply(order, insisted=bool(order.reason))

    async def _apply(self, order: Order, *, insisted: bool = False) -> Outcome:
        begun = time.monotonic()
        self._again = False
        try:
            desired = await self._desired(order)
            if desired.weights.wanted:
                self.note = Note("applying", "its models are fetched")
            found = await fetched(desired.weights, self._environ, self._log)
            desired = desired if found is desired.weights else desired.with_models(found, self._environ)
            running = await self._running()
            disk = await self._disk(desired, running)
            if not order.anew:
                self._sources.found(disk)
        except (ProblemsError, StartError) as error:
            if not order.anew:
                self._sources.failed()
            return self._not("failed", str(error), getattr(error, "problems", ()))
        desired, proposal = await asyncio.to_thread(self._proposed, running, desired, disk)
        shown = document(proposal)
        if refused := refusal(order, proposal):
            return self._not("refused", refused, plan=shown)
        if proposal.difference.empty:
            await self._follow(order, desired, disk)
            if self.note.state != "idle":
                self.note = Note()
                self._log("change.needless", generation=running.number)
            return Outcome("unchanged", running.number, time.monotonic() - begun, plan=shown)
        moved = None if desired.pins or insisted else self._sources.moved
        return await self._make(order, desired, disk, proposal, shown, begun, moved)

    def _proposed(self, running: Running, desired: Desired, disk: Disk) -> tuple[Desired, Proposal]:
        """What would change. Where old and new workers do not fit on their GPUs together, new ones go to others, if
        there are any: so nobody has to wait. It takes seconds where many services have to look for others."""
        proposal = propose(running, desired, disk)
        live = {one.name for one in proposal.difference.services if one.action == "live"}  # what they have stays theirs
        cramped = {step.service for step in proposal.steps if step.mode != "overlap"} - live
        moved = desired
        names: list[str] = []
        for one in desired.plan.services:
            if one.name in cramped and one.movable and running.plan is not None:
                found = desired.moved_from(running.plan, [*names, one.name], self._environ)
                moved, names = (found, [*names, one.name]) if found is not None else (moved, names)
        if not names:
            return desired, proposal
        other = propose(running, moved, disk)
        better = all(step.mode == "overlap" for step in other.steps if step.service in names)
        return (moved, other) if better else (desired, proposal)

    async def _make(
        self,
        order: Order,
        desired: Desired,
        disk: Disk,
        proposal: Proposal,
        shown: dict[str, Any],
        begun: float,
        moved: Moved | None,
    ) -> Outcome:
        why = order.reason or reason(proposal)
        number = await self._journal.begin(desired, why, shown)
        desired.announce(self._log, number, why)
        self.note = Note("applying", why)
        pins = {name: dict(files) for name, files in desired.pins.items()}
        change = Change(
            self._daemon, number, desired.plan, proposal.difference, proposal.steps, pins, desired.inventory
        )
        started = time.time()
        try:
            await change.run(moved)
        except StartError as error:
            if not order.anew:
                self._sources.failed(change.pools, pinned=bool(desired.pins))
            self._again = error.again
            return await self._failed(number, time.monotonic() - begun, error, shown)
        finally:
            self.span = (started, time.time())
        seconds = time.monotonic() - begun
        await self._follow(order, desired, disk)
        # first the record, then what is said of it: who hears that it is live finds that written down
        await self._journal.live(number, seconds, self._daemon.routing.pools, desired.weights)
        self.note = Note()
        self._tell(number, seconds, proposal)
        return Outcome("applied", number, seconds, plan=shown)

    async def _failed(self, number: int, seconds: float, error: StartError, shown: dict[str, Any]) -> Outcome:
        """An attempt has failed, and what ran goes on."""
        await self._journal.failed(number, seconds, str(error))
        self.note = Note("failed", f"{error}\n{_AGAIN[self._daemon.desired.plan.reload.watch]}")
        self._log("generation.failed", level="error", generation=number, error=str(error), traceback=error.traceback)
        return Outcome("failed", self._daemon.routing.number, seconds, str(error), error.traceback, plan=shown)

    async def _follow(self, order: Order, desired: Desired, disk: Disk) -> None:
        self._daemon.desired = replace(desired, pins=self._daemon.desired.pins) if order.anew else desired
        self._daemon.devices.follow()
        if order.anew:
            return
        self._sources.follow(desired, self._daemon.routing.pools.values(), disk)
        if order.generation is not None:
            await self._sources.news()  # what the files say is known, and not wanted

    def _tell(self, number: int, seconds: float, proposal: Proposal) -> None:
        urls = " ".join(self._daemon.front.urls)
        self._log("generation.ready", generation=number, seconds=round(seconds, 3), url=urls)
        for api in proposal.difference.breaking:
            self._log("generation.breaking", level="warning", generation=number, api=api.name, reason=first_cause(api))

    async def _desired(self, order: Order) -> Desired:
        daemon, room = self._daemon, self._daemon.host.room(self._daemon.plan)
        if order.anew:
            pins = {name: dict(pool.files) for name, pool in daemon.routing.pools.items()}
            return await asyncio.to_thread(daemon.desired.anew, self._environ, room, pins)
        if order.generation is not None:
            return await self._journal.desired(order.generation, room)
        files = order.files or self._sources.files
        try:
            return await self._considered(files)
        except SpecError:  # it may have been wrong for a moment only, such as while a folder is moved
            await self._sources.news(files=files)
            return await self._considered(files)

    async def _considered(self, files: Sequence[Path]) -> Desired:
        """What these files say, which is known from now on. Raises SpecError."""
        held = await asyncio.to_thread(contents, files)
        self._sources.read(files, held)
        return await self._read(files, self._daemon.host.room(self._daemon.plan), held)

    async def _read(self, files: Sequence[Path], room: Room, held: Mapping[Path, bytes] | None = None) -> Desired:
        """What these files say. Raises SpecError, PlanError."""
        carried, locked = self._daemon.desired.weights.pinned, self._sources.locked
        desired = await asyncio.to_thread(read, files, self._environ, held, carried, self._hashes, room, locked=locked)
        project = self._daemon.plan.project
        if desired.plan.project != project:
            raise SpecError([Problem("other-project", f"this daemon serves {project}", str(desired.loaded.files[0]))])
        return desired

    async def _disk(self, desired: Desired, running: Running) -> Disk:
        """What the files hold. Raises SpecError."""
        try:
            return await self._sources.disk(desired, running)
        except UnusablePattern as error:
            raise SpecError(_problems(error, desired)) from None

    async def _running(self) -> Running:
        daemon = self._daemon
        pools = daemon.routing.pools
        return Running(
            number=daemon.routing.number,
            plan=daemon.plan,
            files={name: dict(pool.files) for name, pool in pools.items()},
            included=self._sources.included,
            failed=frozenset(name for name, pool in pools.items() if pool.status().state is ServiceState.FAILED),
            usage=await usage(pools, daemon.host.latest),
            written=daemon.desired.loaded.as_written,
        )

    async def _recorded(self, number: int, room: Room) -> Running:
        """A generation of old, as if it ran here, if it still fits."""
        record = await self._journal.record(number)
        try:
            desired = await self._journal.desired(number, room)
        except PlanError:
            desired = await self._journal.desired(number)
        files = {name: dict(service.files) for name, service in record.services.items()}
        needed = await usage(self._daemon.routing.pools, self._daemon.host.latest)
        included, written = self._sources.included, desired.loaded.as_written
        return Running(number, desired.plan, files, included, usage=needed, written=written)

    def _not(
        self, outcome: str, error: str, problems: Sequence[Problem] = (), plan: dict[str, Any] | None = None
    ) -> Outcome:
        """Nothing was tried; what runs goes on."""
        number = self._daemon.routing.number
        self.note = Note(outcome, error, problems=tuple(problems))
        lines = [f"{one.file}:{one.line}:{one.column} {one.path}: {one.message}" for one in problems]
        self._log("change.refused", level="error", generation=number, reason=error, problems=lines)
        return Outcome(outcome, number, error=error, problems=tuple(problems), plan=plan)


def _problems(error: UnusablePattern, desired: Desired | None = None) -> list[Problem]:
    """The same as what is wrong with a spec, with the place of the patterns if the spec is known."""
    place = desired.loaded.origins.get("reload") if desired is not None else None
    at = (place.file, place.line, place.column) if place is not None else ("", 0, 0)
    hidden = desired is not None and refers(desired.loaded.as_written, "reload")
    said = "a pattern from the environment cannot be used" if hidden else str(error)
    return [Problem("unusable-pattern", said, *at, path="reload")]

"""Changes of generation: ordered, or seen in the files; judged, made one at a time, and recorded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bentod.daemon.change import Change
from bentod.daemon.daemon import Daemon
from bentod.daemon.desired import Desired, read_aside
from bentod.daemon.history import Record
from bentod.daemon.inventory import usage
from bentod.daemon.journal import Journal, UnknownGeneration
from bentod.daemon.order import Order, Outcome, first_cause, reason, refusal
from bentod.daemon.patterns import UnusablePattern
from bentod.daemon.proposal import Running, propose
from bentod.daemon.sources import Sources
from bentod.errors import Problem, SpecError, StartError
from bentod.plan.difference import Proposal
from bentod.plan.document import document
from bentod.supervise.state import ServiceState


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Note:
    """What `status` says of the last change: `idle`, `applying`, `failed` or `refused`, why, and since when."""

    state: str = "idle"
    reason: str = ""
    since: str = field(default_factory=_now)
    problems: tuple[Problem, ...] = ()

    def document(self) -> dict[str, Any]:
        """The note as plain data."""
        return {**asdict(self), "problems": [asdict(problem) for problem in self.problems]}


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
        self._turn = asyncio.Lock()

    @property
    def turn(self) -> asyncio.Lock:
        """While somebody holds it, no change is made."""
        return self._turn

    async def plan(self, files: Sequence[Path] | None, against: int | None) -> dict[str, Any]:
        """What `apply` would do now; or what lies between a recorded generation and what the files say. Raises
        SpecError, UnknownGeneration, UnusablePattern."""
        desired = await read_aside(files or self._sources.files, self._environ)
        running = await self._running() if against is None else await self._recorded(against)
        disk = await self._sources.disk(desired, running)
        return document(propose(running, desired, disk))

    async def apply(self, order: Order) -> Outcome:
        """Carry out an order, after those that are under way. Raises UnknownGeneration."""
        async with self._turn:
            return await self._apply(order)

    async def consider(self, hints: Sequence[str]) -> Outcome | None:
        """The files may say something new: then that is applied. What they said before, to whatever end that came, is
        not tried again."""
        async with self._turn:
            if not await self._sources.news(hints):
                return None
            return await self._apply(Order("", allow_breaking=True))

    def resumed(self, error: SpecError | StartError) -> None:
        """What the files say cannot run, so this daemon begins with what ran last."""
        self._not("failed", str(error), getattr(error, "problems", ()))
        self._log("generation.resumed", level="error", reason=str(error))

    async def _apply(self, order: Order) -> Outcome:
        begun = time.monotonic()
        try:
            desired = await self._desired(order)
            running = await self._running()
            proposal = propose(running, desired, await self._sources.disk(desired, running))
        except (SpecError, UnusablePattern) as error:
            self._sources.failed()
            return self._not("failed", str(error), getattr(error, "problems", ()))
        shown = document(proposal)
        if refused := refusal(order, proposal):
            return self._not("refused", refused, plan=shown)
        if proposal.difference.empty:
            await self._follow(desired)
            if self.note.state != "idle":
                self.note = Note()
                self._log("change.needless", generation=running.number)
            return Outcome("unchanged", running.number, time.monotonic() - begun, plan=shown)
        number = await self._journal.begin(desired, order.reason or reason(proposal), shown)
        return await self._make(order, number, desired, proposal, shown, begun)

    async def _make(
        self, order: Order, number: int, desired: Desired, proposal: Proposal, shown: dict[str, Any], begun: float
    ) -> Outcome:
        plan, why = desired.plan, order.reason or reason(proposal)
        counts = {"services": len(plan.services), "apis": len(plan.apis)}
        self._log("generation.starting", generation=number, reason=why, **counts)
        self.note = Note("applying", why)
        pins = {name: dict(files) for name, files in desired.pins.items()}
        change = Change(self._daemon, number, plan, proposal.difference, proposal.steps, pins)
        started = time.time()
        try:
            await change.run(None if order.reason else self._sources.moved)
        except StartError as error:
            self.span = (started, time.time())
            seconds = time.monotonic() - begun
            self._sources.failed(change.pools)
            await self._journal.failed(number, seconds, str(error))
            told = {"error": str(error), "traceback": error.traceback}
            self._log("generation.failed", level="error", generation=number, **told)
            return self._not("failed", str(error), trace=error.traceback, plan=shown, seconds=seconds)
        self.span = (started, time.time())
        seconds = time.monotonic() - begun
        await self._follow(desired)
        if order.generation is not None:
            await self._sources.news()  # what the files say is known, and not wanted
        self._tell(number, seconds, proposal)
        await self._journal.live(number, seconds, self._daemon.routing.pools)
        self.note = Note()
        return Outcome("applied", number, seconds, plan=shown)

    async def _follow(self, desired: Desired) -> None:
        self._daemon.desired = desired
        await self._sources.follow(desired, self._daemon.routing.pools.values())

    def _tell(self, number: int, seconds: float, proposal: Proposal) -> None:
        urls = " ".join(self._daemon.front.urls)
        self._log("generation.ready", generation=number, seconds=round(seconds, 3), url=urls)
        for api in proposal.difference.breaking:
            self._log("generation.breaking", level="warning", generation=number, api=api.name, reason=first_cause(api))

    async def _desired(self, order: Order) -> Desired:
        if order.generation is not None:
            return await self._journal.desired(order.generation)
        return await read_aside(order.files or self._sources.files, self._environ)

    async def _running(self) -> Running:
        daemon = self._daemon
        pools = daemon.routing.pools
        return Running(
            number=daemon.routing.number,
            plan=daemon.plan,
            files={name: dict(pool.files) for name, pool in pools.items()},
            included=self._sources.included,
            failed=frozenset(name for name, pool in pools.items() if pool.status().state is ServiceState.FAILED),
            usage=await usage(pools),
        )

    async def _recorded(self, number: int) -> Running:
        """A generation of old, as if it ran."""
        record: Record = await self._journal.record(number)
        desired = await self._journal.desired(number)
        files = {name: dict(service.files) for name, service in record.services.items()}
        return Running(number, desired.plan, files, self._sources.included)

    def _not(
        self,
        outcome: str,
        error: str,
        problems: Sequence[Problem] = (),
        *,
        trace: str = "",
        plan: dict[str, Any] | None = None,
        seconds: float = 0.0,
    ) -> Outcome:
        """What runs goes on."""
        number = self._daemon.routing.number
        self.note = Note(outcome, error, problems=tuple(problems))
        if not seconds:  # else it is said already that a generation has failed
            lines = [f"{one.file}:{one.line}:{one.column} {one.path}: {one.message}" for one in problems]
            self._log("change.refused", level="error", generation=number, reason=error, problems=lines)
        return Outcome(outcome, number, seconds, error, trace, tuple(problems), plan)


__all__ = ["Note", "Reload", "UnknownGeneration"]

"""An order to change what runs, and what became of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bentod.errors import Problem
from bentod.plan.difference import ApiChange, Proposal


@dataclass(frozen=True)
class Order:
    """A change that somebody wants, and why. `files`: the spec's files from now on. `state`: only if a proposal made
    now would have this state. `generation`: a recorded one, with its spec and its code. `anew`: what runs, placed on
    the host as that is now, whatever the files say meanwhile."""

    reason: str
    files: tuple[Path, ...] | None = None
    allow_breaking: bool = False
    state: str = ""
    generation: int | None = None
    anew: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of an order: `applied`, `unchanged`, `failed` or `refused`; `generation` is what runs now."""

    outcome: str
    generation: int
    seconds: float = 0.0
    error: str = ""
    traceback: str = ""
    problems: tuple[Problem, ...] = ()
    plan: dict[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """The outcome as plain data."""
        return {**asdict(self), "seconds": round(self.seconds, 3), "problems": [asdict(one) for one in self.problems]}


def first_reason(broken: Exception | None, *, heir: bool) -> str:
    """Why a daemon's first generation is there. `broken`: why it is not what the files say; `heir`: it takes the place
    of another daemon."""
    said = "upgrade" if heir else "up"
    return said if broken is None else f"{said}, with the last good generation: {broken}"


def refusal(order: Order, proposal: Proposal) -> str:
    """Why an order is not carried out; "" if it may be."""
    if order.state and order.state != proposal.state:
        return "what runs, or what the files say, has changed since that plan was made; make a new one"
    breaking = proposal.difference.breaking
    if breaking and not order.allow_breaking:
        names = "; ".join(f"{api.name}: {first_cause(api)}" for api in breaking)
        return f"this would break callers ({names}); --allow-breaking does it all the same"
    return ""


def reason(proposal: Proposal, most: int = 3) -> str:
    """Why a change is made that nobody ordered: the files and keys that differ."""
    found = [cause.name for service in proposal.difference.services for cause in service.causes]
    found += [
        f"apis.{api.name}{cause.pointer.replace('/', '.')}" for api in proposal.difference.apis for cause in api.causes
    ]
    found += [cause.name for cause in (*proposal.difference.gateways.causes, *proposal.difference.documents)]
    names = list(dict.fromkeys(found))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"changed: {', '.join(names[:most])}{more}"


def first_cause(api: ApiChange) -> str:
    """The first thing in which an API breaks its callers."""
    if api.verdict == "removed":
        return "removed"
    return next((f"{cause.pointer} {cause.message}" for cause in api.causes if cause.breaking), api.verdict)

"""What callers see of an API besides its schemas, and what they do not see although it changes. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bentod.plan.fingerprint import canonical
from bentod.plan.words import seconds, short, size
from bentod.wire.messages import ApiRoute

Level = Literal["same", "compatible", "breaking"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that differs, and what it means for callers."""

    pointer: str
    message: str
    level: Level


_UNSEEN: dict[str, str] = {
    "service": "/service",
    "method": "/method",
    "takes": "/takes",
    "max_delay_s": "/batching/max_delay",
    "max_size": "/batching/max_size",
    "queue": "/queue",
    "concurrency": "/concurrency",
    "priority": "/priority/default",
    "highest": "/priority/highest",
    "retry": "/retry",
    "deprecated": "/deprecated",
}
"""What only this side notices, or only readers: by attribute, where it stands."""

_TEXTS = {"summary": "/summary", "description": "/description", "tags": "/tags"}


def seen(old: ApiRoute, new: ApiRoute) -> Iterator[Seen]:
    """All in which two versions of an API differ, besides their schemas."""
    if old.path != new.path:
        yield Seen("/route", f"its path was {short(old.path)}, is {short(new.path)}", "breaking")
    if old.stream != new.stream:
        told = [name or "no stream" for name in (old.stream, new.stream)]
        yield Seen("/stream", f"was {told[0]}, is {told[1]}", "breaking")
    if old.max_body != new.max_body:
        level: Level = "breaking" if new.max_body < old.max_body else "compatible"
        yield Seen("/max_body", f"was {size(old.max_body)}, is {size(new.max_body)}", level)
    yield from _promises(old, new)
    yield from _rows(old, new)
    yield from _unseen(old, new)


def _promises(old: ApiRoute, new: ApiRoute) -> Iterator[Seen]:
    """What callers may notice and must expect."""
    for name, pointer in (("timeout_s", "/timeout"), ("stream_idle_s", "/stream_idle")):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield Seen(pointer, f"was {seconds(before)}, is {seconds(after)}", "compatible")
    for name in dict.fromkeys([*old.errors, *new.errors]):
        before, after = old.errors.get(name), new.errors.get(name)
        if before != after:
            text = (
                f"was {before}, is {after}" if before and after else f"{after} is new" if after else f"{before} is gone"
            )
            yield Seen(f"/errors/{name}", f"{short(name)}: {text}", "compatible")
    if old.output_check != new.output_check:
        told = "checked now" if new.output_check else "no longer checked"
        yield Seen("/output_check", f"answers are {told}", "compatible")


def _rows(old: ApiRoute, new: ApiRoute) -> Iterator[Seen]:
    """How many rows a call may bring, where the callable takes rows."""
    if new.takes != "rows" and old.takes != "rows":
        return
    if new.takes != old.takes:
        level: Level = "breaking" if new.takes == "rows" else "compatible"
        yield Seen(
            "/takes",
            "the parts of a call " + ("must" if level == "breaking" else "need not") + " agree in length",
            level,
        )
        return
    before, after = old.max_size or float("inf"), new.max_size or float("inf")
    if before != after:
        told = [f"{rows:g}" if rows < float("inf") else "any number" for rows in (before, after)]
        level = "breaking" if after < before else "compatible"
        yield Seen("/batching/max_size", f"a call could have {told[0]} rows, can have {told[1]}", level)


def _unseen(old: ApiRoute, new: ApiRoute) -> Iterator[Seen]:
    rows = "rows" in (old.takes, new.takes)
    for name, pointer in _UNSEEN.items():
        before, after = getattr(old, name), getattr(new, name)
        if before != after and not (rows and name in ("takes", "max_size")):
            yield Seen(pointer, f"was {_told(name, before)}, is {_told(name, after)}", "same")
    for name, pointer in _TEXTS.items():
        if getattr(old, name) != getattr(new, name):
            yield Seen(pointer, "is another", "same")
    if canonical([asdict(one) for one in old.examples]) != canonical([asdict(one) for one in new.examples]):
        yield Seen("/examples", "are others", "same")


def _told(name: str, value: Any) -> str:
    if name.endswith("_s"):
        return seconds(value)
    if name in ("max_size", "concurrency") and not value:
        return "off" if name == "max_size" else "unbounded"
    return str(value).lower() if isinstance(value, bool) else short(str(value))

"""What came of examples, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bentod.cli.examples import ERROR, FAILED, OK, Results, Tried

_WORDS = {OK: "ok", FAILED: "FAILED", ERROR: "error"}
_INDENT = " " * 8


def lines(tried: Tried, *, verbose: bool = False) -> Iterator[str]:
    """One example: a line, and what is wrong below it; also what was answered if `verbose`."""
    yield f"{_WORDS[tried.outcome]:<7} {tried.api}  {tried.example}  {tried.seconds * 1e3:.0f} ms"
    for line in tried.text.splitlines():
        yield _INDENT + line
    if verbose and tried.answer:
        first, *more = tried.answer.splitlines()
        yield f"{_INDENT}answered: {first}"
        for line in more:
            yield _INDENT + line


def summary(results: Results) -> Iterator[str]:
    """All of them: what was not tried, and the numbers."""
    for name in results.bare:
        yield f"-       {name}  has no examples"
    counts = [f"{number} {_WORDS[outcome]}" for outcome in _WORDS if (number := results.count(outcome))]
    total = len(results.tried)
    yield f"{total} example{'' if total == 1 else 's'} at {results.url}: {', '.join(counts) or 'nothing to try'}"


def document(results: Results, *, scratch: bool) -> dict[str, Any]:
    """All of them as plain data."""
    apis: dict[str, list[dict[str, Any]]] = {name: [] for name in results.bare}
    for one in results.tried:
        found = {"name": one.example, "outcome": one.outcome, "seconds": round(one.seconds, 6), "text": one.text}
        apis.setdefault(one.api, []).append(found)
    return {
        "name": results.name,
        "url": results.url,
        "scratch": scratch,
        "ok": results.count(OK) == len(results.tried),
        "counts": {outcome: results.count(outcome) for outcome in _WORDS},
        "apis": apis,
    }

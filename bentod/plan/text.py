"""A plan as people read it in a terminal. Takes the document, so that it can come from anywhere. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from bentod.plan.text_allotment import lines
from bentod.plan.words import mebibytes

_SIGNS = {
    "add": "+",
    "remove": "-",
    "restart": "~",
    "live": "~",
    "keep": "=",
    "added": "+",
    "removed": "-",
    "breaking": "!",
    "compatible": "~",
    "same": "=",
}
_COLOURS = {"+": "32", "-": "31", "!": "1;31", "~": "33", "=": "2"}
_MODES = {
    "overlap": "the new workers are ready before the old ones stop",
    "one_by_one": "one worker after the other",
    "stop_first": "the old workers stop before the new ones start",
}
_ORDER = ("add", "remove", "restart", "live", "keep")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NO_GAP_S = 0.0005


def text(document: Mapping[str, Any], colour: bool = False) -> str:
    """What would be done, ending with one line that sums it up; or that there is nothing to do."""
    paint = _Paint(colour)
    if document["empty"]:
        told = list(lines(document["placement"], _clean))
        return "\n".join([*([paint.title("placement"), *told, ""] if told else []), "Nothing to do.\n"])
    blocks = (
        list(_services(document, paint)),
        list(_apis(document, paint)),
        list(_gateways(document, paint)),
        [_cause(one) for one in document["documents"]],
        list(lines(document["placement"], _clean)),
        list(_steps(document, paint)),
    )
    titles = ("services", "apis", "gateways", "documents", "placement", "steps")
    parts = ["\n".join([paint.title(title), *lines]) for title, lines in zip(titles, blocks, strict=True) if lines]
    return "\n\n".join([*parts, paint.title(_summary(document))]) + "\n"


class _Paint:
    """Colours, or none."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def title(self, words: str) -> str:
        return self._in("1", words)

    def signed(self, word: str, rest: str) -> str:
        """A line that begins with the sign of an action or verdict."""
        sign = _SIGNS[word]
        return self._in(_COLOURS[sign], f"  {sign} {rest}")

    def _in(self, code: str, words: str) -> str:
        return f"\x1b[{code}m{words}\x1b[0m" if self._colour else words


def _services(document: Mapping[str, Any], paint: _Paint) -> Iterator[str]:
    kept = []
    for name, one in document["services"].items():
        if one["action"] == "keep":
            kept.append(_clean(name))
            continue
        yield paint.signed(one["action"], f"{_clean(name)}  {one['action']}")
        yield from map(_cause, one["causes"])
    if kept:
        yield paint.signed("keep", ", ".join(kept))


def _apis(document: Mapping[str, Any], paint: _Paint) -> Iterator[str]:
    same = []
    for name, one in document["apis"].items():
        if one["verdict"] == "same" and not one["causes"]:
            same.append(_clean(name))
            continue
        words = "nothing changes for callers" if one["verdict"] == "same" else one["verdict"]
        yield paint.signed(one["verdict"], f"{_clean(name)}  {words}")
        for cause in one["causes"]:
            place = f"{_clean(cause['pointer'])}  " if cause["pointer"] else ""
            yield f"      {'!' if cause['breaking'] else ' '} {place}{_clean(cause['message'])}"
    if same:
        yield paint.signed("same", ", ".join(same))


def _gateways(document: Mapping[str, Any], paint: _Paint) -> Iterator[str]:
    gateways = document["gateways"]
    if gateways["action"] in ("restart", "live"):
        yield paint.signed(gateways["action"], gateways["action"])
        yield from map(_cause, gateways["causes"])


def _steps(document: Mapping[str, Any], paint: _Paint) -> Iterator[str]:
    for step in document["steps"]:
        yield paint.signed("restart", f"{_clean(step['service'])}  {_MODES[step['mode']]}, {_gap(step['gap_seconds'])}")
        yield f"        {_clean(step['reason'])}"
    budget = document["budget"]
    if document["steps"] or budget["expected"]:
        free = "" if budget["available"] is None else f", {mebibytes(budget['available'])} are available"
        used = f"{mebibytes(budget['running'])} in use, about {mebibytes(budget['expected'])} more meanwhile"
        yield f"    memory: {used}{free}"
        yield from _gpus(document)


def _gpus(document: Mapping[str, Any]) -> Iterator[str]:
    placement = document["placement"]
    indexes = {one["uuid"]: one["index"] for one in placement["gpus"]} if placement is not None else {}
    for one in document["budget"]["gpus"]:
        used = f"{mebibytes(one['running'])} in use, about {mebibytes(one['expected'])} more meanwhile"
        free = "" if one["free"] is None else f", {mebibytes(one['free'])} are free"
        yield f"    GPU {_clean(indexes.get(one['uuid']) or one['uuid'])}: {used}{free}"


def _gap(seconds: float | None) -> str:
    if seconds is None:
        return "a gap of unknown length"
    return "no gap" if seconds < _NO_GAP_S else f"a gap of about {seconds:.1f} s"


def _cause(cause: Mapping[str, Any]) -> str:
    """One line: what, and from what to what."""
    before, after = _clean(cause["before"]), _clean(cause["after"])
    if cause["kind"] == "state":
        return f"        it has {before or after}"
    words = f"{before} → {after}" if before and after else after or (f"{before} → nothing" if before else "changed")
    return f"        {_clean(cause['name'])}  {words}"


def _summary(document: Mapping[str, Any]) -> str:
    counts = Counter(one["action"] for one in document["services"].values())
    told = [", ".join(f"{counts[action]} {action}" for action in _ORDER if counts[action])]
    broken = sum(one["verdict"] in ("breaking", "removed") for one in document["apis"].values())
    if broken:
        told.append(f"{broken} breaking API{'s' if broken > 1 else ''}")
    if document["gateways"]["action"] == "restart":
        told.append("gateways restart")
    return f"Plan: {'; '.join(told)}"


def _clean(words: str) -> str:
    """Nothing that a terminal would obey."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", words)

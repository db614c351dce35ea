"""When a package is needed, gathered along the ways that lead to it: any of several, each all of some markers."""

from __future__ import annotations

from bentod.lock.one import Refused

Condition = frozenset[frozenset[str]]
"""Any of these sets of markers, all of one; the empty set of markers holds always, no set never."""

ALWAYS: Condition = frozenset({frozenset()})
NEVER: Condition = frozenset()
_MOST = 256


def both(condition: Condition, marker: str) -> Condition:
    """The condition, and the marker besides."""
    return frozenset(one | {marker} for one in condition) if marker else condition


def either(left: Condition, right: Condition) -> Condition:
    """Any of the two, without what follows from the rest. Raises Refused if there are too many ways."""
    if left == right or not right:
        return left
    together = left | right
    least = frozenset(one for one in together if not any(other < one for other in together))
    if len(least) > _MOST:
        hint = "export it: `uv export --no-dev --format pylock.toml`"
        raise Refused("too-large", "too many ways lead to one package", hint)
    return least


def text(condition: Condition) -> str:
    """The marker that says the same; "" if it holds always."""
    if frozenset() in condition:
        return ""
    ways = sorted(" and ".join(sorted(_grouped(marker) for marker in way)) for way in condition)
    return " or ".join(f"({way})" for way in ways) if len(ways) > 1 else "".join(ways)


def _grouped(marker: str) -> str:
    return f"({marker})" if " or " in marker else marker

"""Whether every value that is right by one JSON Schema is right by another, and if that cannot be shown, where. Pure.

The inner schema is taken apart into parts that all hold, and each keyword of the outer one must follow from them. What
follows is proved; what does not may only be hard to prove. Recursive schemas end at the first pair that is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bentod.iotypes.validator import Validator
from bentod.plan import special_types, values
from bentod.plan.findings import Finding, Path, Words
from bentod.plan.members import Members
from bentod.plan.schema_side import AROUND, Budget, Parts, Sameness, Side, TooMuch
from bentod.plan.simple import BOUNDS, SIMPLE

MOST_STEPS = 20_000
DEEPEST = 64
_CASES = ("anyOf", "oneOf")
_MOST_VALUES = 100
_GROUPS = (("not",), ("if", "then", "else"), ("oneOf",), ("dependencies",), ("dependentSchemas",))
"""Keywords that follow only from themselves, all of a group together."""

_ALONE = frozenset(("type", "enum", "const", "pattern", "format", *BOUNDS))
"""Keywords that a validator can judge without the schema around them."""


def findings(inner: tuple[Any, Any], outer: tuple[Any, Any], *, outer_is_new: bool) -> list[Finding]:
    """Where a value that is right by the inner schema may be wrong by the outer one; each is `(schema, types)`."""
    words = Words(outer_is_new)
    budget = Budget(MOST_STEPS)
    try:
        containment = Containment(Side(*inner, budget), Side(*outer, budget), words, budget)
        return containment.run()
    except TooMuch:
        return [Finding((), "too large to be compared: it cannot be proved that everything stays right")]


class Containment:
    """One comparison."""

    def __init__(self, inner: Side, outer: Side, words: Words, budget: Budget) -> None:
        self.inner = inner
        self.outer = outer
        self.words = words
        self.same = Sameness(inner, outer, budget)
        self._budget = budget
        self._found: list[Finding] = []
        self._assumed: dict[tuple[tuple[int, ...], int], None] = {}
        self._members = Members(self)

    def run(self) -> list[Finding]:
        """All that is found."""
        self.within(self.inner.parts(self.inner.root), self.outer.root, (), 0)
        return self._found

    def report(self, path: Path, message: str) -> None:
        """Something may be wrong by the outer schema."""
        self._found.append(Finding(path, message))

    def within(self, parts: Parts, outer: Any, path: Path, depth: int) -> None:
        """Report where a value that is right by all `parts` may be wrong by a schema of the outer side."""
        self._budget.spend()
        known = (tuple(map(id, parts)), id(outer))
        if False in parts or known in self._assumed:
            return
        if isinstance(outer, dict):
            self._assumed[known] = None
        wanted = self.outer.parts(outer)
        if depth > DEEPEST:
            if any(not any(self.same.schemas(part, one) for part in parts) for one in wanted):
                self.report(path, "nested too deeply to be compared")
            return
        if special_types.any_special(parts) or special_types.any_special(wanted):
            special_types.check(self, parts, wanted, path)
            return
        for one in wanted:
            self._part(parts, one, path, depth)

    def holds(self, parts: Parts, outer: Any, depth: int) -> bool:
        """Whether `within` finds nothing. What it assumes on the way holds for nothing else."""
        found, assumed = self._found, self._assumed
        self._found, self._assumed = [], {}
        try:
            self.within(parts, outer, (), depth)
            return not self._found
        finally:
            self._found, self._assumed = found, assumed

    def _part(self, parts: Parts, outer: Any, path: Path, depth: int) -> None:
        """The same for one part of the outer schema."""
        if outer is False:
            self.report(path, self.words.nothing())
            return
        if any(self.same.schemas(part, outer) for part in values.maps(parts)) or self._listed(parts, outer):
            return
        mark, assumed = len(self._found), len(self._assumed)
        possible = values.kinds(parts)
        for rule in SIMPLE:
            self._found += rule(parts, outer, possible, path, self.words)
        if "object" in possible:
            self._members.of_object(parts, outer, path, depth)
        if "array" in possible:
            self._members.of_array(parts, outer, path, depth)
        self._complex(parts, outer, path, depth)
        if len(self._found) > mark and self._by_cases(parts, outer, depth):
            del self._found[mark:]
            while len(self._assumed) > assumed:  # nothing may rest on what was given up
                self._assumed.popitem()

    def _listed(self, parts: Parts, outer: dict[str, Any]) -> bool:
        """Whether only some values can come, and each of them is right."""
        listed = values.finite(parts)
        if listed is None or len(listed) > _MOST_VALUES or not _ALONE.issuperset(outer):
            return False
        try:
            valid = Validator(outer, {}).valid
        except ValueError:
            return False
        return all(valid(value) for value in listed)

    def _complex(self, parts: Parts, outer: dict[str, Any], path: Path, depth: int) -> None:
        """Keywords that hold schemas for the value itself."""
        if "$ref" in outer and self.outer.followed(outer["$ref"]) is None:
            self.report((*path, "$ref"), self.words.unproved("$ref"))
        for group in _GROUPS:
            if group[0] in outer and not self.follows(parts, outer, group):
                self.report((*path, group[0]), self.words.unproved(group[0]))
        for key in AROUND:
            if outer.get(key, True) is not True:
                self.report((*path, key), self.words.unproved(key))
        if "anyOf" in outer and not any(self.holds(parts, branch, depth + 1) for branch in outer["anyOf"]):
            self.report((*path, "anyOf"), self.words.unproved("anyOf"))

    def follows(self, parts: Parts, outer: dict[str, Any], keys: tuple[str, ...]) -> bool:
        """Whether some part says the same with these keywords."""
        return any(self.same.keywords(part, outer, keys) for part in values.maps(parts))

    def _by_cases(self, parts: Parts, outer: dict[str, Any], depth: int) -> bool:
        """Whether it holds for each of the cases that the inner schema has: its `anyOf`, or its kinds of values."""
        cases = next(self._cases(parts), None)
        if cases is None and "anyOf" in outer and len(possible := values.kinds(parts)) > 1:
            cases = [(*parts, _OF_KIND[kind]) for kind in sorted(possible)]
        return cases is not None and all(self.holds(case, outer, depth + 1) for case in cases)

    def _cases(self, parts: Parts) -> Iterator[list[Parts]]:
        for index, part in enumerate(parts):
            for key in _CASES if isinstance(part, dict) else ():
                if key in part:
                    rest = (*parts[:index], self.inner.without(part, key), *parts[index + 1 :])
                    yield [(*rest, *self.inner.parts(branch)) for branch in part[key]]


_OF_KIND: dict[str, dict[str, Any]] = {
    kind: {"type": kind} for kind in values.KINDS if kind not in ("integer", "fraction")
} | {"integer": {"type": "integer"}, "fraction": {"type": "number"}}

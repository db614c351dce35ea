"""Which variables of the environment a spec refers to: what has to be given wherever it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bentod.spec.interpolate import InterpolationError, Scope, each_string, interpolate
from bentod.spec.resolve import verbatim, without_extensions

_REFERENCES = dict.fromkeys(("spec.dir", "spec.name", "service.name"), "")


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable. `required`: the spec cannot be read without it; `filled`: it must not be empty either."""

    name: str
    required: bool
    filled: bool = False


def variables(as_written: Mapping[str, Any]) -> tuple[Variable, ...]:
    """The variables of a spec as it was written, sorted by name."""
    found: dict[str, Variable] = {}
    models = frozenset(as_written["models"]) if isinstance(as_written.get("models"), dict) else frozenset()
    for text in _texts(as_written):
        for one in _of(text, models):
            had = found.get(one.name, one)
            found[one.name] = Variable(one.name, one.required or had.required, one.filled or had.filled)
    return tuple(found[name] for name in sorted(found))


def constant(text: Any) -> bool:
    """Whether a text as it was written is the same in every environment."""
    return isinstance(text, str) and not list(_of(text, frozenset()))


def _texts(as_written: Mapping[str, Any]) -> list[str]:
    """All strings in which references mean something."""
    texts: list[str] = []

    def visit(text: str, path: tuple[str | int, ...]) -> str:
        if "$" in text and not verbatim(path):
            texts.append(text)
        return text

    each_string(without_extensions(dict(as_written)), (), visit)
    return texts


def _of(text: str, models: frozenset[str]) -> Iterator[Variable]:
    """What `text` asks for: found by reading it as if all variables were set, then without one after the other."""
    unset: set[str] = set()
    outside = _asked(text, models, unset)[0]  # not in another one's default
    ahead = list(outside)
    seen: set[str] = set()
    while ahead:
        name = ahead.pop(0)
        if name in seen:
            continue
        seen.add(name)
        more, failed = _asked(text, models, {*unset, name})
        if failed:
            yield Variable(name, name in outside, _asked(text, models, unset, empty=name)[1])
            continue
        unset.add(name)
        ahead += more
        yield Variable(name, required=False)


def _asked(text: str, models: frozenset[str], unset: set[str], empty: str = "") -> tuple[list[str], bool]:
    """The variables that are asked for if those in `unset` are not set, and whether that fails."""
    given = _Asked(unset, empty)
    try:
        interpolate(text, Scope(given, _REFERENCES, worker=True, models=models))
    except InterpolationError:
        return given.names, True
    return given.names, False


class _Asked(Mapping[str, str]):
    """An environment in which everything is set but `unset`, and that notes what it is asked for."""

    def __init__(self, unset: set[str], empty: str) -> None:
        self._unset, self._empty = unset, empty
        self.names: list[str] = []

    def __getitem__(self, name: str) -> str:
        self.names.append(name)
        if name in self._unset:
            raise KeyError(name)
        return "" if name == self._empty else "x"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

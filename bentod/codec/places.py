"""The special places of one value: found, emptied, and filled again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bentod.iotypes.layout import Layout
from bentod.iotypes.special import SpecialType
from bentod.iotypes.validator import escape


@dataclass(slots=True)
class Place:
    """Where something special stands: in `container` under `key`; `value` is what stood there."""

    container: Any
    key: Any
    pointer: str
    kind: SpecialType
    value: Any

    def fill(self, value: Any) -> None:
        """Put something in place."""
        self.container[self.key] = value


def emptied(value: Any, layout: Layout) -> tuple[list[Any], list[Place]]:
    """A list with a copy of `value` in it, in which a different string stands for each special value, and their places.

    Only what lies on the way to a special place is copied; the rest is shared.
    """
    root, places = [value], []
    ahead: list[tuple[Any, Any, str, Layout]] = [(root, 0, "", layout)]
    for container, key, pointer, here in ahead:
        item = container[key]
        if here.special is not None:
            if item is not None or not here.special.nullable:
                places.append(Place(container, key, pointer, here.special, item))
                container[key] = f"<{type(here.special).__name__.removesuffix('Type').lower()} {len(places)}>"
        elif isinstance(item, dict | list | tuple):
            copy = container[key] = dict(item) if isinstance(item, dict) else list(item)
            ahead.extend((copy, below, f"{pointer}/{escape(str(below))}", at) for below, at in _below(item, here))
    return root, places


def _below(item: Any, here: Layout) -> Iterator[tuple[Any, Layout]]:
    """Names or indexes in `item` at which there may be something special, with the layout there."""
    if isinstance(item, dict):
        if here.additional is None:
            yield from ((name, at) for name, at in here.properties.items() if name in item)
        else:
            yield from ((name, here.properties.get(name, here.additional)) for name in item)
        return
    for index, at in enumerate(here.prefix[: len(item)]):
        if at is not None:
            yield index, at
    if here.items is not None:
        yield from ((index, here.items) for index in range(len(here.prefix), len(item)))

"""The special places of one value: found, emptied, and filled again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bentod.errors import BodyTooLarge, Pointed
from bentod.iotypes.layout import Layout, masked
from bentod.iotypes.pointers import escaped
from bentod.iotypes.special import SpecialType
from bentod.iotypes.validator import Validator


@dataclass(slots=True)
class Place:
    """Where something special stands: in `container` under `key`; `value` is what stood there."""

    container: Any
    key: Any
    pointer: str
    kind: SpecialType
    value: Any

    def at(self, error: ValueError) -> str:
        """The JSON Pointer of what is wrong: this place, or what a Misfit says lies within it."""
        return self.pointer + "".join(f"/{step}" for step in getattr(error, "path", ()))

    def fill(self, value: Any) -> None:
        """Put something in place."""
        self.container[self.key] = value


MOST_PLACES = 10_000
"""Special values that an input may have. A frame between our own processes takes more attachments than that."""


def emptied(value: Any, layout: Layout, most: int | None = None) -> tuple[list[Any], list[Place]]:
    """A list with a copy of `value` in it, in which a different string stands for each special value, and their places.

    Only what lies on the way to a special place is copied; the rest is shared. Raises BodyTooLarge for more than `most`
    special values, or ten times as many places where they could be.
    """
    root, places = [value], []
    ahead: list[tuple[Any, Any, str, Layout]] = [(root, 0, "", layout)]
    for container, key, pointer, here in ahead:
        item = container[key]
        if here.special is not None:
            if item is not None or not here.special.nullable:
                places.append(Place(container, key, pointer, here.special, item))
                _limit(len(places), most)
                container[key] = f"<{type(here.special).__name__.removesuffix('Type').lower()} {len(places)}>"
        elif isinstance(item, dict | list | tuple):
            if here.additional is not None or here.items is not None:
                _limit((len(ahead) + len(item)) // 10, most)
            copy = container[key] = dict(item) if isinstance(item, dict) else list(item)
            ahead.extend(
                (copy, below, f"{pointer}/{escaped(below)}", at)
                for below, at in _below(item, here)
                if at.special is not None or isinstance(item[below], dict | list | tuple)
            )
    return root, places


def judge(schema: Any, types: Mapping[str, Any], layout: Layout | None) -> Validator:
    """What judges emptied values: to it, anything goes in the special places. Raises ValueError."""
    if layout is None:
        return Validator(schema, types)
    return Validator(masked(schema), {name: masked(inner) for name, inner in types.items()})


_STAND_IN = re.compile(r'"<(tensor|image|file|binary) \d+>"')


def told(error: Pointed) -> Pointed:
    """What a validator said of an emptied value, without the strings that stand for special ones."""
    return Pointed(error.pointer, _STAND_IN.sub(r"\1", error.detail))


def _limit(count: int, most: int | None) -> None:
    if most is not None and count > most:
        raise BodyTooLarge(f"the input has room for more than {most} tensors, images, files and bytes")


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

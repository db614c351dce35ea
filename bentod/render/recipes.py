"""Templates of `recipes/`, in which no value stands but what a filter has made fit for its place.

The structure of a rendered file is what its template says. People read the template, and what comes of it, so the
comments that tell why a line is there belong to both. A value comes in only by a filter that writes it as one word, one
scalar or one line of the format; one that was not filtered is refused by its type, whatever it holds. So no value can
add a key, an entry, a document or a comment.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jinja2

from bentod.errors import BentodError
from bentod.shipped import shipped


class Unwritable(BentodError):
    """A rendered file cannot say this."""


class Written(str):
    """Text that a filter has made fit for its place."""

    __slots__ = ()


Filters = Mapping[str, Callable[[Any], Written]]


def rendered(template: str, values: Mapping[str, Any], filters: Filters) -> str:
    """The template `recipes/<template>`, filled in. Raises Unwritable, if a filter does."""
    folder, _, name = template.rpartition("/")
    return _environment(folder, tuple(filters.items())).get_template(name).render(values)


@functools.cache
def _environment(folder: str, filters: tuple[tuple[str, Callable[[Any], Written]], ...]) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(shipped(f"recipes/{folder}")),
        undefined=jinja2.StrictUndefined,
        finalize=_only_written,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        autoescape=False,  # noqa: S701 - no HTML: the filters write each value for its place
    )
    environment.filters |= dict(filters)
    return environment


def _only_written(value: object) -> Written:
    """No value comes into a file but by a filter that knows its place."""
    if not isinstance(value, Written):
        raise TypeError(f"{value!r} is written without a filter")
    return value

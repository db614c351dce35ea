"""Calls' arguments as a callable takes them, and its answer as one answer for each call: pure shaping.

`item` needs none of this. NumPy is not loaded here: who has an array has loaded it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, pairwise
from operator import itemgetter
from typing import Any

from bentod.iotypes.parts import Tensor
from bentod.iotypes.pointers import escaped
from bentod.worker.parts import Unreadable, whole_tensor

ITEM, COLUMNS, ITEMS, ROWS = "item", "columns", "items", "rows"
TAKES = frozenset({ITEM, COLUMNS, ITEMS, ROWS})
PLAIN, PARTS, VIEWS = "plain", "parts", "views"
"""What becomes of arrays in answers: lists if no call wants tensors, tensors if all do, else views to choose from."""


class Miscounted(Exception):
    """The callable gave another number of answers than it had calls, or rows; the text is for the log."""


def rows_in(argument: Any, *, named: bool) -> int:
    """How many rows a call brings, 0 if it has no array. Raises Unreadable if its arrays are of different lengths."""
    if not named:
        return len(argument) if _has_rows(argument) else 0
    found = {name: len(value) for name, value in argument.items() if _has_rows(value)}
    if len(set(found.values())) > 1:
        (first, rows), *others = found.items()
        other, length = next(one for one in others if one[1] != rows)
        raise Unreadable(f"/{escaped(other)}", f"{length} rows, and {rows} in {first!r}")
    return next(iter(found.values()), 0)


def arguments(takes: str, calls: Sequence[Any], *, named: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the callable gets, positional and by name, for the arguments of at least one call.

    Nothing is copied for a single call. Raises ValueError if the calls cannot share a batch.
    """
    if takes == ITEMS:
        return (list(calls),), {}
    shape = _column if takes == COLUMNS else _rows
    if not named:
        return (shape(list(calls)),), {}
    if len(set(map(len, calls))) > 1:
        raise ValueError("calls with different properties cannot share a batch")
    try:
        return (), {name: shape(list(map(itemgetter(name), calls))) for name in calls[0]}
    except KeyError as error:
        raise ValueError("calls with different properties cannot share a batch") from error


def split(takes: str, value: Any, count: int, rows: Sequence[int], form: str = VIEWS) -> list[Any]:
    """The answers of `count` calls, which had so many `rows`, in their order; arrays become what `form` says.

    Raises Miscounted; and whatever the conversion of a value to an array raises.
    """
    if takes != ROWS:
        return _entries(_sequence(value, _many(count, "call"), count), form)
    total, wanted = sum(rows), _many(sum(rows), "row")
    bounds = list(pairwise(accumulate(rows, initial=0)))
    if not isinstance(value, dict):
        return _slices(_sequence(value, wanted, total), bounds, form)
    shares: list[dict[Any, Any]] = [{} for _ in bounds]
    for key, item in value.items():
        if isinstance(item, list | tuple) or _dimensions(item):
            found = _slices(_sequence(item, wanted, total, f" in {key!r}"), bounds, form)
            for share, rows_of_call in zip(shares, found, strict=True):
                share[key] = rows_of_call
        else:
            for share in shares:
                share[key] = item
    return shares


def failure_in(takes: str, answer: Any) -> BaseException | None:
    """The exception that stands for a call's answer, or for one of its rows."""
    if takes != ROWS:
        return answer if isinstance(answer, BaseException) else None
    parts: Iterable[Any] = answer.values() if isinstance(answer, dict) else (answer,)
    entries = chain.from_iterable(part for part in parts if isinstance(part, list | tuple))
    return next((entry for entry in entries if isinstance(entry, BaseException)), None)


def _has_rows(value: Any) -> bool:
    return isinstance(value, list) or (_is_array(value) and value.ndim > 0)


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _column(values: list[Any]) -> Any:
    """One argument of all calls: arrays stacked on a new axis 0, anything else as a list."""
    if not _is_array(values[0]):
        return values
    if len(values) == 1:
        return values[0][None]
    return sys.modules["numpy"].stack(values) if all(map(_is_array, values)) else values


def _rows(values: list[Any]) -> Any:
    """One argument of all calls: their rows one after the other, and what is no rows as the first call has it."""
    first = values[0]
    if len(values) == 1 or not _has_rows(first):
        return first
    if not all(map(_has_rows, values)):
        raise ValueError("calls with rows and calls without cannot share a batch")
    if all(map(_is_array, values)):
        return sys.modules["numpy"].concatenate(values)
    return list(chain.from_iterable(values))


def _dimensions(value: Any) -> int:
    """Of what can become an array, else 0."""
    if not hasattr(value, "__array__") or isinstance(value, type):
        return 0
    known = getattr(value, "ndim", None)
    return known if isinstance(known, int) else int(_array(value).ndim)


def _array(value: Any) -> Any:
    import numpy as np

    return np.asarray(value)


def _sequence(value: Any, wanted: str, count: int, where: str = "") -> Any:
    """A list, tuple or array with `count` entries. Raises Miscounted."""
    found = value
    if not isinstance(value, list | tuple):
        if not _dimensions(value):
            name = "None" if value is None else f"a value of type {type(value).__name__}"
            raise Miscounted(f"the callable got {wanted} and returned {name}{where} instead of a list of answers")
        found = _array(value)
    if len(found) != count:
        raise Miscounted(f"the callable got {wanted} and returned {_many(len(found), 'answer')}{where}")
    return found


def _entries(found: Any, form: str) -> list[Any]:
    if isinstance(found, list | tuple):
        return list(found)
    if form == PLAIN or (found.ndim == 1 and found.dtype.kind in "biuf"):
        entries: list[Any] = found.tolist()
        return entries
    whole = whole_tensor(found) if form == PARTS and found.ndim > 1 else None
    if whole is None:
        return list(found)
    shape, step = whole.shape[1:], _step(whole)
    return [Tensor(whole.dtype, shape, whole.data[at * step : (at + 1) * step]) for at in range(len(found))]


def _slices(found: Any, bounds: Sequence[tuple[int, int]], form: str) -> list[Any]:
    whole = None
    if not isinstance(found, list | tuple):
        whole = whole_tensor(found) if form == PARTS else None
        found = found.tolist() if form == PLAIN else found
    if whole is None:
        return [found[start:end] for start, end in bounds]
    shape, step = whole.shape[1:], _step(whole)
    return [Tensor(whole.dtype, (end - start, *shape), whole.data[start * step : end * step]) for start, end in bounds]


def _step(whole: Tensor) -> int:
    """Bytes of one entry."""
    return len(whole.data) // whole.shape[0] if whole.shape[0] else 0


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"

"""The rows that one call brings, where its callable takes the rows of many: how many they are, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bentod.errors import InvalidInput, Pointed
from bentod.iotypes.parts import Tensor
from bentod.iotypes.pointers import escaped


def length(value: Any) -> int | None:
    """How many rows a part of an input is: a list, or a tensor of one dimension at least; None for anything else."""
    if type(value) is list:
        return len(value)
    return value.shape[0] if type(value) is Tensor and value.shape else None


def counted(lengths: Mapping[str, int], max_size: int, *, named: bool) -> int:
    """How many rows a call has, of which these are the lengths of its arrays, by property if they are `named`.

    Raises InvalidInput if they differ, if there is no array, or more rows than `max_size` if that is not 0.
    """
    if not lengths:
        detail = "one array at least is needed, and its entries are the rows"
        raise InvalidInput("the input has no rows", errors=(Pointed("", detail),))
    first, rows = next(iter(lengths.items()))
    if len(lengths) > 1 and (errors := _unequal(lengths, first, rows)):
        raise InvalidInput("the arrays of the input have different lengths", errors=errors)
    if rows > max_size > 0:
        pointer = f"/{escaped(first)}" if named else ""
        errors = (Pointed(pointer, f"{_said(rows)}, and {max_size} are the most"),)
        raise InvalidInput("the input has too many rows", errors=errors)
    return rows


def _unequal(lengths: Mapping[str, int], first: str, rows: int) -> tuple[Pointed, ...]:
    """Which arrays have not as many rows as the first one."""
    return tuple(
        Pointed(f"/{escaped(name)}", f"{_said(length)} here, and {_said(rows)} in {first[:60]!r}")
        for name, length in lengths.items()
        if length != rows
    )


def _said(rows: int) -> str:
    return f"{rows} row{'' if rows == 1 else 's'}"

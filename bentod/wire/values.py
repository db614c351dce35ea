"""Frozen dataclasses ⇄ MessagePack: the one form in which values travel between our own processes.

A value travels as the array `[class name, {field: value}]`. Values nest; an unknown class, an unknown field or a
missing field is a WireError, so two processes of different versions cannot misunderstand each other silently.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

import msgpack

from bentod.errors import WireError


def pack(value: Any) -> bytes:
    """One value as MessagePack. Raises WireError for what MessagePack cannot hold."""
    try:
        return bytes(msgpack.packb([type(value).__name__, dataclasses.asdict(value)]))
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"cannot send {type(value).__name__}: {error}") from error


def unpack(data: bytes | memoryview, classes: Mapping[str, type[Any]]) -> Any:
    """The value in `data`, of one of `classes`. Raises WireError for anything that `pack` does not make of them."""
    try:
        name, fields = msgpack.unpackb(data, strict_map_key=False)
        return _build(classes[name], fields)
    except (ValueError, KeyError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise WireError(f"unknown message: {type(error).__name__} {error}") from error


def _build(kind: Any, value: Any) -> Any:
    """`value`, decoded from MessagePack, as the annotated `kind`: dataclasses and tuples of them are rebuilt."""
    if dataclasses.is_dataclass(kind):
        return kind(**{key: _build(_hints(kind)[key], item) for key, item in value.items()})  # type: ignore[operator]
    if isinstance(kind, types.UnionType):
        return None if value is None else _build(typing.get_args(kind)[0], value)
    if typing.get_origin(kind) is tuple:
        return tuple(_build(typing.get_args(kind)[0], item) for item in value)
    return value


_HINTS: dict[Any, dict[str, Any]] = {}


def _hints(kind: Any) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    return _HINTS[kind]

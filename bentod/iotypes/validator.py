"""Compiles the JSON Schema of an input or output once, and says everything that is wrong with a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import jsonschema_rs

from bentod.errors import Pointed
from bentod.iotypes.pointers import escaped
from bentod.iotypes.references import object_schema

MOST_ERRORS = 100
_SHOWN = 200


class Validator:
    """A compiled schema. `$ref: "#/types/NAME"` finds the types of the spec."""

    def __init__(self, schema: Any, types: Mapping[str, Any]) -> None:
        """Raises ValueError if the schema is invalid or refers to what does not exist."""
        root = schema if isinstance(schema, bool) else {**schema, "types": {**types, **schema.get("types", {})}}
        try:
            self._compiled = jsonschema_rs.Draft202012Validator(root, validate_formats=True, retriever=_fetch_nothing)
        except (jsonschema_rs.ValidationError, ValueError) as error:
            raise ValueError(str(error)) from error
        self.valid: Callable[[Any], bool] = self._compiled.is_valid
        """Whether a value matches; the fast path."""
        if schema is True or schema == {}:
            self.valid = _anything

    def errors(self, value: Any) -> tuple[Pointed, ...]:
        """What is wrong with `value`, at most 100 things, with JSON Pointers into it."""
        return tuple(_pointed(error) for error in islice(self._compiled.iter_errors(value), MOST_ERRORS))


def _anything(value: Any) -> bool:
    return True


def _fetch_nothing(uri: str) -> Any:
    raise ValueError(f"{uri} is outside of this file; nothing is fetched")


def _pointed(error: jsonschema_rs.ValidationError) -> Pointed:
    pointer = "".join(f"/{escaped(part)}" for part in error.instance_path)
    text = error.message
    return Pointed(pointer, text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def properties(schema: Any, types: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The property names of an object schema that has `properties`, directly or through `$ref`s; else None.

    Such an input is passed as keyword arguments.
    """
    found = object_schema(schema, types)
    return None if found is None else tuple(found["properties"])

"""What an API says of how its calls run, and what contradicts it: `takes`, `batching`, `priority`, `concurrency`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bentod.iotypes.references import object_schema, resolved
from bentod.iotypes.special import TensorType, special
from bentod.spec.model import Api, Batching, Spec
from bentod.spec.node import Path
from bentod.spec.quantities import duration_text
from bentod.spec.report import Report

_CODE = "conflict"


def check(api: Api, path: Path, spec: Spec, report: Report) -> None:
    """Report what the keys of the API at `path` say against each other, against its input and against `server`."""
    if api.stream:
        _check_stream(api, path, report)
    elif api.takes == "rows" and not report.broken((*path, "input")):
        _check_rows(api, path, spec.types, report)
    if api.batching and api.batching.max_delay_s > api.timeout_s and not report.broken((*path, "timeout")):
        message = (
            f"calls are given up after `timeout`, {duration_text(api.timeout_s)}, and may be held longer than that"
        )
        report.at_value((*path, "batching", "max_delay"), _CODE, message, "a few milliseconds are usual")
    level, highest = api.priority.default, api.priority.highest
    if highest is not None and highest > level and not report.broken((*path, "priority")):
        message = f"{highest} is behind the default, {level}: 1 is the highest level"
        report.at_value((*path, "priority", "highest"), _CODE, message, f"between 1 and {level}")
    gateways = spec.server.gateways
    if api.concurrency is not None and api.concurrency < gateways:
        message = f"{gateways} gateways share this, and each needs one at least"
        report.at_value((*path, "concurrency"), _CODE, message, f"at least {gateways}, or fewer `server.gateways`")


def most_rows(api: Mapping[str, Any]) -> int | None:
    """How many rows a call of an API may bring, as it is written; 0 for any number, None if it brings none."""
    if api.get("takes") != "rows":
        return None
    batching = api.get("batching")
    size = batching.get("max_size", Batching().max_size) if isinstance(batching, dict) else 0
    return size if isinstance(size, int) else 0


def _check_stream(api: Api, path: Path, report: Report) -> None:
    """A stream answers one call."""
    hint = "remove it, or `stream`"
    if api.takes != "item":
        message = f"`takes: {api.takes}` answers several calls at once, and a stream answers one"
        report.at_value((*path, "takes"), _CODE, message, hint)
    if api.batching:
        report.at_key((*path, "batching"), _CODE, "streams run one by one, each as long as it takes", hint)


def _check_rows(api: Api, path: Path, types: Mapping[str, Any], report: Report) -> None:
    """Some part of the input must be rows, and no more than fit into a batch."""
    found = dict(_rows(api.input, types))
    if not found:
        message = "`takes: rows` needs an input with rows, and nothing in this one is an array"
        hint = "an array, a tensor of one dimension at least, or an object with one of these among its `properties`"
        report.at_value((*path, "takes"), _CODE, message, hint)
    fixed = {name: length for name, (length, most) in found.items() if length and length == most}
    if len(set(fixed.values())) > 1:
        named = " and ".join(f"`{name}` has {length}" for name, length in fixed.items())
        report.at_value((*path, "takes"), _CODE, f"the arrays of a call have equally many rows, but {named}")
    least = max((length for length, _ in found.values()), default=0)
    if api.batching and least > api.batching.max_size:
        message = f"every call has {least} rows, more than a batch can have"
        report.at_value((*path, "batching", "max_size"), _CODE, message, f"at least {least}")


def _rows(schema: Any, types: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, int | None]]]:
    """The parts of an input that are rows: their names, and the least and the greatest number of rows."""
    named = object_schema(schema, types)
    for name, part in named["properties"].items() if named else [("", schema)]:
        if (lengths := _lengths(part, types, schema)) is not None:
            yield name, lengths


def _lengths(schema: Any, types: Mapping[str, Any], root: Any) -> tuple[int, int | None] | None:
    """How long an array may be that a schema in `root` describes; None if it describes none."""
    schema = resolved(schema, types, root)
    if not isinstance(schema, dict):
        return None
    kind = special(schema, types)
    if isinstance(kind, TensorType):
        first = kind.shape[0] if kind.shape else None
        return None if first is None else (first, first) if isinstance(first, int) and first >= 0 else (0, None)
    kinds = schema.get("type")
    if kind is None and "array" in (kinds if isinstance(kinds, list) else [kinds]):
        return schema.get("minItems", 0), schema.get("maxItems")
    choices = (choice for key in ("allOf", "anyOf", "oneOf") for choice in schema.get(key, ()))
    return (0, None) if any(_lengths(choice, types, root) for choice in choices) else None

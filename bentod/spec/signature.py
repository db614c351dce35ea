"""Compares a callable's parameters with what its API passes: pure, on names and kinds alone."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bentod.iotypes.references import object_schema
from bentod.iotypes.validator import properties
from bentod.spec.node import Path
from bentod.wire.orders import Method, Parameter

CONTEXT = "context"
"""The parameter that bentod fills itself, unless the schema has a property of this name."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """One thing that does not fit; `path` is relative to the API or service."""

    path: Path
    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Manner:
    """How an API calls: whether it streams, what the callable takes, and whether calls run together."""

    stream: str | None = None
    takes: str = "item"
    batching: bool = False


def compare(method: Method, schema: Any, types: Mapping[str, Any], manner: Manner = Manner()) -> list[Misfit]:
    """How `method` does not fit an API with the input `schema` that calls in a `manner`."""
    return [*_style(method, manner), *_parameters(method, schema, types, manner.takes)]


def _style(method: Method, manner: Manner) -> Iterator[Misfit]:
    """A generator streams, and nothing else does. What has no signature may return anything."""
    generator, stream = "generator" in method.style, manner.stream
    if generator and (manner.takes != "item" or manner.batching):
        key = "takes" if manner.takes != "item" else "batching"
        message = f"`{method.name}` is a generator, which answers one call"
        yield Misfit((key,), "conflict", message, f"remove `{key}`, or return the answers of all calls in a list")
    elif generator and not stream:
        message = f"`{method.name}` is a generator, and this API does not say how its chunks are sent"
        yield Misfit(
            (), "missing-stream", message, "add `stream: sse` (or `ndjson`, `raw`), or return the whole answer"
        )
    elif stream and not generator and method.parameters is not None:
        message = f"`stream: {stream}` needs a generator, and `{method.name}` is none"
        hint = "`yield` the chunks (`yield from` passes on those of another iterator), or remove `stream`"
        yield Misfit(("stream",), "no-generator", message, hint)


def _parameters(method: Method, schema: Any, types: Mapping[str, Any], takes: str) -> list[Misfit]:
    if method.parameters is None:
        return []
    if takes == "items":
        hint = "give it one parameter, the list of the calls' values, or choose `takes: columns`"
        return list(_positional(method.name, method.parameters, _Passed("takes", "`takes: items` passes one", hint)))
    names = properties(schema, types)
    if names is None:
        return list(_positional(method.name, method.parameters))
    required = _required(schema, types)
    at = ("input", "properties") if isinstance(schema, dict) and "properties" in schema else ("input",)
    return list(_keywords(method.name, method.parameters, names, required, at))


def compare_init(name: str, parameters: Sequence[Parameter], init: Iterable[str]) -> list[Misfit]:
    """How a class's constructor does not fit `init`."""
    given = tuple(init)
    return list(_keywords(name, parameters, given, frozenset(given), ("init",), supplied=()))


def _keywords(
    callable_name: str,
    parameters: Sequence[Parameter],
    names: Sequence[str],
    required: frozenset[str],
    at: Path,
    *,
    supplied: Sequence[str] = (CONTEXT,),
) -> Iterator[Misfit]:
    by_name = {p.name: p for p in parameters if not p.kind.startswith("VAR_")}
    takes_any = any(p.kind == "VAR_KEYWORD" for p in parameters)
    free = [name for name in by_name if name not in {*names, *required, *supplied}]
    for name in names:
        parameter, path = by_name.get(name), _at(at, name)
        if parameter is None and not takes_any:
            close = difflib.get_close_matches(name, free, n=1)
            if close:
                # One mistake, one problem: the parameter that was meant is not reported as missing too.
                free.remove(close[0])
                message = f"`{callable_name}` has no parameter `{name}`"
                yield Misfit(path, "misspelt-parameter", message, f"did you mean `{close[0]}`?")
            else:
                hint = "its parameters: " + ", ".join(f"`{known}`" for known in by_name) if by_name else "it has none"
                yield Misfit(path, "extra-parameter", f"`{callable_name}` has no parameter `{name}`", hint)
        elif parameter is not None and parameter.kind == "POSITIONAL_ONLY":
            message = f"the parameter `{name}` of `{callable_name}` is positional-only and cannot be filled by name"
            yield Misfit(path, "parameter-kind", message, "remove the `/` from its signature")
        elif parameter is not None and parameter.required and name not in required:
            message = f"`{callable_name}` needs the parameter `{name}`, but the schema does not require it"
            hint = f"add `{name}` to `required`, or give the parameter a default"
            yield Misfit(path, "optional-parameter", message, hint)
    for name in free:
        if by_name[name].required:
            message = f"`{callable_name}` needs the parameter `{name}`, which is not given"
            yield Misfit(at, "missing-parameter", message, f"add `{name}`, or give the parameter a default")


def _at(at: Path, name: str) -> Path:
    """The property's own place, unless the schema is a reference and its properties are elsewhere."""
    return at if at[-1] == "input" else (*at, name)


@dataclass(frozen=True, slots=True)
class _Passed:
    """Why one argument is passed by position: the key that says so, in words, and what to do about it."""

    key: str = "input"
    why: str = "this input is passed as one"
    hint: str = ""


def _positional(callable_name: str, parameters: Sequence[Parameter], passed: _Passed = _Passed()) -> Iterator[Misfit]:
    own = [p for p in parameters if p.name != CONTEXT]
    positional = [p for p in own if p.kind in ("POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD")]
    needed = [p.name for p in positional if p.required]
    named = ", ".join(f"`{p.name}`" for p in own)
    hint = f"give `input` an object schema with the properties {named}" if own else "give it one parameter"
    at, hint = (passed.key,), passed.hint or hint
    if not positional and not any(p.kind == "VAR_POSITIONAL" for p in own):
        message = f"`{callable_name}` takes no positional argument, and {passed.why}"
        yield Misfit(at, "parameter-count", message, hint)
    elif len(needed) > 1:
        yield Misfit(at, "parameter-count", f"`{callable_name}` needs {len(needed)} arguments, and {passed.why}", hint)
    for parameter in own:
        if parameter.kind == "KEYWORD_ONLY" and parameter.required:
            message = (
                f"`{callable_name}` needs the parameter `{parameter.name}` by name, and gets one argument by position"
            )
            yield Misfit(at, "missing-parameter", message, hint)


def _required(schema: Any, types: Mapping[str, Any]) -> frozenset[str]:
    """The `required` of an object schema for which `properties` found names."""
    return frozenset((object_schema(schema, types) or {}).get("required", ()))

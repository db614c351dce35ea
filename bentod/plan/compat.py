"""What a change means for the callers of each API. Pure.

A request that was right must stay right, and an answer must be one that callers know: the new `input` takes all that
the old one took, and the old `output` describes all that the new one does. What is wider in an input or narrower in an
output is compatible. Schemas are compared as if each `$ref` were what it refers to; causes point at places as in them.

| what                                                    | input          | output         |
|---------------------------------------------------------|----------------|----------------|
| a property is required that was not                     | breaking       | compatible     |
| a property is no longer required                        | compatible     | breaking       |
| an optional property is new                             | compatible (1) | compatible (2) |
| a property is gone                                      | compatible (2) | compatible (1) |
| `additionalProperties`: narrower, such as true → false  | breaking       | compatible     |
| `type`, `enum`, `const`: a type or value less           | breaking       | compatible     |
| `type`, `enum`, `const`: a type or value more           | compatible     | breaking       |
| bounds of numbers, lengths, entries, properties: tighter| breaking       | compatible     |
| bounds: looser                                          | compatible     | breaking       |
| `pattern`, `format` of text, `content…`: new            | breaking       | compatible     |
| the same: gone                                          | compatible     | breaking       |
| the same: another                                       | breaking       | breaking       |
| tensor, image, file, binary: another `format`, `dtype`  | breaking       | breaking       |
| `shape`: a length or name where any length was right    | breaking       | compatible     |
| `maxPixels` smaller, `contentMediaType` within the old  | breaking       | compatible     |
| `anyOf`: an alternative more                            | compatible     | breaking       |
| `oneOf`, `not`, `if`, `contains`, `patternProperties`,  | breaking: it cannot be        ||
| `propertyNames`, `unevaluated…`, … : another            | proved that nothing breaks    ||
| the same: gone in an input, new in an output            | compatible     | compatible     |
| title, description, default, examples                   | same           | same           |

(1) Strictly, callers may have sent anything under the new name if the schema did not say what else is allowed; nobody
does. Where `additionalProperties` or `patternProperties` were written, what they said counts.
(2) Breaking where nothing else was allowed beside the known properties.

| of the API                                                  |                                                      |
|-------------------------------------------------------------|------------------------------------------------------|
| its path (`route`, `server.path_prefix`), `stream`          | breaking                                             |
| `max_body`, rows of a batch with `takes: rows`: less / more | breaking / compatible                                |
| `takes: rows` where it was not                              | breaking: the parts of a call must have equal length |
| `timeout`, `stream_idle`, either way                        | compatible: no promise is that exact                 |
| `errors`, `output_check`                                    | compatible: any API may answer any status            |
| everything else: queue, priority, service, docs …           | same, but there is something to do                   |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bentod.iotypes.pointers import escaped
from bentod.plan.callers import Seen, seen
from bentod.plan.containment import findings
from bentod.plan.difference import ApiCause, ApiChange, Verdict
from bentod.plan.findings import Finding
from bentod.plan.fingerprint import canonical
from bentod.plan.model import Plan
from bentod.plan.references import types_of, untraceable
from bentod.wire.messages import ApiRoute

MOST_CAUSES = 50
Key = Literal["input", "output"]


@dataclass(frozen=True, slots=True)
class _Types:
    old: Mapping[str, Any]
    new: Mapping[str, Any]


def compared(old: Plan, new: Plan) -> Iterator[ApiChange]:
    """Every API of either plan: those of the new one in its order, then those that go."""
    before = {api.name: api for api in old.apis}
    types = _Types(old.types, new.types)
    for api in new.apis:
        known = before.pop(api.name, None)
        yield ApiChange(api.name, "added") if known is None else _change(known, api, types)
    yield from (ApiChange(name, "removed") for name in before)


def used_types(plan: Plan) -> frozenset[str]:
    """The types that some API refers to, directly or by way of others."""
    return frozenset().union(*(types_of([api.input, api.output], plan.types) for api in plan.apis))


def _change(old: ApiRoute, new: ApiRoute, types: _Types) -> ApiChange:
    noted = [*seen(old, new), *_schema("input", old, new, types), *_schema("output", old, new, types)]
    causes = tuple(ApiCause(one.pointer, one.message, one.level == "breaking") for one in noted)
    levels = {one.level for one in noted}
    verdict: Verdict = "breaking" if "breaking" in levels else "compatible" if "compatible" in levels else "same"
    return ApiChange(old.name, verdict, _few(causes))


def _schema(key: Key, old: ApiRoute, new: ApiRoute, types: _Types) -> Iterator[Seen]:
    """What differs in one schema."""
    before, after = getattr(old, key), getattr(new, key)
    try:
        if _text(before, types.old) == _text(after, types.new):
            return
    except RecursionError:
        yield Seen(f"/{key}", "nested too deeply to be compared", "breaking")
        return
    if untraceable(before, types.old) or untraceable(after, types.new):
        text = "`$id`, `$anchor` or `$dynamicRef` are not followed: it cannot be proved that nothing breaks"
        yield Seen(f"/{key}", text, "breaking")
        return
    left, right = (before, types.old), (after, types.new)
    narrower = findings(left, right, outer_is_new=True)
    wider = findings(right, left, outer_is_new=False)
    breaking, fine = (narrower, wider) if key == "input" else (wider, narrower)
    known = dict.fromkeys(breaking)
    yield from (_seen(key, one, "breaking") for one in known)
    yield from (_seen(key, one, "compatible") for one in dict.fromkeys(fine) if one not in known)
    if not narrower and not wider:
        yield Seen(f"/{key}", "is written in another way and means the same", "same")


def _seen(key: Key, finding: Finding, level: Literal["breaking", "compatible"]) -> Seen:
    return Seen("".join(f"/{escaped(part)}" for part in (key, *finding.path)), finding.message, level)


def _text(schema: Any, types: Mapping[str, Any]) -> tuple[str, str]:
    """All that a schema says, as text."""
    needed = types_of(schema, types)
    return canonical(schema), canonical({name: types[name] for name in needed if name in types})


def _few(causes: tuple[ApiCause, ...]) -> tuple[ApiCause, ...]:
    """At most some causes, breaking ones first."""
    ordered = sorted(causes, key=lambda cause: not cause.breaking)
    rest = ordered[MOST_CAUSES:]
    if not rest:
        return tuple(ordered)
    return (*ordered[:MOST_CAUSES], ApiCause("", f"and {len(rest)} more", any(cause.breaking for cause in rest)))

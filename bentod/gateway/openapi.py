"""A route table as an OpenAPI 3.1 document: a pure function from values to plain data.

The users' schemas go in as they are, for 3.1 speaks JSON Schema 2020-12; only their references move with them:
`#/types/NAME` becomes `#/components/schemas/NAME`, and `#/$defs/…` follows its schema to its place in the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from bentod import errors
from bentod.errors import CallError
from bentod.gateway.problems import KINDS
from bentod.gateway.problems import MEDIA_TYPE as PROBLEM
from bentod.wire.messages import ApiRoute, Example, RouteTable

JSON = "application/json"
SYSTEM_TAG = "system"

_NO_CALL = (errors.NotFound, errors.MethodNotAllowed, errors.ClientGone)
_REFUSED = "Refused"
_REFUSED_TEXT = "The model refused the call (`target-raised`)"

_HEADERS = {
    "X-Request-Id": ("The client's own request id, or a new one.", "string"),
    "Server-Timing": ("How long the call waited and ran: `queue;dur=…, run;dur=…`, in milliseconds.", "string"),
    "Accept-Post": ("The media types that the API takes.", "string"),
    "Retry-After": ("Seconds to wait before trying again.", "integer"),
}
_ALWAYS = ("X-Request-Id", "Server-Timing")
_FURTHER: dict[type[CallError], str] = {
    errors.UnsupportedMediaType: "Accept-Post",
    errors.QueueFull: "Retry-After",
    errors.NotReady: "Retry-After",
}

_PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Why a request was not answered as asked (RFC 9457).",
    "required": ["type", "title", "status", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "Identifies the kind of problem."},
        "title": {"type": "string", "description": "The kind of problem, for people."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What went wrong this time."},
        "code": {"type": "string", "description": "The kind of problem, for programs."},
        "request_id": {"type": "string", "description": "As in the header `X-Request-Id`."},
        "errors": {
            "type": "array",
            "description": "The parts of the body that are wrong.",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "A JSON Pointer into the body."},
                    "detail": {"type": "string", "description": "What is wrong there."},
                },
            },
        },
    },
}

# Where JSON Schema 2020-12 holds schemas; whatever else a schema holds is data and stays untouched.
_SCHEMA_AT = frozenset(
    ("additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames", "then",
     "unevaluatedItems", "unevaluatedProperties")
)  # fmt: skip
_SCHEMAS_IN_LIST = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
_SCHEMAS_IN_MAP = frozenset(("$defs", "definitions", "dependentSchemas", "patternProperties", "properties"))
_REFERENCES = frozenset(("$ref", "$dynamicRef"))
_NOT_IN_COMPONENT_NAMES = re.compile(r"[^A-Za-z0-9._-]")


def document(table: RouteTable) -> dict[str, Any]:
    """The OpenAPI document of `table`. Equal tables give equal documents, in equal order."""
    names = _component_names(table.types)
    problem = _free("Problem", names.values())
    more = {"description": table.description, "x-labels": table.labels}
    paths: dict[str, Any] = {}
    for api in table.apis:
        paths[_path(api.path)] = {"post": _operation(api, names)}
    for path, operation in _system(table.path_prefix.rstrip("/")):
        paths.setdefault(_path(path), {"get": operation})
    return {
        "openapi": "3.1.0",
        "info": {"title": table.name, "version": table.version} | {key: item for key, item in more.items() if item},
        "tags": _tags(table.apis),
        "paths": paths,
        "components": {
            "schemas": _type_schemas(table.types, names) | {problem: _PROBLEM_SCHEMA},
            "responses": _problem_responses(problem),
            "headers": {
                name: {"description": text, "schema": {"type": kind}} for name, (text, kind) in _HEADERS.items()
            },
        },
    }


# ── operations ───────────────────────────────────────────────────────────────────────────────────


def _operation(api: ApiRoute, names: dict[str, str]) -> dict[str, Any]:
    place = ("paths", _path(api.path), "post")
    said = {
        "summary": api.summary,
        "description": api.description,
        "tags": list(dict.fromkeys(api.tags)),
        "deprecated": api.deprecated,
    }
    given = (*place, "requestBody", "content", JSON, "schema")
    answered = (*place, "responses", "200", "content", JSON, "schema")
    return {
        "operationId": api.name,
        **{key: value for key, value in said.items() if value},
        "requestBody": {
            "required": True,
            "content": {JSON: _content(_moved(api.input, _Move(names, given)), _inputs(api.examples))},
        },
        "responses": {
            "200": {
                "description": "The answer.",
                "headers": _headers(_ALWAYS),
                "content": {JSON: _content(_moved(api.output, _Move(names, answered)), _outputs(api.examples))},
            },
            **_failures(api),
        },
    }


def _content(schema: Any, examples: dict[str, Any]) -> dict[str, Any]:
    return {"schema": schema, "examples": examples} if examples else {"schema": schema}


def _inputs(examples: Iterable[Example]) -> dict[str, Any]:
    return {example.name: {"value": example.input} for example in examples}


def _outputs(examples: Iterable[Example]) -> dict[str, Any]:
    return {example.name: {"value": example.output} for example in examples if example.has_output}


def _failures(api: ApiRoute) -> dict[str, Any]:
    """The problems of one API, by status. A status of its own `errors` map says that the model may be the one."""
    chosen = set(api.errors.values())
    known = _errors_by_status()
    answers = {}
    for status in sorted(known.keys() | chosen):
        name = _response_name(status) if status in known else _REFUSED
        answer = {"$ref": f"#/components/responses/{name}"}
        if status in chosen and errors.TargetRaised not in known.get(status, [errors.TargetRaised]):
            answer["description"] = f"{_described(known[status])} {_REFUSED_TEXT}."
        answers[str(status)] = answer
    return answers


def _errors_by_status() -> dict[int, list[type[CallError]]]:
    """What can become of a call, by status."""
    found: dict[int, list[type[CallError]]] = {}
    for error, kind in KINDS.items():
        if error not in _NO_CALL:
            found.setdefault(kind.status, []).append(error)
    return dict(sorted(found.items()))


def _response_name(status: int) -> str:
    return f"Problem{status}"


def _described(kinds: Iterable[type[CallError]]) -> str:
    return " ".join(f"{KINDS[each].title} (`{KINDS[each].code}`)." for each in kinds)


def _problem_responses(schema: str) -> dict[str, Any]:
    content = {PROBLEM: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    responses = {
        _response_name(status): {
            "description": _described(kinds),
            "headers": _headers((*_ALWAYS, *(_FURTHER[each] for each in kinds if each in _FURTHER))),
            "content": content,
        }
        for status, kinds in _errors_by_status().items()
    }
    refused = {"description": f"{_REFUSED_TEXT}.", "headers": _headers(_ALWAYS), "content": content}
    return responses | {_REFUSED: refused}


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _system(prefix: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """The gateway's own operations. Health is at the root and below the prefix, so that any proxy can reach it."""
    yield f"{prefix}/", _get("What is served here", {200: "Name, version, generation and links."})
    yield f"{prefix}/openapi.json", _get("This document", {200: "An OpenAPI 3.1 document."})
    for base in dict.fromkeys((prefix, "")):
        for path in ("/livez", "/healthz"):
            yield f"{base}{path}", _get("Whether the gateway answers", {200: "It does."})
        ready = {200: "Every service has a ready worker.", 503: "Some service has none; the body says which and why."}
        yield f"{base}/readyz", _get("Whether every service is ready", ready)


def _get(summary: str, answers: dict[int, str]) -> dict[str, Any]:
    responses = {
        str(status): {"description": text, "headers": _headers(("X-Request-Id",)), "content": {JSON: {"schema": True}}}
        for status, text in answers.items()
    }
    return {"summary": summary, "tags": [SYSTEM_TAG], "responses": responses}


def _tags(apis: Iterable[ApiRoute]) -> list[dict[str, str]]:
    used = dict.fromkeys(tag for api in apis for tag in api.tags if tag != SYSTEM_TAG)
    return [{"name": tag} for tag in used] + [{"name": SYSTEM_TAG, "description": "Health and documentation."}]


def _path(route: str) -> str:
    """A route as a key of `paths`: encoded as in a URL, so that no brace in it reads as a parameter."""
    return quote(route, safe="/!$&'()*+,;=:@~")


# ── schemas ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Move:
    """Where a schema goes: the components' names of the types, and its own place in the document.

    `place` is empty inside a schema with an `$id`, whose local references stay its own.
    """

    names: dict[str, str]
    place: tuple[str, ...]


def _moved(schema: Any, move: _Move) -> Any:
    """A copy of `schema` whose references hold at its new place."""
    if not isinstance(schema, dict):
        return schema
    if move.place and "$id" in schema:
        move = _Move(move.names, ())
    return {key: _moved_keyword(key, value, move) for key, value in schema.items()}


def _moved_keyword(key: str, value: Any, move: _Move) -> Any:
    if key in _REFERENCES and isinstance(value, str):
        return _moved_reference(value, move)
    if key in _SCHEMA_AT:
        return _moved(value, move)
    if key in _SCHEMAS_IN_LIST and isinstance(value, list | tuple):
        return [_moved(item, move) for item in value]
    if key in _SCHEMAS_IN_MAP and isinstance(value, dict):
        return {name: _moved(item, move) for name, item in value.items()}
    return value


def _moved_reference(reference: str, move: _Move) -> str:
    if reference.startswith("#/types/"):
        segment, slash, rest = reference.removeprefix("#/types/").partition("/")
        name = unquote(segment).replace("~1", "/").replace("~0", "~")
        if name in move.names:
            return f"#/components/schemas/{move.names[name]}{slash}{rest}"
    if move.place and (reference == "#" or reference.startswith("#/")):
        return _fragment(move.place) + reference[1:]
    return reference


def _fragment(place: tuple[str, ...]) -> str:
    """A JSON Pointer as the fragment of a URI."""
    pointer = "".join("/" + segment.replace("~", "~0").replace("/", "~1") for segment in place)
    return "#" + quote(pointer, safe="/~!$&'()*+,;=:@")


def _type_schemas(types: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {
        names[name]: _moved(schema, _Move(names, ("components", "schemas", names[name])))
        for name, schema in types.items()
    }


def _component_names(types: Iterable[str]) -> dict[str, str]:
    """Each type's name among the components: its own, unless OpenAPI has no such names."""
    names = {name: name for name in types if name and not _NOT_IN_COMPONENT_NAMES.search(name)}
    for name in types:
        if name not in names:
            names[name] = _free(_NOT_IN_COMPONENT_NAMES.sub("_", name) or "_", names.values())
    return names


def _free(name: str, taken: Iterable[str]) -> str:
    """`name`, or `name_2`, `name_3`, … if others have it already."""
    used = set(taken)
    number = 1
    candidate = name
    while candidate in used:
        number += 1
        candidate = f"{name}_{number}"
    return candidate

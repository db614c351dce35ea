"""A route table as an OpenAPI 3.1 document: a pure function from values to plain data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from bentod.gateway.openapi_bodies import given, taken
from bentod.gateway.openapi_problems import (
    ALWAYS,
    PROBLEM_SCHEMA,
    failures,
    header_components,
    headers,
    problem_responses,
)
from bentod.gateway.openapi_schemas import component_names, free, type_schemas
from bentod.iotypes.media_types import JSON
from bentod.iotypes.references import object_schema
from bentod.wire.messages import ApiRoute, RouteTable

SYSTEM_TAG = "system"

_NO_PRIORITY = (5, 5)

_ANSWERS = {
    "": "The answer.",
    "sse": "The answer in chunks, as server-sent events. A comment line every 15 seconds keeps an idle stream open.",
    "ndjson": "The answer in chunks, one JSON value a line.",
    "raw": "The answer in chunks, as they come.",
}


def document(table: RouteTable) -> dict[str, Any]:
    """The OpenAPI document of `table`. Equal tables give equal documents, in equal order."""
    names = component_names(table.types)
    name = free("Problem", names.values())
    problem = {"$ref": f"#/components/schemas/{name}"}
    more = {"description": table.description, "x-labels": table.labels}
    paths: dict[str, Any] = {}
    for api in table.apis:
        paths[_path(api.path)] = {"post": _operation(api, table.types, names, problem)}
    for path, operation in _system(table.path_prefix.rstrip("/")):
        paths.setdefault(_path(path), {"get": operation})
    return {
        "openapi": "3.1.0",
        "info": {"title": table.name, "version": table.version} | {key: item for key, item in more.items() if item},
        "tags": _tags(table.apis),
        "paths": paths,
        "components": {
            "schemas": type_schemas(table.types, names) | {name: PROBLEM_SCHEMA},
            "responses": problem_responses(problem),
            "headers": header_components(),
        },
    }


def _operation(api: ApiRoute, types: dict[str, Any], names: dict[str, str], problem: dict[str, Any]) -> dict[str, Any]:
    """One API. Beside OpenAPI's own words, `x-stream` says how its answer is streamed."""
    place = ("paths", _path(api.path), "post")
    said = {
        "summary": api.summary,
        "description": api.description,
        "tags": list(dict.fromkeys(api.tags)),
        "deprecated": api.deprecated,
        "x-stream": api.stream,
    }
    body = {"description": _rows(api, types), "required": True}
    return {
        "operationId": api.name,
        **{key: value for key, value in said.items() if value},
        **({"parameters": [_priority(api)]} if (api.priority, api.highest) != _NO_PRIORITY else {}),
        "requestBody": {
            **{key: value for key, value in body.items() if value},
            "content": taken(api, types, names, (*place, "requestBody", "content")),
        },
        "responses": {
            "200": {
                "description": _ANSWERS[api.stream],
                "headers": headers(ALWAYS),
                "content": given(api, types, names, (*place, "responses", "200", "content"), problem),
            },
            **failures(set(api.errors.values())),
        },
    }


def _priority(api: ApiRoute) -> dict[str, Any]:
    """The header that asks for a level. Any text may be in it, so it is no number to those that try them all."""
    text = f"Whose calls go first: a level from 1, the first, to 9. Without it, the level is {api.priority}."
    if api.highest > 1:
        text += f" A level before {api.highest} becomes {api.highest}."
    text += " Anything else is ignored."
    return {"name": "X-Priority", "in": "header", "description": text, "schema": {"type": "string"}}


def _rows(api: ApiRoute, types: dict[str, Any]) -> str:
    """What a schema cannot say of an input that brings rows."""
    if api.takes != "rows":
        return ""
    if object_schema(api.input, types) is None:
        return f"An array of at most {api.max_size} entries." if api.max_size else ""
    most = f", {api.max_size} at most" if api.max_size else ""
    return f"All arrays in the object have the same length{most}."


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
        str(status): {"description": text, "headers": headers(("X-Request-Id",)), "content": {JSON: {"schema": True}}}
        for status, text in answers.items()
    }
    return {"summary": summary, "tags": [SYSTEM_TAG], "responses": responses}


def _tags(apis: Iterable[ApiRoute]) -> list[dict[str, str]]:
    used = dict.fromkeys(tag for api in apis for tag in api.tags if tag != SYSTEM_TAG)
    return [{"name": tag} for tag in used] + [{"name": SYSTEM_TAG, "description": "Health and documentation."}]


def _path(route: str) -> str:
    """A route as a key of `paths`: encoded as in a URL, so that no brace in it reads as a parameter."""
    return quote(route, safe="/!$&'()*+,;=:@~")

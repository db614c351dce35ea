"""The problems and headers of every operation of an OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bentod import errors
from bentod.errors import CallError
from bentod.gateway.problems import KINDS
from bentod.gateway.problems import MEDIA_TYPE as PROBLEM

ALWAYS = ("X-Request-Id", "Server-Timing")

_NO_CALL = (errors.NotFound, errors.MethodNotAllowed, errors.ClientGone)
_REFUSED = "Refused"
_REFUSED_TEXT = "The model refused the call (`target-raised`)"

_HEADERS = {
    "X-Request-Id": ("The client's own request id, or a new one.", "string"),
    "Server-Timing": (
        "How long the call waited and ran: `queue;dur=…, run;dur=…`, in milliseconds; where calls run together also "
        'how many did: `batch;desc="8"`.',
        "string",
    ),
    "Accept-Post": ("The media types that the API takes.", "string"),
    "Retry-After": ("Seconds to wait before trying again.", "integer"),
}
_FURTHER: dict[type[CallError], str] = {
    errors.UnsupportedMediaType: "Accept-Post",
    errors.QueueFull: "Retry-After",
    errors.NotReady: "Retry-After",
}

PROBLEM_SCHEMA: dict[str, Any] = {
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


def failures(chosen: set[int]) -> dict[str, Any]:
    """The problems of one API, by status. A status of its own `errors` map says that the model may be the one."""
    known = _errors_by_status()
    answers = {}
    for status in sorted(known.keys() | chosen):
        name = _response_name(status) if status in known else _REFUSED
        answer = {"$ref": f"#/components/responses/{name}"}
        if status in chosen and errors.TargetRaised not in known.get(status, [errors.TargetRaised]):
            answer["description"] = f"{_described(known[status])} {_REFUSED_TEXT}."
        answers[str(status)] = answer
    return answers


def problem_responses(schema: dict[str, Any]) -> dict[str, Any]:
    """The components that `failures` refers to; `schema` is that of a problem."""
    content = {PROBLEM: {"schema": schema}}
    responses = {
        _response_name(status): {
            "description": _described(kinds),
            "headers": headers((*ALWAYS, *(_FURTHER[each] for each in kinds if each in _FURTHER))),
            "content": content,
        }
        for status, kinds in _errors_by_status().items()
    }
    refused = {"description": f"{_REFUSED_TEXT}.", "headers": headers(ALWAYS), "content": content}
    return responses | {_REFUSED: refused}


def headers(names: Iterable[str]) -> dict[str, Any]:
    """References to headers among the components."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def header_components() -> dict[str, Any]:
    """Every header that an answer may have."""
    return {name: {"description": text, "schema": {"type": kind}} for name, (text, kind) in _HEADERS.items()}


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

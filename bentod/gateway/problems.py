"""The only mapping from an error to an HTTP status and a problem body (RFC 9457)."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from bentod import errors
from bentod.dispatch.call import TargetFailure
from bentod.errors import CallError
from bentod.gateway.phrases import PHRASES

MEDIA_TYPE = "application/problem+json"
_TYPE = "https://bentod.dev/problems/"


class Kind(NamedTuple):
    """A kind of problem: its code, its status, its title."""

    code: str
    status: int
    title: str


KINDS: dict[type[CallError], Kind] = {
    errors.MalformedBody: Kind("malformed-body", 400, "The body cannot be decoded"),
    errors.NotFound: Kind("not-found", 404, "No such route"),
    errors.MethodNotAllowed: Kind("method-not-allowed", 405, "The route does not take this method"),
    errors.NotAcceptable: Kind("not-acceptable", 406, "The answer has no form that is accepted"),
    errors.BodyTimeout: Kind("body-timeout", 408, "The body came too slowly"),
    errors.BodyTooLarge: Kind("body-too-large", 413, "The body is too large"),
    errors.UnsupportedMediaType: Kind("unsupported-media-type", 415, "The API takes no body of this type"),
    errors.InvalidInput: Kind("invalid-input", 422, "The input does not match the schema"),
    errors.TargetRaised: Kind("target-raised", 500, "The model failed"),
    errors.InvalidOutput: Kind("output-invalid", 500, "The model gave an invalid answer"),
    errors.OutputCount: Kind("output-count", 500, "The model gave a wrong number of answers"),
    errors.OutputUnserializable: Kind("output-unserializable", 500, "The model gave an answer that cannot be sent"),
    errors.OutOfMemory: Kind("out-of-memory", 503, "The model ran out of memory"),
    errors.QueueFull: Kind("queue-full", 503, "Too many calls wait"),
    errors.NotReady: Kind("not-ready", 503, "The service cannot serve now"),
    errors.WorkerLost: Kind("worker-lost", 503, "The worker died"),
    errors.Draining: Kind("draining", 503, "The server is shutting down"),
    errors.DeadlineExceeded: Kind("deadline-exceeded", 504, "The call did not finish in time"),
    errors.StorageFailed: Kind("insufficient-storage", 507, "The server has no room for the files"),
    errors.Internal: Kind("internal", 500, "The server failed"),
    errors.ClientGone: Kind("client-gone", 499, "The client went away"),
}

MALFORMED_REQUEST = Kind("malformed-request", 400, "The request is not HTTP")
HEAD_TIMEOUT = Kind("head-timeout", 408, "The request's head came too slowly")
HEAD_TOO_LARGE = Kind("head-too-large", 431, "The request's head is too large")
"""What ends a connection before there is a request."""

_RAISED = ("target-raised", "out-of-memory")
"""What an API's `errors` map may say otherwise."""

BY_CODE: dict[str, type[CallError]] = {kind.code: cls for cls, kind in KINDS.items()}


def from_worker(failure: TargetFailure, statuses: dict[str, int]) -> CallError:
    """What a client may know of a worker's failure.

    Only an exception that the API's `errors` map names, itself or by a base class, shows its text.
    """
    if failure.code == "invalid-input":
        pointer = failure.about[0] if failure.about else ""
        return errors.InvalidInput(errors.MISMATCH, errors=(errors.Pointed(pointer, failure.detail),))
    if failure.code in _RAISED:
        for name in failure.about:
            if name in statuses:
                return errors.TargetRaised(failure.detail, status=statuses[name])
    return BY_CODE.get(failure.code, errors.OutputUnserializable)()


def kind_of(error: CallError) -> Kind:
    """The kind of an error, with the status that the API's `errors` map gave it."""
    kind = KINDS[type(error)]
    if isinstance(error, errors.TargetRaised) and error.status is not None:
        return kind._replace(status=error.status, title=PHRASES.get(error.status, kind.title))
    return kind


def body(error: CallError, request_id: str) -> bytes:
    """The problem of an error as JSON."""
    more: dict[str, Any] = {"detail": error.detail} if error.detail else {}
    if error.errors:
        more["errors"] = [{"pointer": one.pointer, "detail": one.detail} for one in error.errors]
    return render(kind_of(error), request_id, more)


def render(kind: Kind, request_id: str, more: dict[str, Any]) -> bytes:
    """A problem as JSON, with its further members."""
    problem = {"type": _TYPE + kind.code, "title": kind.title, "status": kind.status, "code": kind.code}
    return orjson.dumps(problem | {"request_id": request_id} | more)

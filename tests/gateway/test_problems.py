"""Errors as problems: one status each, and nothing of the host in them."""

from __future__ import annotations

import json

import pytest

from bentod import errors
from bentod.dispatch.call import TargetFailure
from bentod.errors import CallError, Pointed, TargetRaised
from bentod.gateway.problems import BY_CODE, KINDS, body, from_worker, kind_of

STATUSES = {
    "malformed-body": 400,
    "not-found": 404,
    "method-not-allowed": 405,
    "not-acceptable": 406,
    "body-timeout": 408,
    "body-too-large": 413,
    "unsupported-media-type": 415,
    "invalid-input": 422,
    "target-raised": 500,
    "out-of-memory": 503,
    "output-invalid": 500,
    "output-count": 500,
    "output-unserializable": 500,
    "queue-full": 503,
    "not-ready": 503,
    "worker-lost": 503,
    "draining": 503,
    "deadline-exceeded": 504,
    "insufficient-storage": 507,
    "internal": 500,
    "client-gone": 499,
}


def test_codes_and_statuses_are_the_published_ones():
    assert {kind.code: kind.status for kind in KINDS.values()} == STATUSES
    assert set(BY_CODE) == set(STATUSES)


@pytest.mark.parametrize("cls", KINDS, ids=lambda cls: cls.__name__)
def test_every_error_makes_a_whole_problem(cls):
    problem = json.loads(body(cls(), "id-1"))
    assert problem == {
        "type": f"https://bentod.dev/problems/{KINDS[cls].code}",
        "title": KINDS[cls].title,
        "status": KINDS[cls].status,
        "code": KINDS[cls].code,
        "request_id": "id-1",
    }
    full = json.loads(body(cls("what happened", (Pointed("/a~1b", "bad"),)), "id-1"))
    assert full["detail"] == "what happened"
    assert full["errors"] == [{"pointer": "/a~1b", "detail": "bad"}]


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (409, "Conflict"),
        (413, "Content Too Large"),
        (418, "I'm a Teapot"),
        (422, "Unprocessable Content"),
        (499, "The model failed"),
    ],
)
def test_a_status_of_the_spec_has_its_own_title(status, title):
    kind = kind_of(TargetRaised("text", status=status))
    assert (kind.code, kind.status, kind.title) == ("target-raised", status, title)


def failure(code="target-raised", classes=("m:Own", "builtins:ValueError", "builtins:Exception")):
    return TargetFailure(code, "secret", "log", list(classes), 0.5)


def test_only_named_exceptions_show_their_text_the_nearest_first():
    assert from_worker(failure(), {}).detail == ""
    assert from_worker(failure(), {"builtins:KeyError": 404}).detail == ""
    found = from_worker(failure(), {"builtins:Exception": 400, "m:Own": 410})
    assert isinstance(found, TargetRaised)
    assert (found.detail, found.status) == ("secret", 410)


def test_memory_that_ran_out_is_its_own_problem_unless_the_spec_says_what_it_is():
    classes = ("torch:OutOfMemoryError", "builtins:RuntimeError", "builtins:Exception")
    found = from_worker(failure("out-of-memory", classes), {"builtins:ValueError": 400})
    assert (type(found), found.detail, kind_of(found).status) == (errors.OutOfMemory, "", 503)
    found = from_worker(failure("out-of-memory", classes), {"torch:OutOfMemoryError": 413})
    assert (kind_of(found).code, kind_of(found).status, found.detail) == ("target-raised", 413, "secret")


def test_a_worker_that_made_a_code_up_gets_no_say():
    for code in ("", "nonsense", "cancelled"):
        found = from_worker(failure(code), {"builtins:Exception": 400})
        assert isinstance(found, CallError)
        assert kind_of(found).status == 500
        assert found.detail == ""


def test_a_targets_failure_never_meets_a_client():
    assert TargetFailure not in KINDS
    assert issubclass(TargetFailure, errors.CallError)

"""A table, compiled: operations and pages."""

from __future__ import annotations

import pytest

from bentod.gateway.routes import Counts, operation, pages
from bentod.wire.entries import NAMED, POSITIONAL
from tests.support.asgi import api, method, table
from tests.support.links import FakeWorkers
from tests.support.loops import run

OBJECT = {"type": "object", "properties": {"x": True, "y": True}}


def compiled(api_, *methods, types=None, counts=None):
    async def main():
        return operation(api_, types or {}, methods, FakeWorkers().dispatcher(), counts or Counts(1))

    return run(main())


def test_a_method_is_found_by_name_with_its_style():
    methods = (method("g"), method("f", "x", "context", style="async"))
    found = compiled(api(), *methods)
    assert (found.method, found.is_async, found.takes_context) == (1, True, True)
    assert compiled(api(method="g"), *methods).method == 0


def test_an_api_whose_service_was_never_ready_is_compiled_too():
    found = compiled(api(input=OBJECT))
    assert (found.method, found.is_async, found.kind) == (0, False, NAMED)
    assert found.argument({"z": 1}) == {"z": 1}


@pytest.mark.parametrize(
    ("schema", "found", "argument", "passed"),
    [
        (OBJECT, method("f", "x", "y"), {"x": 1, "z": 2}, {"x": 1}),
        (OBJECT, method("f", "x", any_name=True), {"x": 1, "z": 2}, {"x": 1, "z": 2}),
        (OBJECT, method("f", "x", "context"), {"x": 1, "context": 2}, {"x": 1}),
        ({"$ref": "#/types/O"}, method("f", "x"), {"x": 1, "z": 2}, {"x": 1}),
        (True, method("f", "x"), {"x": 1, "z": 2}, {"x": 1, "z": 2}),
        ({"type": "object"}, method("f", "x"), {"z": 2}, {"z": 2}),
    ],
)
def test_what_reaches_the_callable(schema, found, argument, passed):
    assert compiled(api(input=schema), found, types={"O": OBJECT}).argument(argument) == passed


def test_kinds():
    assert compiled(api(input=OBJECT), method()).kind == NAMED
    assert compiled(api(input={"type": "array"}), method()).kind == POSITIONAL


def test_counts_outlive_a_change_and_take_the_new_limit():
    counts = Counts(1)
    counts.queue.waiting = 5
    found = compiled(api(queue=9), method(), counts=counts)
    assert (found.counts.queue.limit, found.counts.queue.waiting) == (9, 5)


def test_a_schema_that_is_none_is_a_value_error():
    with pytest.raises(ValueError, match=r".+"):
        compiled(api(input={"type": "strin"}), method())


def test_pages_are_below_the_prefix_and_health_is_at_the_root_too():
    assert pages(table()) == {
        "/livez": "live",
        "/healthz": "live",
        "/readyz": "ready",
        "/openapi.json": "openapi",
        "/docs": "docs",
        "/": "index",
    }
    assert pages(table(path_prefix="/v1", docs=False)) == {
        "/v1/livez": "live",
        "/v1/healthz": "live",
        "/v1/readyz": "ready",
        "/v1/": "index",
        "/v1": "index",
        "/livez": "live",
        "/healthz": "live",
        "/readyz": "ready",
    }

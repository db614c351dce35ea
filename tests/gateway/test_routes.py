"""A table, compiled: operations and pages."""

from __future__ import annotations

import pytest

from bentod.gateway.counts import Counts
from bentod.gateway.routes import limits, operation, pages
from bentod.wire.entries import NAMED, POSITIONAL
from tests.support.asgi import api, method, table
from tests.support.links import FakeWorkers, call, service
from tests.support.loops import run

OBJECT = {"type": "object", "properties": {"x": True, "y": True}}


def compiled(api_, *methods, types=None):
    async def main():
        return operation(api_, types or {}, methods, FakeWorkers().dispatcher(), Counts())

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


@pytest.mark.parametrize(
    ("gateways", "waiting", "slots"), [(1, [9], [3]), (2, [5, 4], [2, 1]), (4, [3, 2, 2, 2], [1, 1, 1, 1])]
)
def test_gateways_share_what_an_api_may_have(gateways, waiting, slots):
    found = [limits(api(queue=9, concurrency=3), index, gateways) for index in range(gateways)]
    assert [one.waiting for one in found] == waiting
    assert [one.slots for one in found] == slots
    assert {limits(api(), index, gateways).slots for index in range(gateways)} == {0}


STRING, NUMBER = {"type": "string"}, {"type": "number"}


@pytest.mark.parametrize(
    ("changed", "method_", "same"),
    [
        ({"queue": 7, "concurrency": 2, "priority": 3, "summary": "s"}, method(), True),
        ({"max_size": 9}, method(), True),
        ({"max_size": 0}, method(), False),
        ({"takes": "items"}, method(), False),
        ({"input": STRING}, method(), False),
        ({"output": STRING}, method(), False),
        ({"stream": "sse"}, method(), False),
        ({"method": "g"}, method("g"), False),
        ({}, method(style="async"), False),
        ({}, method("f", "context"), False),
        ({}, method("f", "x", any_name=True), False),
    ],
)
@pytest.mark.parametrize("moved", [False, True])
def test_waiting_calls_are_not_mixed_with_those_of_another_kind(changed, method_, same, moved):
    """Nor do they move to a pool that cannot serve them as they are."""

    async def main():
        counts, workers = Counts(), FakeWorkers()
        first, second = workers.dispatcher(), workers.dispatcher()
        for dispatcher in (first, second):
            await dispatcher.update(service())
        found = {"takes": "columns", "max_size": 8, "input": NUMBER}
        before = operation(api(**found), {}, (method(),), first, counts)
        waiting = call(before.queue)
        first.submit(waiting)
        after = operation(api(**found | changed), {}, (method_,), second if moved else first, counts)
        assert (after.queue is before.queue) is (same and not moved)
        assert after.queue is counts.queue
        assert (waiting.queue is after.queue) is same
        assert counts.stats("f").waiting == 1

    run(main())


def test_types_that_an_api_does_not_use_are_none_of_its_calls_business():
    async def main():
        counts, dispatcher = Counts(), FakeWorkers().dispatcher()
        one = api(input={"properties": {"x": {"$ref": "#/types/A/items"}}})
        types = {"A": {"items": {"$ref": "#/types/B"}}, "B": STRING, "C": STRING}
        found = [
            operation(one, types | changed, (method(),), dispatcher, counts).queue
            for changed in ({}, {"C": NUMBER}, {"B": NUMBER})
        ]
        assert found[0] is found[1]
        assert found[1] is not found[2]

    run(main())


def test_calls_are_held_only_for_batches():
    assert limits(api(takes="columns", max_size=8, max_delay_s=0.005)).max_delay_s == 0.005
    assert limits(api(takes="columns", max_delay_s=0.005)).max_delay_s == 0.0


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

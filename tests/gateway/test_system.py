"""The gateway's own pages."""

from __future__ import annotations

import json

from bentod.gateway.system import Documents, index, live, ready
from tests.support.asgi import api, table
from tests.support.links import FakeWorkers, service, worker
from tests.support.loops import run


def body(page):
    return json.loads(page[1])


def test_live_is_live():
    status, _, media_type, headers = live()
    assert (status, media_type) == (200, b"application/json")
    assert (b"cache-control", b"no-cache") in headers


def test_ready_tells_what_each_service_lacks():
    async def main():
        workers = FakeWorkers()
        dispatcher = workers.dispatcher()
        route = service(worker(1))
        made = table(services=[route])
        await dispatcher.update(route)
        assert (ready(made, {"s": dispatcher})[0], body(ready(made, {"s": dispatcher}))) == (
            200,
            {
                "status": "ready",
                "generation": 3,
                "services": {"s": {"state": "ready", "ready": 1, "wanted": 1}},
            },
        )
        workers[1].die()
        page = ready(made, {"s": dispatcher})
        assert page[0] == 503
        assert body(page)["status"] == "not ready"
        assert body(page)["services"]["s"]["reason"]

    run(main())


def test_one_worker_of_several_is_ready_enough_and_the_lack_is_told():
    async def main():
        workers = FakeWorkers()
        workers.refused.add("/2")
        dispatcher = workers.dispatcher()
        route = service(worker(1), worker(2))
        await dispatcher.update(route)
        status, text, *_ = ready(table(services=[route]), {"s": dispatcher})
        assert status == 200
        assert json.loads(text)["services"]["s"]["ready"] == 1

    run(main())


def test_the_index_links_to_what_is_there():
    page = body(index(table(api(), path_prefix="/v1", description="d")))
    assert (page["name"], page["version"], page["generation"], page["description"]) == ("app", "1.2.3", 3, "d")
    assert page["links"]["docs"] == "/v1/docs"
    assert page["apis"] == {"f": "/f"}
    bare = body(index(table(docs=False)))
    assert set(bare["links"]) == {"ready", "live"}
    assert "description" not in bare


def test_labels_are_shown_at_the_index_and_in_openapi_where_there_are_some():
    labelled, bare = table(api(), labels={"team": "search"}), table(api())
    assert body(index(labelled))["labels"] == {"team": "search"}
    assert body(Documents(labelled).openapi())["info"]["x-labels"] == {"team": "search"}
    assert "labels" not in body(index(bare))
    assert "x-labels" not in body(Documents(bare).openapi())["info"]


def test_documents_are_made_once_and_whole():
    documents = Documents(table(api()))
    assert documents.openapi()[1] is documents.openapi()[1]
    assert body(documents.openapi())["openapi"] == "3.1.0"
    status, page, media_type, headers = documents.docs()
    assert (status, media_type.split(b";")[0]) == (200, b"text/html")
    assert b"<html" in page
    assert b"content-security-policy" in dict(headers)
    assert documents.docs()[1] is page

"""What is served where, and the headers of every answer."""

import re
from email.utils import parsedate_to_datetime

import pytest

from tests.support.daemon import running
from tests.support.http import Connection, chunked, request
from tests.support.project import api, project

pytestmark = [pytest.mark.e2e, pytest.mark.beside]
PAGES = ["/", "/livez", "/healthz", "/readyz", "/openapi.json", "/docs"]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """Below a prefix, and with the docs."""
    folder = project(
        tmp_path_factory.mktemp("routes"),
        "answers",
        version="1.2.3",
        description="Greets.",
        services={"answers": {"target": "answers.py"}},
        apis={
            "greet": {
                "service": "answers",
                "input": {"$ref": "#/types/Who"},
                "output": {"type": "string"},
                "examples": [{"name": "Ada", "input": {"name": "Ada"}, "output": "Hello, Ada!"}],
            },
            "deep": api("answers", "echo", "x", route="/a/b-c/d.e"),
        },
        types={"Who": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
        server={"path_prefix": "/v1"},
    )
    with running(folder) as app:
        yield app


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Without prefix and docs."""
    folder = project(
        tmp_path_factory.mktemp("plain"),
        "answers",
        services={"answers": {"target": "answers.py"}},
        apis={"greet": api("answers", "greet", "name")},
        server={"docs": False},
    )
    with running(folder) as app:
        yield app


def get(path, **headers):
    return request(path, None, "GET", headers)


def test_an_api_answers_below_the_prefix_only(connection):
    answer = connection.ask(request("/v1/greet", {"name": "Ada"}))
    assert (answer.status, answer.json) == (200, "Hello, Ada!")
    assert answer.headers["content-type"] == "application/json"
    assert connection.ask(request("/greet", {"name": "Ada"})).code == "not-found"


def test_a_route_may_have_several_segments(connection):
    assert connection.ask(request("/v1/a/b-c/d.e", {"x": 1})).json == 1


@pytest.mark.parametrize(
    "path",
    [
        "/v1/nothing",
        "/v1/greet/",
        "/v1//greet",
        "/v1/greet/more",
        "/V1/greet",
        "/v1/Greet",
        "/v1/../v1/greet",
        "/metrics/x",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_404(connection, path, method):
    answer = connection.ask(request(path, {"name": "Ada"}, method))
    assert (answer.status, answer.code) == (404, "not-found")
    assert connection.ask(get("/livez")).status == 200  # the connection lives on


@pytest.mark.parametrize("path", ["/v1/greet?a=1", "/v1/greet?", "/v1/%67reet", "/v1/greet?%zz"])
def test_query_and_escapes_do_not_matter(connection, path):
    assert connection.ask(request(path, {"name": "Ada"})).json == "Hello, Ada!"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_an_api_takes_only_post(connection, method):
    answer = connection.ask(request("/v1/greet", {"name": "Ada"}, method))
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "method-not-allowed", "POST")
    assert connection.ask(request("/v1/greet", {"name": "Ada"})).status == 200


def test_head_of_an_api_has_no_body(connection):
    answer = connection.ask(request("/v1/greet", None, "HEAD"), head=True)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert connection.ask(get("/livez")).status == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/v1/docs", "/v1/openapi.json", "/v1/"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_page_takes_get_and_head(connection, path, method):
    answer = connection.ask(request(path, {}, method))
    assert (answer.status, answer.code) == (405, "method-not-allowed")
    assert set(re.split(r",\s*", answer.headers["allow"])) == {"GET", "HEAD"}


@pytest.mark.parametrize("page", PAGES)
def test_head_of_a_page_is_get_without_body(connection, page):
    long = connection.ask(get("/v1" + page))
    short = connection.ask(request("/v1" + page, None, "HEAD"), head=True)
    assert long.status == short.status == 200
    volatile = {"date", "x-request-id", "server-timing"}
    assert {k: v for k, v in long.headers.items() if k not in volatile} == {
        k: v for k, v in short.headers.items() if k not in volatile
    }
    assert len(long.body) == int(long.headers["content-length"]) > 0


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz"])
def test_health_is_at_the_root_and_below_the_prefix(connection, path):
    assert connection.ask(get(path)).status == 200
    assert connection.ask(get("/v1" + path)).status == 200


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/"])
def test_docs_are_below_the_prefix_only(connection, path):
    assert connection.ask(get(path)).code == "not-found"


def test_readyz_counts_the_workers(connection):
    body = connection.ask(get("/readyz")).json
    assert body["services"]["answers"]["ready"] == body["services"]["answers"]["wanted"] == 1


def test_the_index_leads_everywhere(connection):
    body = connection.ask(get("/v1/")).json
    assert (body["name"], body["version"], body["generation"]) == ("e2e", "1.2.3", 1)
    assert body["apis"] == {"greet": "/v1/greet", "deep": "/v1/a/b-c/d.e"}
    for link in body["links"].values():
        assert connection.ask(get(link)).status == 200


def test_openapi_is_valid_and_complete(connection):
    validator = pytest.importorskip("openapi_spec_validator").OpenAPIV31SpecValidator
    document = connection.ask(get("/v1/openapi.json")).json
    validator(document).validate()
    assert document["openapi"].startswith("3.1")
    assert (document["info"]["title"], document["info"]["version"]) == ("e2e", "1.2.3")
    paths = {
        server["url"].rstrip("/") + path
        for server in document.get("servers", [{"url": ""}])
        for path in document["paths"]
    }
    assert {"/v1/greet", "/v1/a/b-c/d.e"} <= paths
    assert document["components"]["schemas"]["Who"]["required"] == ["name"]
    assert "Hello, Ada!" in str(document)


def test_docs_need_no_other_host(connection):
    answer = connection.ask(get("/v1/docs"))
    assert answer.headers["content-type"].startswith("text/html")
    assert not re.search(rb"(src|href)=[\"']?(https?:)?//", answer.body)


def test_docs_can_be_off(plain):
    assert plain.get("/docs")[0] == plain.get("/openapi.json")[0] == 404
    links = plain.get("/")[2]["links"]
    assert not {"docs", "openapi"} & links.keys()
    assert plain.get("/readyz")[0] == 200


def test_every_answer_has_the_common_headers(connection):
    answers = [
        connection.ask(request("/v1/greet", {"name": "Ada"})),
        connection.ask(request("/v1/greet", {})),
        connection.ask(get("/livez")),
        connection.ask(get("/v1/nothing")),
    ]
    for answer in answers:
        assert answer.headers["x-request-id"]
        assert re.fullmatch(r"queue;dur=\d+(\.\d+)?, run;dur=\d+(\.\d+)?", answer.headers["server-timing"])
        assert parsedate_to_datetime(answer.headers["date"])
        assert "server" not in answer.headers
        assert int(answer.headers["content-length"]) == len(answer.body)
    assert len({answer.headers["x-request-id"] for answer in answers}) == 4


@pytest.mark.parametrize("given", ["abc-123", "x" * 128, "a b c", "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~"])
def test_a_printable_request_id_is_kept(connection, given):
    assert connection.ask(get("/livez", **{"x-request-id": given})).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "caf\xe9", "a\tb"])
def test_another_request_id_is_replaced(connection, given):
    answer = connection.ask(get("/v1/nothing", **{"x-request-id": given}))
    assert re.fullmatch(r"[\x21-\x7e]{8,128}", answer.headers["x-request-id"])
    assert answer.headers["x-request-id"] != given
    assert answer.json["request_id"] == answer.headers["x-request-id"]


def test_a_problem_is_as_rfc_9457_says(connection):
    answer = connection.ask(request("/v1/greet", {"name": 1}, headers={"x-request-id": "mine"}))
    assert answer.headers["content-type"] == "application/problem+json"
    assert (
        answer.json.items()
        >= {
            "type": "https://bentod.dev/problems/invalid-input",
            "status": 422,
            "code": "invalid-input",
            "request_id": "mine",
        }.items()
    )
    assert answer.json["title"]
    assert answer.json["detail"]


def test_the_connection_is_kept_alive_or_not_as_the_client_says(app):
    with Connection(app.url) as connection:
        for _ in range(20):
            assert connection.ask(request("/v1/greet", {"name": "Ada"})).status == 200
        answer = connection.ask(request("/v1/greet", {"name": "Ada"}, headers={"connection": "close"}))
        assert answer.headers["connection"] == "close"
        assert connection.ended()


def test_http_1_0_is_answered_and_ended(app):
    with Connection(app.url) as connection:
        connection.send(b'POST /v1/greet HTTP/1.0\r\nContent-Length: 14\r\n\r\n{"name":"Ada"}')
        assert connection.answer().json == "Hello, Ada!"
        assert connection.ended()


def test_a_chunked_body_is_taken(connection):
    head = request("/v1/greet", None, headers={"transfer-encoding": "chunked", "content-type": "application/json"})
    assert connection.ask(head + chunked(b'{"na', b'me": "', b'Ada"}')).json == "Hello, Ada!"

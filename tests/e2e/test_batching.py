"""Calls that run together: every style of callable, every way to take, and everybody's own answer."""

import io
import itertools

import msgpack
import numpy as np
import pytest

from tests.support.crowd import batch_of, together
from tests.support.daemon import running
from tests.support.forms import Part, form
from tests.support.http import Connection, request
from tests.support.project import api, project
from tests.support.samples import npy, picture

pytestmark = pytest.mark.e2e
STYLES = {"fun": "", "cls": "", "aio": "_async"}
TAKES = ("item", "columns", "items", "rows")
VECTOR = {"type": "array", "format": "tensor", "dtype": "float32", "shape": [3]}
VECTORS = {**VECTOR, "shape": [-1, 2]}
ANY_LENGTH = {**VECTOR, "shape": [-1]}
IMAGE = {"type": "string", "format": "image"}
FILE = {"type": "string", "format": "file"}
NUMBER, TEXT, LIST = {"type": "integer"}, {"type": "string"}, {"type": "array"}


def object_of(**properties):
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
    }  # fmt: skip


def given(method, takes, input_, output=True, service="fun", **more):
    return {
        "service": service, "method": method, "takes": takes, "batching": {}, "input": input_, "output": output, **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    apis = {
        "hold": api("fun", "hold", "gate"),
        "hold_cls": api("cls", "hold", "gate"),
        "hold_aio": api("aio", "hold_async", "gate"),
    }
    for (service, suffix), takes in itertools.product(STYLES.items(), TAKES):
        kinds = {"token": LIST, "by": NUMBER} if takes == "rows" else {"token": True, "by": NUMBER}
        one = {"service": service, "method": takes + suffix, "takes": takes, "input": object_of(**kinds)}
        apis[f"{service}_{takes}"] = {**one, "batching": {}}
        apis[f"{service}_{takes}_alone"] = one
    rows = object_of(points=VECTORS, names=LIST, by={"type": "number"})
    apis |= {
        "stacked": given("stacked", "columns", VECTOR, VECTOR),
        "varying": given("stacked", "columns", ANY_LENGTH, ANY_LENGTH),
        "padded": given("padded", "items", ANY_LENGTH),
        "shifted": given("shifted", "rows", rows, object_of(points=VECTORS, names=LIST, together=NUMBER)),
        "halves": given("halves", "rows", VECTORS, VECTORS, batching={"max_size": 8}),
        "pictures": given("pictures", "columns", object_of(image=IMAGE, name=TEXT)),
        "turned": given("turned", "columns", IMAGE, IMAGE),
        "uploads": given("uploads", "columns", object_of(file=FILE, name=TEXT)),
        "contextual": given("contextual", "columns", object_of(token=NUMBER)),
        "rows_contextual": given("rows_contextual", "rows", object_of(token=LIST), LIST),
    }
    target = {
        "fun": {"target": "batches.py"},
        "cls": {"target": "batches.py:Model"},
        "aio": {"target": "batches.py", "concurrency": 1},
    }
    with running(project(tmp_path_factory.mktemp("batches"), "batches", services=target, apis=apis)) as app:
        yield app


@pytest.fixture
def crowd(app, tmp_path):
    """Sends requests that wait together; their answers, all of which are good."""
    rounds = itertools.count()

    def send(requests, hold="/hold"):
        folder = tmp_path / f"round-{next(rounds)}"
        folder.mkdir()
        answers = together(app, folder, requests, hold)
        assert {answer.status // 100 for answer in answers} == {2}, answers
        return answers

    return send


@pytest.mark.parametrize("takes", TAKES)
@pytest.mark.parametrize("style", STYLES)
def test_the_same_callable_with_and_without_batching(ask, style, takes):
    value = {"token": ["a", "b"] if takes == "rows" else "a", "by": 3}
    expected = {**value, "together": 2 if takes == "rows" else 1}
    with_, without = ask(f"/{style}_{takes}", value), ask(f"/{style}_{takes}_alone", value)
    assert with_.json == without.json == expected
    assert batch_of(with_) == expected["together"]
    assert "queue" in without.headers["server-timing"]


@pytest.mark.parametrize("takes", TAKES)
@pytest.mark.parametrize("style", STYLES)
def test_what_waits_goes_together_and_nobody_gets_the_answer_of_another(crowd, style, takes):
    hold = "/hold" if style == "fun" else f"/hold_{style}"
    rows = takes == "rows"
    sent = [{"token": [f"t{n}"] * (1 + n % 3) if rows else f"t{n}", "by": 7 if rows else n} for n in range(16)]
    answers = crowd([request(f"/{style}_{takes}", value) for value in sent], hold)
    size = sum(len(value["token"]) for value in sent) if rows else 16
    for value, answer in zip(sent, answers, strict=True):
        assert {**answer.json, "together": 0} == {**value, "together": 0}
        assert answer.json["together"] == (1 if takes == "item" else size)
        assert batch_of(answer) == size


def test_calls_that_differ_in_what_is_no_row_run_apart(crowd):
    sent = [{"token": [n, -n], "by": n % 3} for n in range(9)]
    answers = crowd([request("/fun_rows", value) for value in sent])
    assert [answer.json for answer in answers] == [{**value, "together": 6} for value in sent]


def test_tensors_are_stacked_whatever_they_came_in(crowd):
    arrays = [np.full(3, n, np.float32) for n in range(12)]
    bodies = [
        request("/stacked", npy(array), headers={"content-type": "application/x-npy", "accept": "application/x-npy"})
        if n % 3 == 0
        else request("/stacked", _packed(array), headers={"content-type": "application/msgpack"})
        if n % 3 == 1
        else request("/stacked", array.tolist())
        for n, array in enumerate(arrays)
    ]
    answers = crowd(bodies)
    for n, answer in enumerate(answers):
        is_npy = answer.headers["content-type"] == "application/x-npy"
        found = np.load(io.BytesIO(answer.body)).tolist() if is_npy else _listed(answer)
        assert found == [12, n * 2, n * 2]
        assert batch_of(answer) == 12


def _packed(array):
    head = msgpack.packb([array.dtype.name, list(array.shape)])
    return msgpack.packb(msgpack.ExtType(1, head + array.tobytes()))


def _listed(answer):
    if answer.headers["content-type"] == "application/json":
        return answer.json
    value = msgpack.unpackb(answer.body)
    return np.frombuffer(value.data[-12:], np.float32).tolist()


def test_tensors_of_different_shapes_run_apart_and_items_take_them_all(crowd):
    arrays = [np.arange(1, 2 + n % 3, dtype=np.float32) for n in range(9)]
    requests = [
        [request(path, npy(array), headers={"content-type": "application/x-npy"}) for array in arrays]
        for path in ("/varying", "/padded")
    ]
    answers = crowd(requests[0])
    assert [answer.json for answer in answers] == [[3, *(array[1:] * 2)] for array in arrays]
    answers = crowd(requests[1])
    assert [answer.json for answer in answers] == [[9, array.sum()] for array in arrays]


def test_rows_of_tensors_and_lists_are_joined_and_split_again(crowd):
    lengths = [3, 0, 1, 0, 0, 5, 2]
    sent = [
        {"points": [[n, i] for i in range(length)], "names": [f"n{n}-{i}" for i in range(length)], "by": 0.5}
        for n, length in enumerate(lengths)
    ]
    for value, answer in zip(sent, crowd([request("/shifted", value) for value in sent]), strict=True):
        assert answer.json == {
            "points": [[x + 0.5, y + 0.5] for x, y in value["points"]],
            "names": [name.upper() for name in value["names"]],
            "together": 11,
        }


@pytest.mark.parametrize("media_type", ["application/json", "application/x-npy"])
def test_no_rows_again_and_again(app, media_type):
    empty = np.zeros((0, 2), np.float32)
    body = npy(empty) if media_type == "application/x-npy" else b"[]"
    headers = {"content-type": media_type, "accept": media_type}
    with Connection(app.url) as first, Connection(app.url) as second:
        for _ in range(30):
            for connection in (first, second):
                connection.send(request("/halves", body, headers=headers))
            for answer in (first.answer(), second.answer()):
                assert (answer.status, answer.body) == (200, body)
            assert first.ask(request("/halves", [[2, 4]])).json == [[1, 2]]


@pytest.mark.parametrize(
    ("path", "value", "pointer"),
    [
        ("/halves", [[0, 0]] * 9, ""),
        ("/shifted", {"points": [[1, 2]], "names": [], "by": 1}, "/names"),
        ("/shifted", {"points": [], "names": ["a"], "by": 1}, "/names"),
        ("/fun_rows", {"token": list(range(33)), "by": 1}, "/token"),
    ],
)
def test_rows_that_do_not_fit(ask, path, value, pointer):
    answer = ask(path, value)
    assert (answer.status, answer.code) == (422, "invalid-input")
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


def test_rows_without_batching_may_be_many(ask):
    answer = ask("/fun_rows_alone", {"token": list(range(1000)), "by": 1})
    assert answer.json["together"] == 1000


def test_pictures_and_files_are_everybodys_own(app, crowd):
    bodies = []
    for n in range(6):
        body, headers = form(
            Part("image", picture("image/png", size=(n + 1, 2)), "image/png", "a.png"), Part("name", b"p%d" % n)
        )
        bodies.append(request("/pictures", body, headers=headers))
    answers = crowd(bodies)
    assert [answer.json for answer in answers] == [
        {"size": [n + 1, 2], "name": f"p{n}", "together": 6} for n in range(6)
    ]
    bodies = []
    for n in range(6):
        body, headers = form(Part("file", b"text %d" % n, "text/plain", "a.txt"), Part("name", b"f%d" % n))
        bodies.append(request("/uploads", body, headers=headers))
    answers = crowd(bodies)
    assert [answer.json for answer in answers] == [
        {"text": f"text {n}", "name": f"f{n}", "together": 6} for n in range(6)
    ]


def test_a_broken_picture_fails_alone(app, tmp_path):
    """Only its head is read before it waits."""
    good = picture("image/png", size=(64, 64))
    at = good.index(b"IDAT") + 8
    broken = good[:at] + bytes(20) + good[at + 20 :]
    headers = {"content-type": "image/png", "accept": "image/png"}
    bodies = [request("/turned", broken if n == 3 else good, headers=headers) for n in range(6)]
    answers = together(app, tmp_path, bodies)
    assert [answer.status for answer in answers] == [422 if n == 3 else 200 for n in range(6)], answers[3]


def test_every_call_has_its_own_context(crowd):
    answers = crowd([request("/contextual", {"token": n}, headers={"x-mine": f"mine-{n}"}) for n in range(8)])
    assert [answer.headers["x-token"] for answer in answers] == [f"{n} mine-{n}" for n in range(8)]
    assert [answer.status for answer in answers] == [202 if n % 2 else 200 for n in range(8)]
    assert [answer.json for answer in answers] == [8] * 8
    answers = crowd([request("/rows_contextual", {"token": [n] * n}) for n in range(4)])
    assert [(answer.json, answer.headers["x-calls"]) for answer in answers] == [([n] * n, "4") for n in range(4)]

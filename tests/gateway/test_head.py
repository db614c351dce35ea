"""Which bodies and answers an API is asked for, and what it says if it has none such."""

from __future__ import annotations

import json

import msgpack
import pytest

from bentod.iotypes.parts import Picture, Tensor
from bentod.wire import frames
from bentod.wire.entries import DONE
from tests.support.asgi import api, refuse, serving
from tests.support.loops import run
from tests.support.samples import picture
from tests.support.sent import FORM, multipart, part

TENSOR = {"type": "array", "format": "tensor", "dtype": "uint8", "shape": ["n"]}
IMAGE = {"type": "string", "format": "image", "contentMediaType": "image/png"}
BINARY = {"type": "string", "format": "binary", "contentMediaType": "application/pdf"}
OBJECT = {"type": "object", "properties": {"x": TENSOR}, "required": ["x"]}


def sends(input_, output, *args, answer=None, **options):
    """One request: its response, and what the worker was asked."""

    async def main():
        async with serving(
            api(input=input_, output=output), answer=answer or (lambda value: [DONE, 0.25, value])
        ) as bench:
            return await bench.send(*args, **options), bench.asked

    return run(main())


@pytest.mark.parametrize(
    ("schema", "content_type", "taken"),
    [
        (True, "text/plain", {"application/json", "application/msgpack"}),
        ({"type": "string"}, "image/png", {"application/json", "application/msgpack", "text/plain"}),
        (TENSOR, "text/csv", {"application/x-npy", "application/octet-stream", "application/json"}),
        (BINARY, "text/csv", {"application/pdf", "application/octet-stream", "application/json"}),
        (IMAGE, "image/jpeg", {"image/png", "application/octet-stream", "application/json"}),
        (OBJECT, "application/x-npy", {"multipart/form-data", "application/json", "application/msgpack"}),
        (True, "application/json; charset=utf-16", {"application/json"}),
        (True, "json", {"application/json"}),
    ],
)
def test_a_body_of_another_type_is_refused_with_what_would_do(schema, content_type, taken):
    response, asked = sends(schema, True, body=b"1", headers={"Content-Type": content_type})
    assert (response.status, response.code) == (415, "unsupported-media-type")
    assert taken <= set(response.headers["accept-post"].split(", "))
    assert all(one in response.json["detail"] for one in taken)
    assert response.headers["accept-encoding"] == "identity"
    assert asked == []


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=b", "application/x-www-form-urlencoded"])
def test_a_form_is_refused_in_words_although_any_type_is_taken(content_type):
    anything = {"type": "string", "format": "file"}
    response, _ = sends(anything, True, body=b"1", headers={"Content-Type": content_type})
    assert response.status == 415
    assert response.json["detail"].startswith(
        f"the body is a form ({content_type.partition(';')[0]}), and the API takes no"
    )


@pytest.mark.parametrize(
    ("schema", "accept", "offered"),
    [
        (True, "text/plain", {"application/json", "application/msgpack"}),
        ({"type": "string"}, "text/html", {"application/json", "text/plain"}),
        (TENSOR, "image/*", {"application/x-npy", "application/json", "application/msgpack"}),
        (IMAGE, "image/jpeg", {"image/png", "application/json"}),
        (BINARY, "application/zip", {"application/pdf", "application/json"}),
        (TENSOR, "application/json;q=0, application/msgpack;q=0, */*;q=0", {"application/json"}),
    ],
)
def test_an_answer_that_nobody_can_make_is_refused_with_what_there_is(schema, accept, offered):
    response, asked = sends(True, schema, 1, headers={"Accept": accept})
    assert (response.status, response.code) == (406, "not-acceptable")
    assert all(one in response.json["detail"] for one in offered)
    assert "`Accept`" in response.json["detail"]
    assert asked == []


VALUES = [
    (None, "application/json", lambda body: json.loads(body) == [1, 2]),
    ("*/*", "application/json", lambda body: json.loads(body) == [1, 2]),
    ("application/x-npy", "application/x-npy", lambda body: body.startswith(b"\x93NUMPY") and body.endswith(b"\1\2")),
    ("application/msgpack", "application/msgpack", lambda body: msgpack.unpackb(body).data.endswith(b"\1\2")),
]


@pytest.mark.parametrize(("accept", "media_type", "right"), VALUES)
def test_a_tensor_is_answered_as_it_is_wanted(accept, media_type, right):
    tensor = Tensor("uint8", (2,), b"\1\2")
    headers = {"Accept": accept} if accept else {}
    response, asked = sends(True, TENSOR, 1, answer=lambda _: [DONE, 0.1, tensor], headers=headers)
    assert (response.status, response.headers["content-type"]) == (200, media_type)
    assert right(response.body)
    assert asked[0][6][:2] == [False, True]


@pytest.mark.parametrize(
    ("accept", "wanted"), [(None, "image/png"), ("image/*", "image/png"), ("application/json", "image/png")]
)
def test_a_worker_is_told_how_to_encode_a_picture(accept, wanted):
    data = picture("image/png")
    headers = {"Accept": accept} if accept else {}
    response, asked = sends(True, IMAGE, 1, answer=lambda _: [DONE, 0.1, Picture("image/png", data)], headers=headers)
    assert response.status == 200
    assert asked[0][6][2] == wanted
    if accept != "application/json":
        assert (response.body, response.headers["content-type"]) == (data, "image/png")


BODIES = [
    pytest.param({"value": [1, 2]}, id="JSON"),
    pytest.param({"body": msgpack.packb([1, 2]), "headers": {"Content-Type": "application/msgpack"}}, id="msgpack"),
    pytest.param(
        {
            "body": msgpack.packb(msgpack.ExtType(1, msgpack.packb(["uint8", [2]]) + b"\1\2")),
            "headers": {"Content-Type": "application/vnd.msgpack"},
        },
        id="msgpack with a tensor",
    ),
    pytest.param(
        {"value": {"dtype": "uint8", "shape": [2], "data": "AQI="}, "headers": {"Content-Type": "application/json"}},
        id="JSON in base64",
    ),
]


@pytest.mark.parametrize("options", BODIES)
def test_a_tensor_reaches_the_worker_the_same_in_every_form(options):
    options = dict(options)
    value = options.pop("value", None)
    response, asked = sends(TENSOR, TENSOR, value, **options)
    assert (asked[0][4].dtype, asked[0][4].shape, bytes(asked[0][4].data)) == ("uint8", (2,), b"\1\2")
    assert response.json == [1, 2]


def test_large_input_travels_beside_the_call():
    async def main():
        async with serving(api(input=TENSOR, output=TENSOR)) as bench:
            memory = []
            send = bench.workers[1].send
            bench.workers[1].send = lambda entry, given=(): (memory.extend(given), send(entry, given))[1]
            value = list(range(256)) * 100
            assert (await bench.send(value)).json == value
            assert [bytes(one) for one in memory] == [bytes(value)]

    run(main())


def test_a_form_with_a_tensor_in_it():
    body = multipart(part("x", "[1, 2]"))
    response, asked = sends(
        OBJECT, True, body=body, headers={"Content-Type": FORM.decode()}, answer=lambda _: [DONE, 0, 1]
    )
    assert response.json == 1
    assert asked[0][4]["x"] == Tensor("uint8", (2,), b"\1\2")


@pytest.mark.parametrize(
    ("value", "shape"),
    [(Tensor("uint8", (3,), b"123"), 500), (Tensor("uint8", (2,), b"12"), 200), ([1, 2], 200), ("12", 500)],
)
def test_dimensions_of_the_input_bind_the_answer(value, shape):
    response, _ = sends(TENSOR, TENSOR, [7, 8], answer=lambda _: [DONE, 0.1, value])
    assert response.status == shape
    if shape == 500:
        assert response.code == "output-invalid"


def test_what_turns_out_to_be_broken_in_the_worker_is_the_clients_fault():
    response, _ = sends(
        IMAGE,
        True,
        body=picture("image/png"),
        headers={"Content-Type": "image/png"},
        answer=refuse("invalid-input", "is cut off or broken", [""]),
    )
    assert (response.status, response.code) == (422, "invalid-input")
    assert response.json["errors"] == [{"pointer": "", "detail": "is cut off or broken"}]


def test_an_input_that_no_frame_can_hold(monkeypatch):
    monkeypatch.setattr(frames, "LIMIT", 1000)

    async def main():
        async with serving(api(input=TENSOR), answer=lambda _: [DONE, 0.1, 1]) as bench:
            assert (await bench.send([1] * 600)).status == 200
            response = await bench.send([1] * 1200)
            assert (response.status, response.code) == (413, "body-too-large")
            assert len(bench.asked) == 1

    run(main())

"""Every IO type in and out, in every form that a client may choose."""

import base64
import io
import json

import msgpack
import numpy as np
import pytest
from PIL import Image

from bentod.iotypes.image import FORMATS
from bentod.iotypes.special import ITEM_BYTES
from tests.support.daemon import running
from tests.support.forms import Part, form
from tests.support.http import Connection, request
from tests.support.project import project
from tests.support.samples import npy, picture

pytestmark = [pytest.mark.e2e, pytest.mark.beside]
JSON, MSGPACK, NPY, OCTETS = "application/json", "application/msgpack", "application/x-npy", "application/octet-stream"
TENSOR = {"type": "array", "format": "tensor", "dtype": "float32", "shape": [-1, 3]}
IMAGE = {"type": "string", "format": "image"}
FILE = {"type": "string", "format": "file"}
BINARY = {"type": "string", "format": "binary"}
ALL = {
    "type": "object",
    "properties": {"t": TENSOR, "i": IMAGE, "f": FILE, "b": BINARY, "n": {"type": "integer"}, "s": {"type": "string"}},
    "required": ["t", "i", "f", "b", "n", "s"],
    "additionalProperties": False,
}
NESTED = {
    "type": "object",
    "properties": {"list": {"type": "array", "items": {"$ref": "#/types/Blob"}}, "more": {"$ref": "#/types/Blob"}},
    "additionalProperties": {"type": "array", "prefixItems": [TENSOR, True]},
}


def target(method, input_=True, output=True, **more):
    return {"service": "s", "method": method, "input": input_, "output": output, **more}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    vectors = {name: {**TENSOR, "dtype": name, "shape": [-1]} for name in ITEM_BYTES}
    apis = {
        **{name: target("same", vector, vector) for name, vector in vectors.items()},
        "tensor": target("same", TENSOR, TENSOR),
        "scalar": target("same", {**TENSOR, "shape": []}, {**TENSOR, "shape": []}),
        "doubled": target("doubled", TENSOR, TENSOR),
        "image": target("same", IMAGE, IMAGE),
        "file": target("same", FILE, FILE),
        "binary": target("same", BINARY, BINARY),
        "text": target("same", {"type": "string"}, {"type": "string"}),
        "any": target("same"),
        "all": target("sames", ALL, ALL),
        "nested": target("sames", NESTED, NESTED),
        "nullable": target("same", {**BINARY, "type": ["string", "null"]}, {**BINARY, "type": ["string", "null"]}),
        "seen_all": target("seen_all", ALL),
        **{f"seen_{name}": target("seen", kind) for name, kind in (("tensor", TENSOR), ("image", IMAGE))},
        **{f"seen_{name}": target("seen", kind) for name, kind in (("file", FILE), ("binary", BINARY))},
        "wave": target("same", {**BINARY, "contentMediaType": "audio/wav"}, {**FILE, "contentMediaType": "text/*"}),
    }
    folder = project(
        tmp_path_factory.mktemp("forms"), "typed", services={"s": {"target": "typed.py"}}, apis=apis,
        types={"Blob": BINARY},
    )  # fmt: skip
    with running(folder) as app:
        yield app


@pytest.fixture
def ask(app):
    """Sends one body of a media type, and returns the answer in the one that is accepted."""
    with Connection(app.url) as connection:

        def send(path, body, media_type=JSON, accept=None):
            headers = {"content-type": media_type} | ({"accept": accept} if accept is not None else {})
            data = json.dumps(body).encode() if media_type == JSON and not isinstance(body, bytes) else body
            return connection.ask(request(path, data, headers=headers))

        yield send


def packed(array):
    """The public MessagePack of an array, as the documentation has it."""
    head = msgpack.packb([array.dtype.name, list(array.shape)])
    return msgpack.ExtType(1, head + array.astype(array.dtype.newbyteorder("<")).tobytes())


def unpacked(value):
    """An array of the extension."""
    assert value.code == 1
    unpacker = msgpack.Unpacker(io.BytesIO(value.data))
    dtype, shape = unpacker.unpack()
    return np.frombuffer(value.data[unpacker.tell() :], np.dtype(dtype).newbyteorder("<")).reshape(shape)


def lists(array):
    return np.stack([array.real, array.imag], -1).tolist() if array.dtype.kind == "c" else array.tolist()


def encoded(array):
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": base64.b64encode(array.tobytes()).decode()}


@pytest.mark.parametrize("accept", [JSON, MSGPACK, NPY])
@pytest.mark.parametrize("dtype", ITEM_BYTES)
def test_a_tensor_of_every_dtype_in_every_form(ask, dtype, accept):
    array = np.array([0, 1, 0]).astype(dtype)
    if array.dtype.kind == "c":
        array = array * (1 + 2j)
        array = array.astype(dtype)
    bodies = [
        (lists(array), JSON),
        (encoded(array), JSON),
        (msgpack.packb(packed(array)), MSGPACK),
        (msgpack.packb(lists(array)), "application/x-msgpack"),
        (npy(array), NPY),
        (npy(array), OCTETS),
    ]
    for body, media_type in bodies:
        answer = ask(f"/{dtype}", body, media_type, accept)
        assert (answer.status, answer.headers["content-type"]) == (200, accept), answer.body
        if accept == JSON:
            assert answer.json == lists(array)
            continue
        found = unpacked(msgpack.unpackb(answer.body)) if accept == MSGPACK else np.load(io.BytesIO(answer.body))
        assert (found.dtype.name, found.shape, found.tolist()) == (dtype, (3,), array.tolist())


@pytest.mark.parametrize("accept", [JSON, MSGPACK, NPY])
def test_tensors_without_elements_and_without_dimensions(ask, accept):
    for path, array in (("/tensor", np.zeros((0, 3), np.float32)), ("/scalar", np.float32(1.5).reshape(()))):
        bodies = [(array.tolist(), JSON), (encoded(array), JSON), (msgpack.packb(packed(array)), MSGPACK)]
        for body, media_type in [*bodies, (npy(array), NPY)]:
            answer = ask(path, body, media_type, accept)
            assert answer.status == 200, answer.body
            if accept == JSON:
                assert answer.json == array.tolist()
                continue
            found = unpacked(msgpack.unpackb(answer.body)) if accept == MSGPACK else np.load(io.BytesIO(answer.body))
            assert (found.shape, found.tolist()) == (array.shape, array.tolist())


def test_a_large_tensor_may_be_written_to_and_comes_back_whole(ask):
    array = np.arange(300_000, dtype=np.float32).reshape(-1, 3)
    for body, media_type in ((npy(array), NPY), (msgpack.packb(packed(array)), MSGPACK)):
        found = np.load(io.BytesIO(ask("/doubled", body, media_type, NPY).body))
        assert np.array_equal(found, array * 2)
    assert ask("/seen_tensor", npy(array), NPY).json == {
        "type": "ndarray", "dtype": "float32", "shape": [100_000, 3], "writable": True,
    }  # fmt: skip


@pytest.mark.parametrize("order", [">f4", "<f4"])
@pytest.mark.parametrize("fortran", [True, False])
def test_npy_in_every_order(ask, order, fortran):
    array = np.arange(12).reshape(4, 3).astype(order)
    answer = ask("/tensor", npy(np.asfortranarray(array) if fortran else array), NPY)
    assert answer.json == array.tolist()


@pytest.mark.parametrize("media_type", FORMATS)
def test_an_image_of_every_format_in_and_out(ask, media_type):
    body = picture(media_type)
    text = base64.b64encode(body).decode()
    for data, said in ((body, media_type), (body, OCTETS), (text, JSON), (msgpack.packb(body), MSGPACK)):
        seen = ask("/seen_image", data, said).json
        assert (seen["type"], seen["size"], seen["format"]) == ("Image", [5, 4], FORMATS[media_type])
        answer = ask("/image", data, said, media_type)
        assert answer.headers["content-type"] == media_type
        with Image.open(io.BytesIO(answer.body)) as found:
            assert (found.format, found.size) == (FORMATS[media_type], (5, 4))
    in_json = ask("/image", body, media_type, f"{JSON}, {media_type};q=0.5")
    assert Image.open(io.BytesIO(base64.b64decode(in_json.json))).format == "PNG"
    in_msgpack = ask("/image", body, media_type, MSGPACK)
    assert Image.open(io.BytesIO(msgpack.unpackb(in_msgpack.body))).size == (5, 4)


def test_a_picture_that_is_said_to_be_another_one_is_told_so(ask):
    answer = ask("/seen_image", picture("image/png"), "image/jpeg")
    assert (answer.status, answer.code) == (422, "invalid-input")
    assert "image/png" in answer.json["errors"][0]["detail"]


@pytest.mark.parametrize("path", ["/file", "/binary"])
@pytest.mark.parametrize("size", [0, 1, 5000, 1_000_000])
def test_files_and_bytes_of_any_size_in_every_form(ask, path, size):
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    text = base64.b64encode(data).decode()
    for body, media_type in ((data, OCTETS), (data, "audio/x-anything"), (text, JSON), (msgpack.packb(data), MSGPACK)):
        natural = ask(path, body, media_type)
        assert (natural.status, natural.headers["content-type"], natural.body) == (200, OCTETS, data)
        assert ask(path, body, media_type, JSON).json == text
        assert msgpack.unpackb(ask(path, body, media_type, MSGPACK).body) == data
    seen = ask(path.replace("/", "/seen_"), data, OCTETS).json
    assert seen["bytes"] == size
    if path == "/file":
        assert (seen["type"], seen["folder mode"]) == ("Path", "0o700")


@pytest.mark.parametrize("accept", [JSON, MSGPACK])
def test_an_object_of_all_types_in_every_form(ask, accept):
    array, data = np.ones((2, 3), np.float32), b"\x00\xff"
    text, png = base64.b64encode(data).decode(), picture("image/png")
    plain = {"t": array.tolist(), "i": base64.b64encode(png).decode(), "f": text, "b": text, "n": 3, "s": "7"}
    binary = {"t": packed(array), "i": png, "f": data, "b": data, "n": 3, "s": "7"}
    body, header = form(
        Part("s", b"7"), Part("t", npy(array), NPY, "t.npy"), Part("i", png, "image/png", "dot.png"),
        Part("f", data, OCTETS, "some.bin"), Part("b", data), Part("n", b"3"),
    )  # fmt: skip
    in_text, _ = form(
        Part("s", b'"7"', JSON), Part("t", json.dumps(array.tolist()).encode()), Part("i", png), Part("f", data),
        Part("b", data, OCTETS), Part("n", b"3", JSON),
    )  # fmt: skip
    sent = [(plain, JSON), (msgpack.packb(binary), MSGPACK)] + [
        (one, header["content-type"]) for one in (body, in_text)
    ]
    for one, media_type in sent:
        seen = ask("/seen_all", one, media_type)
        assert seen.status == 200, seen.body
        kinds = {name: value["type"] for name, value in seen.json.items()}
        assert kinds == {"t": "ndarray", "i": "Image", "f": "Path", "b": "bytes", "n": "int", "s": "str"}
        answer = ask("/all", one, media_type, accept)
        assert (answer.status, answer.headers["content-type"]) == (200, accept), answer.body
        found = answer.json if accept == JSON else msgpack.unpackb(answer.body)
        assert (found["n"], found["s"], found["b"], found["f"]) == (
            3,
            "7",
            *([text] * 2 if accept == JSON else [data] * 2),
        )
        assert (found["t"] if accept == JSON else unpacked(found["t"]).tolist()) == array.tolist()
        image = base64.b64decode(found["i"]) if accept == JSON else found["i"]
        assert Image.open(io.BytesIO(image)).size == (5, 4)
    assert ask("/seen_all", body, header["content-type"]).json["f"]["name"] == "some.bin"


def test_special_values_in_lists_other_properties_and_behind_references(ask):
    value = {"list": ["AA==", "AQ=="], "more": "", "else": [[[1, 2, 3]], {"x": 1}]}
    answer = ask("/nested", value)
    assert (answer.status, answer.json) == (200, value)
    body, header = form(Part("list", b"\0"), Part("list", b"\1"), Part("more", b""))
    assert ask("/nested", body, header["content-type"]).json == {"list": ["AA==", "AQ=="], "more": ""}
    wrong = ask("/nested", {"list": ["AA==", "AA"], "more": 5, "else": [[[1, 2]]]}).json
    assert sorted(error["pointer"] for error in wrong["errors"]) == ["/else/0", "/list/1", "/more"]


def test_null_where_it_is_allowed(ask):
    assert ask("/nullable", None).body == b"null"
    assert msgpack.unpackb(ask("/nullable", msgpack.packb(None), MSGPACK, MSGPACK).body) is None
    assert ask("/binary", None).json["errors"][0]["detail"] == "null is not allowed here"


def test_text_as_it_is(ask):
    for body, media_type in (
        ("é\n".encode(), "text/plain; charset=utf-8"),
        ("é\n", JSON),
        (msgpack.packb("é\n"), MSGPACK),
    ):
        assert ask("/text", body, media_type).json == "é\n"
        answer = ask("/text", body, media_type, "text/plain")
        assert (answer.headers["content-type"], answer.body) == ("text/plain; charset=utf-8", "é\n".encode())
    assert ask("/text", b"\xff", "text/plain").code == "malformed-body"
    assert ask("/text", b"x", "text/plain; charset=latin-1").status == 415


def test_msgpack_for_a_plain_api(ask):
    value = {"a": [1, 2.5, None, True, "é"], "b": {"c": -1}}
    for media_type in (MSGPACK, "application/x-msgpack", "application/vnd.msgpack"):
        answer = ask("/any", msgpack.packb(value), media_type, media_type)
        assert (answer.headers["content-type"], msgpack.unpackb(answer.body)) == (media_type, value)
    assert ask("/any", msgpack.packb({"a": b"bytes"}), MSGPACK).json["errors"][0]["pointer"] == "/a"


@pytest.mark.parametrize(
    ("path", "accept", "sent"),
    [
        ("/tensor", "*/*", JSON),
        ("/tensor", "application/x-npy, application/json;q=0.9", NPY),
        ("/tensor", "application/x-npy;q=0.1, application/json;q=0.2, application/msgpack;q=0.3", MSGPACK),
        ("/tensor", "application/json;q=0, */*;q=0.1", MSGPACK),
        ("/tensor", "image/*, application/x-npy;q=0.001", NPY),
        ("/tensor", "Application/X-NPY", NPY),
        ("/tensor", "application/json;q=0", None),
        ("/tensor", "text/html", None),
        ("/image", "*/*", "image/png"),
        ("/image", "", "image/png"),
        ("/image", "image/*", "image/png"),
        ("/image", "image/*;q=0.5, image/webp", "image/webp"),
        ("/image", "image/png;q=0, image/*", "image/jpeg"),
        ("/image", "application/json, image/png;q=0.9", JSON),
        ("/image", "image/avif", None),
        ("/image", "image/avif, */*;q=0.1", "image/png"),
        ("/image", "video/*", None),
        ("/binary", "audio/ogg", "audio/ogg"),
        ("/binary", "*/*", OCTETS),
        ("/binary", JSON, JSON),
        ("/wave", "text/plain", "text/plain"),
        ("/wave", "audio/wav", None),
    ],
)  # fmt: skip
def test_accept_chooses_by_weight(ask, path, accept, sent):
    bodies = {"/tensor": [[1, 2, 3]], "/image": base64.b64encode(picture("image/png")).decode()}
    answer = ask(path, bodies.get(path, "AAAA"), JSON, accept)
    if sent is None:
        assert (answer.status, answer.code) == (406, "not-acceptable")
    elif path == "/wave":
        assert answer.status == 200
    else:
        assert (answer.status, answer.headers["content-type"]) == (200, sent)


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/tensor", [NPY, OCTETS, JSON, MSGPACK]),
        ("/image", ["image/*", OCTETS, JSON, MSGPACK]),
        ("/file", ["*/*", OCTETS, JSON, MSGPACK]),
        ("/wave", ["audio/wav", OCTETS, JSON, MSGPACK]),
        ("/text", [JSON, MSGPACK, "text/plain"]),
        ("/any", [JSON, MSGPACK]),
        ("/all", ["multipart/form-data", JSON, MSGPACK]),
    ],
)
def test_what_an_api_does_not_take_is_415_and_told_what_would_do(ask, path, taken):
    wrong = "multipart/form-data; boundary=x" if path == "/file" else "video/mp4"
    answer = ask(path, b"x", wrong)
    assert (answer.status, answer.code) == (415, "unsupported-media-type")
    assert answer.headers["accept-post"].split(", ") == taken

"""Bodies that lie, break off, or try to get somewhere; and answers that are not what the spec says."""

import base64
import io
import math
import os
import struct

import msgpack
import numpy as np
import pytest

from tests.support.daemon import eventually, running
from tests.support.forms import BOUNDARY, Part, form
from tests.support.project import project
from tests.support.samples import npy, picture

pytestmark = [pytest.mark.e2e, pytest.mark.beside]
JSON, MSGPACK, NPY, OCTETS = "application/json", "application/msgpack", "application/x-npy", "application/octet-stream"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
VECTOR = {"type": "array", "format": "tensor", "dtype": "float32", "shape": [-1]}
IMAGE = {"type": "string", "format": "image"}
FILE = {"type": "string", "format": "file"}
BINARY = {"type": "string", "format": "binary"}
NAMED = {"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]}


def target(method, input_=True, output=True, **more):
    return {"service": "s", "method": method, "input": input_, "output": output, **more}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    one = {"type": "object", "properties": {"value": FILE, "n": {"type": "integer"}}, "additionalProperties": False}
    kinds = {"tensor": VECTOR, "image": IMAGE, "file": FILE, "binary": BINARY}
    apis = {
        **{name: target("same", kind, kind) for name, kind in kinds.items()},
        **{f"give_{name}": target("give", NAMED, kind) for name, kind in kinds.items()},
        "give_list": target("give", NAMED, {"type": "array", "items": VECTOR}),
        "give_any": target("give", NAMED),
        "give_unchecked": target("give", NAMED, VECTOR, output_check=False),
        "give_jpeg": target("give", NAMED, {**IMAGE, "contentMediaType": "image/jpeg"}),
        "numbers": target("same", {"type": "array", "items": {"type": "number"}}),
        "form": target("seen_all", one),
    }
    folder = project(tmp_path_factory.mktemp("hostile"), "typed", services={"s": {"target": "typed.py"}}, apis=apis)
    files = tmp_path_factory.mktemp("temporary")
    with running(folder, env={"TMPDIR": str(files)}) as app:
        app.files = files
        yield app


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def head(text, version=b"\1\0", data=b"\0" * 8):
    raw = text.encode()
    size = struct.pack("<H" if version == b"\1\0" else "<I", len(raw))
    return b"\x93NUMPY" + version + size + raw + data


def test_objects_in_an_npy_file_are_not_brought_to_life(ask, tmp_path):
    out = io.BytesIO()
    np.save(out, np.array([Trap(str(tmp_path / "sprung"))], dtype=object), allow_pickle=True)
    answer = ask("/tensor", out.getvalue(), NPY)
    assert (answer.status, answer.code) == (422, "invalid-input")
    assert not (tmp_path / "sprung").exists()
    np.load(io.BytesIO(out.getvalue()), allow_pickle=True)
    assert (tmp_path / "sprung").exists()  # it was a trap


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x93NUMPY",
        b"PK\3\4",
        npy(np.zeros(2, np.float32))[:-1],
        npy(np.zeros(2, np.float32)) + b"\0",
        npy(np.zeros(2, np.float64)),
        npy(np.zeros(2, "S4")),
        npy(np.zeros(2, [("a", "f4")])),
        npy(np.zeros(2, "M8[s]")),
        head("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", b"\x09\0"),
        b"\x93NUMPY\1\0\xff\xff" + b" " * 100,
        b"\x93NUMPY\2\0\xff\xff\xff\xff" + b" " * 100,
        head("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }"),
        head("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999999999,), }"),
        head("{'descr': '<f4', 'fortran_order': False, 'shape': (2), }"),
        head("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'shape': (2,), }"),
        head("{'descr': '<f4', 'fortran_order': False, 'shape': (__import__('os').getpid(),), }"),
        head("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"),
        head("[" * 10_000),
        head("{'descr': '<f4'}"),
    ],
    ids=lambda body: repr(body[8:60]),
)
def test_npy_files_that_are_none_are_told_so(ask, body):
    answer = ask("/tensor", body, NPY)
    assert (answer.status, answer.code) == (422, "invalid-input"), answer.body
    assert answer.json["errors"][0]["detail"]


@pytest.mark.parametrize("version", [b"\1\0", b"\2\0", b"\3\0"])
def test_npy_of_every_version(ask, version):
    body = head("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", version)
    assert ask("/tensor", body, NPY).json == [0, 0]


@pytest.mark.parametrize(
    "text",
    ["A", "AA", "AAA", "AA=", "A===", "AA==A", "AAAA====", "AAAA\n", " AAAA", "AA AA", "AA\tAA", "AA-_", "AAAé", "====",
     "AA==AA==", "data:image/png;base64,AAAA"],
)  # fmt: skip
def test_base64_that_is_not_strict_is_invalid(ask, text):
    for path in ("/image", "/file", "/binary"):
        answer = ask(path, text)
        assert (answer.status, answer.code) == (422, "invalid-input")
        assert "base64" in answer.json["errors"][0]["detail"]
    array = {"dtype": "float32", "shape": [1], "data": text}
    assert ask("/tensor", array).json["errors"][0]["pointer"] == "/data"


@pytest.mark.parametrize(
    "value", [5, True, [1], {"a": 1}, 1.5, {"dtype": "float32", "shape": [1], "data": "AAAA", "more": 1}]
)
def test_what_is_no_base64_at_all_is_invalid(ask, value):
    for path in ("/image", "/file", "/binary"):
        assert ask(path, value).code == "invalid-input"


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ("text", ""), ([1, "2"], "/1"), ([1, None], "/1"), ([1, True], "/1"), ([[1]], "/0"), ({}, ""), (None, ""),
        ([1e39], "/0"), ([10**400], None), ({"dtype": "float64", "shape": [1], "data": "A" * 11 + "="}, ""),
        ({"dtype": "float32", "shape": [2], "data": "AAAAAA=="}, "/data"),
        ({"dtype": "float32", "shape": [-1], "data": ""}, ""),
        ({"dtype": "float32", "shape": [1e9], "data": ""}, ""),
        ({"dtype": "float32", "shape": "1", "data": ""}, ""),
        ({"dtype": ["float32"], "shape": [1], "data": ""}, ""),
        ({"dtype": "float32", "shape": [2**62], "data": ""}, ""),
    ],
    ids=str,
)  # fmt: skip
def test_lists_that_are_no_tensor_are_told_where(ask, value, pointer):
    answer = ask("/tensor", value)
    assert answer.status == (400 if pointer is None else 422), answer.body
    if pointer is not None:
        assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
        assert len(answer.body) < 1000


def test_nan_and_infinity_come_in_as_binary_only(ask):
    array = np.array([math.nan, math.inf, -math.inf], np.float32)
    for body in (b"[NaN]", b"[Infinity]", b"[1e999]"):
        assert ask("/tensor", body).code == ask("/numbers", body).code == "malformed-body"
    assert ask("/numbers", msgpack.packb([math.nan]), MSGPACK).code == "malformed-body"
    assert ask("/tensor", msgpack.packb([math.inf]), MSGPACK).code == "malformed-body"
    extension = msgpack.packb(msgpack.ExtType(1, msgpack.packb(["float32", [3]]) + array.tobytes()))
    in_base64 = {"dtype": "float32", "shape": [3], "data": base64.b64encode(array.tobytes()).decode()}
    for body, media_type in ((npy(array), NPY), (extension, MSGPACK), (in_base64, JSON)):
        assert np.array_equal(np.load(io.BytesIO(ask("/tensor", body, media_type, NPY).body)), array, equal_nan=True)
        assert msgpack.unpackb(ask("/tensor", body, media_type, MSGPACK).body).data.endswith(array.tobytes())
        answer = ask("/tensor", body, media_type, JSON)
        assert (answer.status, answer.code) == (500, "output-invalid")


@pytest.mark.parametrize(
    ("api", "kind", "accept", "code"),
    [
        ("tensor", "nan", JSON, "output-invalid"),
        ("tensor", "nan", NPY, "ok"),
        ("tensor", "nan", MSGPACK, "ok"),
        ("any", "plain nan", JSON, "output-invalid"),
        ("any", "plain nan", MSGPACK, "output-invalid"),
        ("any", "nan in a list", JSON, "output-invalid"),
        ("tensor", "zero", JSON, "ok"),
        ("tensor", "list", NPY, "ok"),
        ("tensor", "float64", NPY, "ok"),
        ("tensor", "big endian", JSON, "ok"),
        ("tensor", "too large", NPY, "output-invalid"),
        ("tensor", "too deep", JSON, "output-invalid"),
        ("tensor", "fortran", NPY, "output-invalid"),
        ("unchecked", "fortran", NPY, "ok"),
        ("unchecked", "text", JSON, "output-invalid"),
        ("tensor", "complex", JSON, "output-invalid"),
        ("tensor", "objects", JSON, "output-unserializable"),
        ("tensor", "strings", JSON, "output-invalid"),
        ("tensor", "none", JSON, "output-invalid"),
        ("tensor", "bytes", JSON, "output-invalid"),
        ("tensor", "image", JSON, "output-unserializable"),
        ("image", "image", "image/webp", "ok"),
        ("image", "palette", "image/jpeg", "ok"),
        ("image", "transparent", "image/jpeg", "ok"),
        ("image", "wide", "image/png", "ok"),
        ("image", "empty image", "image/png", "output-unserializable"),
        ("image", "array", "image/png", "output-invalid"),
        ("image", "text", "image/png", "output-invalid"),
        ("image", "bytes", "image/png", "output-invalid"),
        ("image", "none", JSON, "output-invalid"),
        ("jpeg", "image", "*/*", "ok"),
        ("file", "bytes", "*/*", "ok"),
        ("file", "text", "*/*", "output-invalid"),
        ("file", "array", "*/*", "output-invalid"),
        ("binary", "bytes", JSON, "ok"),
        ("binary", "text", JSON, "output-invalid"),
        ("binary", "number", JSON, "output-invalid"),
        ("any", "bytes", JSON, "output-unserializable"),
        ("any", "array", JSON, "ok"),
    ],
)
def test_answers_of_every_kind(app, ask, api, kind, accept, code):
    answer = ask(f"/give_{api}", {"kind": kind}, JSON, accept)
    assert (answer.code or "ok") == code, answer.body
    if code == "ok":
        assert accept in (answer.headers["content-type"], "*/*")
    else:
        assert "ndarray" not in answer.json.get("detail", "")
        request_id = answer.headers["x-request-id"]
        [event] = eventually(lambda: app.events("call.finished", request_id=request_id))
        assert event["code"] == code
        assert event["error"]  # the operator is told why


def test_pictures_in_answers_are_what_was_given(ask):
    white = ask("/give_image", {"kind": "transparent"}, JSON, "image/bmp").body
    assert white.endswith(b"\xff" * 9 + b"\0" * 3)
    assert ask("/give_jpeg", {"kind": "image"}).headers["content-type"] == "image/jpeg"


def test_a_picture_that_breaks_off_is_the_clients_fault(ask):
    whole = picture("image/png", (64, 64))
    answer = ask("/image", whole[: len(whole) - 30], "image/png")
    assert (answer.status, answer.code) == (422, "invalid-input")
    assert answer.json["errors"][0]["pointer"] == ""


END = f"\r\n--{BOUNDARY}--\r\n".encode()
BEGIN = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="value"; filename="a"\r\n\r\n'.encode()


def headed(*lines):
    """A form whose part has these headers, too."""
    return BEGIN.replace(b"\r\n\r\n", b"\r\n" + b"\r\n".join(lines) + b"\r\n\r\n") + END


@pytest.mark.parametrize(
    ("body", "media_type", "code"),
    [
        (BEGIN + b"data", FORM, "malformed-body"),
        (BEGIN + b"data\r\n--" + BOUNDARY.encode(), FORM, "malformed-body"),
        (b"", FORM, "malformed-body"),
        (b"--", FORM, "malformed-body"),
        (BEGIN + b"data" + END, "multipart/form-data", "malformed-body"),
        (BEGIN + b"data" + END, "multipart/form-data; boundary=", "malformed-body"),
        (BEGIN + b"data" + END, "multipart/form-data; boundary=other", "malformed-body"),
        (BEGIN + b"data" + END, "multipart/form-data; boundary=" + "x" * 71, "malformed-body"),
        (BEGIN + b"data" + END, "multipart/form-data; boundary=\x01", "malformed-request"),
        (f"--{BOUNDARY}\r\n\r\ndata".encode() + END, FORM, "malformed-body"),
        (f"--{BOUNDARY}\r\nContent-Disposition: attachment; name=value\r\n\r\n".encode() + END, FORM, "malformed-body"),
        (headed(b"Content-Type: multipart/mixed; boundary=in"), FORM, "malformed-body"),
        (headed(b"Content-Transfer-Encoding: base64"), FORM, "malformed-body"),
        (headed(b"A: " + b"b" * 20_000), FORM, "malformed-body"),
        (headed(*[b"A%d: b" % number for number in range(20)]), FORM, "malformed-body"),
        (headed(b"A: b", b"a: b"), FORM, "malformed-body"),
        (BEGIN + b"one\r\n" + BEGIN + b"two" + END, FORM, "invalid-input"),
        (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="other"\r\n\r\n'.encode() + END, FORM, "invalid-input"),
        (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="n"\r\n\r\nx'.encode() + END, FORM, "invalid-input"),
    ],
    ids=repr,
)  # fmt: skip
def test_forms_that_are_none(app, ask, body, media_type, code):
    answer = ask("/form", body, media_type)
    assert answer.code == code, answer.body
    no_files(app)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/etc/passwd", "passwd"),
        ("C:\\boot.ini", "boot.ini"),
        ("..", "file"),
        (".", "file"),
        ("/", "file"),
        (".bashrc", "bashrc"),
        ("é\u202etxt.exe", "étxt.exe"),
        ("a\tb", "ab"),
        ("a;b='c' $(id) `id`|&.txt", "a;b='c' $(id) `id`|&.txt"),
        ("x" * 10_000 + ".png", "x" * 96 + ".png"),
        ("-rf", "-rf"),
        ("CON", "CON"),
    ],
    ids=lambda name: name[:20],
)
def test_a_files_name_says_nothing_of_where_it_goes(app, ask, name, kept):
    body, header = form(Part("value", b"data", OCTETS, name))
    answer = ask("/form", body, header["content-type"])
    assert answer.json["value"] == {"type": "Path", "name": kept, "bytes": 4, "folder mode": "0o700"}
    no_files(app)


@pytest.mark.parametrize("name", [b"a\0b", b"\0", b"a%00b", b"a\xff"])
def test_a_files_name_with_nul_is_refused_or_cleaned(app, ask, name):
    answer = ask("/form", BEGIN.replace(b'"a"', b'"' + name + b'"') + b"data" + END, FORM)
    assert answer.status in {200, 400}, answer.body
    if answer.status == 200:
        assert "\0" not in answer.json["value"]["name"]
    no_files(app)


def no_files(app):
    """That no call's file is left."""
    # os.walk does not mind folders that vanish meanwhile
    eventually(lambda: not [name for *_, names in os.walk(app.files) for name in names], 5, "no file is left")

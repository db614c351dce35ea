"""Answers beside their examples: what is the same is found the same, what differs is told in a few lines."""

import base64
import copy
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bentod.codec import expect
from bentod.codec.expect import Expectation, differences
from bentod.codec.expect_words import first_difference, shown

TENSOR = {"type": "array", "format": "tensor", "dtype": "float32", "shape": [-1, -1]}
IMAGE = {"type": "string", "format": "image", "contentMediaType": "image/*"}
BINARY = {"type": "string", "format": "binary"}
FILE = {"type": "string", "format": "file", "contentMediaType": "text/plain"}


def tensor(dtype, shape=(-1, -1), **more):
    return {"type": "array", "format": "tensor", "dtype": dtype, "shape": list(shape), **more}


def packed(array):
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "data": base64.b64encode(array.tobytes()).decode(),
    }


def picture(pixels, kind="PNG", mode=None):
    out = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8), mode).save(out, kind)
    return base64.b64encode(out.getvalue()).decode()


def told(expected, got, schema=True, tolerance=None):
    """The differences as they are told."""
    return str(differences(expected, got, schema, {}, tolerance))


# ── plain JSON ───────────────────────────────────────────────────────────────────────────────────

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


@given(VALUES, st.none() | st.floats(0, 10))
def test_everything_is_like_itself(value, tolerance):
    assert not differences(value, copy.deepcopy(value), True, {}, tolerance)


@given(VALUES)
def test_everything_is_like_what_json_makes_of_it(value):
    assert not differences(value, json.loads(json.dumps(value)), True, {})


def places(value, path=()):
    """The paths to all that is in a value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*path, key))


@given(VALUES, st.data())
def test_any_single_change_is_found(value, data):
    path = data.draw(st.sampled_from(list(places(value))))
    root = [copy.deepcopy(value)]
    holder, key = root, 0
    for step in path:
        holder, key = holder[key], step
    changed = data.draw(VALUES.filter(lambda other: json.dumps(other) != json.dumps(holder[key])))
    number = {int, float}
    if type(changed) in number and type(holder[key]) in number:
        changed = "another"
    holder[key] = changed
    found = differences(value, root[0], True, {})
    assert found
    assert all(str(one) for one in found.shown)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False), st.floats(0, 1e300))
def test_numbers_are_near_if_their_distance_is_within_the_tolerance(one, other, tolerance):
    assert expect.near(one, other, tolerance) == (one == other or abs(one - other) <= tolerance)


@pytest.mark.parametrize(
    ("expected", "got", "tolerance"),
    [
        (1, 1.0, None),
        (10**17, 1e17, None),
        (math.nan, math.nan, None),
        (math.nan, math.nan, 0.1),
        (math.inf, math.inf, 0.0),
        (0.5, 0.6, 0.11),
        ({"a": 1, "b": [2]}, {"b": [2.05], "a": 1}, 0.1),
        ("text", "text", 0.1),
    ],
)
def test_what_is_the_same(expected, got, tolerance):
    assert told(expected, got, tolerance=tolerance) == ""


@pytest.mark.parametrize(
    ("expected", "got", "tolerance", "text"),
    [
        (1, True, None, "the answer: expected 1, got true"),
        (False, 0, 1.0, "the answer: expected false, got 0"),
        (1, "1", None, 'the answer: expected 1, got "1"'),
        (None, 0, None, "the answer: expected null, got 0"),
        (0.5, 0.7, 0.1, "the answer: expected 0.5 ± 0.1, got 0.7"),
        (0.5, math.nan, 0.1, "the answer: expected 0.5 ± 0.1, got NaN"),
        (math.inf, -math.inf, 5.0, "the answer: expected Infinity ± 5, got -Infinity"),
        (10**400, 0.5, 0.1, None),
        ({"a": 1}, {"b": 1}, None, "/a: expected 1, got nothing\n/b: expected nothing, got 1"),
        ({"a/b": {"~": 1}}, {"a/b": {"~": 2}}, None, "/a~1b/~0: expected 1, got 2"),
        ([1, 2], [1], None, "the answer: expected 2 items, got 1 item"),
        ([1], {"0": 1}, None, 'the answer: expected [1], got {"0": 1}'),
        ("Ada", "Bob", None, 'the answer: expected "Ada", got "Bob"'),
    ],
)
def test_what_differs_is_told(expected, got, tolerance, text):
    found = told(expected, got, tolerance=tolerance)
    assert found
    assert text is None or found == text


def test_only_the_first_differences_are_told():
    found = differences(list(range(1000)), list(range(1, 1001)), True, {})
    assert found.count == 1000
    assert len(found.shown) == expect.MOST_SHOWN
    assert str(found).endswith("\n… and 990 more")


def test_of_long_texts_what_is_around_the_first_difference_is_told():
    text = told("a" * 100_000 + "b" + "a" * 9, "a" * 100_000 + "c" + "a" * 9)
    assert "ab" in text
    assert "ac" in text
    assert "from character 100,001 on" in text
    assert len(text) < 500


@given(st.binary(), st.binary())
def test_the_first_difference_is_where_two_texts_part(one, other):
    at = first_difference(one, other)
    assert one[:at] == other[:at]
    assert one[at : at + 1] != other[at : at + 1] or one == other


@pytest.mark.parametrize("value", ["x" * 10**6, list(range(10**5)), {"a": ["y" * 10**5] * 50}, b"z" * 10**6, object()])
def test_a_value_of_any_size_is_shown_in_a_line(value):
    assert 0 < len(shown(value)) <= 130
    assert "\n" not in shown(value)


# ── tensors ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@given(values=st.lists(st.floats(-1000, 1000), min_size=1, max_size=8))
def test_what_is_written_in_decimals_is_what_a_tensor_of_them_is_answered_as(dtype, values):
    array = np.array([values], dtype)
    answered = json.loads(json.dumps([[float(str(number)) for number in array[0]]]))
    assert not differences([values], answered, tensor(dtype), {})
    assert not differences(packed(array), answered, tensor(dtype), {})
    assert not differences([values], packed(array), tensor(dtype), {})


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=6), st.data())
def test_one_other_number_is_found_in_a_tensor(values, data):
    at = data.draw(st.integers(0, len(values) - 1))
    other = data.draw(st.integers(-(2**63), 2**63 - 1).filter(lambda number: number != values[at]))
    changed = [*values[:at], other, *values[at + 1 :]]
    for tolerance in (None, 0.0):
        (found,) = differences([values], [changed], tensor("int64"), {}, tolerance).shown
        assert found.pointer == f"/0/{at}"
        assert (found.expected, found.got) == (str(values[at]), str(other))
    off = abs(other - values[at])
    assert not differences([values], [changed], tensor("int64"), {}, off * 1.001)
    assert off < 2 or differences([values], [changed], tensor("int64"), {}, off * 0.999)


def test_one_number_of_a_million_is_told_in_one_line():
    array = np.zeros((1000, 1000), np.float32)
    other = array.copy()
    other[3, 17] = 0.25
    text = told(array.tolist(), other.tolist(), TENSOR)
    assert text == "/3/17: expected 0.0, got 0.25 (1 of 1,000,000 numbers differ, by up to 0.25)"


@pytest.mark.parametrize(
    ("dtype", "expected", "got", "tolerance", "text"),
    [
        ("float32", [[1, 2]], [[1, 2.05]], 0.1, ""),
        ("float32", [[1, 2]], [[1, 2.2]], 0.1, "/0/1: expected 2.0 ± 0.1, got 2.2 (1 of 2 numbers differ, by up to"),
        ("uint8", [[1, 255]], [[1, 254]], 1.0, ""),
        ("uint8", [[0]], [[255]], 254.0, "/0/0: expected 0 ± 254, got 255"),
        ("bool", [[True]], [[False]], 5.0, "/0/0: expected True, got False"),
        ("complex64", [[[1, 2]]], [[[1, 2.1]]], 0.2, ""),
        ("complex64", [[[1, 2]]], [[[1, 3]]], 0.2, "/0/0: expected (1+2j) ± 0.2, got (1+3j)"),
        ("float32", [[1, 2]], [[1, 2], [3, 4]], None, "the answer: expected float32 of the shape [1, 2], got float32 "),
        ("float32", [[1, 2]], [1, 2], None, "/0: expected float32 of the shape [1, 2], got [1, 2] (1 is no list"),
        ("int8", [[1]], [[1.5]], None, "/0/0: expected int8 of the shape [1, 1], got [[1.5]] (1.5 is no whole"),
        ("int8", [[1]], None, None, "the answer: expected [[1]], got null"),
        ("int8", [], {"dtype": "int8", "shape": [0, 3], "data": ""}, None, ""),
        ("int8", [], [[]], None, "the answer: expected int8 of the shape [0, ?], got int8 of the shape [1, 0]"),
        ("int8", [[], []], [], None, "the answer: expected int8 of the shape [2, 0], got int8 of the shape [0, ?]"),
        ("int8", "wrong", [[1]], None, 'the answer: expected "wrong", got [[1]] (a string is no list'),
    ],
)
def test_tensors(dtype, expected, got, tolerance, text):
    found = told(expected, got, tensor(dtype), tolerance)
    assert found.startswith(text)
    assert bool(found) == bool(text)


def test_nan_is_like_nan_in_tensors_and_unlike_anything_else():
    array = np.array([[math.nan, math.inf, 1]], np.float32)
    assert not differences(packed(array), packed(array.copy()), TENSOR, {})
    assert not differences(packed(array), packed(array.copy()), TENSOR, {}, 0.1)
    other = np.array([[math.nan, 1, math.nan]], np.float32)
    text = told(packed(array), packed(other), TENSOR, 0.1)
    assert text == "/0/1: expected inf ± 0.1, got 1.0 (2 of 3 numbers differ)"


def test_special_values_are_found_wherever_they_stand():
    schema = {"type": "object", "properties": {"list": {"type": "array", "items": TENSOR}, "n": {"type": "number"}}}
    expected = {"list": [[[1]], [[2]]], "n": 3}
    assert not differences(expected, {"list": [[[1]], [[2.01]]], "n": 3}, schema, {}, 0.1)
    found = differences(expected, {"list": [[[1]], [[5]]], "n": 4}, schema, {}, 0.1)
    assert [one.pointer for one in found.shown] == ["/list/1/0/0", "/n"]
    assert told({"t": [[1]]}, {"t": [[2]]}, {"type": "object", "additionalProperties": {"$ref": "#"}} | TENSOR)


# ── pictures, files and bytes ────────────────────────────────────────────────────────────────────


def test_pictures_are_compared_by_their_pixels():
    pixels = np.zeros((4, 5, 3), np.uint8)
    assert not differences(picture(pixels), picture(pixels, "BMP"), IMAGE, {})
    pixels[2, 3] = (0, 7, 0)
    text = told(picture(np.zeros((4, 5, 3))), picture(pixels), IMAGE)
    assert (
        text
        == "the answer: expected RGB 0 0 0, got RGB 0 7 0 (1 of 20 pixels differ, by up to 7, the first at x 3, y 2)"
    )
    assert told(picture(np.zeros((4, 5, 3))), picture(pixels), IMAGE, 7.0) == ""
    assert told(picture(np.zeros((4, 5, 3))), picture(pixels), IMAGE, 6.9)


def test_pictures_of_other_sizes_and_kinds_differ():
    small, large = picture(np.zeros((4, 5, 3))), picture(np.zeros((8, 10, 3)))
    assert told(small, large, IMAGE) == "the answer: expected 5 x 4 pixels, got 10 x 8 pixels"
    grey = picture(np.zeros((4, 5)))
    assert told(small, grey, IMAGE) == ""
    assert "is no image" in told(small, base64.b64encode(b"text").decode(), IMAGE)
    assert "is no base64" in told(small, "?", IMAGE)
    assert "got 5" in told(small, 5, IMAGE)


def animated(*levels):
    out = io.BytesIO()
    first, *rest = [Image.new("L", (3, 3), level) for level in levels]
    first.save(out, "GIF", save_all=True, append_images=rest)
    return base64.b64encode(out.getvalue()).decode()


def test_all_frames_of_a_picture_count():
    assert told(animated(0, 80), animated(0, 80), IMAGE) == ""
    assert "in 2 frames, got 3 x 3 pixels in 3 frames" in told(animated(0, 80), animated(0, 80, 160), IMAGE)
    assert "frame 2: 9 of 9 pixels differ" in told(animated(0, 80), animated(0, 160), IMAGE)


@pytest.mark.parametrize("schema", [BINARY, FILE])
def test_bytes_and_files_are_compared_exactly(schema):
    one, other = (base64.b64encode(data).decode() for data in (b"hello world", b"hello there!"))
    assert told(one, one, schema) == ""
    assert told(one, other, schema) == "the answer: expected 11 bytes, got 12 (they differ from byte 6 on)"
    assert told(one, b"hello world", schema) == ""


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_bytes_are_the_same_only_if_all_of_them_are(one, other):
    texts = (base64.b64encode(data).decode() for data in (one, other))
    assert bool(differences(*texts, BINARY, {})) == (one != other)


# ── answers as they come ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("schema", "stream", "expected", "has_output", "accept"),
    [
        (True, "", 1, True, "application/json"),
        (True, "", None, False, "application/json"),
        (True, "sse", [1], True, None),
        (TENSOR, "", [[1]], True, "application/json"),
        (TENSOR, "", packed(np.array([[math.nan]], np.float32)), True, "application/msgpack"),
        (TENSOR, "", None, False, "application/json"),
        (IMAGE, "", "aaaa", True, "application/json"),
        (IMAGE, "", None, False, None),
        (FILE, "", None, False, None),
        (FILE | {"contentMediaType": "application/json"}, "", "aaaa", True, "application/msgpack"),
        ({"type": "object", "properties": {"x": FILE}}, "", None, False, "application/json"),
    ],
)
def test_what_is_asked_for_is_what_can_be_compared(schema, stream, expected, has_output, accept):
    assert Expectation(schema, {}, stream).accept(expected, has_output=has_output) == accept


@pytest.mark.parametrize(
    ("stream", "kind", "body", "expected", "fault"),
    [
        ("", "application/json", b"[1]", [1], ""),
        ("", "application/json", b"[1]", [2], "/0: expected 2, got 1"),
        ("", "text/plain", b"1", 1, "the answer is text/plain, and not application/json"),
        ("", "application/json", b"[", 1, "unexpected end of data"),
        ("sse", "text/event-stream", b"data: 1\n\ndata: 2\n\nevent: end\ndata: null\n\n", [1, 2], ""),
        ("sse", "text/event-stream", b"data: 1\n\n", [1], "the stream broke off"),
        ("sse", "application/json", b"1", [1], "the answer is application/json, and not text/event-stream"),
        ("ndjson", "application/x-ndjson", b"1\n2\n", [1, 3], "/1: expected 3, got 2"),
        ("ndjson", "application/x-ndjson", b"1\n", [1, 3], "the answer: expected 2 items, got 1 item"),
        ("raw", "text/plain; charset=utf-8", "Zoë".encode(), "Zoë", ""),
        ("raw", "text/plain; charset=utf-8", b"Zoe", "Zoë", 'the answer: expected "Zoë", got "Zoe"'),
    ],
)
def test_an_answer_is_read_and_compared(stream, kind, body, expected, fault):
    found = Expectation(True, {}, stream).fault(body, kind, expected, None, has_output=True)
    assert found.startswith(fault)
    assert bool(found) == bool(fault)


def test_a_raw_stream_of_bytes_is_compared_with_base64():
    expectation = Expectation(BINARY, {}, "raw")
    assert expectation.fault(b"\xff\x00", "application/octet-stream", "/wA=", None, has_output=True) == ""
    assert "from byte 1" in expectation.fault(b"\xff\x01", "application/octet-stream", "/wA=", None, has_output=True)


def test_an_answer_without_an_example_for_it_is_fine_unless_it_broke_off():
    assert Expectation(True, {}).fault(b"?", "any/thing", None, None, has_output=False) == ""
    assert Expectation(True, {}, "sse").fault(b"", "text/event-stream", None, None, has_output=False)


def test_a_problem_in_words():
    body = {"title": "The input does not match", "detail": "no", "errors": [{"pointer": "/a", "detail": "is no list"}]}
    assert expect.refusal(422, json.dumps(body).encode()) == "422 The input does not match: no\n/a: is no list"
    assert expect.refusal(502, b"<html>") == '502 "<html>"'
    assert expect.refusal(500, b'{"title": "The model failed"}') == "500 The model failed"

"""Strict JSON in, finite JSON out."""

from __future__ import annotations

import contextlib
import json as stdlib
import math
import time
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.codec import json
from bentod.codec.json import MAX_DEPTH
from bentod.errors import BodyTooLarge, MalformedBody, OutputUnserializable
from bentod.iotypes.parts import Stored

names = st.text(max_size=6)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=20,
)
PAIRS = {"lists": ("[", "]"), "objects": ('{"a":', "}")}


def nested(depth: int, *kinds: str) -> bytes:
    """A body of this depth whose levels take turns."""
    pairs = [PAIRS[kinds[level % len(kinds)]] for level in range(depth)]
    return ("".join(left for left, _ in pairs) + "1" + "".join(right for _, right in reversed(pairs))).encode()


@given(values)
def test_what_is_encoded_decodes_to_the_same(value):
    assert json.decode(json.encode(value)) == value


@given(values, st.booleans())
def test_any_json_text_within_the_limits_decodes_to_its_value(value, ascii_only):
    assert json.decode(stdlib.dumps(value, ensure_ascii=ascii_only, indent=1).encode()) == value


@given(st.binary(max_size=40))
def test_no_bytes_make_decoding_fail_otherwise(body):
    with contextlib.suppress(MalformedBody):
        json.decode(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b" \n\t ", id="blanks"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b"[Infinity]", id="Infinity"),
        pytest.param(b"[-Infinity]", id="minus Infinity"),
        pytest.param(b"1e400", id="too large for a double"),
        pytest.param(b"9" * 5000, id="five thousand digits"),
        pytest.param(b'{"a":' + b"9" * 5000 + b',"b":{"c":1}}', id="five thousand digits, names to be checked"),
        pytest.param(b"{'a': 1}", id="single quotes"),
        pytest.param(b'{"a": 1,}', id="comma at the end"),
        pytest.param(b"[1] [2]", id="two values"),
        pytest.param(b"[1", id="cut off"),
        pytest.param(b"01", id="leading zero"),
        pytest.param(b"// no\n1", id="comment"),
        pytest.param(b'"\x01"', id="control character"),
        pytest.param(b'"\xff"', id="not UTF-8"),
        pytest.param(b'"\xed\xa0\x80"', id="surrogate in UTF-8"),
        pytest.param(b'"\\ud800"', id="half a surrogate pair"),
        pytest.param(b'"\xc0\x80"', id="overlong UTF-8"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param('{"a": 1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b"\x00", id="NUL"),
    ],
)
def test_what_is_not_strict_json_is_malformed(body):
    with pytest.raises(MalformedBody) as raised:
        json.decode(body)
    assert raised.value.detail


def test_a_problem_says_where():
    with pytest.raises(MalformedBody, match="line 2, column"):
        json.decode(b'{"a": 1,\n"b": x}')
    with pytest.raises(MalformedBody, match="not UTF-8: byte 2"):
        json.decode(b'"a\xff"')
    with pytest.raises(MalformedBody, match="empty"):
        json.decode(b"")


@pytest.mark.parametrize("kinds", [*product(PAIRS, repeat=1), *product(PAIRS, repeat=2), *product(PAIRS, repeat=3)])
def test_depth_64_passes_and_65_does_not(kinds):
    assert json.decode(nested(MAX_DEPTH, *kinds)) is not None
    for depth in (MAX_DEPTH + 1, 2 * MAX_DEPTH, 2 * MAX_DEPTH + 1, 100_000):
        with pytest.raises(MalformedBody):
            json.decode(nested(depth, *kinds))


def test_width_and_brackets_in_strings_are_not_depth():
    assert json.decode(b"[" + b",".join([b"[]"] * 1000) + b"]") == [[]] * 1000
    assert json.decode(b'["' + b"[" * 100 + b'"]') == ["[" * 100]
    assert json.decode(b'["\\"' + b"{[" * 100 + b'\\\\", {"[[": "]]"}]') == ['"' + "{[" * 100 + "\\", {"[[": "]]"}]
    assert json.decode(b"[" + b'["\\\\"],' * 100 + b"1]")[-1] == 1


@given(values)
def test_depth_is_judged_rightly(value):
    body = stdlib.dumps(value).encode()
    room = MAX_DEPTH - depth(value)
    assert json.decode(b"[" * room + body + b"]" * room) is not None
    with pytest.raises(MalformedBody):
        json.decode(b"[" * (room + 1) + body + b"]" * (room + 1))


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def test_large_bodies_with_many_brackets_are_judged_quickly():
    text = b'["' + b"a" * 4_000_000 + b'",' + b"[]," * 100 + b'"' + b'\\"' * 2_000_000 + b'"]'
    rows = b"[" + b",".join([b"[" * 60 + b"]" * 60] * 8_000) + b"]"
    begun = time.process_time()
    assert len(json.decode(text)) == 102
    assert len(json.decode(rows)) == 8_000
    assert time.process_time() - begun < 5


def test_there_is_a_most_of_arrays_and_objects():
    most = json.MAX_CONTAINERS - 1
    assert len(json.decode(b"[" + b"{}," * most + b"1]")) == most + 1
    assert json.decode(b'["' + b'[{\\"\\\\' * most + b'"]') == ['[{"\\' * most]
    begun = time.process_time()
    for body in (b"[" + b"[]," * (most + 1) + b"1]", b"[" * 16_000_000, b"[" * (most + 2) + b'"' + b'\\"' * 7_000_000):
        with pytest.raises(BodyTooLarge, match="more than 500000 arrays and objects"):
            json.decode(body)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("filler", [b'"",', b'"[",', b"1,", b'"\\"",', b'"a:b",'])
def test_names_and_levels_of_large_bodies_are_judged_quickly(filler):
    deep = b",".join([b"[" * 61 + b"]" * 61] * 7_000)
    body = b'{"a":{"b":1},"c":[' + deep + b"," + filler * (14_000_000 // len(filler)) + b'1],"%s":1}'
    begun = time.process_time()
    assert json.decode(body % b"d").keys() == {"a", "c", "d"}
    with pytest.raises(MalformedBody, match="a name occurs twice"):
        json.decode(body % b"a")
    assert time.process_time() - begun < 6


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a":1,"a":1}', id="twice"),
        pytest.param(b'{"a":1,"b":{"c":{}},"a":[]}', id="far apart"),
        pytest.param(b'{"a":1,"\\u0061":2}', id="written differently"),
        pytest.param(b'{"":1,"":2}', id="empty"),
        pytest.param(b'{"a:":1,"a:":2}', id="with a colon"),
        pytest.param('{"ä":1,"\\u00e4":2}'.encode(), id="not ASCII"),
        pytest.param(b'{"x":{"a":1},"a":2,"x":{"a":3}}', id="known below too"),
    ],
)
def test_a_name_that_occurs_twice_at_the_top_is_malformed(body):
    with pytest.raises(MalformedBody, match="twice"):
        json.decode(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a":{"a":{"a":1}}}', {"a": {"a": {"a": 1}}}),
        (b'{"a:b":"c:d"}', {"a:b": "c:d"}),
        (b'{"a":[{"b":1},{"b":2}]}', {"a": [{"b": 1}, {"b": 2}]}),
        (b'{"a":1,"A":2}', {"a": 1, "A": 2}),
    ],
)
def test_equal_names_at_different_places_are_fine(body, value):
    assert json.decode(body) == value


def test_integers_are_exact_within_64_bits():
    for number in (2**64 - 1, -(2**63), 0, 2**53 + 1):
        assert json.decode(str(number).encode()) == number


def test_names_are_checked_beside_large_numbers():
    assert json.decode(b'{"a":' + b"1" * 300 + b',"b":{"c":1}}')["b"] == {"c": 1}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [1, [x]], lambda x: {"a": {"b": (None, x)}}])
def test_nan_and_infinity_are_not_sent(bad, wrap):
    with pytest.raises(OutputUnserializable, match="NaN"):
        json.encode(wrap(bad))


def test_null_is_not_taken_for_nan():
    assert json.encode({"null": [None, "null", 1.0]}) == b'{"null":[null,"null",1.0]}'


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"bytes", id="bytes"),
        pytest.param({1: 2}, id="a number as a name"),
        pytest.param({None: 2}, id="nothing as a name"),
        pytest.param("\ud800", id="half a surrogate pair"),
        pytest.param(2**64, id="more than 64 bits"),
        pytest.param({1, 2}, id="set"),
        pytest.param(object(), id="object"),
    ],
)
def test_what_json_cannot_hold_is_unserializable(value):
    with pytest.raises(OutputUnserializable):
        json.encode([value])


def test_endless_nesting_is_unserializable():
    endless: list = []
    endless.append(endless)
    with pytest.raises(OutputUnserializable):
        json.encode(endless)


@given(values)
def test_booleans_are_seen(value):
    body = stdlib.dumps(value, ensure_ascii=False).encode()
    assert json.booleans(body) or not has_boolean(value)


def has_boolean(value: object) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, bool) or any(map(has_boolean, inner))


def test_numbers_have_no_booleans():
    assert not json.booleans(b'{"text": [1, 2.5e-7, null], "s": "t"}')


def test_what_is_no_plain_value_is_never_spread_out():
    with pytest.raises(OutputUnserializable):
        json.encode({"a": Stored("/etc/passwd")})


def test_arrays_only_where_they_are_expected():
    assert json.encode({"a": np.array([[1.5, 2]])}, arrays=True) == b'{"a":[[1.5,2.0]]}'
    with pytest.raises(OutputUnserializable):
        json.encode(np.array([1]))

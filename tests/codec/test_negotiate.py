"""Media types and what a client accepts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.codec.negotiate import accepted, essence

JSON = ("application/json",)
BOTH = ("application/json", "text/plain")


@pytest.mark.parametrize(
    ("header", "kind", "parameters"),
    [
        (b"application/json", "application/json", {}),
        (b" Application/JSON ; Charset=UTF-8", "application/json", {"charset": "UTF-8"}),
        (b'text/plain; charset="utf-8"; x=1', "text/plain", {"charset": "utf-8", "x": "1"}),
        (b"application/json;", "application/json", {}),
        (b"application/json; charset", "application/json", {}),
        (b"", "", {}),
        (b"json", "", {}),
        (b"application/json, text/plain", "", {}),
        (b"a/b/c", "", {}),
        (b"\xff\xfe", "", {}),
    ],
)
def test_type_and_parameters(header, kind, parameters):
    assert essence(header) == (kind, parameters)


@pytest.mark.parametrize(
    ("accept", "offers", "chosen"),
    [
        pytest.param(b"", JSON, "application/json", id="nothing said"),
        pytest.param(b" , ", JSON, "application/json", id="only commas"),
        pytest.param(b"*/*", JSON, "application/json", id="anything"),
        pytest.param(b"application/*", JSON, "application/json", id="any application"),
        pytest.param(b"APPLICATION/JSON", JSON, "application/json", id="case"),
        pytest.param(b"text/html", JSON, None, id="something else"),
        pytest.param(b"text/html, */*;q=0.1", JSON, "application/json", id="something else, or anything"),
        pytest.param(b"application/json;q=0", JSON, None, id="refused"),
        pytest.param(b"application/json;q=0.000", JSON, None, id="refused with zeros"),
        pytest.param(b"application/json;q=0, */*", JSON, None, id="the most specific decides"),
        pytest.param(b"*/*;q=0", JSON, None, id="nothing accepted"),
        pytest.param(b"application/*;q=0, */*;q=1", JSON, None, id="type before anything"),
        pytest.param(b"*/*;q=0, application/json", JSON, "application/json", id="only this"),
        pytest.param(b"application/json;charset=utf-8;q=0.5", JSON, "application/json", id="parameters"),
        pytest.param(b"application/json; Q=0", JSON, None, id="q in capitals"),
        pytest.param(b"application/json;q=", JSON, "application/json", id="empty q"),
        pytest.param(b"application/json;q=abc", JSON, "application/json", id="q is no number"),
        pytest.param(b"application/json;q=7", JSON, "application/json", id="q above one"),
        pytest.param(b"application/json;q=-1", JSON, None, id="q below zero"),
        pytest.param(b"\xff\xfe;;;=,,", JSON, None, id="rubbish"),
        pytest.param(b"text/plain, application/json", BOTH, "application/json", id="the first offer of equals"),
        pytest.param(b"text/plain, application/json;q=0.9", BOTH, "text/plain", id="the better liked"),
        pytest.param(b"text/*;q=0.8, application/json;q=0.3", BOTH, "text/plain", id="the better liked range"),
        pytest.param(b"image/jpg", ("image/png", "image/jpeg"), "image/jpeg", id="another name"),
        pytest.param(b"image/jpg;q=0, */*", ("image/jpeg", "image/png"), "image/png", id="refused by another name"),
        pytest.param(b"a/x-b", ("a/b", "a/x-b"), "a/x-b", id="its own name first"),
        pytest.param(b"text/plain;q=0, */*;q=0.1", BOTH, "application/json", id="the one that is left"),
    ],
)
def test_the_best_offer(accept, offers, chosen):
    assert accepted(accept, offers) == chosen


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        pytest.param(b"*/*", "audio/*", id="anything"),
        pytest.param(b"audio/*", "audio/*", id="the range itself"),
        pytest.param(b"audio/wav", "audio/*", id="one of them"),
        pytest.param(b"audio/wav;q=0.2, application/json;q=0.1", "audio/*", id="one of them, better liked"),
        pytest.param(b"audio/wav, application/json", "application/json", id="a named offer before a possible one"),
        pytest.param(b"audio/wav;q=0, */*", "audio/*", id="all but one of them"),
        pytest.param(b"audio/*;q=0, */*", "application/json", id="none of them"),
        pytest.param(b"image/*", None, id="others"),
    ],
)
def test_a_range_may_be_offered(accept, chosen):
    assert accepted(accept, ("audio/*", "application/json")) == chosen


def test_any_bytes_may_be_offered():
    offers = ("*/*", "application/json")
    assert accepted(b"text/html", offers) == "*/*"
    assert accepted(b"application/json", offers) == "application/json"
    assert accepted(b"application/json, */*", offers) == "*/*"


@given(st.binary(max_size=80))
def test_no_header_makes_it_fail(header):
    assert accepted(header, BOTH) in {*BOTH, None}
    kind, parameters = essence(header)
    assert kind == kind.strip().lower()
    assert all(name == name.strip().lower() for name in parameters)


@given(st.floats(0.001, 1), st.floats(0.001, 1))
def test_the_larger_weight_wins(left, right):
    chosen = accepted(f"application/json;q={left:.3f}, text/plain;q={right:.3f}".encode(), BOTH)
    assert chosen == ("application/json" if round(left, 3) >= round(right, 3) else "text/plain")

"""Strict base64."""

from __future__ import annotations

import base64 as stdlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.codec import base64


@given(st.binary(max_size=100))
def test_bytes_come_back(data):
    text = base64.encode(data)
    assert text == stdlib.b64encode(data).decode()
    assert base64.decode(text) == data


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("AAA", id="no padding"),
        pytest.param("AA=", id="half a padding"),
        pytest.param("AA===", id="too much padding"),
        pytest.param("AAAA=", id="padding that is not needed"),
        pytest.param("AAAA==", id="more of it"),
        pytest.param("AAAA====", id="nothing but padding at the end"),
        pytest.param("=AAA", id="padding before"),
        pytest.param("AA==AAAA", id="padding inside"),
        pytest.param("AA A=", id="blank"),
        pytest.param("AAAA\n", id="line end"),
        pytest.param("AA-_", id="the other alphabet"),
        pytest.param("ÄÄÄÄ", id="not ASCII"),
        pytest.param("A", id="six bits"),
        pytest.param("====", id="only padding"),
        pytest.param("data:;base64,AAAA", id="data URL"),
    ],
)
def test_what_is_refused(text):
    with pytest.raises(ValueError, match="is no base64"):
        base64.decode(text)


@given(st.text("AB+/=- \n", max_size=12) | st.text(max_size=8))
def test_nothing_but_a_value_error_is_raised(text):
    try:
        data = base64.decode(text)
    except ValueError:
        return
    assert len(base64.encode(data)) == len(text)

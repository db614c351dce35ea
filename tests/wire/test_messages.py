"""Messages: every class makes the journey, nothing else is taken for one."""

from __future__ import annotations

import contextlib
import dataclasses
import types
import typing
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentod.errors import WireError
from bentod.wire import counted, messages, orders
from bentod.wire.messages import (
    ApiRoute,
    Drain,
    Example,
    Message,
    Method,
    Parameter,
    Ready,
    RouteTable,
    ServiceRoute,
    Setup,
    WorkerRoute,
    decode,
    encode,
)

CLASSES = typing.get_args(Message)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of an annotated type, as the messages use them."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return st.builds(kind, **{field.name: values_of(hints[field.name]) for field in dataclasses.fields(kind)})
    if isinstance(kind, types.UnionType):
        return st.one_of([values_of(one) for one in typing.get_args(kind)])
    if typing.get_origin(kind) is tuple:
        return st.lists(values_of(typing.get_args(kind)[0]), max_size=2).map(tuple)
    if typing.get_origin(kind) is dict:
        return st.dictionaries(st.text(max_size=4), values_of(typing.get_args(kind)[1]), max_size=2)
    simple = {
        str: st.text(max_size=8),
        int: st.integers(-(2**63), 2**64 - 1),
        float: st.floats(allow_nan=False),
        bool: st.booleans(),
        type(None): st.none(),
        Any: json_values,
    }
    return simple[kind]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@settings(max_examples=30)
@given(data=st.data())
def test_every_message_makes_the_journey(cls, data):
    message = data.draw(values_of(cls))
    again = decode(encode(message))
    assert type(again) is cls
    assert again == message


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_message_is_a_frozen_value(cls):
    assert dataclasses.is_dataclass(cls)
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert not hasattr(cls, "__dict__") or "__dict__" not in cls.__dict__


def test_every_dataclass_of_the_module_is_a_message_or_part_of_one():
    used: set[Any] = set()

    def follow(kind: Any) -> None:
        if dataclasses.is_dataclass(kind):
            used.add(kind)
            for hint in typing.get_type_hints(kind).values():
                follow(hint)
        for inner in typing.get_args(kind):
            follow(inner)

    for cls in CLASSES:
        follow(cls)
    made_here = {
        value
        for module in (messages, orders, counted)
        for value in vars(module).values()
        if dataclasses.is_dataclass(value) and getattr(value, "__module__", "") == module.__name__
    }
    assert used == made_here


def test_nested_values_are_rebuilt():
    method = Method("f", "sync", (Parameter("x", "KEYWORD_ONLY", required=True),))
    table = RouteTable(
        number=1,
        generation=2,
        name="n",
        version="1",
        description="",
        path_prefix="",
        docs=True,
        types={"T": {"type": "number"}},
        apis=(ApiRoute("a", "s", "f", "/a", examples=(Example("one", {"x": 1}),), errors={"builtins:E": 422}),),
        services=(ServiceRoute("s", "ready", 1, (WorkerRoute(0, 5, "/x", 1, 100),), admit=True, methods=(method,)),),
    )
    assert decode(encode(table)) == table
    assert decode(encode(Ready((Method("f", "sync", None),), 0.5))) == Ready((Method("f", "sync", None),), 0.5)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(["Drain"], id="no fields"),
        pytest.param(["Drain", {}], id="field missing"),
        pytest.param(["Drain", {"timeout_s": 1.0, "more": 2}], id="unknown field"),
        pytest.param(["Drain", {1: 1.0}], id="field is no name"),
        pytest.param(["Drain", 5], id="fields are a number"),
        pytest.param(["Drain", [1.0]], id="fields are a list"),
        pytest.param(["Drain", None], id="fields are nothing"),
        pytest.param(["Nobody", {}], id="unknown class"),
        pytest.param(["Example", {"name": "a", "input": 1}], id="a part, not a message"),
        pytest.param([["Drain"], {}], id="name is a list"),
        pytest.param("Drain", id="a text"),
        pytest.param(7, id="a number"),
        pytest.param(["Ready", {"methods": 3, "seconds": 1.0}], id="number where there are many"),
        pytest.param(["Ready", {"methods": [3], "seconds": 1.0}], id="number where a value is"),
        pytest.param(["Ready", {"methods": [{"name": "f"}], "seconds": 1.0}], id="half a value"),
    ],
)
def test_what_is_no_message_is_a_wire_error(raw):
    with pytest.raises(WireError):
        decode(msgpack.packb(raw))


@given(st.binary(max_size=60))
def test_no_bytes_make_decoding_fail_otherwise(data):
    with contextlib.suppress(WireError):
        decode(data)


@given(json_values)
def test_no_messagepack_makes_decoding_fail_otherwise(value):
    for raw in (value, ["Setup", value], ["RouteTable", {"apis": value}], ["Stats", {"apis": [value]}]):
        with contextlib.suppress(WireError):
            decode(msgpack.packb(raw))


@pytest.mark.parametrize("value", [2**64, object(), "\ud800"], ids=["integer", "object", "half a surrogate pair"])
def test_a_value_that_cannot_travel_is_a_wire_error(value):
    with pytest.raises(WireError, match="Setup"):
        encode(Setup("s", 0, "m", "/", (), init={"a": value}))


def test_a_message_may_be_a_view():
    assert decode(memoryview(encode(Drain(1.5)))) == Drain(1.5)

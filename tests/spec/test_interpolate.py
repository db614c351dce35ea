"""Variables, references and dollars."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.spec.found import FromEnvironment, Interpolated
from bentod.spec.interpolate import InterpolationError, Scope, Seat, expand, interpolate, models_in

VARIABLES = {"A": "a", "EMPTY": "", "DOLLARS": "${A} $$", "INDEX": "${worker.index}"}
SCOPE = Scope(VARIABLES, {"spec.dir": "/d", "spec.name": "n", "service.name": "s"}, worker=True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "a"),
        ("x${A}y${A}z", "xayaz"),
        ("${NOPE:-b}", "b"),
        ("${NOPE:-}", ""),
        ("${EMPTY}", ""),
        ("${EMPTY:-b}", "b"),
        ("${A:-b}", "a"),
        ("${A:?needed}", "a"),
        ("${NOPE:-${A}-${NOPE:-c}}", "a-c"),
        ("${NOPE:-a:b-c}", "a:b-c"),
        ("$$", "$"),
        ("$$$$", "$$"),
        ("$${A}", "${A}"),
        ("$$${A}", "$a"),
        ("${DOLLARS}", "${A} $$"),
        ("${spec.dir}/${spec.name}/${service.name}", "/d/n/s"),
    ],
)
def test_what_a_string_becomes(text, value):
    assert interpolate(text, SCOPE) == value


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("${NOPE}", "unset-variable"),
        ("${NOPE:?say it}", "unset-variable"),
        ("${EMPTY:?say it}", "unset-variable"),
        ("$A", "bad-interpolation"),
        ("5$", "bad-interpolation"),
        ("${A", "bad-interpolation"),
        ("${}", "bad-interpolation"),
        ("${1}", "bad-interpolation"),
        ("${A-b}", "bad-interpolation"),
        ("${A b}", "bad-interpolation"),
        ("${spec.dir:-x}", "bad-interpolation"),
        ("${NOPE:-" * 20 + "x" + "}" * 20, "bad-interpolation"),
        ("${spec.path}", "unknown-reference"),
        ("${models.m.path}", "unknown-reference"),
        ("${worker.name}", "unknown-reference"),
    ],
)
def test_what_cannot_be_replaced_is_refused(text, code):
    with pytest.raises(InterpolationError) as caught:
        interpolate(text, SCOPE)
    assert caught.value.code == code


def test_the_message_of_the_author_is_told():
    with pytest.raises(InterpolationError, match="`NOPE` is not set: say it"):
        interpolate("${NOPE:?say it}", SCOPE)


def test_only_values_of_the_environment_are_secret():
    assert isinstance(interpolate("${A}", SCOPE), FromEnvironment)
    assert isinstance(interpolate("${NOPE:-${A}}", SCOPE), FromEnvironment)
    assert type(interpolate("${NOPE:-b}", SCOPE)) is Interpolated
    assert type(interpolate("b", SCOPE)) is str


@given(st.text().filter(lambda text: "$" not in text))
def test_text_without_a_dollar_stays_as_it_is(text):
    assert interpolate(text, SCOPE) == text
    assert expand(text, Seat(3), {}) == text


@given(st.text())
def test_doubled_dollars_come_back(text):
    assert interpolate(text.replace("$", "$$"), SCOPE) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("port-${worker.index}", "port-3"),
        ("$$${worker.index}", "$3"),
        ("$${worker.index}", "${worker.index}"),
        ("${worker.index} $${worker.index} $$$$", "3 ${worker.index} $$"),
        ("${INDEX}", "${worker.index}"),
        ("${INDEX}${worker.index}", "${worker.index}3"),
        ("$$$$", "$$"),
        ("${worker.device} $${worker.device}", "cuda:0 ${worker.device}"),
    ],
)
def test_the_index_of_a_worker_is_put_in_when_it_starts(text, value):
    assert expand(interpolate(text, SCOPE), Seat(3, "cuda:0"), {}) == value


def test_the_index_is_put_in_at_any_depth():
    value = {"a": ["${worker.index}", 1, None], "b": ("x${worker.index}",), "${worker.index}": True}
    assert expand(value, Seat(7), {}) == {"a": ["7", 1, None], "b": ("x7",), "${worker.index}": True}


def test_the_index_works_only_where_a_worker_is():
    with pytest.raises(InterpolationError, match="only in a service's"):
        interpolate("${worker.index}", Scope({}, {}))


def test_the_path_of_a_model_is_put_in_when_a_worker_is_planned():
    scope = Scope(VARIABLES, {}, worker=True, models=("bert",))
    text = interpolate("${models.bert.path}/a $$5 $${models.bert.path} ${worker.index}", scope)
    assert expand(text, Seat(1), {"bert": "/m"}) == "/m/a $5 ${models.bert.path} 1"
    assert expand(text, Seat(1), {}).startswith("${models.bert.path}/a"), "it is not on this host"
    assert models_in({"a": [text], "b": "$${models.other.path} $$"}) == {"bert"}


@pytest.mark.parametrize(
    ("name", "models", "match"),
    [
        ("models.bret.path", ("bert",), "no model `bret`"),
        ("models.bert.size", ("bert",), "there is no"),
        ("models.bert", ("bert",), "there is no"),
        ("models.bert.path", None, "works only in"),
    ],
)
def test_a_model_that_cannot_be_meant_is_refused(name, models, match):
    with pytest.raises(InterpolationError, match=match):
        interpolate(f"${{{name}}}", Scope({}, {}, worker=True, models=models))

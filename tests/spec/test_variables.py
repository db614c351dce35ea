"""Which variables a spec refers to."""

import pytest

from bentod.spec.variables import Variable, constant, variables


def asked(text):
    return [(one.name, one.required, one.filled) for one in variables({"env": {"X": text}})]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain $$A", []),
        ("${A}", [("A", True, False)]),
        ("${A:?why}", [("A", True, True)]),
        ("${A:-x}", [("A", False, False)]),
        ("${A:-}", [("A", False, False)]),
        ("a${A}b${B}${A}", [("A", True, False), ("B", True, False)]),
        ("${A:-x}${B}", [("A", False, False), ("B", True, False)]),
        ("${A:-x}${A}", [("A", True, False)]),
        ("${A:-${B:-${C}}${D}}", [("A", False, False), ("B", False, False), ("C", False, False), ("D", False, False)]),
        ("${A:-${B}}${B:?}", [("A", False, False), ("B", True, True)]),
        ("${spec.dir}/${spec.name}/${worker.index}/${models.m.path}", []),
    ],
)
def test_what_a_string_asks_for(text, expected):
    assert asked(text) == expected


def test_only_where_references_mean_something_are_they_found():
    spec = {
        "name": "${NAME:-a}",
        "x-more": "${NOT_IT}",
        "types": {"T": {"pattern": "^${NOT_IT}$"}},
        "apis": {"a": {"input": {"const": "${NOT_IT}"}, "timeout": "${LIMIT}", "examples": [{"input": "${NOT_IT}"}]}},
        "services": {"s": {"env": {"A": "${SECRET}"}, "init": {"x": ["${DEEP:?}"]}, "workers": 2}},
        "models": {"m": {"source": "${FROM}"}},
        "build": {"labels": {"a": "${LABEL}"}},
    }
    assert [one.name for one in variables(spec)] == ["DEEP", "FROM", "LABEL", "LIMIT", "NAME", "SECRET"]
    assert Variable("DEEP", required=True, filled=True) in variables(spec)


@pytest.mark.parametrize(("text", "is_constant"), [("a$$b", True), ("", True), ("${spec.name}", True), ("${A}", False)])
def test_what_is_the_same_everywhere(text, is_constant):
    assert constant(text) is is_constant


def test_what_was_not_written_is_not_known_to_be_the_same():
    assert not constant(None)

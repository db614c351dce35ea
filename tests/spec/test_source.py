"""Bytes → nodes: places, limits, and input that is not what it should be."""

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.spec import source, yaml_source
from bentod.spec.node import dotted, key_place, places, value_place


def parsed(text, file="x.yaml"):
    root, problems = source.parse(text.encode() if isinstance(text, str) else text, file)
    return (root.plain() if root else None), [(p.line, p.column, p.code, p.message) for p in problems]


def only(text, file="x.yaml"):
    _, [(line, column, _, message)] = parsed(text, file)
    return line, column, message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("No", "No"), ("y", "y"), ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("1_000", "1_000"),
        ("010", 10), ("0o10", 8), ("0xff", 255), ("+1", 1), ("1e3", 1000.0), (".5", 0.5), ("1.", 1.0),
        ("true", True), ("False", False), ("~", None), ("", None), ("'1'", "1"), ("!!str 1", "1"), ("0b1", "0b1"),
        ("1.0.0", "1.0.0"), ("|-\n  a\n  b", "a\nb"), ("! 1", "1"),
    ],
)  # fmt: skip
def test_yaml_scalars_are_those_of_yaml_1_2(text, value):
    assert parsed(f"key: {text}") == ({"key": value}, [])


def test_keys_are_always_strings():
    assert parsed("{1: a, true: b, on: c, null: d, 1.5: e}")[0] == {
        "1": "a",
        "true": "b",
        "on": "c",
        "null": "d",
        "1.5": "e",
    }


def test_anchors_and_merge_keys_keep_the_place_where_they_were_written():
    root, problems = source.parse(b"a: &a {x: 1, y: 2}\nb:\n  <<: [*a, {z: 3}]\n  y: 4\nc: *a\n", "x.yaml")
    assert not problems
    assert root.plain() == {"a": {"x": 1, "y": 2}, "b": {"y": 4, "x": 1, "z": 3}, "c": {"x": 1, "y": 2}}
    assert key_place(root, ("b", "x")).line == 1
    assert key_place(root, ("b", "y")).line == 4
    assert value_place(root, ("c", "y")).line == 1
    assert key_place(root, ("c",)).line == 5


def test_places_count_characters_not_bytes():
    root, _ = source.parse('﻿é: {"ü": [1, ö]}\n'.encode(), "x.yaml")
    assert (value_place(root, ("é", "ü", 1)).line, value_place(root, ("é", "ü", 1)).column) == (1, 14)


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("a: 1\na: 2", 2, 1, "written twice"),
        ("a: {b: 1, b: 2}", 1, 11, "written twice"),
        ("a: [1, 2", 2, 1, "starts at line 1"),
        ("a: 'x", 1, 6, "unexpected end"),
        ("a:\n  - b\n - c", 3, 2, "not valid YAML"),
        ("a: \x01", 1, 4, "control characters"),
        ("a: 1\nb: x\0y", 2, 5, "NUL"),
        ("", 1, 1, "empty"),
        ("# nothing", 1, 1, "empty"),
        ("a: 1\n---\nb: 2", 2, 1, "second document"),
        ("- a", 1, 1, "a map of keys and values"),
        ("text", 1, 1, "a map of keys and values"),
        ("a: *b", 1, 4, "no anchor"),
        ("a: &a [*a]", 1, 8, "contains itself"),
        ("a: !!python/object/apply:os.system [ls]", 1, 4, "tag"),
        ("a: !!python/name:os.system x", 1, 4, "tag"),
        ("a: !!binary aGk=", 1, 4, "tag"),
        ("? [a, b]\n: 1", 1, 3, "a key must be a string"),
        ("a: .nan", 1, 4, "NaN"),
        ("a: [1, -.inf]", 1, 8, "infinity"),
        (f"a: {'9' * 30}", 1, 4, "64 bits"),
        (f"a: {'9' * 5000}", 1, 4, "too many digits"),
        ("a: " + "[" * 100, 1, 68, "deeper than 64"),
        ("a: " + "{a: " * 100, 1, 260, "deeper than 64"),
        ("- " * 100, 1, 131, "deeper than 64"),
        ("<<: 3", 1, 1, "takes a map"),
    ],
)  # fmt: skip
def test_bad_yaml_is_one_problem_with_its_place(text, line, column, says):
    found = only(text)
    assert found[:2] == (line, column)
    assert says in found[2]


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("a = 1\na = 2", 2, 6, "twice"),
        ("a = [1, 2", 1, 10, "not valid TOML"),
        ("a = ", 1, 5, "not valid TOML"),
        ("a = 'x", 1, 7, "not valid TOML"),
        ("[a]\nb = 1\n[a]\n", 3, 3, "twice"),
        ("a = nan", 1, 5, "NaN"),
        ("b = 1\na = [1, -inf]", 2, 9, "infinity"),
        (f"a = {'9' * 30}", 1, 5, "64 bits"),
        (f"a = {'9' * 5000}", 1, 1, "not valid TOML"),
        ("a = " + "[" * 20000, 1, 1, "deeper"),
        ("a = " + "[" * 100 + "]" * 100, 1, 1, "deeper"),
    ],
)  # fmt: skip
def test_bad_toml_is_one_problem_with_its_place(text, line, column, says):
    found = only(text, "x.toml")
    assert says in found[2]
    if "digits" not in found[2] and "9" * 100 not in text:
        assert found[:2] == (line, column)


@pytest.mark.parametrize("file", ["x.yaml", "x.toml"])
def test_what_is_not_utf_8_is_one_problem(file):
    assert only(b"a = 'x'\nb = \xff\xfe", file)[:2] == (2, 5)
    assert "UTF-8" in only("a: 1".encode("utf-16"), file)[2]


def test_an_anchors_bomb_is_refused_before_it_grows():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "anchor" in only("\n".join(lines))[2]


def test_anchors_cannot_nest_deeper_than_what_is_written():
    lines = ["a0: &a0 []", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 500))]
    assert "deeper than 64" in only("\n".join(lines))[2]


def test_a_dotted_key_cannot_nest_without_end():
    assert only("a = 1\n" + "a." * 1_000_000 + "a = 1", "x.toml")[2] == "nested deeper than 64 levels"
    assert "deeper" in only('"a".' * 500 + "a = 1", "x.toml")[2]


def test_more_values_than_the_limit_are_refused():
    many = ",".join("1" for _ in range(yaml_source.MAX_VALUES))
    assert "200,000" in only(f"a: [{many}]")[2]
    assert "200,000" in only(f"a = [{many}]", "x.toml")[2]


def test_a_file_of_ten_megabytes_is_refused_by_its_size(tmp_path):
    path = tmp_path / "bentofile.yaml"
    path.write_bytes(b"a: " + b"x" * 10_000_000)
    root, [problem] = source.read(path)
    assert root is None
    assert problem.code == "too-large"
    assert "10,000,003 bytes" in problem.message


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()], ids=["missing", "folder"])
def test_what_cannot_be_read_is_one_problem(tmp_path, make):
    path = tmp_path / "bentofile.yaml"
    make(path)
    root, [problem] = source.read(path)
    assert root is None
    assert problem.code == "unreadable"


TOML = '''# first
"quoted key" = 1
dotted.key."x y" = { a = 1, b = [ 1, 2 ], "c" = "#}" }
multi = """
a = 1
""" # comment
literal = \'\'\'[x]\'\'\'
array = [ # comment
  "a,b", [ 3, 4 ], # more
  { deep = true },
  1979-05-27 07:32:00,
]
[table]
x = 1
[table.sub]
y = "]"
[[rows]]
z = 1
[[rows]]
z = 2
[rows.inner]
w = 3
[[rows.more]]
v = 4
[[rows.more]]
'''


def test_toml_places_are_those_of_the_text():
    root, problems = source.parse(TOML.encode(), "x.toml")
    assert not problems
    lines = TOML.splitlines()
    for path, place in places(root):
        if isinstance(path[-1], str):
            at = lines[place.line - 1][place.column - 1 :].lstrip('"')
            assert at.startswith(path[-1]), (path, place)
    value = value_place(root, ("array", 1, 1))
    assert lines[value.line - 1][value.column - 1] == "4"
    inner = value_place(root, ("rows", 1, "inner", "w"))
    assert lines[inner.line - 1][inner.column - 1] == "3"


NAMES = st.text(st.sampled_from("abcdefg-_ é.#\"'[]{}=,"), min_size=1, max_size=6)
TEXTS = st.characters(min_codepoint=32, max_codepoint=0x1FFF, exclude_categories=("Cc", "Cf")) | st.just("\U0001f600")
SCALARS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.text(TEXTS, max_size=10),
    st.floats(allow_nan=False, allow_infinity=False),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12
)
MAPS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=4)


def in_toml(value):
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{json.dumps(key, ensure_ascii=False)} = {in_toml(item)}" for key, item in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(in_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def as_toml(data):
    return "".join(f"{json.dumps(key, ensure_ascii=False)} = {in_toml(value)}\n" for key, value in data.items())


@given(MAPS)
def test_yaml_and_toml_of_the_same_data_are_the_same(data):
    text = as_toml(data)
    assert tomllib.loads(text) == data
    in_yaml, _ = source.parse(json.dumps(data, ensure_ascii=False).encode(), "x.yaml")
    from_toml, _ = source.parse(text.encode(), "x.toml")
    assert in_yaml.plain() == from_toml.plain() == data


@given(MAPS)
def test_a_place_of_a_key_points_at_the_key(data):
    for text, file in [(json.dumps(data, ensure_ascii=False, indent=1), "x.yaml"), (as_toml(data), "x.toml")]:
        root, problems = source.parse(text.encode(), file)
        lines = text.split("\n")
        assert not problems
        for path, place in places(root):
            if isinstance(path[-1], str):
                assert lines[place.line - 1][place.column - 1 :].startswith(json.dumps(path[-1], ensure_ascii=False))


@given(st.binary(max_size=300), st.sampled_from(["x.yaml", "x.toml"]))
def test_random_bytes_never_raise(data, file):
    root, problems = source.parse(data, file)
    assert root is not None or problems


@given(st.text(st.sampled_from("ab:-[]{}&*!|>'\"#%@`,?\n \t<=1."), max_size=60), st.sampled_from(["x.yaml", "x.toml"]))
def test_random_punctuation_never_raises(text, file):
    root, problems = source.parse(text.encode(), file)
    assert root is not None or problems


def test_a_dotted_path_quotes_what_would_be_ambiguous():
    assert dotted(("apis", "a", "errors", "my.mod:E", 0, "")) == 'apis.a.errors["my.mod:E"][0][""]'

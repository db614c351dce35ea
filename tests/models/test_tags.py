"""Tags: what is one, and what a part of a version means."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.models import tags
from bentod.models.tags import NoTag, Tag, matching, parse

PART = re.compile(r"[a-z0-9](([-._a-z0-9]{0,61})[a-z0-9])?")


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("a", Tag("a")),
        ("a:latest", Tag("a")),
        ("store://a:1", Tag("a", "1")),
        ("a-b.c_d:0.1-rc.1", Tag("a-b.c_d", "0.1-rc.1")),
        ("a" * 63 + ":" + "b" * 63, Tag("a" * 63, "b" * 63)),
    ],
)
def test_what_is_a_tag(text, tag):
    assert parse(text) == tag


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "a:",
        ":a",
        "A",
        "a:B",
        "a b",
        "a:b:c",
        "../a",
        "a..b",
        "a:..",
        "..",
        ".hub",
        ".staging",
        "-a",
        "a-",
        "a/b",
        "a\nb",
        "a\n",
        "a\x00b",
        "é",
        "\uff41",
        "a:\u0661",
        "a" * 64,
        "a:" + "b" * 64,
        "hf://org/name",
    ],
)
def test_what_is_none(text):
    with pytest.raises(NoTag) as caught:
        parse(text)
    said = str(caught.value)
    assert "A tag is `name` or `name:version`" in said
    assert said.isprintable()
    assert said.isascii()


@given(st.text(max_size=70))
def test_only_the_grammar_is_taken(text):
    fits = bool(PART.fullmatch(text)) and ".." not in text
    assert (tags.why_not(text) == "") == fits


def test_a_part_of_a_version_means_what_begins_so():
    versions = ["abc1", "abd2", "ab", "x"]
    assert matching("ab", versions) == ["ab"]
    assert matching("abc", versions) == ["abc1"]
    assert matching("a", versions) == ["ab", "abc1", "abd2"]
    assert matching("c", versions) == []

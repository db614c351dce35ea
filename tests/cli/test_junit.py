"""JUnit XML as Jenkins' schema and GitLab's reader want it, whatever an answer had in it."""

from datetime import datetime, timedelta, timezone
from xml.etree import ElementTree as Xml

from hypothesis import given
from hypothesis import strategies as st

from bentod.cli.examples import ERROR, FAILED, OK, Results, Tried
from bentod.cli.junit import document

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1)))
DECIMAL = r"\d+\.\d+"

# jenkinsci/xunit-plugin, junit-10.xsd: elements, their attributes (True: required) and children
SCHEMA = {
    "testsuites": ({"name": False, "time": False, "tests": False, "failures": False, "errors": False}, {"testsuite"}),
    "testsuite": (
        {"name": True, "tests": True}
        | dict.fromkeys(("failures", "errors", "time", "skipped", "timestamp", "hostname", "id", "package"), False),
        {"testcase", "properties", "system-out", "system-err"},
    ),
    "testcase": (
        {"name": True, "classname": True, "time": False, "assertions": False, "status": False},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": ({"message": False, "type": False}, set()),
    "error": ({"message": False, "type": False}, set()),
    "skipped": ({"message": False, "type": False}, set()),
}


def checked(data):
    """The root of a document that fits the schema, and whose numbers are right."""
    root = Xml.fromstring(data)
    assert root.tag == "testsuites"
    for element in root.iter():
        attributes, children = SCHEMA[element.tag]
        assert set(element.keys()) <= attributes.keys()
        assert {name for name, required in attributes.items() if required} <= set(element.keys())
        assert {child.tag for child in element} <= children
        assert float(element.get("time", "0")) >= 0
    for suite in root:
        for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(key)) == len(list(suite.iter(tag)))
        assert int(suite.get("tests")) == len(suite)
        assert suite.get("timestamp") == "2026-01-02T02:04:05"
    for key, tag in (("failures", "failure"), ("errors", "error")):
        assert int(root.get(key)) == len(list(root.iter(tag)))
    return root


def test_suites_cases_and_what_went_wrong():
    tried = (
        Tried("greet", "plain", OK, 0.25),
        Tried("count", "one", FAILED, 0.5, "/0: expected 1, got 2\n/1: expected 1, got 3"),
        Tried("greet", "formal", ERROR, 1.0, "the daemon does not answer: refused"),
    )
    root = checked(document(Results("app", "http://x", tried, ("bare",)), STARTED))
    assert root.attrib == {"name": "app", "tests": "3", "failures": "1", "errors": "1", "time": "1.750000"}
    assert [suite.get("name") for suite in root] == ["greet", "count", "bare"]
    greet, count, bare = root
    assert [(case.get("classname"), case.get("name")) for case in greet] == [("greet", "plain"), ("greet", "formal")]
    assert len(greet[0]) == 0
    assert greet[1][0].tag == "error"
    assert count[0][0].get("message") == "/0: expected 1, got 2"
    assert count[0][0].text == "/0: expected 1, got 2\n/1: expected 1, got 3"
    assert bare[0][0].get("message") == "the API has no examples"


@given(st.text(), st.text())
def test_any_text_makes_a_document(name, text):
    tried = (Tried(name, name, FAILED, 0.1, text),)
    root = checked(document(Results(name, "", tried, (name,)), STARTED))
    found = root[0][0][0].text or ""
    assert set(found) <= set(text) | {"\n"}


def test_control_characters_are_removed():
    text = "\x1b[31mred\x1b[0m \x00 ok\ud800 \ufffe<&\"'>]]> \x85 \U0001f600"
    root = checked(document(Results("a", "", (Tried("a", "b", FAILED, 0.1, text),), ()), STARTED))
    assert root[0][0][0].text == "[31mred[0m  ok <&\"'>]]> \x85 \U0001f600"

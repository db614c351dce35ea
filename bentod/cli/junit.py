"""What came of examples as JUnit XML, for continuous integration: a suite for each API, a case for each example.

The elements are those of the schema of Jenkins' xUnit plug-in, which GitLab and others read too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree as Xml

from bentod.cli.examples import ERROR, FAILED, Results, Tried

_UNFIT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 does not allow, or advises against: control characters, halves of pairs, U+FFFE and U+FFFF."""

_ELEMENTS = {FAILED: "failure", ERROR: "error"}
_LONGEST = 200


def document(results: Results, started: datetime) -> bytes:
    """The file."""
    root = Xml.Element("testsuites", _totals(results.name, results.tried))
    begun = started.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    by_api: dict[str, list[Tried]] = {}
    for one in results.tried:
        by_api.setdefault(one.api, []).append(one)
    for name, tried in by_api.items():
        suite = Xml.SubElement(root, "testsuite", {**_totals(name, tried), "skipped": "0", "timestamp": begun})
        for one in tried:
            _case(suite, one)
    for name in results.bare:
        _bare(root, name, begun)
    Xml.indent(root)
    text = Xml.tostring(root, "unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _totals(name: str, tried: Sequence[Tried]) -> dict[str, str]:
    return {
        "name": _fit(name),
        "tests": f"{len(tried)}",
        "failures": f"{sum(one.outcome == FAILED for one in tried)}",
        "errors": f"{sum(one.outcome == ERROR for one in tried)}",
        "time": _seconds(one.seconds for one in tried),
    }


def _case(suite: Xml.Element, tried: Tried) -> None:
    given = {"name": _fit(tried.example), "classname": _fit(tried.api), "time": _seconds([tried.seconds])}
    case = Xml.SubElement(suite, "testcase", given)
    if tried.outcome in _ELEMENTS:
        text = _fit(tried.text)
        first = text.partition("\n")[0][:_LONGEST]
        wrong = Xml.SubElement(case, _ELEMENTS[tried.outcome], {"message": first, "type": tried.outcome})
        wrong.text = text


def _bare(root: Xml.Element, name: str, begun: str) -> None:
    """An API that could not be tried."""
    suite = Xml.SubElement(root, "testsuite", {**_totals(name, ()), "tests": "1", "skipped": "1", "timestamp": begun})
    case = Xml.SubElement(suite, "testcase", {"name": "examples", "classname": _fit(name), "time": _seconds(())})
    Xml.SubElement(case, "skipped", {"message": "the API has no examples"})


def _seconds(several: Iterable[float]) -> str:
    return f"{sum(several):.6f}"


def _fit(text: str) -> str:
    return _UNFIT.sub("", text)

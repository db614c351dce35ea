"""Problems for people and for machines: text with the source line, JSON, GitHub's workflow commands, SARIF."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import bentod
from bentod.errors import Problem

FORMATS = ("text", "json", "github", "sarif")

_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
_RED, _CYAN, _BOLD, _PLAIN = "\x1b[31m", "\x1b[36m", "\x1b[1m", "\x1b[0m"
_WIDEST = 160


def show(problems: Sequence[Problem], format: str = "text", *, colour: bool = False) -> str:  # noqa: A002 - the option's name
    """The problems, sorted by place, in one of FORMATS, without a last line end."""
    in_order = sorted(problems, key=lambda p: (p.file, p.line, p.column, p.path))
    if format == "text":
        return _text(in_order, colour)
    shown: dict[str, Callable[[Sequence[Problem]], str]] = {"json": _json, "github": _github, "sarif": _sarif}
    return shown[format](in_order)


def _text(problems: Sequence[Problem], colour: bool) -> str:
    red, cyan, bold, plain = (_RED, _CYAN, _BOLD, _PLAIN) if colour else ("", "", "", "")
    sources: dict[str, list[str]] = {}
    blocks = []
    for problem in problems:
        place = ":".join(str(part) for part in (problem.file, problem.line, problem.column) if part)
        path = f" {problem.path}:" if problem.path else ""
        head = f"{bold}{place}{':' if place else ''}{plain}{cyan}{path}{plain} {red}{problem.message}{plain}".strip()
        blocks.append(
            "\n".join([head, *_source(problem, sources), *([f"    hint: {problem.hint}"] * bool(problem.hint))])
        )
    count = len(problems)
    return "\n".join([*blocks, f"{count} problem{'s' * (count != 1)}"] if count else blocks)


def _source(problem: Problem, sources: dict[str, list[str]]) -> list[str]:
    """The line of the problem with a caret below it; nothing if the file cannot be read any more."""
    if not problem.line:
        return []
    if problem.file not in sources:
        try:
            sources[problem.file] = Path(problem.file).read_text("utf-8").removeprefix("\ufeff").splitlines()
        except (OSError, UnicodeDecodeError):
            sources[problem.file] = []
    lines = sources[problem.file]
    if problem.line > len(lines):
        return []
    line = "".join(char if char.isprintable() or char == "\t" else "·" for char in lines[problem.line - 1])
    start = max(0, problem.column - _WIDEST // 2) if len(line) > _WIDEST else 0
    # Tabs stay tabs below, so that the caret stands where the eye expects it.
    indent = "".join("\t" if char == "\t" else " " for char in line[start : problem.column - 1])
    gutter = f"{problem.line:>5} | "
    return [gutter + line[start : start + _WIDEST].rstrip(), " " * (len(gutter) - 2) + "| " + indent + "^"]


def _json(problems: Sequence[Problem]) -> str:
    keys = ("file", "line", "column", "path", "code", "message", "hint")
    rows = [{key: asdict(problem)[key] for key in keys} for problem in problems]
    return json.dumps({"ok": not rows, "problems": rows}, ensure_ascii=False, indent=2)


def _github(problems: Sequence[Problem]) -> str:
    return "\n".join(_command(problem) for problem in problems)


def _command(problem: Problem) -> str:
    properties = {"file": problem.file, "line": problem.line, "col": problem.column, "title": problem.code}
    listed = ",".join(f"{key}={_property(str(value))}" for key, value in properties.items() if value)
    path = f"{problem.path}: " if problem.path else ""
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"::error {listed}::{_data(path + problem.message + hint)}"


def _data(text: str) -> str:
    """https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts"""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _sarif(problems: Sequence[Problem]) -> str:
    rules = sorted({problem.code for problem in problems})
    driver = {
        "name": "bentod",
        "version": bentod.__version__,
        "rules": [{"id": rule, "shortDescription": {"text": rule.replace("-", " ")}} for rule in rules],
    }
    results = [_result(problem, rules) for problem in problems]
    runs = [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}]
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": runs}, ensure_ascii=False, indent=2)


def _result(problem: Problem, rules: Sequence[str]) -> dict[str, object]:
    text = problem.message + (f" ({problem.hint})" if problem.hint else "")
    path = Path(problem.file)
    uri = path.as_uri() if path.is_absolute() else Path("/", path).as_uri().removeprefix("file:///")
    physical: dict[str, object] = {"artifactLocation": {"uri": uri}}
    if problem.line:
        physical["region"] = {"startLine": problem.line, "startColumn": max(1, problem.column)}
    location: dict[str, object] = {"physicalLocation": physical} if problem.file else {}
    if problem.path:
        location["logicalLocations"] = [{"fullyQualifiedName": problem.path}]
    result: dict[str, object] = {
        "ruleId": problem.code,
        "ruleIndex": rules.index(problem.code),
        "level": "error",
        "message": {"text": text},
    }
    return {**result, "locations": [location]} if location else result

"""dotenv files: `K=V`, `export K=V`, `K: V`, quotes, comments, and `${VAR}` or `$VAR` inside values."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from bentod.errors import Problem

MAX_BYTES = 1024 * 1024

_COLON = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*:(?:[ \t]+(.*))?\s*\Z", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_REFERENCE = re.compile(r"\\\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$([A-Za-z_][A-Za-z0-9_]*)|\$\{")
_SINGLE_QUOTED = re.compile(r"[^=]*=\s*'")


def read(path: Path, environ: Mapping[str, str]) -> tuple[dict[str, str], list[Problem]]:
    """The variables of one file. References see `environ` first, then the lines above."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return {}, [Problem("too-large", f"an env file has at most {MAX_BYTES:,} bytes", str(path))]
        text = path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        return {}, [Problem("syntax", "the env file is not UTF-8", str(path))]
    except OSError as error:
        return {}, [Problem("missing-file", f"the env file cannot be read: {error.strerror}", str(path))]
    if "\0" in text:
        return {}, [Problem("syntax", "the env file holds a NUL character", str(path))]
    values: dict[str, str] = {}
    problems: list[Problem] = []
    for binding in _bindings(text):
        _take(binding, values, environ, path, problems)
    return values, problems


def _bindings(text: str) -> Iterator[Binding]:
    """dotenv's bindings; its errors that are `K: V` lines are read again as `K=V`."""
    for binding in parse_stream(io.StringIO(text)):
        match = _COLON.match(binding.original.string) if binding.error or binding.value is None else None
        if match is None:
            yield binding
            continue
        again = next(iter(parse_stream(io.StringIO(f"{match[1]}={match[2] or ''}"))))
        yield again._replace(original=again.original._replace(line=binding.original.line))


def _take(
    binding: Binding, values: dict[str, str], environ: Mapping[str, str], path: Path, problems: list[Problem]
) -> None:
    line = binding.original.line + len(binding.original.string) - len(binding.original.string.lstrip("\r\n"))
    if binding.error or (binding.key is not None and binding.value is None):
        # The line itself may hold a secret, so the message does not show it.
        problems.append(Problem("syntax", "expected `NAME=value` or `NAME: value`", str(path), line, 1))
    elif binding.key is not None and not _NAME.match(binding.key):
        problems.append(Problem("wrong-value", "this is not the name of a variable", str(path), line, 1))
    elif binding.key is not None:
        value = binding.value or ""
        if not _SINGLE_QUOTED.match(binding.original.string):
            value, unset = _expanded(value, {**values, **environ})
            for name in unset:
                hint = f"`${{{name}:-}}` is empty if it is not set; single quotes keep a `$`"
                problems.append(
                    Problem("unset-variable", f"the variable `{name}` is not set", str(path), line, 1, hint=hint)
                )
        values[binding.key] = value


def _expanded(text: str, known: Mapping[str, str]) -> tuple[str, list[str]]:
    unset: list[str] = []

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        if name is None:
            return "$" if match[0] == "\\$" else match[0]
        if match[2] is not None:
            return known.get(name) or match[2]
        if name not in known:
            unset.append(name)
        return known.get(name, "")

    return _REFERENCE.sub(value, text), unset

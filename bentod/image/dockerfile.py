"""Which images a Dockerfile starts from or copies from. It reads what we rendered; it is no parser for all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_SYNTAX = re.compile(r"#\s*syntax\s*=\s*(\S+)", re.IGNORECASE)
_FROM = re.compile(r"FROM(?:\s+--[a-z]+=\S+)*\s+(\S+)(?:\s+AS\s+(\S+))?\s*", re.IGNORECASE)
_OTHER = re.compile(r"(?:^COPY\s.*?--from=|^RUN\s.*?--mount=\S*?\bfrom=)([^\s,]+)", re.IGNORECASE)
_ARG = re.compile(r"ARG\s+([A-Za-z_]\w*)(?:=\"?([^\s\"]*)\"?)?\s*", re.IGNORECASE)
_INSTRUCTION = re.compile(
    r"(ARG|FROM|RUN|COPY|ENV|LABEL|WORKDIR|USER|EXPOSE|HEALTHCHECK|ENTRYPOINT|CMD|STOPSIGNAL|SHELL|VOLUME|ADD)\s"
)
_USE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def images(text: str, arguments: Mapping[str, str]) -> tuple[str, ...]:
    """The images, each once, in order: that of the `# syntax=` line, those of FROM, others that files come from."""
    return tuple(dict.fromkeys(_found(text, arguments)))


def unknown(text: str) -> list[str]:
    """Lines that begin with no instruction; none, if the Dockerfile can be read."""
    lines = re.sub(r"\\\n[ \t]*", " ", text).splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#") and not _INSTRUCTION.match(line)]


def _found(text: str, arguments: Mapping[str, str]) -> Iterator[str]:
    stages, known = {"scratch"}, {}
    if syntax := _SYNTAX.match(text):
        yield syntax[1]
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if not stages - {"scratch"} and (argument := _ARG.fullmatch(line)):
            known[argument[1]] = arguments.get(argument[1], argument[2] or "")
        elif start := _FROM.fullmatch(line):
            name = _USE.sub(lambda use: known.get(use[1] or use[2], ""), start[1])
            if name and name.lower() not in stages:
                yield name
            stages.add((start[2] or f"\0{len(stages)}").lower())
        else:
            yield from (name for name in _OTHER.findall(line) if name.lower() not in stages and not name.isdigit())

"""Dockerfiles as builders read them, after Docker's reference and BuildKit's sources; knows nothing of ours."""

import json
import re
from dataclasses import dataclass
from functools import lru_cache

ARGS = {"HOME": "<HOME>", "PATH": "<PATH>", "PORT": "<PORT>", "A": "<A>", "x": "<x>"}
"""Variables that a build has; what is replaced by one of them shows up."""
WITH_JSON = {"RUN", "COPY", "ADD", "ENTRYPOINT", "CMD", "SHELL", "VOLUME"}
KNOWN = WITH_JSON | {
    "FROM", "ARG", "ENV", "LABEL", "USER", "WORKDIR", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ONBUILD", "MAINTAINER",
}  # fmt: skip
_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*")
_CONTINUED = re.compile(r"\\[ \t]*$")
_HEREDOC = re.compile(r"\d*<<-?[^<]*")


@dataclass(frozen=True)
class Read:
    """One instruction. `words` are those of a JSON array, or the name and value of an assignment."""

    keyword: str
    flags: tuple[str, ...]
    words: tuple[str, ...]
    json: bool = False


@dataclass(frozen=True)
class File:
    """What a builder makes of a whole file."""

    directives: dict
    instructions: tuple[Read, ...]

    def all(self, keyword):
        return [one for one in self.instructions if one.keyword == keyword]

    def stages(self):
        """The instructions of each stage, by its name."""
        found = {}
        for one in self.instructions:
            if one.keyword == "FROM":
                name = one.words[2]
                assert name not in found
                found[name] = []
            found[name].append(one)
        return found

    def assigned(self, keyword, stage=None):
        found = self.stages()[stage] if stage else self.instructions
        return {one.words[0]: one.words[1] for one in found if one.keyword == keyword}


def read(text):
    """The instructions of a file. Raises AssertionError for what a builder would not take, or warn of."""
    directives, instructions = {}, []
    may_direct = True
    lines = text.removeprefix("\ufeff").split("\n")
    assert lines[-1] == ""
    at = 0
    while at < len(lines) - 1:
        line = lines[at].removesuffix("\r").lstrip()
        assert len(lines[at].encode()) < 65536
        at += 1
        directive = _DIRECTIVE.fullmatch(line) if may_direct else None
        if directive and directive[1].lower() in {"syntax", "escape", "check"}:
            directives[directive[1].lower()] = directive[2]
            continue
        may_direct = False
        if not line or line.startswith("#"):
            continue
        while _CONTINUED.search(line):
            line = _CONTINUED.sub("", line)
            while lines[at].lstrip().startswith("#"):
                at += 1
            line += lines[at]
            at += 1
        instructions.append(_instruction(line))
    return File(directives, tuple(instructions))


@lru_cache(maxsize=10_000)
def _instruction(line):
    keyword, _, rest = line.partition(" ")
    keyword, rest = keyword.upper(), rest.strip()
    assert keyword in KNOWN, line
    flags = []
    while rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        flags.append(flag)
        rest = rest.lstrip()
    if keyword in {"ENV", "LABEL", "ARG"}:
        return Read(keyword, tuple(flags), _assignment(rest))
    if keyword == "HEALTHCHECK":
        kind, _, rest = rest.partition(" ")
        assert kind == "CMD"
    elif keyword not in WITH_JSON:
        words = tuple(rest.split())
        assert not set("$'\"`\\") & set(rest)
        return Read(keyword, tuple(flags), words)
    words = json.loads(rest)
    assert isinstance(words, list)
    assert all(isinstance(word, str) for word in words)
    assert not any(_HEREDOC.fullmatch(word) for word in rest.split())
    if keyword == "COPY":  # paths are expanded, and are patterns
        assert not any(set(word) & set("$'\"\\*?[]") for word in words)
    return Read(keyword, tuple(flags), tuple(words), json=True)


def _assignment(rest):
    words = _words(rest)
    assert len(words) == 1, rest
    name, sign, value = words[0].partition("=")
    assert sign
    return unquoted(name), unquoted(value)


def _words(rest):
    """Words between spaces, quotes still on."""
    words, word, quote, at = [], "", "", 0
    while at < len(rest):
        char = rest[at]
        if not quote and char.isspace():
            words, word = [*words, word] if word else words, ""
        elif char == "\\" and quote != "'" and at + 1 < len(rest):
            word += rest[at : at + 2]
            at += 1
        else:
            word += char
            quote = "" if char == quote else char if not quote and char in "'\"" else quote
        at += 1
    assert not quote
    return [*words, word] if word else words


def unquoted(word, args=ARGS):
    """What a word means once quotes are off and variables are replaced."""
    out, at = "", 0
    while at < len(word):
        char = word[at]
        if char == "'":
            end = word.index("'", at + 1)
            out, at = out + word[at + 1 : end], end + 1
        elif char == '"':
            piece, at = _double(word, at + 1, args)
            out += piece
        elif char == "\\":
            out, at = out + word[at + 1 : at + 2], at + 2
        elif char == "$":
            piece, at = _variable(word, at, args)
            out += piece
        else:
            out, at = out + char, at + 1
    return out


def _double(word, at, args):
    out = ""
    while word[at] != '"':
        if word[at] == "\\" and word[at + 1] in '"$\\':
            out, at = out + word[at + 1], at + 2
        elif word[at] == "$":
            piece, at = _variable(word, at, args)
            out += piece
        else:
            out, at = out + word[at], at + 1
    return out, at + 1


def _variable(word, at, args):
    found = re.compile(r"\$(?:\{(\w+)[^}]*\}|(\w+))").match(word, at)
    if not found:
        return "$", at + 1
    return args.get(found[1] or found[2], ""), found.end()

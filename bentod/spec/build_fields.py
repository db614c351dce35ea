"""The kinds of values that `models` and `build` have."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from bentod.spec.fields import Grammar, Line, List, without_controls, wrong
from bentod.spec.found import shown

_HF = r"hf://[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?"
_STORE = r"store://[a-z0-9]([-._a-z0-9]{0,61}[a-z0-9])?(:[a-z0-9]([-._a-z0-9]{0,61}[a-z0-9])?)?"
_MODEL = re.compile(rf"{_HF}|{_STORE}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_URL = r"^https?://[A-Za-z0-9._~%-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~%!$&'()*+,;=:@/-]*)?$"
_DOMAIN = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*(:[0-9]{1,5})?"
_REPOSITORY = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"


def _source(text: str) -> str:
    text = without_controls(text)
    if not text.strip():
        raise wrong("wrong-value", "a model's source cannot be empty", _SOURCES)
    if not _SCHEME.match(text):
        return text
    if not _MODEL.fullmatch(text) or ".." in text or "--" in text:
        raise wrong("wrong-value", f"{shown(text)} is no source of a model", _SOURCES)
    return text


def _path(text: str) -> str:
    text = without_controls(text)
    if not text.strip() or text.startswith("-"):
        raise wrong("wrong-value", f"{shown(text)} is not the path of a file")
    return text


def _packages(text: str) -> str:
    text = without_controls(text)
    if not re.match(r"[A-Za-z0-9]", text) or not text.isascii():
        hint = "such as `numpy>=2`; indexes are named by `index_url`"
        raise wrong("wrong-value", f"{shown(text)} names no package", hint)
    return text


def _word(text: str) -> str:
    return without_controls(text)


def _argv(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words or not words[0] or words[0].startswith("-"):
        raise wrong("wrong-value", "a command needs the name of a program", 'such as `["python", "prepare.py"]`')
    return words


_SOURCES = "`hf://org/name`, `store://name:version`, or the path of a folder or file"

ModelSource = Annotated[str, AfterValidator(_source)]
PathText = Annotated[str, AfterValidator(_path)]
GlobPattern = Annotated[Line, Field(min_length=1)]
Requirement = Annotated[str, AfterValidator(_packages)]
Argv = Annotated[tuple[Annotated[str, AfterValidator(_word)], ...], AfterValidator(_argv), List]


def _form(pattern: str, rule: str, hint: str = "") -> Any:
    return Grammar(pattern, rule, hint)


Revision = Annotated[
    str,
    _form(r"^(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$", "a branch, a tag or a commit"),
]
Digest = Annotated[str, _form(r"^sha256:[0-9a-f]{64}$", "a digest", "`sha256:` and 64 hexadecimal digits")]
Endpoint = Annotated[
    str, _form(_URL, "a hub's URL", "such as `https://hub.example.com`; a token is given by HF_TOKEN, not here")
]
IndexUrl = Annotated[
    str,
    _form(
        _URL, "the URL of a package index", "such as `https://pypi.example.com/simple`; credentials are a build secret"
    ),
]
ImageName = Annotated[
    str,
    _form(
        rf"^({_DOMAIN}/)?{_REPOSITORY}$",
        "the repository of an image",
        "such as `registry.example.com/team/name`, without a tag",
    ),
]
Reference = Annotated[
    str,
    _form(
        rf"^({_DOMAIN}/)?{_REPOSITORY}(:[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}})?(@sha256:[0-9a-f]{{64}})?$",
        "an image's reference",
        "such as `python:3.12-slim`, best with `@sha256:…`",
    ),
]
CudaVersion = Annotated[
    str,
    _form(
        r"^[0-9]{1,2}(\.[0-9]{1,2}(\.[0-9]{1,2})?)?$",
        "a version of CUDA",
        'such as `"12"`, `"12.8"`, `"12.8.1"`, in quotes',
    ),
]
SystemPackage = Annotated[
    str,
    _form(
        r"^[A-Za-z0-9][A-Za-z0-9+._-]*(:[a-z0-9]+)?([=~]=?[A-Za-z0-9][A-Za-z0-9.+:~_-]*)?$",
        "the name of a package of the distribution",
        "such as `libgomp1`, or `libgomp1=12.2.0-14`",
    ),
]
SecretName = Annotated[
    str, _form(r"^[A-Za-z_][A-Za-z0-9._-]{0,62}$", "the name of a build secret", "letters, digits, `.`, `_` and `-`")
]
ImageUser = Annotated[
    str,
    _form(
        r"^[0-9]{1,10}(:[0-9]{1,10})?$",
        "a user",
        "numbers, such as `1000` or `1000:1000`: no image needs to know the name",
    ),
]
Platform = Annotated[
    str, _form(r"^[a-z0-9]+/[a-z0-9_]+(/v?[a-z0-9]+)?$", "a platform", "such as `linux/amd64` or `linux/arm64`")
]
LabelKey = Annotated[
    str, _form(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", "a label's name", "lower-case letters, digits, `.` and `-`")
]

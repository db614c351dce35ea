"""The kinds of values that `models` and `build` have."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bentod.spec.fields import Grammar, Line, List

_HF = r"hf://[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?"
_STORE = r"store://[a-z0-9]([-._a-z0-9]{0,61}[a-z0-9])?(:[a-z0-9]([-._a-z0-9]{0,61}[a-z0-9])?)?"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
_URL = r"^https?://[A-Za-z0-9._~%-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~%!$&'()*+,;=:@/-]*)?$"
_DOMAIN = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*(:[0-9]{1,5})?"
_REPOSITORY = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
IMAGE = rf"^({_DOMAIN}/)?{_REPOSITORY}(:[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}})?(@sha256:[0-9a-f]{{64}})?$"


GlobPattern = Annotated[Line, Field(min_length=1)]
Argv = Annotated[tuple[Line, ...], Field(min_length=1), List]
ModelSource = Annotated[
    str,
    Grammar(
        rf"^(?!(hf|store)://.*(\.\.|--))({_HF}|{_STORE}|(?!{_SCHEME}).*\S.*)$",
        "the source of a model",
        "`hf://org/name`, `store://name:version`, or the path of a folder or file",
    ),
]
PathText = Annotated[str, Grammar(r"^[^-].*$", "the path of a file")]
Requirement = Annotated[
    str,
    Grammar(r"^[A-Za-z0-9][ -~]*$", "a Python package", "such as `numpy>=2`; indexes are named by `index_url`"),
]
Revision = Annotated[
    str,
    Grammar(r"^(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$", "a branch, a tag or a commit"),
]
Digest = Annotated[str, Grammar(r"^sha256:[0-9a-f]{64}$", "a digest", "`sha256:` and 64 hexadecimal digits")]
Endpoint = Annotated[
    str, Grammar(_URL, "a hub's URL", "such as `https://hub.example.com`; a token is given by HF_TOKEN, not here")
]
IndexUrl = Annotated[
    str,
    Grammar(
        _URL, "the URL of a package index", "such as `https://pypi.example.com/simple`; credentials are a build secret"
    ),
]
ImageName = Annotated[
    str,
    Grammar(
        rf"^({_DOMAIN}/)?{_REPOSITORY}$",
        "the repository of an image",
        "such as `registry.example.com/team/name`, without a tag",
    ),
]
Reference = Annotated[
    str,
    Grammar(
        IMAGE,
        "an image's reference",
        "such as `python:3.12-slim`, best with `@sha256:…`",
    ),
]
CudaVersion = Annotated[
    str,
    Grammar(
        r"^[0-9]{1,2}(\.[0-9]{1,2}(\.[0-9]{1,2})?)?$",
        "a version of CUDA",
        'such as `"12"`, `"12.8"`, `"12.8.1"`, in quotes',
    ),
]
SystemPackage = Annotated[
    str,
    Grammar(
        r"^[A-Za-z0-9][A-Za-z0-9+._-]*(:[a-z0-9]+)?([=~]=?[A-Za-z0-9][A-Za-z0-9.+:~_-]*)?$",
        "the name of a package of the distribution",
        "such as `libgomp1`, or `libgomp1=12.2.0-14`",
    ),
]
SecretName = Annotated[
    str, Grammar(r"^[A-Za-z_][A-Za-z0-9._-]{0,62}$", "the name of a build secret", "letters, digits, `.`, `_` and `-`")
]
ImageUser = Annotated[
    str,
    Grammar(
        r"^[0-9]{1,10}(:[0-9]{1,10})?$",
        "a user",
        "numbers, such as `1000` or `1000:1000`: no image needs to know the name",
    ),
]
Platform = Annotated[
    str, Grammar(r"^[a-z0-9]+/[a-z0-9_]+(/v?[a-z0-9]+)?$", "a platform", "such as `linux/amd64` or `linux/arm64`")
]
LabelKey = Annotated[
    str, Grammar(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", "a label's name", "lower-case letters, digits, `.` and `-`")
]

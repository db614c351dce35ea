"""Steps of a Dockerfile that make the Python environment: an interpreter's own, or conda's, and what pip adds."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bentod.plan.image import ENVIRONMENT, PYTHON_AT, REQUIREMENTS, WHEELS, ImagePlan
from bentod.render.instructions import Cache, Copy, Instruction, Run, Secret
from bentod.render.recipes import Unwritable
from bentod.spec.bases import Base
from bentod.spec.check_image import CHANNEL, MATCH

PIP = "/opt/pip"
"""Where pip is while packages are installed: not in the environment that it fills."""
INPUTS = "/build"
CONDA_FORGE = "conda-forge"

SECRETS_OF_PIP = {"pip.conf": "PIP_CONFIG_FILE", "netrc": "NETRC", "ca.pem": "PIP_CERT"}
"""Secrets that pip is told of, by these variables."""

_GIT = re.compile(r"(^|[\s@])git\+", re.IGNORECASE)
_OTHER_SOURCES = re.compile(r"(^|[\s@])(hg|svn|bzr)\+", re.IGNORECASE)
_BUILT = re.compile(r"\.whl(\s|;|#|$)", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s@'\"\\]+")

_MAKE = (
    'for one in "$@"; do if command -v "$one" > /dev/null; then '
    f'"$one" -m venv {PIP} && exec "$one" -m venv --without-pip {PYTHON_AT}; fi; done; '
    "echo 'the base image has no Python' >&2; exit 1"
)
_IS = (
    "import sys; wanted = sys.argv[1]; found = '%d.%d' % sys.version_info[:2]; "
    "fits = found == wanted if wanted else sys.version_info >= (3, 11); "
    "sys.exit(None if fits else 'this image has Python ' + found + ', not ' + (wanted or '3.11 or newer'))"
)


def tools(base: Base, requirements: Iterable[str]) -> tuple[str, ...]:
    """The distribution's packages that these requirements may need while they are installed. An archive that is built
    already needs no compiler; whether there is one for a name is known only to the index. Raises Unwritable."""
    lines = [line for line in map(str.strip, requirements) if line and not line.startswith(("#", "-"))]
    if any(map(_OTHER_SOURCES.search, lines)):
        raise Unwritable("requirements from Mercurial, Subversion or Bazaar are not supported: use git, or an archive")
    compilers = base.compilers if any(not _BUILT.search(line) for line in lines) else ()
    return (*compilers, *((base.git,) if base.compilers and any(map(_GIT.search, lines)) else ()))


def secrets(plan: ImagePlan) -> tuple[Secret, ...]:
    """The secrets as mounts."""
    return tuple(Secret(name) for name in sorted(set(plan.secrets)))


def environment(plan: ImagePlan, base: Base, cache: bool) -> list[Instruction]:
    """An environment with Python in it, and pip elsewhere."""
    check = Run((f"{PYTHON_AT}/bin/python", "-c", _IS, plan.python))
    pip = Run((base.python, "-m", "venv", PIP))
    if base.micromamba_image:
        return [*_conda(plan, cache), check, pip]
    if base.manager == "found":
        names = dict.fromkeys((f"python{plan.python or 3}", "python3", "python"))
        return [Run(("/bin/sh", "-ec", _MAKE, "sh", *names)), check]
    return [pip, Run((base.python, "-m", "venv", "--without-pip", PYTHON_AT))]


def installed(plan: ImagePlan, cache: bool) -> list[Instruction]:
    """What pip installs."""
    wheel = f"{INPUTS}/{plan.wheel}"
    copy = Copy((REQUIREMENTS, f"{WHEELS}/{plan.wheel}"), f"{INPUTS}/")
    mounts = (*((Cache("/root/.cache/pip"),) if cache else ()), *secrets(plan))
    names = [("--requirement", f"{INPUTS}/{REQUIREMENTS}"), (wheel,)]
    if plan.locked:
        every = [("--no-deps", "--require-hashes", *names[0]), ("--no-deps", *names[1])]
    else:
        every = [(*names[0], *names[1])]
    return [copy, *(Run((*_pip(plan, cache), *words), mounts) for words in every)]


def _pip(plan: ImagePlan, cache: bool) -> list[str]:
    told = [f"{variable}=/run/secrets/{name}" for name, variable in SECRETS_OF_PIP.items() if name in plan.secrets]
    words = [f"{PIP}/bin/pip", "--python", f"{PYTHON_AT}/bin/python", "--disable-pip-version-check", "--no-input"]
    indexes = [f"--index-url={_url(plan.index_url)}"] if plan.index_url else []
    indexes += [f"--extra-index-url={_url(url)}" for url in plan.extra_index_urls]
    return [*(["env", *told] if told else []), *words, "install", *([] if cache else ["--no-cache-dir"]), *indexes]


def _url(text: str) -> str:
    """An index without credentials: they would be read in the image's history."""
    if not _URL.fullmatch(text):
        raise Unwritable(
            "the URL of a package index has other letters than URLs have, or credentials: use `build.secrets`"
        )
    return text


def _conda(plan: ImagePlan, cache: bool) -> list[Instruction]:
    wanted = plan.conda
    if wanted is None:
        return []
    words = ["micromamba", "create", "--yes", "--always-copy", "--root-prefix=/opt/conda", f"--prefix={PYTHON_AT}"]
    mounts = (*((Cache("/opt/conda/pkgs", "locked"),) if cache else ()), *secrets(plan))
    if wanted.environment:
        file = f"{INPUTS}/{ENVIRONMENT}"
        return [Copy((ENVIRONMENT,), file), Run((*words, f"--file={file}"), mounts)]
    channels = [f"--channel={_part(CHANNEL, one, 'channel')}" for one in wanted.channels or (CONDA_FORGE,)]
    packages = [_part(MATCH, one, "package") for one in wanted.dependencies]
    return [Run((*words, "--override-channels", *channels, f"python={plan.python}", *packages), mounts)]


def _part(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise Unwritable(f"{text!r} names no {what} of conda")
    return text

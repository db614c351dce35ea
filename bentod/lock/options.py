"""The options of a requirements file: which are followed, and what to do about the others."""

from __future__ import annotations

import re

from bentod.lock.one import Refused
from bentod.spec.found import did_you_mean

_INCLUDES = {"-r": "-r", "--requirement": "-r", "-c": "-c", "--constraint": "-c"}
_INCLUDE = re.compile(r"(--requirement|--constraint)(?:=|\s+)(.+)|(-r|-c)\s*(.+)")
_NAME = re.compile(r"--?[A-Za-z-]+")
_CREDENTIALS = "credentials are a build secret (`build.secrets`)"
_INSTEAD = {
    "-i": f"say it with `build.index_url`; {_CREDENTIALS}",
    "--index-url": f"say it with `build.index_url`; {_CREDENTIALS}",
    "--pypi-url": f"say it with `build.index_url`; {_CREDENTIALS}",
    "--extra-index-url": f"say it with `build.extra_index_urls`; {_CREDENTIALS}",
    "--no-index": "say which index with `build.index_url`",
    "-e": "the project's own code is in the image already; publish what is to be installed",
    "--editable": "the project's own code is in the image already; publish what is to be installed",
    "-f": "publish the files on an index, and name that with `build.extra_index_urls`",
    "--find-links": "publish the files on an index, and name that with `build.extra_index_urls`",
    "--trusted-host": "give the index a certificate; packages are not fetched from a host that nobody knows",
    "--pre": "ask for the pre-release by its version, such as `name>=2.0rc1`",
    "--no-binary": "remove it: pip takes a wheel if there is one",
    "--only-binary": "remove it: pip takes a wheel if there is one",
    "--prefer-binary": "remove it: pip takes a wheel if there is one",
    "--use-feature": "remove it",
    "--require-hashes": "name the file as `build.lock`: there every package needs a hash",
    "--hash": "it belongs behind a requirement",
    "--global-option": "build the package beforehand, and publish the wheel",
    "--config-settings": "build the package beforehand, and publish the wheel",
    "--install-option": "build the package beforehand, and publish the wheel",
}


def included(text: str) -> tuple[str, str]:
    """`-r` or `-c` and the file that the line includes; two empty strings if it does not. Raises Refused."""
    found = _INCLUDE.fullmatch(text)
    if found is None or text.startswith(("-requirement", "-constraint")):
        return "", ""
    option, name = _INCLUDES[found[1] or found[3]], (found[2] or found[4]).strip()
    name = name[1:-1] if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'" else name
    if "://" in name or name.startswith(("/", "~", "-")) or re.search(r"[\s$\\\"']", name):
        raise Refused(
            "wrong-value", f"`{name[:60]}` is not the path of a file beside this one", "copy it to the project"
        )
    return option, name


def refused(text: str) -> Refused:
    """Why the option that `text` begins with is not followed, and what to do instead. What it says is not repeated: it
    may hold credentials."""
    found = _NAME.match(text)
    name = found[0] if found else text[:20]
    if name not in _INSTEAD and not name.startswith("--"):
        name = name[:2]
    hint = _INSTEAD.get(name) or did_you_mean(name, [*_INSTEAD, *_INCLUDES]) or "remove it"
    return Refused("unknown-option", f"the option `{name}` is not taken from a requirements file", hint)

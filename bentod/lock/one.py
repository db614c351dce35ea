"""One requirement of PEP 508, and what of it is not taken."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement

_LONGEST = 2000
_SPLITS = re.compile(r"\s[-#]|[$\\]")
"""What pip would read as an option, a comment, a variable or a line that goes on, inside a requirement."""

_CREDENTIALS = re.compile(r"//[^/@\s]+@")
_HASH = re.compile(r"(sha256=[0-9a-f]{64}|sha384=[0-9a-f]{96}|sha512=[0-9a-f]{128})")
_ARCHIVES = "such as `name @ https://example.com/name-1.0.tar.gz#sha256=…`"


class Refused(Exception):
    """Something that no requirement may say; who knows its place reports it."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


def requirement(text: str, longest: int = _LONGEST) -> Requirement:
    """The requirement that `text` says. Raises Refused."""
    if not text.isascii() or not text.isprintable():
        raise Refused("wrong-value", f"{text[:60]!a} is not plain ASCII", "write the package's name as its index does")
    if len(text) > longest:
        raise Refused("too-large", f"a requirement has at most {longest:,} characters", "is a line end missing?")
    if _SPLITS.search(text):
        message = f"`{_short(text)}` holds an option, a variable or a backslash"
        raise Refused("wrong-value", message, "say it in full; options have no place here")
    try:
        found = Requirement(text)
    except (InvalidRequirement, RecursionError) as error:
        raise Refused("wrong-value", f"`{_short(text)}` is no requirement: {_first(error)}", _hint(text)) from None
    if any(one.operator == "===" for one in found.specifier):
        raise Refused("wrong-value", f"`{_short(text)}`: `===` cannot be compared", "use `==`")
    if found.url is not None:
        _check_url(found.url)
    return found


def _check_url(url: str) -> None:
    """Archives over HTTPS with their hash. Not a repository, pinned though it may be: pip has no hash of one, so that
    no lock can hold it, and the image would need git to be built."""
    try:
        parts = urlsplit(url)
        credentials = parts.username is not None or parts.password is not None
    except ValueError:
        raise Refused("wrong-value", "this is no URL", _ARCHIVES) from None
    if credentials:
        raise Refused("credentials", "the URL holds credentials", "give them to the build as a secret")
    if "+" in parts.scheme:
        message = f"`{parts.scheme}` names a repository, which pip cannot check by a hash"
        raise Refused("unpinned-url", message, f"name an archive of that commit, {_ARCHIVES}")
    if parts.scheme != "https" or not parts.netloc or ".." in unquote(parts.path):
        raise Refused("unpinned-url", f"`{_short(url)}` is no archive behind https", _ARCHIVES)
    if not _HASH.fullmatch(parts.fragment):
        message = "the URL has no hash, so that nobody knows what it will give"
        raise Refused("unpinned-url", message, f"add `#sha256=…`, {_ARCHIVES}")


def _hint(text: str) -> str:
    if re.match(r"(\.|/|file:)|.*\.(whl|zip|tar\.gz)$", text):
        return "files of the project are in the image already; publish what is to be installed"
    return f"name the package: {_ARCHIVES}" if "://" in text else "such as `numpy>=2,<3`"


def _first(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error).partition("\n")[0]


def _short(text: str) -> str:
    text = _CREDENTIALS.sub("//***@", text)
    return text if len(text) <= 60 else text[:59] + "…"

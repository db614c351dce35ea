"""Build secrets: what an order names, where each value is, and text without them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bentod.errors import Problem

LARGEST = 500 * 1024
"""What BuildKit takes."""
SHORTEST = 6
"""What is shorter is not looked for: it would be found everywhere."""
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HIDDEN = "*****"


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret by its id: the file, or the variable of the environment, that holds it."""

    id: str
    file: Path | None = None
    variable: str = ""

    @property
    def argument(self) -> str:
        """As command lines of engines take it; the value is not in it."""
        return f"id={self.id},src={self.file}" if self.file else f"id={self.id},env={self.variable}"


def parsed(text: str) -> Secret | Problem:
    """What `id=NAME,src=FILE` or `id=NAME,env=VARIABLE` means; a bare `id=NAME` is the variable of that name."""
    given: dict[str, str] = {}
    for part in text.split(","):
        key, sign, value = part.partition("=")
        key = {"source": "src"}.get(key, key)
        if not sign or not value or key in given or key not in {"id", "src", "env", "type"}:
            return _wrong(text)
        given[key] = value
    id_, file, variable = given.get("id", ""), given.get("src", ""), given.get("env", "")
    if not _ID.fullmatch(id_) or (file and variable) or given.get("type", "file") not in {"file", "env"}:
        return _wrong(text)
    if given.get("type") == "env":
        variable, file = variable or file, ""
    variable = variable or ("" if file else id_)
    if variable and not _VARIABLE.fullmatch(variable):
        return _wrong(text)
    return Secret(id_, Path(file).expanduser().absolute() if file else None, variable)


def _wrong(text: str) -> Problem:
    shown = text.partition(",")[0]
    message = f"`--secret {shown}…` is no secret" if "," in text else f"`--secret {shown}` is no secret"
    return Problem("bad-secret", message, hint="as in `--secret id=NAME,src=FILE` or `--secret id=NAME,env=VARIABLE`")


def problems(given: Sequence[Secret], declared: Iterable[str], environ: Mapping[str, str]) -> list[Problem]:
    """What is wrong with the secrets: those that the spec names are all given, no others, and each has a value."""
    names, wanted = [secret.id for secret in given], tuple(declared)
    found = [_problem(f"the secret `{name}` is given twice", "") for name in sorted({*names}) if names.count(name) > 1]
    for name in wanted:
        if name not in names:
            hint = f"add `--secret id={name},src=FILE` or `--secret id={name},env=VARIABLE`"
            found.append(_problem(f"the build needs the secret `{name}`", hint, path="build.secrets"))
    unused = sorted({*names} - {*wanted})
    found += [
        _problem(f"no step of the build uses the secret `{name}`", "name it in `build.secrets`") for name in unused
    ]
    empty = ((secret.id, _why_no_value(secret, environ)) for secret in given)
    return found + [_problem(f"the secret `{name}` has no value: {why}", "") for name, why in empty if why]


def _problem(message: str, hint: str, path: str = "") -> Problem:
    return Problem("bad-secret", message, path=path, hint=hint)


def _why_no_value(secret: Secret, environ: Mapping[str, str]) -> str:
    if secret.file is None:
        return "" if secret.variable in environ else f"the variable {secret.variable} is not set"
    if "," in str(secret.file) or '"' in str(secret.file):
        return f"the path {secret.file} has a comma or a quote, which engines do not take"
    try:
        if not secret.file.is_file():
            return f"there is no file {secret.file}"
        with secret.file.open("rb") as file:
            return f"{secret.file} is larger than 500 KiB" if len(file.read(LARGEST + 1)) > LARGEST else ""
    except OSError as error:
        return f"{secret.file} cannot be read: {error.strerror}"


class Veil:
    """Takes the values of secrets out of what an engine says."""

    def __init__(self, secrets: Sequence[Secret], environ: Mapping[str, str]) -> None:
        words = sorted({word for secret in secrets for word in _words(_value(secret, environ))}, key=len, reverse=True)
        self._found = re.compile("|".join(map(re.escape, words))) if words else None

    def over(self, text: str) -> str:
        """The text, with stars for the secrets."""
        return self._found.sub(_HIDDEN, text) if self._found else text


def _value(secret: Secret, environ: Mapping[str, str]) -> str:
    if secret.file is None:
        return environ.get(secret.variable, "")
    try:
        return secret.file.read_bytes()[:LARGEST].decode("utf-8", "replace")
    except OSError:
        return ""


def _words(value: str) -> Iterable[str]:
    """What of a value must not be seen: all of it, each of its lines, what follows a `=` or `:` there, passwords in
    URLs. Engines print by lines, so one that goes over several is found by them."""
    for line in value.splitlines():
        whole = line.strip()
        parts = [whole, *(whole.partition(sign)[2].strip().strip("'\"") for sign in "=:"), *whole.split()]
        parts += re.findall(r"://[^/\s:@]*:([^@\s/]+)@", whole)
        yield from (part for part in parts if len(part) >= SHORTEST and not part.startswith(("[", "#", "-----")))

"""`${VAR}`, `${VAR:-default}`, `${VAR:?message}`, `$$` and references such as `${spec.dir}` inside strings."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from bentod.spec.found import FromEnvironment, Interpolated, did_you_mean
from bentod.spec.report import Fault

_REFERENCES = ("spec.dir", "spec.name", "service.name", "worker.index", "worker.device")
_MODEL = re.compile(r"models\.(?P<name>[^.]+)\.path")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEFERRED = re.compile(r"\$\{(worker\.(?P<worker>index|device)|models\.(?P<model>[A-Za-z0-9_-]+)\.path)\}")
"""The references that stay in the resolved spec: what they mean is known once a worker is planned; see `expand`."""
_ESCAPED_OR_DEFERRED = re.compile(rf"\$\$|{_DEFERRED.pattern}")
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Scope:
    """What can be referred to at one place of the spec. `worker`: whether `${worker.index}` and
    `${worker.device}` can be used; `models`: the names of those whose `${models.NAME.path}` can, or None where none
    can."""

    variables: Mapping[str, str]
    references: Mapping[str, str]
    worker: bool = False
    models: Collection[str] | None = None


class InterpolationError(Fault):
    """A string that cannot be interpolated."""


def interpolate(text: str, scope: Scope) -> str:
    """`text` with every reference replaced; FromEnvironment if a value of the environment went into it."""
    if "$" not in text:
        return text
    parts = _Parts(scope)
    parts.read(text)
    return parts.joined()


@dataclass(frozen=True, slots=True)
class Seat:
    """What `${worker.index}` and `${worker.device}` mean for one worker."""

    index: int = 0
    device: str = "cpu"


def expand(value: Any, seat: Seat, paths: Mapping[str, str]) -> Any:
    """`value` with the references to a worker, and `${models.NAME.path}`, replaced in every string in it. A model that
    is not among the `paths` is left as it is: it is not on this host."""
    if isinstance(value, Mapping):
        return {key: expand(item, seat, paths) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(expand(item, seat, paths) for item in value)
    if not isinstance(value, str) or not _DEFERRED.search(value):
        return value

    def meant(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if match["worker"] is not None:
            return str(seat.index) if match["worker"] == "index" else seat.device
        return paths.get(match["model"], match[0])

    return _ESCAPED_OR_DEFERRED.sub(meant, value)


def models_in(value: Any) -> frozenset[str]:
    """The names of the models to whose paths the strings in `value` refer."""
    found: set[str | None] = set()
    each_string(
        value, (), lambda text, _: found.update(match["model"] for match in _ESCAPED_OR_DEFERRED.finditer(text))
    )
    return frozenset(name for name in found if name is not None)


class _Parts:
    """The pieces of one string: `(text, is a reference that stays)`."""

    def __init__(self, scope: Scope, depth: int = 0) -> None:
        self._scope = scope
        self._depth = depth
        self._pieces: list[tuple[str, bool]] = []
        self._secret = False

    def read(self, text: str) -> None:
        at = 0
        while (dollar := text.find("$", at)) >= 0:
            self._pieces.append((text[at:dollar], False))
            follower = text[dollar + 1 : dollar + 2]
            if follower == "$":
                self._pieces.append(("$", False))
                at = dollar + 2
            elif follower == "{":
                end = _closing(text, dollar + 2)
                self._reference(text[dollar + 2 : end])
                at = end + 1
            else:
                name = _VARIABLE.match(text, dollar + 1)
                hint = f"write `${{{name[0]}}}` for its value, `$${name[0]}` for the text" if name else "write `$$`"
                raise InterpolationError("bad-interpolation", "a single `$` has no meaning", hint)
        self._pieces.append((text[at:], False))

    def joined(self) -> str:
        text = "".join(piece for piece, _ in self._pieces)
        if _DEFERRED.search(text):
            # What only looks like a reference that stays is escaped, so that `expand` can tell the two apart.
            text = "".join(piece if stays else piece.replace("$", "$$") for piece, stays in self._pieces)
        return FromEnvironment(text) if self._secret else Interpolated(text)

    def _reference(self, body: str) -> None:
        name, operator, rest = _split(body)
        if "." in name:
            self._dotted(name, bool(operator))
        elif not _VARIABLE.fullmatch(name):
            raise InterpolationError(
                "bad-interpolation",
                f"`${{{name}}}` names no variable",
                "`${VAR}`, `${VAR:-default}`, `${VAR:?message}`; `$$` is a dollar",
            )
        else:
            self._variable(name, operator, rest)

    def _variable(self, name: str, operator: str, rest: str) -> None:
        value = self._scope.variables.get(name)
        if value or (value is not None and not operator):
            self._pieces.append((value, False))
            self._secret = True
        elif operator == ":-":
            self._default(rest)
        else:
            hint = f"set it, put it in a file of `env_files`, or write `${{{name}:-default}}`"
            what = "empty" if value is not None else "not set"
            message = f"the variable `{name}` is {what}" + (f": {rest}" if rest else "")
            raise InterpolationError("unset-variable", message, hint)

    def _default(self, text: str) -> None:
        if self._depth >= _DEEPEST:
            raise InterpolationError("bad-interpolation", f"defaults are nested deeper than {_DEEPEST} levels")
        inner = _Parts(self._scope, self._depth + 1)
        inner.read(text)
        self._pieces += inner._pieces
        # A default is written in the spec, so it may be shown; a variable inside it may not.
        self._secret = self._secret or inner._secret

    def _dotted(self, name: str, has_default: bool) -> None:
        if has_default:
            raise InterpolationError("bad-interpolation", f"the reference `{name}` takes no default")
        if name.startswith("models."):
            self._model(name)
            return
        if name not in _REFERENCES:
            raise InterpolationError("unknown-reference", f"there is no `${{{name}}}`", did_you_mean(name, _REFERENCES))
        if name.startswith("worker."):
            if not self._scope.worker:
                raise InterpolationError(
                    "unknown-reference", f"`${{{name}}}` works only in a service's `env` and `init`"
                )
            self._pieces.append((f"${{{name}}}", True))
        elif name in self._scope.references:
            self._pieces.append((self._scope.references[name], False))
        else:
            where = "inside a service" if name == "service.name" else "outside of `name`"
            raise InterpolationError("unknown-reference", f"`${{{name}}}` works only {where}")

    def _model(self, name: str) -> None:
        match, known = _MODEL.fullmatch(name), self._scope.models
        if known is None:
            where = "works only in `env`, and in a service's `env` and `init`"
            raise InterpolationError("unknown-reference", f"`${{{name}}}` {where}")
        if match is None:
            raise InterpolationError("unknown-reference", f"there is no `${{{name}}}`", "such as `${models.NAME.path}`")
        if match["name"] not in known:
            hint = did_you_mean(match["name"], known)
            raise InterpolationError("unknown-reference", f"there is no model `{match['name']}`", hint)
        self._pieces.append((f"${{{name}}}", True))


def _closing(text: str, at: int) -> int:
    """The offset of the brace that closes the one before `at`; braces of nested references are skipped."""
    depth = 1
    for offset in range(at, len(text)):
        if text.startswith("${", offset):
            depth += 1
        elif text[offset] == "}":
            depth -= 1
            if not depth:
                return offset
    raise InterpolationError("bad-interpolation", "`${` is not closed", "add `}`, or write `$$` for a dollar")


def _split(body: str) -> tuple[str, str, str]:
    """`VAR:-default` → (`VAR`, `:-`, `default`)."""
    match = re.match(r"([^:]*)(:[-?])(.*)\Z", body, re.DOTALL)
    return (match[1], match[2], match[3]) if match else (body, "", "")


Visit = Callable[[str, tuple[str | int, ...]], Any]


def each_string(value: Any, path: tuple[str | int, ...], visit: Visit) -> Any:
    """`value` with every string in it replaced by what `visit` says; keys stay."""
    if isinstance(value, dict):
        return {key: each_string(item, (*path, key), visit) for key, item in value.items()}
    if isinstance(value, list):
        return [each_string(item, (*path, index), visit) for index, item in enumerate(value)]
    return visit(value, path) if isinstance(value, str) else value

"""What the environment says instead of the spec: where to listen, and that nothing is watched. One image is run in many
places, and its spec cannot know them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bentod.errors import Problem, SpecError
from bentod.plan.model import Plan
from bentod.spec.interpolate import InterpolationError, Scope, interpolate
from bentod.spec.listen import why_not

LISTEN, WATCH = "BENTOD_LISTEN", "BENTOD_WATCH"

_WORDS = dict.fromkeys(("", "1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)


@dataclass(frozen=True, slots=True)
class Overrides:
    """`listen` replaces the spec's addresses if it has any; without `watch` nothing is watched, whatever the spec
    says."""

    listen: tuple[str, ...] = ()
    watch: bool = True

    @property
    def unwatched(self) -> str:
        """Why nothing is watched, if it is for this."""
        return "" if self.watch else f"{WATCH}=false"


def overrides(environ: Mapping[str, str]) -> Overrides:
    """What these variables say. Raises SpecError, which names the variable."""
    return Overrides(_listen(environ), _watch(environ))


def overridden(plan: Plan, environ: Mapping[str, str]) -> Plan:
    """The plan as it is carried out in this environment. Raises SpecError."""
    found = overrides(environ)
    if found.listen:
        plan = replace(plan, server=replace(plan.server, listen=found.listen))
    return plan if found.watch else replace(plan, reload=replace(plan.reload, watch=False))


def _listen(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The addresses, with commas between them; `${VAR}` and `${VAR:-default}` are filled in."""
    text = environ.get(LISTEN, "")
    try:
        given = interpolate(text, Scope(environ, {}))
    except InterpolationError as error:
        raise _wrong(LISTEN, error.message, error.hint) from None
    addresses = tuple(filter(None, (address.strip() for address in str(given).split(","))))
    wrong = next(filter(None, (_why_not(address, text) for address in addresses)), "")
    if wrong or (text and not addresses):
        hint = "such as `0.0.0.0:3000`, `0.0.0.0:${PORT:-3000}` or `unix:/run/app.sock`; several with commas between"
        raise _wrong(LISTEN, wrong or "it names no address", hint)
    return tuple(dict.fromkeys(addresses))


def _why_not(address: str, text: str) -> str:
    """What is wrong with one address, if anything; what a variable holds is not shown."""
    if not text.isprintable() or not address.isprintable():
        return "it holds control characters"
    reason = why_not(address)
    return f"with its variables filled in, `{text}` is no address" if reason and "$" in text else reason


def _watch(environ: Mapping[str, str]) -> bool:
    word = environ.get(WATCH, "").strip().lower()
    if word not in _WORDS:
        raise _wrong(WATCH, "it is neither true nor false", "with `false` nothing is watched, whatever the spec says")
    return _WORDS[word]


def _wrong(variable: str, message: str, hint: str) -> SpecError:
    return SpecError([Problem("wrong-setting", message, path=variable, hint=hint)])

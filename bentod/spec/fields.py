"""The kinds of values that a spec has: how each is read, what is said about a wrong one, and its JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from bentod.spec import quantities
from bentod.spec.found import Interpolated, plain, shown

NAME = r"^[A-Za-z_][A-Za-z0-9_-]{0,62}$"
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]*$"
ROUTE = r"^/([A-Za-z0-9._~!$&'()*+,;=:@-]+/?)*$"
PREFIX = r"^(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*$"
PATTERN = r"^(?!#|!?[/\s]*$).*[^\\]$"
EXCEPTION = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"
REFERENCE = {"type": "string", "pattern": r"\$\{"}
"""What a JSON Schema allows beside a number: text that interpolation makes a number of."""

OR_REFERENCE = r"|\$\{"
"""The same, behind a pattern."""

_LONGEST_DURATION_S = 366 * 24 * 3600
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_TRUTH = {"true": True, "false": False}


def wrong(code: str, message: str, hint: str = "") -> PydanticCustomError:
    """The error that a validator raises; `message` may hold braces."""
    return PydanticCustomError("bentod", "{message}", {"code": code, "message": message, "hint": hint})


def _reject_controls(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if found := pattern.search(text):
            raise wrong("control-character", f"the control character U+{ord(found[0]):04X} is not allowed here")
        return str(text)

    return check


without_controls = _reject_controls(_CONTROL)
"""The text itself, if it can stand in a command line or a header."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """A string of one form, which `rule` names."""

    pattern: str
    rule: str
    hint: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A string, then `check`."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        """The pattern."""
        return {"type": "string", "pattern": self.pattern + OR_REFERENCE}

    def check(self, text: str) -> str:
        """`text`, if it has the form."""
        text = without_controls(text)
        if not re.search(self.pattern, text):
            raise wrong("wrong-value", f"{shown(text)} is not {self.rule}", self.hint)
        return text


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within bounds."""

    least: int
    most: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A whole number, or text from the environment that is one."""
        before = core_schema.no_info_before_validator_function(_read_whole, handler(source))
        return core_schema.no_info_after_validator_function(self.check, before)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        """The bounds."""
        return {"anyOf": [{"type": "integer", "minimum": self.least, "maximum": self.most}, REFERENCE]}

    def check(self, value: int) -> int:
        """`value`, if it is within the bounds."""
        if not self.least <= value <= self.most:
            raise wrong("wrong-value", f"{value} is not between {self.least} and {self.most}")
        return value


@dataclass(frozen=True, slots=True)
class Short:
    """A section that may also be written as a number: the value of its key `key`."""

    key: str
    number: Whole

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The section, `opened` before."""
        return core_schema.no_info_before_validator_function(self.opened, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        """The number, or the section."""
        number = {"type": "integer", "minimum": self.number.least, "maximum": self.number.most}
        return {"anyOf": [number, REFERENCE, handler(schema)]}

    def opened(self, value: Any) -> Any:
        """The section that a number stands for; what is a section already, as it is."""
        if isinstance(value, dict):
            return value
        found = _read_whole(value)
        if type(found) is not int:
            message = f"expected a whole number or a map, found {shown(value)}"
            raise wrong("wrong-type", message, f"between {self.number.least} and {self.number.most}")
        return {self.key: self.number.check(found)}


def _interpolated(kind: str, read: Callable[[str], Any]) -> Callable[[Any], Any]:
    """Interpolation gives text; where the format wants a `kind`, the text is read as one."""

    def convert(value: Any) -> Any:
        if not isinstance(value, Interpolated):
            return value
        try:
            return read(value.strip())
        except (ValueError, KeyError):
            raise wrong("wrong-type", f"{shown(value)} is not {kind}") from None

    return convert


_read_whole = _interpolated("a whole number", int)
_read_flag = _interpolated("true or false", _TRUTH.__getitem__)
read_number = _interpolated("a number", float)
"""The number that text of the environment stands for; anything else as it is."""


def _duration(least_s: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if value == 0 == least_s:  # nothing is nothing in any unit
                return 0.0
            raise wrong(
                "missing-unit", f"{shown(value)} has no unit", f"write `{value}s` or `{value}ms`; units: ms, s, m, h"
            )
        found = quantities.seconds(value) if isinstance(value, str) else None
        if found is None:
            raise wrong(
                "wrong-value", f"expected a duration, found {shown(value)}", "such as `250ms`, `5s`, `2m`, `1h`"
            )
        if not least_s <= found <= _LONGEST_DURATION_S:
            raise wrong("wrong-value", f"{shown(value)} is {'too short' if found < least_s else 'longer than a year'}")
        return found

    return read


def _size(value: Any) -> int:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise wrong(
            "missing-unit",
            f"{shown(value)} has no unit",
            f"write `{value}MiB` or `{value}KiB`; units: B, KB, MB, GB, KiB, MiB, GiB",
        )
    found = quantities.size(value) if isinstance(value, str) else None
    if found is None:
        raise wrong("wrong-value", f"expected a size, found {shown(value)}", "such as `512KiB`, `16MiB`, `1GB`")
    if not 1 <= found <= 1 << 40:
        raise wrong("wrong-value", f"{shown(value)} is not between 1B and 1TiB")
    return found


def _given(value: Any) -> Any:
    if value is None:
        raise wrong("wrong-type", "expected a value, found nothing", "leave the key out instead")
    return value


def _list(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


_DURATION = {"type": "string", "pattern": quantities.DURATION_PATTERN}
_DURATION_SCHEMA = WithJsonSchema({"anyOf": [_DURATION, REFERENCE]})
_ZERO_SCHEMA = WithJsonSchema({"anyOf": [_DURATION, {"const": 0}, REFERENCE]})
_DURATION_TEXT = PlainSerializer(quantities.duration_text)

Line = Annotated[str, AfterValidator(without_controls), WithJsonSchema({"type": "string"})]
Prose = Annotated[str, AfterValidator(_reject_controls(_CONTROL_BUT_LINES)), WithJsonSchema({"type": "string"})]
Name = Annotated[str, Grammar(NAME, "a name", "letters, digits, `_` and `-`, at most 63, not starting with a digit")]
DnsLabel = Annotated[
    str, Grammar(DNS_LABEL, "a DNS label", "lower-case letters, digits and inner hyphens, at most 63 characters")
]
Variable = Annotated[
    str, Grammar(VARIABLE, "the name of an environment variable", "letters, digits and `_`, not starting with a digit")
]
Identifier = Annotated[str, Grammar(IDENTIFIER, "the name of a Python function")]
RoutePath = Annotated[
    str, Grammar(ROUTE, "a route", "a path such as `/embed`: starts with `/`, without spaces, `//`, `?`, `#` or `%`")
]
Prefix = Annotated[str, Grammar(PREFIX, "a path prefix", "a path such as `/v1`, which does not end with `/`")]
Pattern = Annotated[str, Grammar(PATTERN, "a pattern", "as in a .gitignore, such as `data/*.json` or `words/`")]
ExceptionName = Annotated[str, Grammar(EXCEPTION, "an exception's import string", "such as `builtins:ValueError`")]
Flag = Annotated[bool, BeforeValidator(_read_flag), WithJsonSchema({"anyOf": [{"type": "boolean"}, REFERENCE]})]
Factor = Annotated[
    float,
    BeforeValidator(read_number),
    Field(ge=1, le=100),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 1, "maximum": 100}, REFERENCE]}),
]
Duration = Annotated[float, BeforeValidator(_duration(0.001)), _DURATION_SCHEMA, _DURATION_TEXT]
DurationOrZero = Annotated[float, BeforeValidator(_duration(0.0)), _ZERO_SCHEMA, _DURATION_TEXT]
Size = Annotated[
    int,
    BeforeValidator(_size),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": quantities.SIZE_PATTERN}, REFERENCE]}),
    PlainSerializer(quantities.size_text),
]
Given = BeforeValidator(_given)
"""For what may be left out: a key without a value is a mistake, not a way to leave it out."""

Data = Annotated[Any, BeforeValidator(plain)]
List = BeforeValidator(_list)
Lines = Annotated[tuple[Line, ...], List]
Patterns = Annotated[tuple[Pattern, ...], List]

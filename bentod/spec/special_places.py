"""Where special schemas stand: only where a value's reader knows of them beforehand, and where they can be served."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bentod.iotypes import image
from bentod.iotypes.keywords import ALONE, IN_LIST, IN_MAP
from bentod.iotypes.layout import Layout, layout, specials
from bentod.iotypes.media_types import canonical
from bentod.iotypes.pointers import escaped
from bentod.iotypes.special import FileType, ImageType, SpecialType, special
from bentod.spec.found import shown
from bentod.spec.keywords import inner, is_special
from bentod.spec.node import Path
from bentod.spec.references import TYPES
from bentod.spec.report import Report
from bentod.spec.special_schemas import ANNOTATIONS

_READ = ("properties", "additionalProperties", "items", "prefixItems")
_JUDGE = (ALONE | IN_LIST | IN_MAP | {"additionalItems"}) - {*_READ, "$defs", "definitions"}
"""Keywords that judge a value once it is read, so that nothing below them can say how to read it."""

_SAME_VALUE = ("allOf", "anyOf", "oneOf", "if", "then", "else", "dependentSchemas")
_VALUES = ("const", "enum")
_OWN_PLACE = "give it a property, an item or an API of its own"
_CODE = "invalid-schema"

Rule = Callable[[SpecialType], tuple[str, str]]
"""Why a special type cannot be used here, after the keyword that says what cannot be; empty if it can."""


@dataclass(frozen=True, slots=True)
class Root:
    """One schema as it is written at `path`. If it is not `sound`, what its references lead to cannot be judged."""

    schema: Any
    path: Path
    sound: bool


def check(root: Root, types: Mapping[str, Any], report: Report, rule: Rule) -> None:
    """Report special types that stand where nothing could read them, or where `rule` forbids them.

    `types` are the sound ones of the spec.
    """
    _Places(root, types, report, rule).at(root.schema, (), "")


class _Places:
    """One schema. Paths are relative to it."""

    def __init__(self, root: Root, types: Mapping[str, Any], report: Report, rule: Rule) -> None:
        self._root = root
        self._types = types
        self._report = report
        self._rule = rule
        self._any = root.sound and _uses_special(root.schema, types)

    def at(self, schema: Any, path: Path, barrier: str) -> None:
        """`barrier` names the keyword around the schema that keeps it from being read."""
        if not isinstance(schema, dict):
            return
        if is_special(schema):
            self._special(schema, path, barrier)
            return
        if self._any:
            self._reference(schema, path, barrier)
            self._overlap(schema, path)
            self._compared(schema, path)
        for key, below, item in inner(schema):
            self.at(item, (*path, *below), _barrier(schema, key, barrier))

    def _key(self, path: Path, message: str, hint: str = "") -> None:
        self._report.at_key((*self._root.path, *path), _CODE, message, hint)

    def _special(self, schema: Mapping[str, Any], path: Path, barrier: str) -> None:
        kind = schema["format"]
        if barrier:
            message = f"`format: {kind}` cannot stand under {barrier}: a value is read before it is judged"
            self._key((*path, "format"), message, _OWN_PLACE)
            return
        found = special(schema, self._types) if self._root.sound else None
        keyword, reason = self._rule(found) if found else ("", "")
        if reason:
            self._key((*path, keyword), reason)

    def _reference(self, schema: Mapping[str, Any], path: Path, barrier: str) -> None:
        reference = schema.get("$ref")
        if unclear := _unclear(schema, is_root=not path):
            message = f"`{unclear}` cannot be followed in a schema with special types"
            self._key((*path, unclear), message, "refer by path, such as `#/$defs/NAME`")
            return
        place = self._layout(reference) if isinstance(reference, str) else None
        if place is None:
            return
        kinds = sorted({_format(kind) for kind in specials(place)})
        # What is in the schema itself is judged where it stands.
        foreign = isinstance(reference, str) and reference.startswith(TYPES)
        reason = next((why for _, why in map(self._rule, specials(place)) if why), "") if foreign else ""
        if barrier:
            reason = f"this leads to `format: {kinds[0]}`, which cannot stand under {barrier}"
        elif place.special is not None:
            self._beside(schema, path, kinds[0])
        if reason:
            hint = _OWN_PLACE if barrier else ""
            self._report.at_value((*self._root.path, *path, "$ref"), _CODE, reason, hint)

    def _layout(self, reference: str) -> Layout | None:
        """What a reference in this schema leads to."""
        root = self._root.schema
        return layout(root if reference == "#" else {**root, "$ref": reference}, self._types)

    def _beside(self, schema: Mapping[str, Any], path: Path, kind: str) -> None:
        """Keywords beside a `$ref` to a special type."""
        for key in schema:
            if key not in ("$ref", "$defs", *ANNOTATIONS) and not key.startswith("x-"):
                message = f"`{key}` does nothing beside a reference to `format: {kind}`"
                self._key((*path, key), message, "write it where the format is written")

    def _overlap(self, schema: Mapping[str, Any], path: Path) -> None:
        """Properties that are special, and judged as JSON by another keyword."""
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            return
        for below, inside in _in_place(schema):
            others = inside.get("properties")
            for name, judge in others.items() if isinstance(others, dict) else ():
                known = name in properties and judge != {} and not isinstance(judge, bool) and not _mentions(judge)
                if known and self._layout(_pointer((*path, "properties", name))) is not None:
                    message = f"`{name}` is a special value, which `{below[0]}` cannot judge"
                    self._key((*path, *below, "properties", name), message, "remove it")

    def _compared(self, schema: Mapping[str, Any], path: Path) -> None:
        """Keywords that compare a value, or the items of a list, as JSON although there are special ones in it."""
        written = [(at, inside) for at, inside in [((), schema), *_in_place(schema)] if _compares(inside)]
        place = self._layout(_pointer(path)) if written else None
        if place is None:
            return
        for at, inside in written:
            for key in _compares(inside):
                if key in _VALUES or place.items is not None or any(place.prefix):
                    message = f"`{key}` cannot judge special values: they are no JSON"
                    self._key((*path, *at, key), message, "remove it")


def _compares(schema: Mapping[str, Any]) -> list[str]:
    """The keywords of a schema that compare a whole value, or items of a list."""
    found = [key for key in _VALUES if key in schema]
    found += ["uniqueItems"] if schema.get("uniqueItems") is True else []
    contains = schema.get("contains", True)
    return found if isinstance(contains, bool) or contains == {} or _mentions(contains) else [*found, "contains"]


def _barrier(schema: Mapping[str, Any], key: str, barrier: str) -> str:
    """What keeps the schemas under a keyword from being read."""
    if key in _JUDGE:
        return barrier or f"`{key}`"
    if key not in _READ:
        return ""  # such as `$defs`: read where it is referred to
    if "$ref" in schema:
        return barrier or f"`{key}` beside `$ref`"
    if key == "additionalProperties" and "patternProperties" in schema:
        return barrier or "`additionalProperties` beside `patternProperties`"
    return barrier


def _in_place(schema: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The schemas inside another that judge the same value."""
    for key, below, item in inner(schema):
        if key not in _SAME_VALUE or not isinstance(item, dict):
            continue
        yield (*path, *below), item
        yield from _in_place(item, (*path, *below))


def _unclear(schema: Mapping[str, Any], *, is_root: bool) -> str:
    """A keyword that makes references mean something else than a path in the root schema."""
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference != "#" and (not reference.startswith("#/") or "%" in reference):
        return "$ref"
    others = ["$dynamicRef"] if is_root else ["$dynamicRef", "$id"]
    return next((key for key in others if key in schema), "")


def _pointer(path: Path) -> str:
    return "#" if not path else "#/" + "/".join(map(escaped, path))


def _format(kind: SpecialType) -> str:
    return type(kind).__name__.removesuffix("Type").lower()


def _mentions(schema: Any) -> bool:
    """Whether any special format is written in a schema."""
    if not isinstance(schema, dict):
        return False
    return is_special(schema) or any(_mentions(item) for _, _, item in inner(schema))


def _uses_special(schema: Any, types: Mapping[str, Any]) -> bool:
    """Whether anything special is written in a schema or in a type that it refers to."""
    if not isinstance(schema, dict):
        return False
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith(TYPES) and layout({"$ref": reference}, types) is not None:
        return True
    return is_special(schema) or any(_uses_special(item, types) for _, _, item in inner(schema))


def anywhere(kind: SpecialType) -> tuple[str, str]:
    """The rule of types: they may be used in any way that an API allows."""
    del kind
    return "", ""


def of_inputs(kind: SpecialType) -> tuple[str, str]:
    """The rule of inputs."""
    if isinstance(kind, FileType) and kind.within:
        return "within", "`within` says where an answer's file may come from; in an input it does nothing"
    return "", ""


def of_answers(kind: SpecialType) -> tuple[str, str]:
    """The rule of outputs."""
    if isinstance(kind, ImageType) and not image.writable(canonical(kind.media_type)):
        known = ", ".join(f"`{one}`" for one in image.FORMATS)
        return "contentMediaType", f"{shown(kind.media_type)} is read, but not written; an answer is one of {known}"
    return "", ""


def of_chunks(kind: SpecialType) -> tuple[str, str]:
    """The rule of streams."""
    if isinstance(kind, FileType):
        return "format", "a stream cannot send files: a chunk is a value in memory"
    return of_answers(kind)

"""One schema with `format: tensor`, `image`, `file` or `binary`: each of its keywords is known and does something."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from bentod.iotypes import image
from bentod.iotypes.media_types import canonical
from bentod.iotypes.special import FORMATS, ITEM_BYTES
from bentod.iotypes.tensor import MOST_DIMENSIONS
from bentod.spec import media_types
from bentod.spec.dtypes import meant
from bentod.spec.found import shown
from bentod.spec.node import Path
from bentod.spec.project import PathError, Project
from bentod.spec.report import Report

ANNOTATIONS = (
    *("$schema", "$id", "$comment", "title", "description", "default", "examples"),
    *("deprecated", "readOnly", "writeOnly"),
)
"""What may stand beside any `format` of the dialect, besides `x-…`."""

OWN: dict[str, tuple[str, ...]] = {
    "tensor": ("dtype", "shape"),
    "image": ("contentMediaType", "contentEncoding", "maxPixels"),
    "file": ("contentMediaType", "contentEncoding", "within"),
    "binary": ("contentMediaType", "contentEncoding"),
}
"""What each `format` reads, besides `type` and `format`."""

HOME = {"dtype": "tensor", "shape": "tensor", "maxPixels": "image", "within": "file"}
"""Keywords that mean something beside one `format` only."""

DIMENSION = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""The name of a dimension."""

_CODE = "invalid-schema"


def check(schema: Mapping[str, Any], path: Path, project: Project, report: Report) -> None:
    """Report what is wrong with a special schema."""
    _Special(schema, path, project, report).check()


def check_ordinary(schema: Mapping[str, Any], path: Path, report: Report) -> None:
    """Report keywords of special schemas in an ordinary one, where they do nothing."""
    strays: dict[str, list[str]] = {}
    for key in schema:
        if key in HOME:
            strays.setdefault(HOME[key], []).append(key)
    written = schema.get("format")
    close = difflib.get_close_matches(written, FORMATS, n=1) if isinstance(written, str) else []
    if close and ("contentMediaType" in schema or close[0] in strays):
        message = f"{shown(written)} is no format of special values"
        report.at_value((*path, "format"), _CODE, message, f"did you mean `{close[0]}`?")
        strays.pop(close[0], None)
    elif isinstance(written, str) and written.lower() in FORMATS:
        message = f"{shown(written)} is no format of special values"
        report.at_value((*path, "format"), _CODE, message, f"write `format: {written.lower()}`")
    for kind, keys in strays.items():
        named = " and ".join(f"`{key}`" for key in keys)
        message = f"{named} {'do' if len(keys) > 1 else 'does'} nothing without `format: {kind}`"
        report.at_key((*path, keys[0]), _CODE, message, f"add `format: {kind}`, or remove {named}")


class _Special:
    """One special schema. A place where a problem is known already is left alone."""

    def __init__(self, schema: Mapping[str, Any], path: Path, project: Project, report: Report) -> None:
        self._schema = schema
        self._path = path
        self._project = project
        self._report = report
        self._format: str = schema["format"]
        self._meant: set[str] = set()

    def check(self) -> None:
        for key in self._schema:
            if key in ("format", *ANNOTATIONS) or key.startswith("x-"):
                continue
            if key != "type" and key not in OWN[self._format]:
                self._idle(key)
        checks: dict[str, Callable[[Any], None]] = {
            "type": self._type,
            "dtype": self._dtype,
            "shape": self._shape,
            "contentMediaType": self._media_type,
            "contentEncoding": self._encoding,
            "maxPixels": self._max_pixels,
            "within": self._within,
        }
        for key in ("type", *OWN[self._format]):
            if key in self._schema and not self._report.broken((*self._path, key)):
                checks[key](self._schema[key])
        for key, example in (("dtype", "float32"), ("shape", "[-1, 4]")):
            if self._format == "tensor" and key not in self._schema and key not in self._meant:
                message = f"a tensor needs `{key}`, which is missing"
                self._report.at_key((*self._path, key), _CODE, message, f"such as `{key}: {example}`")

    def _wrong(self, key: str | Path, message: str, hint: str = "") -> None:
        """A problem with the value of a keyword, or with a part of it."""
        at = (key,) if isinstance(key, str) else key
        self._report.at_value((*self._path, *at), _CODE, message, hint)

    def _idle(self, key: str) -> None:
        close = difflib.get_close_matches(key, OWN[self._format], n=1, cutoff=0.75)
        if key in HOME:
            hint = f"it belongs to `format: {HOME[key]}`"
        elif close and close[0] not in self._schema:
            hint = f"did you mean `{close[0]}`?"
            self._meant.add(close[0])
        else:
            hint = "`dtype` and `shape` say it all" if self._format == "tensor" else "remove it"
        message = f"`{key}` does nothing beside `format: {self._format}`"
        self._report.at_key((*self._path, key), _CODE, message, hint)

    def _type(self, value: Any) -> None:
        wanted = "array" if self._format == "tensor" else "string"
        kinds = value if isinstance(value, list) else [value]
        if wanted not in kinds or not {wanted, "null"}.issuperset(kinds):
            found = ", ".join(map(str, kinds)) if isinstance(value, list) else value
            message = f"`format: {self._format}` is for `type: {wanted}`; found {shown(found)}"
            self._wrong("type", message, f'write `type: {wanted}`, or `type: [{wanted}, "null"]` where null is fine')

    def _dtype(self, value: Any) -> None:
        if not isinstance(value, str):
            self._wrong("dtype", f"a dtype is a string; found {shown(value)}", "such as `dtype: float32`")
        elif value not in ITEM_BYTES:
            self._wrong("dtype", f"there is no dtype {shown(value)}", meant(value))

    def _shape(self, value: Any) -> None:
        if not isinstance(value, list):
            hint = f"write `shape: [{value}]`" if isinstance(value, (int, str)) else "such as `shape: [-1, 4]`"
            self._wrong("shape", f"a shape is a list of dimensions; found {shown(value)}", hint)
            return
        if len(value) > MOST_DIMENSIONS:
            self._wrong("shape", f"{len(value)} dimensions are more than {MOST_DIMENSIONS}")
        for index, dimension in enumerate(value):
            self._dimension(index, dimension)

    def _dimension(self, index: int, value: Any) -> None:
        if isinstance(value, int) and not isinstance(value, bool):
            fine = value >= -1
        else:
            fine = isinstance(value, str) and re.search(DIMENSION, value) is not None
        if not fine:
            hint = "a length, -1 for any length, or a name such as `n` for one length within a call"
            if isinstance(value, str) and re.fullmatch(r"-1|[0-9]+", value):
                hint = f"write {value} without quotes"
            elif value is None or value in ("*", "?", ":", "..."):
                hint = "write -1 for any length"
            self._wrong(("shape", index), f"{shown(value)} is no dimension", hint)

    def _media_type(self, value: Any) -> None:
        if not isinstance(value, str):
            self._wrong("contentMediaType", f"a media type is a string; found {shown(value)}")
            return
        message, hint = media_types.wrong(value)
        if message:
            self._wrong("contentMediaType", f"{shown(value)}: {message}", hint)
        elif self._format == "image" and not value.lower().startswith("image/"):
            hint = "write `image/*` or a type such as `image/png`, or `format: file` for what is no picture"
            self._wrong("contentMediaType", f"{shown(value)} is not in `image/*`", hint)
        elif self._format == "image" and not image.readable(canonical(value.lower())):
            kinds = image.readable("image/*")
            known = ", ".join(f"`{kind}`" for kind in kinds)
            close = difflib.get_close_matches(value.lower(), kinds, n=1, cutoff=0.8)
            hint = f"did you mean `{close[0]}`?" if close else f"one of {known}; or `format: file`"
            self._wrong("contentMediaType", f"{shown(value)} is no type of image that can be read", hint)

    def _encoding(self, value: Any) -> None:
        if value != "base64":
            self._wrong("contentEncoding", f"in JSON these values are base64; found {shown(value)}", "write `base64`")

    def _max_pixels(self, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            hint = "such as `maxPixels: 16000000`; all frames together"
            self._wrong("maxPixels", f"expected a whole number above 0, found {shown(value)}", hint)

    def _within(self, value: Any) -> None:
        if not isinstance(value, list) or not value:
            found = "an empty list" if value == [] else shown(value)
            self._wrong("within", f"expected a list of folders, found {found}", "such as `within: [results]`")
            return
        for index, folder in enumerate(value):
            at = (*self._path, "within", index)
            if not isinstance(folder, str) or not folder:
                self._wrong(("within", index), f"expected a folder of the project, found {shown(folder)}")
                continue
            try:
                found_at = self._project.inside(folder)
            except PathError as error:
                self._report.at_value(at, error.code, error.message, error.hint)
                continue
            if not found_at.is_dir():
                what = "is no folder" if found_at.exists() else "does not exist"
                self._report.at_value(at, "missing-file", f"the folder `{folder}` {what}", "make it, or remove it")

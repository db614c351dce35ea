"""Examples: each input and output converted as a call's would be, with the files that they name."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bentod.codec.folder import CallFolder
from bentod.errors import BodyTooLarge, InvalidInput, Pointed
from bentod.iotypes import rows
from bentod.iotypes.layout import layout
from bentod.iotypes.pointers import unescaped
from bentod.iotypes.references import object_schema
from bentod.iotypes.validator import Validator
from bentod.spec import example_files
from bentod.spec.example_files import ExampleFile
from bentod.spec.found import shown
from bentod.spec.node import Path as Route
from bentod.spec.project import PathError, Project
from bentod.spec.report import Report

_CODE = "example-mismatch"


class Converter:
    """Reads the values that one schema describes. If these bring rows, `most_rows` is how many there may be, 0 for any
    number."""

    def __init__(
        self, schema: Any, types: Mapping[str, Any], validator: Validator, most_rows: int | None = None
    ) -> None:
        self.layout = layout(schema, types)
        self._most_rows = most_rows
        self._named = object_schema(schema, types) is not None
        self._schema = schema
        self._types = types
        self._validator = validator

    def read(self, value: Any) -> tuple[tuple[Pointed, ...], dict[str, int]]:
        """What is wrong with a value, and what its named dimensions are."""
        if self.layout is None:
            return (self._of_rows(value) if self._validator.valid(value) else self._validator.errors(value)), {}
        # Only specs with special types wait for the import of what reads them.
        from bentod.codec.reader import Reader

        with tempfile.TemporaryDirectory(prefix="bentod-") as folder:
            try:
                found = Reader(self._schema, self._types).read(value, CallFolder(Path(folder), "example"))
            except InvalidInput as error:
                return error.errors or (Pointed("", str(error)),), {}
            except BodyTooLarge as error:
                return error.errors or (Pointed("", str(error)),), {}
            return self._of_rows(found.value), dict(found.dimensions)

    def _of_rows(self, value: Any) -> tuple[Pointed, ...]:
        """What is wrong with the rows of a value that is fine otherwise."""
        if self._most_rows is None or (self._named and not isinstance(value, dict)):
            return ()
        parts = value.items() if self._named else (("", value),)
        lengths = {name: length for name, part in parts if (length := rows.length(part)) is not None}
        try:
            rows.counted(lengths, self._most_rows, named=self._named)
        except InvalidInput as error:
            return error.errors
        return ()


class Examples:
    """The examples of one API. `converters` are those of its `input` and `output`, as far as these are sound."""

    def __init__(
        self, api: Mapping[str, Any], path: Route, converters: Mapping[str, Converter], project: Project, report: Report
    ) -> None:
        self._api = api
        self._path = path
        self._converters = converters
        self._project = project
        self._report = report
        self._files: list[ExampleFile] = []

    def check(self) -> list[ExampleFile]:
        """Report what does not match; the files that the examples name."""
        examples = self._api.get("examples")
        for index, example in enumerate(examples if isinstance(examples, list) else ()):
            if isinstance(example, dict):
                self._example(example, (*self._path, "examples", index))
        return self._files

    def _example(self, example: Mapping[str, Any], path: Route) -> None:
        bound: dict[str, int] = {}
        if "input" in example and "input" in self._converters:
            bound = self._value(example["input"], (*path, "input"), "input", {})
        tolerance = example.get("tolerance")
        if isinstance(tolerance, int | float) and tolerance >= 0 and "output" not in example:
            message = "`tolerance` is for the numbers of an `output`, which the example has not"
            self._report.at_key((*path, "tolerance"), _CODE, message)
        if "output" not in example or "output" not in self._converters:
            return
        value, at, stream = example["output"], (*path, "output"), self._api.get("stream")
        if stream in ("sse", "ndjson"):
            if not isinstance(value, list):
                message = f"the output of a stream is the list of its chunks; found {shown(value)}"
                self._report.at_value(at, _CODE, message)
                return
            for index, chunk in enumerate(value):
                self._value(chunk, (*at, index), "output", bound)
        elif stream == "raw" and not isinstance(value, str):
            message = f"the output of a raw stream is all of its text, or base64; found {shown(value)}"
            self._report.at_value(at, _CODE, message)
        elif stream != "raw" or self._converters["output"].layout is not None:
            self._value(value, at, "output", bound)

    def _value(self, value: Any, at: Route, key: str, bound: Mapping[str, int]) -> dict[str, int]:
        """Judge one value; its named dimensions, which must agree with those that are `bound`."""
        converter = self._converters[key]
        whole, unread = self._with_files(value, at, converter)
        errors, dimensions = converter.read(whole)
        for error in errors:
            path = (*at, *_follow(value, error.pointer))
            if path not in unread:
                self._report.at_value(path, _CODE, f"the example does not match `{key}`: {error.detail}")
        for name in sorted(dimensions.keys() & bound.keys()):
            if dimensions[name] != bound[name]:
                message = f"the dimension `{name}` is {bound[name]} in the input and {dimensions[name]} here"
                self._report.at_value(at, _CODE, message)
        return dimensions

    def _with_files(self, value: Any, at: Route, converter: Converter) -> tuple[Any, set[Route]]:
        """`value` with what is in the files that it names, and where a file cannot be used, which is reported."""
        holder = {"": value}
        unread: set[Route] = set()
        for inside, text, kind in list(example_files.named(value, converter.layout)):
            try:
                found = example_files.read(text, kind, (*at, *inside), self._project)
            except PathError as error:
                self._report.at_value((*at, *inside), error.code, error.message, error.hint)
                unread.add((*at, *inside))
                continue
            self._files.append(found)
            if holder[""] is value:
                holder[""] = copy.deepcopy(value)
            put(holder, ("", *inside), found.value)
        return holder[""], unread


def put(data: Any, path: Route, value: Any) -> None:
    """Replace what is at `path`."""
    for part in path[:-1]:
        data = data[part]
    data[path[-1]] = value


def _follow(value: Any, pointer: str) -> Route:
    """A JSON Pointer into `value` as a path, as far as it leads."""
    path: list[str | int] = []
    for part in pointer.split("/")[1:]:
        key: str | int = int(part) if isinstance(value, list) else unescaped(part)
        inside = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        if key not in inside:
            break
        path.append(key)
        value = value[key]
    return tuple(path)

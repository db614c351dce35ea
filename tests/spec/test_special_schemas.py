"""The dialect: its meta-schema and what `validate` says are one, and files in examples become what they hold."""

import base64
import json
from pathlib import Path

import jsonschema_rs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.iotypes.special import FORMATS, ITEM_BYTES, MAX_PIXELS
from bentod.iotypes.tensor import MOST_DIMENSIONS
from bentod.plan.build import build
from bentod.spec import io_schemas, source
from bentod.spec.example_files import MAX_BYTES
from bentod.spec.load import load
from bentod.spec.media_types import RANGE
from bentod.spec.project import Project
from bentod.spec.report import Report
from bentod.spec.special_schemas import ANNOTATIONS, DIMENSION, OWN
from tests.support.specs import BASE, laid_over, loaded, problems, write

META = json.loads((Path(__file__).parents[2] / "schemas/io.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema_rs.Draft202012Validator(META)

TENSOR = {"type": "array", "format": "tensor", "dtype": "float32", "shape": ["n", 2]}
FILE = {"type": "string", "format": "file"}
BINARY = {"type": "string", "format": "binary"}


def told(schema):
    """What is wrong with a type, as paths inside of it."""
    data = {"types": {"T": schema}}
    root, found = source.parse(json.dumps(data).encode(), "x.yaml")
    assert not found
    report = Report(root)
    io_schemas.check(data, Project(Path("/nowhere"), root), report)
    return [problem.path.removeprefix("types.T").removeprefix(".") for problem in report.problems]


# ── the meta-schema ──────────────────────────────────────────────────────────────────────────────


def test_the_meta_schema_is_valid_and_describes_itself():
    jsonschema_rs.meta.validate(META)
    assert VALIDATOR.is_valid(META)
    assert all(keyword.get("description") for keyword in META["properties"].values())


def test_the_meta_schema_and_the_code_know_the_same():
    keywords = META["properties"]
    assert keywords["format"]["anyOf"][0]["enum"] == list(FORMATS) == list(OWN)
    assert keywords["dtype"]["enum"] == list(ITEM_BYTES)
    assert keywords["shape"]["maxItems"] == MOST_DIMENSIONS
    assert keywords["shape"]["items"]["anyOf"][1]["pattern"] == DIMENSION
    assert str(MAX_PIXELS) in keywords["maxPixels"]["description"]
    _, tensor, others, _ = (part.get("then") for part in META["allOf"])
    assert others["properties"]["contentMediaType"]["pattern"] == RANGE
    known = {"type", "format", *ANNOTATIONS}
    assert set(tensor["propertyNames"]["anyOf"][1]["enum"]) == known | set(OWN["tensor"])
    assert set(others["propertyNames"]["anyOf"][1]["enum"]) == known.union(*(OWN[name] for name in FORMATS[1:]))


def one_of(*values):
    return st.sampled_from(values)


SPECIAL = st.fixed_dictionaries(
    {},
    optional={
        "type": one_of("array", "string", "number", ["string", "null"], ["null", "array"], ["string", "array"], []),
        "format": one_of(*FORMATS, *FORMATS, "email"),
        "dtype": one_of("float32", "int8", "float", 3),
        "shape": one_of([], [-1, "n"], [2], [-2], ["a b"], [True], "n", [None], [1] * 65),
        "contentMediaType": one_of("image/png", "IMAGE/*", "audio/wav", "*/*", "text", "*/png", "text/plain; a=b"),
        "contentEncoding": one_of("base64", "base16", "BASE64"),
        "maxPixels": one_of(1, 10**9, 0, -1, "many", True),
        "within": one_of([], "x", [1], [""], None),
        "maxLength": one_of(3),
        "items": one_of(True),
        "title": one_of("T"),
        "x-mine": one_of(1),
    },
)


@given(SPECIAL)
def test_what_the_meta_schema_refuses_is_told_and_nothing_else(schema):
    assert (told(schema) == []) is VALIDATOR.is_valid(schema), told(schema)


@given(SPECIAL, one_of("properties", "items", "prefixItems", "$defs", "additionalProperties"))
def test_both_look_into_schemas(schema, keyword):
    around = {keyword: {"a": schema} if keyword in ("properties", "$defs") else [schema] if "x" in keyword else schema}
    assert (told(around) == []) is VALIDATOR.is_valid(around)


JUNK = st.recursive(
    one_of(None, True, 3, "tensor", "#", "#/types/T", "#/$defs/a", "", []),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            one_of("$ref", "$defs", "properties", "items", "anyOf", "format", "dtype", "shape", "type", "a", "$id"),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(JUNK)
def test_junk_is_only_ever_told(schema):
    told(schema)


def test_what_is_one_mistake_is_told_once():
    assert told({"type": "strin", "format": "image", "maxPixels": 0}) == ["type", "maxPixels"]
    assert told({"format": "tensors", "dtype": "x", "shape": 3}) == ["format"]


def test_the_dialect_may_be_named():
    assert told({"$schema": META["$id"], **BINARY}) == []


# ── where paths lead ─────────────────────────────────────────────────────────────────────────────


def served(examples, schema, output=True):
    return laid_over(BASE, {"apis": {"greet": {"input": schema, "output": output, "examples": examples}}})


def test_files_of_examples_become_json_and_config_keeps_their_names(tmp_path):
    array = np.asfortranarray(np.arange(6, dtype=">f4").reshape(3, 2))
    np.save(tmp_path / "a.npy", array)
    (tmp_path / "b.bin").write_bytes(b"\0\1\2")
    schema = {
        "type": "object",
        "properties": {"points": TENSOR, "list": {"items": BINARY}, "file": FILE, "text": {"type": "string"}},
    }
    value = {"points": "@a.npy", "list": ["AAEC", "@b.bin"], "file": "@b.bin", "text": "@b.bin"}
    found = loaded(tmp_path, served([{"name": "files", "input": value, "output": "@b.bin"}], schema, BINARY))
    (route,) = build(found.spec, tmp_path, {}).apis
    (example,) = route.examples
    data = base64.b64encode(array.astype("<f4").tobytes("C")).decode()
    points = {"dtype": "float32", "shape": [3, 2], "data": data}
    assert example.input == {"points": points, "list": ["AAEC", "AAEC"], "file": "AAEC", "text": "@b.bin"}
    assert (example.output, example.has_output) == ("AAEC", True)
    (shown,) = found.resolved["apis"]["greet"]["examples"]
    assert (shown["input"], shown["output"]) == (value, "@b.bin")
    assert loaded(tmp_path, found.resolved).spec == found.spec


def test_a_file_of_an_example_is_small(tmp_path):
    data = served([{"name": "a", "input": "@a.bin"}], BINARY)
    (tmp_path / "a.bin").write_bytes(bytes(MAX_BYTES))
    assert problems(tmp_path, data) == []
    (tmp_path / "a.bin").write_bytes(bytes(MAX_BYTES + 1))
    [problem] = problems(tmp_path, data)
    assert (problem.path, problem.code) == ("apis.greet.examples[0].input", "too-large")


def test_a_link_out_of_the_project_is_no_file_of_an_example(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "outside").write_bytes(b"x")
    (project / "link").symlink_to(tmp_path / "outside")
    [problem] = problems(project, served([{"name": "a", "input": "@link"}], BINARY))
    assert problem.code == "outside-project"


def test_an_array_of_another_dtype_is_no_example(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    [problem] = problems(tmp_path, served([{"name": "a", "input": "@a.npy"}], TENSOR))
    assert (problem.path, problem.code) == ("apis.greet.examples[0].input", "example-mismatch")
    assert "float64" in problem.message


def test_what_else_is_wrong_with_an_example_is_told_beside_a_missing_file(tmp_path):
    schema = {"properties": {"a": BINARY}, "required": ["b", "c"]}
    found = problems(tmp_path, served([{"name": "x", "input": {"a": "@gone"}}], schema))
    assert [(p.path, p.code) for p in found] == [
        ("apis.greet.examples[0].input", "example-mismatch"),
        ("apis.greet.examples[0].input", "example-mismatch"),
        ("apis.greet.examples[0].input.a", "missing-file"),
    ]


def test_paths_are_relative_to_the_file_that_they_are_written_in(tmp_path):
    first = write(tmp_path, {"bentofile.yaml": json.dumps(BASE)})
    extra = {
        "types": {"Kept": {**FILE, "within": ["kept"]}},
        "apis": {"greet": {"input": BINARY, "examples": [{"name": "a", "input": "@a.bin"}]}},
    }
    second = write(tmp_path, {"sub/more.yaml": json.dumps(extra), "sub/a.bin": "x", "sub/kept/b": ""})
    found = load([first, second], {})
    assert found.spec.types["Kept"]["within"] == ["sub/kept"]
    assert found.spec.apis["greet"].examples[0].input == "eA=="
    assert found.resolved["apis"]["greet"]["examples"][0]["input"] == "@sub/a.bin"
    assert found.resolved["types"]["Kept"]["within"] == ["sub/kept"]
    (tmp_path / "all.yaml").write_text(json.dumps(found.resolved), encoding="utf-8")
    assert load([tmp_path / "all.yaml"], {}).spec == found.spec


@pytest.mark.parametrize("stream", ["sse", "ndjson"])
def test_each_chunk_of_an_example_is_judged(tmp_path, stream):
    api = {"stream": stream, "output": TENSOR, "examples": [{"name": "a", "input": 1, "output": [[[1, 2]], [[1]]]}]}
    (problem,) = problems(tmp_path, laid_over(BASE, {"apis": {"greet": api}}))
    assert problem.path.startswith("apis.greet.examples[0].output[1]")

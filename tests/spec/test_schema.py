"""The published schema and the model say the same."""

import json
import tomllib
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from bentod.spec.load import load
from bentod.spec.schema import bentofile_schema, main, text
from tests.support.specs import BAD, BASE, laid_over

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "schemas/bentofile.schema.json"
SPECS = sorted([*ROOT.glob("specs/*/bentofile*.yaml"), *ROOT.glob("specs/*/*.toml"), ROOT / "bentofile.example.yaml"])
VALIDATOR = jsonschema_rs.Draft202012Validator(bentofile_schema())


def read(path):
    raw = path.read_text(encoding="utf-8")
    return tomllib.loads(raw) if path.suffix == ".toml" else yaml.safe_load(raw)


def test_the_published_schema_is_what_the_model_says():
    assert SCHEMA.read_text(encoding="utf-8") == text()
    assert main(["--check"]) == 0


def test_the_schema_is_a_valid_schema_of_2020_12():
    schema = json.loads(text())
    assert schema["$id"] == "https://bentod.dev/schemas/bentofile.schema.json"
    jsonschema_rs.meta.validate(schema)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: str(path.relative_to(ROOT)))
def test_both_accept_every_example(path):
    assert [error.message for error in VALIDATOR.iter_errors(read(path))] == []
    load([path], {})


@pytest.mark.parametrize("path", SPECS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_schema_accepts_what_config_prints(path):
    assert [error.message for error in VALIDATOR.iter_errors(load([path], {}).resolved)] == []


@pytest.mark.parametrize("extra", [extra for extra, _ in BAD.values()], ids=BAD.keys())
def test_both_refuse_a_mistake(extra):
    # That the model refuses it is in test_load.
    assert not VALIDATOR.is_valid(laid_over(BASE, extra))


def test_the_schema_accepts_extension_keys_and_interpolation():
    service = {"target": "hello", "workers": "${N}", "start_timeout": "${T}", "x-a": 1, "env": {"x-b": 1}}
    data = {**BASE, "services": {"s": service, "x-c": 1}, "x-d": None, "server": {"x-e": {"a": 1}, "max_body": "${M}"}}
    assert [error.message for error in VALIDATOR.iter_errors(data)] == []


def sections(schema):
    parts = [schema, *schema["$defs"].values()]
    return [part for part in parts if "properties" in part and part.get("additionalProperties") is False]


def test_every_key_has_a_description_and_every_section_is_closed():
    schema = bentofile_schema()
    assert len(sections(schema)) == 15
    keys = [item for part in sections(schema) for item in part["properties"].items()]
    assert [key for key, value in keys if not value.get("description")] == []
    assert all(part["patternProperties"] == {"^x-": True} for part in sections(schema))


def test_defaults_are_shown_as_they_are_written():
    server = bentofile_schema()["$defs"]["Server"]["properties"]
    shown = [server[key]["default"] for key in ("max_body", "keep_alive", "listen", "gateways")]
    assert shown == ["16MiB", "75s", "127.0.0.1:3000", 1]

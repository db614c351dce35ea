"""The OpenAPI document: valid, complete, repeatable, and faithful to what the users wrote."""

from __future__ import annotations

import copy
import json
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from bentod.gateway.openapi import document
from bentod.gateway.openapi_schemas import Move, moved
from bentod.wire.messages import ApiRoute, Example, RouteTable

TYPES: dict[str, Any] = {
    "Point": {
        "type": "object",
        "properties": {
            "x": {"type": "number"},
            "next": {"$ref": "#/types/Point"},
            "unit": {"$ref": "#/types/Point/$defs/Unit"},
        },
        "required": ["x"],
        "$defs": {"Unit": {"enum": ["cm", "inch"]}},
    },
    "Anything": True,
}


def table(*apis: ApiRoute, types: dict[str, Any] | None = None, **changed: Any) -> RouteTable:
    values: dict[str, Any] = {
        "number": 1,
        "generation": 1,
        "name": "shop",
        "version": "1.2.3",
        "description": "",
        "path_prefix": "",
        "docs": True,
        "types": TYPES if types is None else types,
        "apis": apis,
        "services": (),
    }
    return RouteTable(**values | changed)


def api(name: str = "embed", **changed: Any) -> ApiRoute:
    values: dict[str, Any] = {"name": name, "service": "s", "method": name, "path": f"/{name}"}
    return ApiRoute(**values | changed)


def made(*apis: ApiRoute, **changed: Any) -> dict[str, Any]:
    """The document, after the checks that hold for every one of them."""
    before = table(*apis, **changed)
    given = copy.deepcopy(before)
    result = document(before)
    assert before == given
    OpenAPIV31SpecValidator(json.loads(json.dumps(result))).validate()
    for reference in references(result):
        resolve(result, reference)
    return result


def references(value: Any) -> list[str]:
    """Every local `$ref` of a document, data included: tests that put references into data say so themselves."""
    if isinstance(value, list):
        return [found for item in value for found in references(item)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) and value["$ref"].startswith("#") else []
    return own + [found for key, item in value.items() if key not in DATA for found in references(item)]


DATA = {"const", "enum", "default", "examples", "x-note"}


def resolve(root: Any, reference: str) -> Any:
    for segment in unquote(reference).split("/")[1:]:
        key = segment.replace("~1", "/").replace("~0", "~")
        root = root[int(key)] if isinstance(root, list) else root[key]
    return root


def post(result: dict[str, Any], path: str = "/embed") -> dict[str, Any]:
    operation: dict[str, Any] = result["paths"][path]["post"]
    return operation


def taken(result: dict[str, Any], path: str = "/embed") -> Any:
    return post(result, path)["requestBody"]["content"]["application/json"]["schema"]


def test_an_empty_table_is_a_valid_document_with_the_system_operations() -> None:
    result = made()
    assert result["openapi"] == "3.1.0"
    assert result["info"] == {"title": "shop", "version": "1.2.3"}
    assert set(result["paths"]) == {"/", "/openapi.json", "/livez", "/healthz", "/readyz"}
    assert all(item["get"]["tags"] == ["system"] for item in result["paths"].values())


def test_an_api_is_one_post_operation_with_all_that_was_said_about_it() -> None:
    result = made(
        api(
            summary="Sentences to vectors",
            description="Long *text*",
            tags=("nlp", "nlp", "text"),
            deprecated=True,
            input={"type": "string"},
            output={"type": "array"},
            examples=(Example("short", "hi", [1.0], has_output=True), Example("none", None)),
        ),
        description="A shop.",
    )
    operation = post(result)
    assert result["info"]["description"] == "A shop."
    assert operation["operationId"] == "embed"
    assert operation["summary"] == "Sentences to vectors"
    assert operation["description"] == "Long *text*"
    assert operation["tags"] == ["nlp", "text"]
    assert operation["deprecated"] is True
    assert operation["requestBody"]["required"] is True
    assert operation["requestBody"]["content"]["application/json"] == {
        "schema": {"type": "string"},
        "examples": {"short": {"value": "hi"}, "none": {"value": None}},
    }
    assert operation["responses"]["200"]["content"]["application/json"] == {
        "schema": {"type": "array"},
        "examples": {"short": {"value": [1.0]}},
    }
    assert [tag["name"] for tag in result["tags"]] == ["nlp", "text", "system"]


def test_what_was_not_said_is_left_out() -> None:
    assert set(post(made(api()))) == {"operationId", "requestBody", "responses"}


def test_how_calls_run_together_is_no_part_of_the_contract() -> None:
    batched = api(takes="columns", max_size=8, max_delay_s=0.005, concurrency=2)
    assert made(batched) == made(api())


@pytest.mark.parametrize(
    ("level", "highest", "told"),
    [
        pytest.param(5, 1, "Without it, the level is 5. Anything else", id="any level"),
        pytest.param(5, 3, "is 5. A level before 3 becomes 3. Anything else", id="some levels"),
        pytest.param(7, 7, "is 7. A level before 7 becomes 7. Anything else", id="only lower ones"),
    ],
)
def test_the_priority_is_a_header_where_the_spec_says_one(level: int, highest: int, told: str) -> None:
    [header] = post(made(api(priority=level, highest=highest)))["parameters"]
    assert (header["name"], header["in"]) == ("X-Priority", "header")
    assert told in header["description"]
    assert "required" not in header


OF_ARRAYS = {"type": "object", "properties": {"x": {"type": "array"}}}


@pytest.mark.parametrize(
    ("schema", "max_size", "told"),
    [
        pytest.param(OF_ARRAYS, 8, "All arrays in the object have the same length, 8 at most.", id="object"),
        pytest.param(OF_ARRAYS, 0, "All arrays in the object have the same length.", id="object, no limit"),
        pytest.param({"type": "array"}, 8, "An array of at most 8 entries.", id="array"),
        pytest.param({"type": "array"}, 0, None, id="array, no limit"),
    ],
)
def test_an_input_with_rows_says_what_its_schema_cannot(schema: Any, max_size: int, told: str | None) -> None:
    body = post(made(api(takes="rows", max_size=max_size, input=schema)))["requestBody"]
    assert body.get("description") == told


@pytest.mark.parametrize("schema", [True, False, {}, {"type": ["string", "null"]}, {"format": "email", "x-a": 1}])
def test_a_schema_goes_in_unchanged(schema: Any) -> None:
    assert taken(made(api(input=schema))) == schema


def test_references_to_types_become_components_wherever_a_schema_can_be() -> None:
    here = {"$ref": "#/types/Point"}
    there = {"$ref": "#/components/schemas/Point"}
    schema = {
        "properties": {"a": here, "$ref": here, "enum": here},
        "patternProperties": {"^b": here},
        "dependentSchemas": {"a": here},
        "additionalProperties": here,
        "propertyNames": here,
        "items": {"items": here},
        "prefixItems": [here, True],
        "contains": here,
        "allOf": [here],
        "anyOf": [{"not": here}],
        "oneOf": [here],
        "if": here,
        "then": here,
        "else": here,
        "unevaluatedItems": here,
        "unevaluatedProperties": here,
        "contentSchema": here,
        "$defs": {"own": here},
    }
    expected = json.loads(json.dumps(schema).replace(json.dumps(here), json.dumps(there)))
    assert taken(made(api(input=schema))) == expected


def test_data_that_looks_like_a_reference_is_left_alone() -> None:
    data = {"$ref": "#/types/Point", "properties": {"a": {"$ref": "#/types/Point"}}}
    schema = {"const": data, "enum": [data], "default": data, "examples": [data], "x-note": data}
    example = Example("one", data, data, has_output=True)
    operation = post(document(table(api(input=schema, output=schema, examples=(example,)))))
    content = operation["requestBody"]["content"]["application/json"]
    assert content == {"schema": schema, "examples": {"one": {"value": data}}}
    assert operation["responses"]["200"]["content"]["application/json"] == content


def test_a_property_called_ref_is_a_property() -> None:
    schema = {"type": "object", "properties": {"$ref": {"type": "string"}}, "required": ["$ref"]}
    assert taken(made(api(input=schema))) == schema


def test_local_references_follow_their_schema() -> None:
    schema = {"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}, "contains": {"$ref": "#"}}
    result = made(api(path="/a~b/{id}", input=schema))
    moved = taken(result, "/a~b/%7Bid%7D")
    assert resolve(result, moved["items"]["$ref"]) == {"type": "integer"}
    assert resolve(result, moved["contains"]["$ref"]) is moved
    unit = result["components"]["schemas"]["Point"]["properties"]["unit"]["$ref"]
    assert resolve(result, unit) == {"enum": ["cm", "inch"]}


@pytest.mark.parametrize("reference", ["#name", "https://example.org/schema", "urn:x#/types/Point"])
def test_other_references_stay(reference: str) -> None:
    assert moved({"$ref": reference}, Move({"Point": "Point"}, ("here",))) == {"$ref": reference}


def test_a_schema_with_an_id_keeps_its_own_references() -> None:
    schema = {"$id": "urn:x", "$defs": {"n": True}, "items": {"$ref": "#/$defs/n"}}
    assert taken(document(table(api(input=schema)))) == schema


def test_a_pointer_into_a_type_goes_on_behind_its_new_name() -> None:
    assert taken(made(api(input={"$ref": "#/types/Point/properties/x"}))) == {
        "$ref": "#/components/schemas/Point/properties/x"
    }


def test_a_type_called_problem_keeps_its_name() -> None:
    own = {"type": "integer"}
    result = made(api(input={"$ref": "#/types/Problem"}), types={"Problem": own, "Problem_2": True})
    schemas = result["components"]["schemas"]
    assert schemas["Problem"] == own
    assert schemas["Problem_3"]["required"][0] == "type"
    content = result["components"]["responses"]["Problem422"]["content"]["application/problem+json"]
    assert content["schema"] == {"$ref": "#/components/schemas/Problem_3"}


def test_names_that_openapi_cannot_have_are_replaced_and_never_clash() -> None:
    types = {"a_b": {"const": 1}, "a b": {"const": 2}, "a/b": {"const": 3}, "": {"const": 4}, "ä~": {"const": 5}}
    given = ["#/types/a_b", "#/types/a%20b", "#/types/a~1b", "#/types/", "#/types/%C3%A4~0"]
    result = made(api(input={"prefixItems": [{"$ref": reference} for reference in given]}), types=types)
    found = [resolve(result, item["$ref"])["const"] for item in taken(result)["prefixItems"]]
    assert found == [1, 2, 3, 4, 5]


def test_hostile_texts_stay_texts() -> None:
    hostile = "</script><script>alert(1)</script>\u2028'\"`${x}\\"
    schema = {"description": hostile, "properties": {hostile: {"const": hostile}}}
    result = made(
        api(summary=hostile, description=hostile, tags=(hostile,), input=schema, examples=(Example(hostile, hostile),)),
        description=hostile,
    )
    assert taken(result) == schema
    assert post(result)["requestBody"]["content"]["application/json"]["examples"] == {hostile: {"value": hostile}}


@pytest.mark.parametrize(
    ("route", "path"),
    [("/a/{b}", "/a/%7Bb%7D"), ("/ä ö", "/%C3%A4%20%C3%B6"), ("/50%", "/50%25"), ("/v1:run", "/v1:run")],
)
def test_a_route_is_written_as_in_a_url(route: str, path: str) -> None:
    assert path in made(api(path=route))["paths"]


def test_health_is_at_the_root_and_below_the_prefix() -> None:
    result = made(api(path="/v1/embed"), path_prefix="/v1")
    assert {"/v1/", "/v1/openapi.json", "/v1/livez", "/livez", "/v1/readyz", "/readyz"} <= set(result["paths"])
    assert "/openapi.json" not in result["paths"]


def test_an_api_takes_its_path_from_a_system_operation() -> None:
    assert set(made(api(path="/livez"))["paths"]["/livez"]) == {"post"}


def test_every_problem_of_a_call_is_described() -> None:
    result = made(api())
    responses = post(result)["responses"]
    assert set(responses) == {"200", "400", "406", "408", "413", "415", "422", "500", "503", "504", "507"}
    problems = [resolve(result, item["$ref"]) for status, item in responses.items() if status != "200"]
    assert all(item["content"]["application/problem+json"] for item in problems)
    unavailable = resolve(result, responses["503"]["$ref"])
    assert "Retry-After" in unavailable["headers"]
    assert all(code in unavailable["description"] for code in ("queue-full", "not-ready", "worker-lost", "draining"))
    assert "`deadline-exceeded`" in resolve(result, responses["504"]["$ref"])["description"]
    assert "`output-count`" in resolve(result, responses["500"]["$ref"])["description"]


def test_an_apis_own_statuses_are_described_without_its_classes() -> None:
    result = made(api(errors={"builtins:ValueError": 422, "shop.errors:Sold": 409, "shop.errors:Gone": 409}))
    responses = post(result)["responses"]
    assert responses["409"] == {"$ref": "#/components/responses/Refused"}
    assert "`invalid-input`" in responses["422"]["description"]
    assert "`target-raised`" in responses["422"]["description"]
    assert set(responses["400"]) == {"$ref"}
    assert "ValueError" not in json.dumps(result)
    assert "Sold" not in json.dumps(result)


def test_the_problem_schema_takes_what_the_gateway_answers() -> None:
    schema = made()["components"]["schemas"]["Problem"]
    problem = {
        "type": "https://bentod.dev/problems/invalid-input",
        "title": "Invalid input",
        "status": 422,
        "code": "invalid-input",
        "request_id": "r",
        "errors": [{"pointer": "/text", "detail": "is missing"}],
    }
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(problem, schema)


def test_equal_tables_give_equal_bytes_in_the_spec_s_order() -> None:
    apis = tuple(api(f"a{number}") for number in (3, 1, 2))
    assert json.dumps(document(table(*apis))) == json.dumps(document(table(*copy.deepcopy(apis))))
    assert list(document(table(*apis))["paths"])[:3] == ["/a3", "/a1", "/a2"]


def test_a_hundred_apis_make_one_document() -> None:
    assert len(made(*(api(f"a{number}") for number in range(100)))["paths"]) == 105

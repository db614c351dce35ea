"""What an API takes and gives, by media type, for the OpenAPI document. Which there are is known to the codecs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bentod.codec.bodies import Bodies
from bentod.codec.writer import Writer
from bentod.gateway.openapi_schemas import Move, followed, moved
from bentod.gateway.openapi_special import answered, part_type, raw
from bentod.gateway.routes import streamed
from bentod.iotypes.layout import Layout, layout
from bentod.iotypes.media_types import JSON, MSGPACK, MSGPACK_NAMES, MULTIPART, OCTETS, TEXT
from bentod.iotypes.references import resolved
from bentod.iotypes.special import SpecialType
from bentod.wire.messages import ApiRoute

_MSGPACK_TEXT = (
    "As `application/json`, but images, files and bytes are MessagePack bin, and a tensor may be extension type 1: "
    "the array [dtype, [lengths…]] and directly after it the elements in C order, little-endian."
)
_ANY = "*/*"


@dataclass(frozen=True, slots=True)
class Described:
    """A schema to be described: what it stands in, what its `$ref`s mean, where it will stand, where it is special."""

    schema: Any
    root: Any
    types: Mapping[str, Any]
    move: Move
    layout: Layout | None

    def at(self, *place: str) -> Move:
        """The same move, to a place below."""
        return replace(self.move, place=(*self.move.place, *place))

    def texts(self) -> Mapping[str, Any]:
        """The schema's own words, and those of what its `$ref`s lead to."""
        found = resolved(self.schema, self.types, self.root)
        own = self.schema if isinstance(self.schema, dict) else {}
        return (found if isinstance(found, dict) else {}) | own


def taken(api: ApiRoute, types: Mapping[str, Any], names: Mapping[str, str], place: tuple[str, ...]) -> dict[str, Any]:
    """The `content` at `place` of what is sent to an API."""
    said = Described(api.input, api.input, types, Move(names, place), layout(api.input, types))
    examples = {example.name: {"value": example.input} for example in api.examples}
    takes = Bodies(api.input, types).takes
    return {each: _body(each, said, examples) for each in takes if each != _ANY}  # which no tool knows how to send


def given(
    api: ApiRoute, types: Mapping[str, Any], names: Mapping[str, str], place: tuple[str, ...], problem: dict[str, Any]
) -> dict[str, Any]:
    """The `content` at `place` of what an API answers; `problem` is the schema of a problem."""
    said = Described(api.output, api.output, types, Move(names, place, answer=True), layout(api.output, types))
    writer = Writer(api.output, types, check=api.output_check)
    if api.stream:
        media_type = streamed(api, types).partition(";")[0]
        return {media_type: {"schema": _stream(api.stream, media_type, said, problem)}}
    examples = {each.name: {"value": answered(each.output, said.layout)} for each in api.examples if each.has_output}
    return {each: _body(each, said, examples) for each in writer.offers if each not in MSGPACK_NAMES[1:]}


def _body(media_type: str, said: Described, examples: dict[str, Any]) -> dict[str, Any]:
    if media_type == MSGPACK and said.layout is not None:
        return {"schema": {"description": _MSGPACK_TEXT}}
    if media_type == MULTIPART:
        return _multipart(said)
    if said.layout is not None and said.layout.special is not None and media_type != JSON:
        named = "" if media_type == OCTETS else media_type
        return {"schema": raw(said.layout.special, said.texts(), named)}
    schema = moved(said.schema, said.at(media_type, "schema"))
    return {"schema": schema, "examples": examples} if examples and media_type == JSON else {"schema": schema}


# ── forms ────────────────────────────────────────────────────────────────────────────────────────


def _multipart(said: Described) -> dict[str, Any]:
    """A part for each property. What is special is a part as it is, or several of one name."""
    root, move = followed(said.schema, said.at(MULTIPART, "schema"), said.types)
    schema = moved(root, move)
    encoding: dict[str, Any] = {}
    for name, below in said.layout.properties.items() if said.layout is not None else ():
        kind = below.special or (below.items.special if below.items is not None else None)
        if kind is None or name not in schema.get("properties", {}):
            continue
        part = replace(said, schema=root["properties"][name], move=move, layout=below)
        schema["properties"][name] = _part(part, kind, repeated=below.special is None)
        if part_type(kind):
            encoding[name] = {"contentType": part_type(kind)}
    return {"schema": schema, "encoding": encoding} if encoding else {"schema": schema}


def _part(part: Described, kind: SpecialType, *, repeated: bool) -> dict[str, Any]:
    if not repeated:
        return raw(kind, part.texts(), part=True)
    texts = part.texts()
    items = replace(part, schema=texts.get("items"))
    kept = {key: value for key, value in texts.items() if key not in ("$ref", "items")}
    return {**moved(kept, part.move), "items": raw(kind, items.texts(), part=True)}


# ── streams ──────────────────────────────────────────────────────────────────────────────────────


def _stream(kind: str, media_type: str, said: Described, problem: dict[str, Any]) -> dict[str, Any]:
    """The schema of one event, line or piece of an answer in chunks: OpenAPI 3.1 has no other words for it."""
    if kind == "sse":
        place = (media_type, "schema", "oneOf", "0", "properties", "data", "contentSchema")
        return _events(moved(said.schema, said.at(*place)), problem)
    if kind == "ndjson":
        return _lines(moved(said.schema, said.at(media_type, "schema", "anyOf", "0")), problem)
    words = "The chunks as they come, one after another. A connection that breaks off means a failure."
    return {"type": "string", "description": words} | ({} if media_type == TEXT else {"format": "binary"})


def _events(chunk: Any, problem: dict[str, Any]) -> dict[str, Any]:
    def data(schema: Any) -> dict[str, Any]:
        return {"type": "string", "contentMediaType": JSON, "contentSchema": schema}

    return {
        "description": "One event of the stream. Each chunk is the JSON in the `data` of an event without a name. "
        "The event `end` ends the stream; after the event `error`, whose `data` is a problem, nothing follows.",
        "oneOf": [
            {"title": "A chunk", "type": "object", "required": ["data"],
             "properties": {"data": data(chunk), "event": {"const": "message"}}},
            {"title": "The end", "type": "object", "required": ["event"], "properties": {"event": {"const": "end"}}},
            {"title": "A failure", "type": "object", "required": ["event", "data"],
             "properties": {"event": {"const": "error"}, "data": data(problem)}},
        ],
    }  # fmt: skip


def _lines(chunk: Any, problem: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": "One line of the stream: a chunk; or, as the last one, the problem that ended it.",
        "anyOf": [
            chunk,
            {"title": "A failure", "type": "object", "required": ["error"], "properties": {"error": problem}},
        ],
    }

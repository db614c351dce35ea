"""What `bentod bench` sends: the examples of an API as whole requests, ready to be written to a connection."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from aiohttp.abc import AbstractStreamWriter

from bentod.cli.call import form
from bentod.cli.call_input import Body, Content, UnusableInput
from bentod.codec import base64
from bentod.iotypes.layout import Layout, layout, specials
from bentod.iotypes.media_types import JSON, OCTETS
from bentod.iotypes.special import SpecialType, TensorType, special

_OURS = ("connection", "content-length", "expect", "te", "transfer-encoding", "upgrade")


@dataclass(frozen=True, slots=True)
class Payload:
    """The body that an example makes."""

    name: str
    media_type: str
    data: bytes


async def payloads(api: Mapping[str, Any], *, only_json: bool) -> list[Payload]:
    """One for each example of the API that the daemon described. Raises UnusableInput if there is none."""
    if not api["examples"]:
        raise UnusableInput("the API has no examples, and they are what is sent: write some into the spec")
    return [
        await _payload(f"{example['name'] or index}", _body(example["input"], api, only_json=only_json))
        for index, example in enumerate(api["examples"], start=1)
    ]


def request(payload: Payload, path: str, host: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """The bytes of a request. Raises UnusableInput for a header that is not for users to set."""
    given = {"host": host, "content-type": payload.media_type, **dict(headers)}
    for name in given:
        if name in _OURS:
            raise UnusableInput(f"the header {name!r} is not yours to set: it belongs to the connection")
    given["content-length"] = str(len(payload.data))
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + payload.data


def _body(value: Any, api: Mapping[str, Any], *, only_json: bool) -> Body:
    """Pictures, files and bytes as they are, as the body or in a form, where that can be; all else as JSON."""
    whole = Content(JSON, json.dumps(value).encode())
    if only_json:
        return whole
    try:
        kind = special(api["input"], api["types"])
        if _is_file(kind) and isinstance(value, str):
            return Content(OCTETS, base64.decode(value))
        fields = _fields(value, layout(api["input"], api["types"]))
    except ValueError:  # the spec's check has seen it, but base64 is no syntax of JSON
        return whole
    return tuple(fields) if fields and any(field.file for field in fields) else whole


def _fields(value: Any, places: Layout | None) -> list[Content] | None:
    """An object as the fields of a form. None if it has files too deep inside. Raises ValueError."""
    if not isinstance(value, dict) or places is None:
        return None
    fields = []
    for name, item in value.items():
        place = places.properties.get(name) or places.additional
        several = item if place and place.items and _is_file(place.items.special) and isinstance(item, list) else None
        if several and all(isinstance(one, str) for one in several):
            fields += [_file(name, base64.decode(one)) for one in several]
        elif place and _is_file(place.special) and isinstance(item, str):
            fields.append(_file(name, base64.decode(item)))
        elif item and any(_is_file(below) for below in specials(place)):
            return None
        else:
            fields.append(Content(JSON, json.dumps(item).encode(), name))
    return fields


def _is_file(kind: SpecialType | None) -> bool:
    return kind is not None and not isinstance(kind, TensorType)


def _file(name: str, data: bytes) -> Content:
    return Content(OCTETS, io.BytesIO(data), name, file=name)


class _Collector:
    """Takes what aiohttp writes of a form."""

    def __init__(self) -> None:
        self.data = b""

    async def write(self, data: bytes) -> None:
        """More of it."""
        self.data += data


async def _payload(name: str, body: Body) -> Payload:
    if isinstance(body, Content):
        assert isinstance(body.data, bytes)
        return Payload(name, body.media_type, body.data)
    written, collector = form(body)(), _Collector()
    await written.write(cast(AbstractStreamWriter, collector))
    return Payload(name, written.headers["content-type"], collector.data)

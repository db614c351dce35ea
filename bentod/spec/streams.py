"""What a stream's `output`, the schema of one chunk, may say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bentod.iotypes.layout import layout
from bentod.iotypes.references import resolved
from bentod.iotypes.special import BinaryType
from bentod.spec.found import shown
from bentod.spec.media_types import WITH_PARAMETERS
from bentod.spec.node import Path
from bentod.spec.report import Report

KINDS = ("sse", "ndjson", "raw")
_CODE = "invalid-schema"


def check_idle(api: Mapping[str, Any], path: Path, report: Report) -> None:
    """Report a `stream_idle` that does nothing."""
    if "stream_idle" in api and "stream" not in api:
        message = "`stream_idle` is the longest wait between two chunks, and this API is no stream"
        report.at_key((*path, "stream_idle"), "conflict", message, "add `stream: sse`, or remove it")


def check_raw(schema: Any, path: Path, types: Mapping[str, Any], report: Report) -> None:
    """Report a sound schema, written at `path`, whose values cannot be the bytes of a body."""
    found = resolved(schema, types)
    if not isinstance(found, dict):
        return
    place = layout(schema, types)
    kind = place.special if place else None
    text = place is None and found.get("type", "string") in ("string", ["string"])
    if not text and not (isinstance(kind, BinaryType) and not kind.nullable):
        hint = "write `output: {type: string}`, `{type: string, format: binary}`, or choose `stream: ndjson`"
        report.at_key(path, _CODE, "a chunk of `stream: raw` is a string or bytes", hint)
        return
    media_type = found.get("contentMediaType")
    at = (*path, "contentMediaType") if found is schema else path
    if isinstance(media_type, str) and (not re.search(WITH_PARAMETERS, media_type) or "*" in media_type):
        hint = "such as `text/html; charset=utf-8`"
        report.at_value(at, _CODE, f"the whole stream has one media type, and {shown(media_type)} is none", hint)

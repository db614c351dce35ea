"""How each server is asked, in the way that is natural to it: where, with what body, and where the answer stands."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

JSON, PNG = "application/json", "image/png"
BOUNDARY = "between-parts-of-the-form"
TENSORS = {"echo": "FP64", "iris": "FP64"}


@dataclass(frozen=True)
class Request:
    """One request, and how to read the answer to it."""

    path: str
    kind: str
    body: bytes
    value: Callable[[bytes], Any]


def plain(workload: str, value: Any, batched: bool) -> Request:
    """JSON `{"x": value}`, or the file, to a path with the work's name; the answer is the value."""
    if workload == "image":
        return Request(f"/{workload}", PNG, value, json.loads)
    return Request(f"/{workload}", JSON, _json({"x": value}), json.loads)


def mosec(workload: str, value: Any, batched: bool) -> Request:
    """The same at Mosec's own path."""
    request = plain(workload, value, batched)
    return Request("/inference", request.kind, request.body, json.loads)


def bentoml(workload: str, value: Any, batched: bool) -> Request:
    """Where BentoML batches, every request is a batch already."""
    if not batched:
        return plain(workload, value, batched)
    return Request(f"/{workload}", JSON, _json({"x": [value]}), lambda body: json.loads(body)[0])


def litserve(workload: str, value: Any, batched: bool) -> Request:
    """Files come in forms."""
    if workload != "image":
        return plain(workload, value, batched)
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="x"; filename="x.png"\r\nContent-Type: {PNG}\r\n\r\n'
    body = head.encode() + value + f"\r\n--{BOUNDARY}--\r\n".encode()
    return Request(f"/{workload}", f"multipart/form-data; boundary={BOUNDARY}", body, json.loads)


def mlserver(workload: str, value: Any, batched: bool) -> Request:
    """The Open Inference Protocol: named tensors, a row for each call."""
    if workload in TENSORS:
        tensor = {"shape": [1, len(value)], "datatype": TENSORS[workload], "data": value}
    else:
        text = base64.b64encode(value).decode() if workload == "image" else value
        tensor = {"shape": [1], "datatype": "BYTES", "data": [text]}
    body = _json({"inputs": [{"name": "x", **tensor}]})
    return Request(f"/v2/models/{workload}/infer", JSON, body, lambda got: json.loads(got)["outputs"][0]["data"])


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


ASK: dict[str, Callable[[str, Any, bool], Request]] = {
    "bentod": plain,
    "bare": plain,
    "mosec": mosec,
    "bentoml": bentoml,
    "litserve": litserve,
    "mlserver": mlserver,
    "ray": plain,
}

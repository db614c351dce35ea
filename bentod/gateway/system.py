"""The gateway's own pages: health, OpenAPI, docs, index. They never wait behind calls and never count as calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from bentod.dispatch.dispatcher import Dispatcher
from bentod.gateway import docs, openapi
from bentod.gateway.record import Header
from bentod.wire.messages import RouteTable

Page = tuple[int, bytes, bytes, list[Header]]
"""Status, body, media type, further headers."""

_JSON = b"application/json"


def live() -> Page:
    """That this answers is the answer."""
    return 200, b'{"status":"live"}', _JSON, [_FRESH]


def ready(table: RouteTable, dispatchers: Mapping[str, Dispatcher]) -> Page:
    """Whether every service has a worker that can be reached from here; each service with what it lacks."""
    services: dict[str, Any] = {}
    for service in table.services:
        if service.retiring:
            continue
        reachable = dispatchers[service.name].ready
        services[service.name] = {"state": service.state, "ready": reachable, "wanted": service.wanted}
        if reachable < service.wanted:
            services[service.name]["reason"] = service.reason or "a worker cannot be reached"
    ok = all(service["ready"] for service in services.values())
    body = {"status": "ready" if ok else "not ready", "generation": table.generation, "services": services}
    return (200 if ok else 503), orjson.dumps(body), _JSON, [_FRESH]


def index(table: RouteTable) -> Page:
    """Name, version, generation, links."""
    prefix = table.path_prefix
    links = {"ready": f"{prefix}/readyz", "live": f"{prefix}/livez"}
    if table.docs:
        links |= {"docs": f"{prefix}/docs", "openapi": f"{prefix}/openapi.json"}
    body: dict[str, Any] = {"name": table.name, "version": table.version, "generation": table.generation}
    if table.description:
        body["description"] = table.description
    if table.labels:
        body["labels"] = table.labels
    body |= {"links": links, "apis": {api.name: api.path for api in table.apis}}
    return 200, orjson.dumps(body), _JSON, [_FRESH]


class Documents:
    """The OpenAPI document and the docs page of one table, made when first asked for."""

    def __init__(self, table: RouteTable) -> None:
        self._table = table
        self._openapi: bytes | None = None
        self._docs: Page | None = None

    def openapi(self) -> Page:
        """The table as OpenAPI 3.1."""
        if self._openapi is None:
            self._openapi = orjson.dumps(openapi.document(self._table))
        return 200, self._openapi, _JSON, [_FRESH]

    def docs(self) -> Page:
        """The interactive page."""
        if self._docs is None:
            page = docs.page()
            headers = {name.lower().encode(): value.encode() for name, value in docs.headers(page).items()}
            self._docs = 200, page, headers.pop(b"content-type"), list(headers.items())
        return self._docs


_FRESH = (b"cache-control", b"no-cache")

"""A gateway's application in process: plain ASGI calls, and workers that a test answers for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentod.gateway.app import App
from bentod.gateway.counts import Counts
from bentod.gateway.infer import Limits
from bentod.gateway.routes import Routes, limits, operation, pages
from bentod.wire.entries import DONE, DONE_WITH, RAISED
from bentod.wire.messages import ApiRoute, Method, Parameter, RouteTable, ServiceRoute
from tests.support.links import FakeWorkers, service, worker


@dataclass
class Response:
    """What was sent. `complete`: its end was, too; `pieces` are what it came in."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool = True
    pieces: Sequence[bytes] = ()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The problem's code; the body is checked to be a whole problem."""
        assert self.headers["content-type"] == "application/problem+json"
        problem = self.json
        assert problem["status"] == self.status
        assert problem["type"] == f"https://bentod.dev/problems/{problem['code']}"
        assert problem["title"]
        assert problem["request_id"] == self.headers["x-request-id"]
        return str(problem["code"])


class Client:
    """A client that sends a body in pieces. `gone`: it leaves instead of sending the last piece."""

    def __init__(
        self, path: str, body: Sequence[bytes], method: str, headers: Sequence[tuple[str, str]], *, gone: bool = False
    ) -> None:
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        }
        self.unread = list(body)
        self.gone = gone
        self.messages: list[Any] = []
        self.stalls = asyncio.Event()
        self.stalled = False
        self.slow: asyncio.Event | None = None

    async def receive(self) -> dict[str, Any]:
        if not self.unread:
            if self.stalled:
                await self.stalls.wait()
            return {"type": "http.disconnect"}
        piece = self.unread.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self.unread) or self.gone or self.stalled}

    async def send(self, message: Any) -> None:
        if self.slow is not None and message.get("more_body"):
            await self.slow.wait()
        self.messages.append(message)

    @property
    def response(self) -> Response | None:
        """What came back; None for nothing."""
        if not self.messages:
            return None
        start, *bodies = self.messages
        assert start["type"] == "http.response.start"
        assert {one["type"] for one in bodies} <= {"http.response.body"}
        assert all(one["more_body"] for one in bodies[:-1])
        headers = [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]]
        assert len(dict(headers)) == len(headers), "a header twice"
        assert all(name == name.lower() for name, _ in headers)
        body = b"".join(one["body"] for one in bodies)
        complete = bool(bodies) and not bodies[-1].get("more_body", False)
        if complete and dict(headers).get("cache-control") != "no-store":  # no stream
            assert dict(headers)["content-length"] == str(len(body))
        assert dict(headers)["x-request-id"]
        assert "queue;dur=" in dict(headers)["server-timing"]
        pieces = [one["body"] for one in bodies if one["body"]]
        return Response(start["status"], dict(headers), body, complete, pieces)


LIMITS = Limits(20.0, Path("/nowhere"))

Answer = Callable[[Any], Any]
"""From a call's argument to the rest of an answer's entry, after the id: a test's worker."""


class Bench:
    """An application with one service `s` and its worker. `asked` are the entries that the worker got."""

    def __init__(self, app: App, table: RouteTable, workers: FakeWorkers, routes: Routes) -> None:
        self.app = app
        self.table = table
        self.workers = workers
        self.routes = routes
        self.logged: list[tuple[Any, str]] = []

    @property
    def asked(self) -> list[Any]:
        return [entry for link in self.workers.links for entry in link.entries]

    def counts(self, path: str = "/f") -> dict[str, int]:
        """How calls ended so far."""
        return dict(self.routes.operations[path].counts.codes)

    async def send(
        self,
        value: Any = None,
        path: str = "/f",
        *,
        body: bytes | Sequence[bytes] | None = None,
        method: str = "POST",
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        gone: bool = False,
    ) -> Response:
        """One request, with a JSON value or a body as it is."""
        given = list(headers.items() if isinstance(headers, Mapping) else headers)
        if body is None:
            body = json.dumps(value).encode()
        client = Client(path, [body] if isinstance(body, bytes) else body, method, given, gone=gone)
        await self.app(client.scope, client.receive, client.send)
        assert client.response is not None, "no answer"
        return client.response

    async def get(self, path: str, method: str = "GET") -> Response:
        return await self.send(path=path, method=method, body=b"")


def method(name: str = "f", *parameters: str, style: str = "sync", any_name: bool = False) -> Method:
    """A method as a worker would have found it."""
    found = [Parameter(one, "POSITIONAL_OR_KEYWORD", required=True) for one in parameters]
    return Method(name, style, (*found, *([Parameter("rest", "VAR_KEYWORD", required=True)] if any_name else ())))


def api(name: str = "f", **changed: Any) -> ApiRoute:
    """An API of the service `s`."""
    return ApiRoute(**{"name": name, "service": "s", "method": "f", "path": f"/{name}"} | changed)


def table(*apis: ApiRoute, services: Sequence[ServiceRoute] | None = None, **changed: Any) -> RouteTable:
    """A table of these APIs."""
    values: dict[str, Any] = {
        "number": 1,
        "generation": 3,
        "name": "app",
        "version": "1.2.3",
        "description": "",
        "path_prefix": "",
        "docs": True,
        "types": {},
        "apis": apis,
        "services": tuple(services) if services is not None else (service(worker(1)),),
    }
    return RouteTable(**values | changed)


def counts(of: ApiRoute) -> Counts:
    """Nothing was counted yet for this API."""
    made = Counts()
    made.queue.limits = limits(of)
    return made


def echo(argument: Any) -> Any:
    """An answer: the argument."""
    return [DONE, 0.25, argument]


def refuse(
    code: str = "target-raised", detail: str = "secret", classes: Sequence[str] = ("builtins:ValueError",)
) -> Answer:
    """An answer: a failure."""
    return lambda _: [RAISED, 0.25, code, detail, f"log of {detail}", [*classes, "builtins:Exception"]]


def with_head(status: Any, headers: Any) -> Answer:
    """An answer with a status and headers."""
    return lambda argument: [DONE_WITH, 0.25, argument, status, headers]


@asynccontextmanager
async def serving(
    *apis: ApiRoute,
    answer: Answer | None = echo,
    found: Method | None = None,
    threads: int = 4,
    admit: bool = True,
    ready: bool = True,
    body_timeout_s: float = 20.0,
    files: Path = Path("/nowhere"),
    **changed: Any,
):
    """An application whose worker answers with `answer`, or never."""

    def handler(entry: Any) -> Any:
        if answer is None:
            return None
        kind, *rest = answer(entry[4])
        return [kind, entry[1], *rest]

    workers = FakeWorkers(handler)
    dispatcher = workers.dispatcher()
    ready_workers = [worker(1, threads, threads)] if ready else []
    route = service(*ready_workers, admit=admit, methods=(found or Method("f", "sync", None),))
    await dispatcher.update(route)
    apis = apis or (api(),)
    made = table(*apis, services=[route], **changed)
    operations = {one.path: operation(one, made.types, route.methods, dispatcher, counts(one)) for one in apis}
    routes = Routes(made, operations, pages(made))
    app = App(Limits(body_timeout_s, files), lambda exchange, name: bench.logged.append((exchange, name)))
    app.use(routes, {"s": dispatcher})
    bench = Bench(app, made, workers, routes)
    yield bench
    assert app.running == 0
    for one in operations.values():
        assert one.counts.queue.waiting == 0
        assert one.counts.queue.running == 0 or answer is None

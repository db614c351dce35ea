"""RouteTable → what a request needs, worked out once per push."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, NamedTuple

from bentod.codec import negotiate
from bentod.codec.bodies import Bodies
from bentod.codec.writer import Writer
from bentod.dispatch.deadlines import Deadlines
from bentod.dispatch.dispatcher import Dispatcher
from bentod.dispatch.queue import Limits, Queue
from bentod.errors import InvalidInput, Pointed
from bentod.gateway.counts import Counts, Wire
from bentod.gateway.grouping import Grouping
from bentod.iotypes import image
from bentod.iotypes.layout import specials
from bentod.iotypes.media_types import JSON, OCTETS, TEXT
from bentod.iotypes.mentioned import mentioned
from bentod.iotypes.references import resolved
from bentod.iotypes.special import FileType, ImageType, SpecialType, TensorType
from bentod.iotypes.validator import Validator, properties
from bentod.wire.entries import NAMED, POSITIONAL, Terms
from bentod.wire.messages import ApiRoute, Method, RouteTable

_AHEAD, _MANY, _AHEAD_OF_MANY = 32, 16, 8
_STREAMS = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One API, ready to serve. `names` are the arguments that the callable takes by name, None for all.

    `plain`: a call is JSON in, JSON out, and nothing else. `wire`: what its calls are, for the worker.
    """

    api: ApiRoute
    input: Validator
    bodies: Bodies
    writer: Writer
    offers: tuple[str, ...]
    within: tuple[str, ...]
    has_files: bool
    plain: bool
    dispatcher: Dispatcher
    deadlines: Deadlines
    counts: Counts
    queue: Queue
    grouping: Grouping
    method: int
    is_async: bool
    takes_context: bool
    kind: int
    names: frozenset[str] | None
    wire: Wire

    def accept(self, accept: bytes | None) -> str | None:
        """The media type that an Accept header chooses for the answer; None if it refuses all."""
        if not self.api.stream:
            return self.writer.accept(accept)
        media_type = self.offers[0]
        if accept is None or negotiate.accepted(accept, (media_type.partition(";")[0],)) is not None:
            return media_type
        return None

    def level(self, wanted: bytes | None) -> int:
        """A call's priority, by the header `X-Priority` if there is one: as high as the API allows."""
        if wanted is None or len(wanted) != 1 or not b"1" <= wanted <= b"9":
            return self.api.priority
        return max(self.api.highest, int(wanted))

    def terms(self, media_type: str, folder: str) -> Terms:
        """What a worker must know of a call that is not plain."""
        return Terms(
            packed=not self.bodies.plain,
            special=self.writer.layout is not None,
            image=self.writer.image_type(JSON if self.api.stream else media_type),
            folder=folder,
            within=self.within,
            ahead=self._ahead() if self.api.stream else 0,
        )

    def _ahead(self) -> int:
        """How many chunks a stream may be ahead of its client: few where there are many streams, because the first
        chunk of one waits behind all that the others have ahead."""
        return _AHEAD if self.queue.running < _MANY else _AHEAD_OF_MANY

    def argument(self, value: Any) -> Any:
        """What the callable gets: undeclared properties only reach a callable with `**kwargs`.

        Raises InvalidInput for what cannot be keyword arguments: a schema of properties alone lets anything else pass.
        """
        if self.kind == POSITIONAL:
            return value
        if type(value) is not dict:
            raise InvalidInput("the input must be an object", errors=(Pointed("", "this is no object"),))
        if self.names is None or value.keys() <= self.names:
            return value
        return {name: item for name, item in value.items() if name in self.names}


def operation(
    api: ApiRoute, types: Mapping[str, Any], methods: tuple[Method, ...], dispatcher: Dispatcher, counts: Counts
) -> Operation:
    """An API of a table, compiled, and placed in a pool. Raises ValueError for a schema that is invalid."""
    return placed(compiled(api, types, methods, dispatcher, counts), dispatcher)


def placed(operation: Operation, dispatcher: Dispatcher) -> Operation:
    """An API in a pool, with the queue that its calls wait in there."""
    queue = operation.counts.queue_of(operation.api.name, operation.wire, dispatcher)
    deadlines = operation.counts.deadlines_of(operation.api.timeout_s)
    if operation.dispatcher is dispatcher and operation.queue is queue and operation.deadlines is deadlines:
        return operation
    return replace(operation, dispatcher=dispatcher, queue=queue, deadlines=deadlines)


def compiled(
    api: ApiRoute, types: Mapping[str, Any], methods: tuple[Method, ...], dispatcher: Dispatcher, counts: Counts
) -> Operation:
    """An API of a table, compiled, and nothing changed yet. Raises ValueError for a schema that is invalid."""
    passing = _passing(api, properties(api.input, types), methods)
    bodies, writer = Bodies(api.input, types), Writer(api.output, types, check=api.output_check)
    answers = specials(writer.layout)
    kinds = (*specials(bodies.reader.layout), *answers)
    prepare(kinds)
    return Operation(
        api=api,
        input=bodies.reader.validator,
        bodies=bodies,
        writer=writer,
        offers=(streamed(api, types),) if api.stream else writer.offers,
        within=tuple(folder for kind in answers if isinstance(kind, FileType) for folder in kind.within),
        has_files=any(isinstance(kind, FileType) for kind in kinds),
        plain=bodies.plain and writer.layout is None and not api.stream,
        dispatcher=dispatcher,
        deadlines=counts.deadlines_of(api.timeout_s),
        counts=counts,
        queue=counts.queue,
        grouping=Grouping(api.takes, api.max_size, api.input, types, closed=passing.names is not None),
        method=passing.method,
        is_async=passing.is_async,
        takes_context=passing.takes_context,
        kind=passing.kind,
        names=passing.names,
        wire=(
            *(api.method, passing),
            *(api.takes, api.max_size > 0, api.stream, api.input, api.output),
            mentioned((api.input, api.output), types),
        ),
    )


class _Passing(NamedTuple):
    """How calls reach a callable: its place among its worker's methods, and what becomes of their values."""

    method: int
    is_async: bool
    takes_context: bool
    kind: int
    names: frozenset[str] | None


def _passing(api: ApiRoute, names: Collection[str] | None, methods: tuple[Method, ...]) -> _Passing:
    index, method = next(
        ((index, method) for index, method in enumerate(methods) if method.name == api.method),
        (0, Method(api.method, "sync", None)),  # no worker has been ready yet: nothing will be sent
    )
    parameters = method.parameters or ()
    takes_any = method.parameters is None or any(parameter.kind == "VAR_KEYWORD" for parameter in parameters)
    return _Passing(
        method=index,
        is_async=method.style.startswith("async"),
        takes_context=any(parameter.name == "context" for parameter in parameters)
        and ("context" not in (names or ()) or api.takes == "items"),
        kind=POSITIONAL if names is None or api.takes == "items" else NAMED,
        names=None if takes_any else frozenset(names or ()),
    )


def limits(api: ApiRoute, index: int = 0, gateways: int = 1) -> Limits:
    """What the calls of an API may have in gateway `index` of so many: its share of what they may have in all."""
    return Limits(
        waiting=_share(api.queue, index, gateways),
        slots=_share(api.concurrency, index, gateways) if api.concurrency else 0,
        priority=api.priority,
        takes=api.takes,
        max_size=api.max_size,
        max_delay_s=api.max_delay_s if api.max_size else 0.0,
    )


def _share(total: int, index: int, gateways: int) -> int:
    return max(1, total // gateways + (index < total % gateways))


def prepare(kinds: Iterable[SpecialType]) -> None:
    """Load now what the first call would have to wait for."""
    if any(isinstance(kind, TensorType) for kind in kinds):
        import_module("numpy")
    if any(isinstance(kind, ImageType) for kind in kinds):
        image.prepare()


def streamed(api: ApiRoute, types: Mapping[str, Any]) -> str:
    """The media type of an API's stream."""
    if api.stream != "raw":
        return _STREAMS[api.stream]
    schema = resolved(api.output, types)
    schema = schema if isinstance(schema, dict) else {}
    other = OCTETS if schema.get("format") == "binary" else f"{TEXT}; charset=utf-8"
    said = str(schema.get("contentMediaType", "*/*"))
    return other if "*" in said else said


@dataclass(frozen=True, slots=True)
class Routes:
    """A table with its operations by path, and the paths of the system's own pages."""

    table: RouteTable
    operations: Mapping[str, Operation]
    pages: Mapping[str, str]


PAGES = {
    "/livez": "live",
    "/healthz": "live",
    "/readyz": "ready",
    "/openapi.json": "openapi",
    "/docs": "docs",
    "/": "index",
}
_AT_ROOT_TOO = ("/livez", "/healthz", "/readyz")


def pages(table: RouteTable) -> dict[str, str]:
    """Which page is at which path: all below the prefix, health at the root too."""
    wanted = {path: page for path, page in PAGES.items() if table.docs or page not in {"openapi", "docs"}}
    below = {table.path_prefix + path: page for path, page in wanted.items()}
    if table.path_prefix:
        below[table.path_prefix] = "index"
    return below | {path: PAGES[path] for path in _AT_ROOT_TOO}

"""The spec of format 1: every key, its type and its default. The only home of defaults.

What one value alone can tell is checked here; what needs two values, a file or Python's import path is in `check`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from bentod.spec.fields import (
    Data,
    DnsLabel,
    Duration,
    DurationOrZero,
    ExceptionName,
    Factor,
    Flag,
    Given,
    Identifier,
    Line,
    Lines,
    List,
    Name,
    Patterns,
    Prefix,
    Prose,
    RoutePath,
    Short,
    Size,
    Variable,
    Whole,
)
from bentod.spec.listen import Listen
from bentod.spec.model_build import Build, Model
from bentod.spec.model_resources import Resources, Workers
from bentod.spec.section import Section

MIB = 1024 * 1024


class Hooks(Section):
    """Methods that bentod calls by itself."""

    start: Annotated[Identifier | None, Given] = Field(
        default=None, description="Method that runs before the worker is ready."
    )
    stop: Annotated[Identifier | None, Given] = Field(
        default=None, description="Method that runs before the worker ends."
    )
    ready: Annotated[Identifier | None, Given] = Field(
        default=None, description="Method that says whether the worker may get calls now."
    )


class Restart(Section):
    """When a worker that ended is started again."""

    delay_s: DurationOrZero = Field(default=0.2, alias="delay", description="Wait before the first restart.")
    factor: Factor = Field(default=2.0, description="How much longer each further wait is.")
    max_delay_s: DurationOrZero = Field(default=30.0, alias="max_delay", description="The longest wait.")
    window_s: Duration = Field(default=300.0, alias="window", description="The time in which restarts are counted.")
    limit: Annotated[int, Whole(0, 1_000_000)] = Field(
        default=10, description="More restarts than this within `window`: the service fails."
    )


class Recycle(Section):
    """When a worker is replaced although nothing is wrong with it; its replacement is ready first."""

    max_calls: Annotated[Annotated[int, Whole(1, 1_000_000_000)] | None, Given] = Field(
        default=None, description="After so many calls."
    )
    max_age_s: Annotated[Duration | None, Given] = Field(
        default=None, alias="max_age", description="When it is so old, give or take some: not all of them at once."
    )
    max_memory: Annotated[Size | None, Given] = Field(
        default=None, description="When it has more memory than this; what processes share counts in part."
    )


class Service(Section):
    """A pool of worker processes and the Python callable that each runs."""

    target: Line = Field(description="`package.module`, `package.module:attribute` or `path/file.py[:attribute]`.")
    init: dict[str, Data] = Field(default={}, description="Keyword arguments of a class's constructor.")
    workers: Workers = Field(
        default=1, description="Worker processes; `auto`: as many as the GPUs, else the CPUs, that they need allow."
    )
    threads: Annotated[int, Whole(1, 1024)] = Field(
        default=1, description="Concurrent calls of synchronous methods in one worker."
    )
    concurrency: Annotated[int, Whole(1, 100_000)] = Field(
        default=100, description="Concurrent calls of `async def` methods in one worker."
    )
    resources: Annotated[Resources | None, Given] = Field(
        default=None, description="What each worker is promised of the host. At least one key; default: nothing."
    )
    env: dict[Variable, Line] = Field(
        default={}, description="Environment of the workers, added to the top-level `env`."
    )
    hooks: Hooks = Field(default_factory=Hooks, description="Methods of the target that bentod calls by itself.")
    start_timeout_s: Duration = Field(
        default=60.0, alias="start_timeout", description="Limit of import, constructor and start hook."
    )
    stop_timeout_s: DurationOrZero = Field(
        default=30.0, alias="stop_timeout", description="How long a worker may finish its calls."
    )
    restart: Restart = Field(
        default_factory=Restart, description="Whether and when a worker that ended is started again."
    )
    recycle: Annotated[Recycle | None, Given] = Field(
        default=None, description="When a worker is replaced by a new one. At least one key; default: never."
    )
    reload: Literal["auto", "overlap", "stop_first"] = Field(
        default="auto",
        description="How a changed service is replaced: `overlap`: the new workers are ready before the old ones stop; "
        "`stop_first`: the other way round; `auto`: `overlap` where there is memory for both.",
    )


class Example(Section):
    """An input, and maybe the output that it must give."""

    name: Line = Field(description="What the example shows; unique within its API.")
    input: Any = Field(
        description="A value that matches the API's `input`. An image, file, tensor or bytes may be `@path` of a file."
    )
    output: Any = Field(
        default=None,
        description="The answer that is expected. Of a stream: the list of its chunks; if it is `raw`: all its text.",
    )
    tolerance: Annotated[float | None, Given] = Field(
        default=None, ge=0, description="How far numbers of the answer may be off."
    )

    @property
    def has_output(self) -> bool:
        """Whether an output is given, be it null."""
        return "output" in self.model_fields_set


class Batching(Section):
    """How many calls run together, and how long the first of them may be held for the others."""

    max_size: Annotated[int, Whole(1, 65536)] = Field(
        default=32, description="The most calls, or rows of calls, in a batch."
    )
    max_delay_s: DurationOrZero = Field(
        default=0.005,
        alias="max_delay",
        description="The longest that calls are held for others although a worker is free; `0s`: never.",
    )


class Priority(Section):
    """Whose calls go first: levels from 1, the highest, to 9."""

    default: Annotated[int, Whole(1, 9)] = Field(default=5, description="The level of calls that ask for none.")
    highest: Annotated[Annotated[int, Whole(1, 9)] | None, Given] = Field(
        default=None, description="The level that `X-Priority` can raise a call to. Default: `default`."
    )


class Api(Section):
    """One public operation."""

    service: Line = Field(default="", description="The service that answers. Default: implied by `target`.")
    method: Line = Field(default="", description="The callable in the service. Default: the API's name.")
    target: Line = Field(
        default="", description="`module:function` or `module:Class.method`, in place of `service` and `method`."
    )
    route: RoutePath = Field(default="", description="The path. Default: `/` and the API's name.")
    summary: Prose = Field(default="", description="One line for OpenAPI.")
    description: Prose = Field(default="", description="Text for OpenAPI.")
    tags: Lines = Field(default=(), description="Groups for OpenAPI.")
    deprecated: Flag = Field(default=False, description="Whether OpenAPI calls it deprecated.")
    input: Any = Field(default=True, description="JSON Schema of the request; `true` takes anything.")
    output: Any = Field(
        default=True, description="JSON Schema of the answer, of a stream of one chunk; `true` takes anything."
    )
    takes: Literal["item", "columns", "items", "rows"] = Field(
        default="item",
        description="What the callable expects: `item` is one call; `columns` a list for each argument, with an entry "
        "for each call; `items` one list of calls; `rows` the rows of all calls, one after the other.",
    )
    batching: Annotated[Batching | None, Given] = Field(
        default=None, description="Whether calls that wait run together. Default: each call runs alone."
    )
    concurrency: Annotated[Annotated[int, Whole(1, 100_000)] | None, Given] = Field(
        default=None, description="Calls, or batches, that may run at once. Default: all that its service can run."
    )
    priority: Annotated[Priority, Short("default", Whole(1, 9))] = Field(
        default_factory=Priority, description="The level of its calls in the queue, from 1, the highest, to 9."
    )
    timeout_s: Duration = Field(
        default=30.0,
        alias="timeout",
        description="From arrival to the end of the answer; of a stream: to the first chunk.",
    )
    queue: Annotated[int, Whole(1, 1_000_000)] = Field(
        default=256, description="Calls that may wait; one more is answered 503."
    )
    max_body: Annotated[Size | None, Given] = Field(
        default=None, description="Larger requests are answered 413. Default: `server.max_body`."
    )
    retry: Flag = Field(default=True, description="Whether a call whose worker died may run once more.")
    stream: Annotated[Literal["sse", "ndjson", "raw"] | None, Given] = Field(
        default=None, description="How the chunks of a generator are sent: `sse`, `ndjson`, or `raw` text and bytes."
    )
    stream_idle_s: Duration = Field(
        default=60.0, alias="stream_idle", description="The longest wait between two chunks of a stream."
    )
    errors: dict[ExceptionName, Annotated[int, Whole(400, 599)]] = Field(
        default={}, description="Exceptions, as `module:Class`, and their status."
    )
    output_check: Flag = Field(
        default=True, description="Whether answers, or the chunks of a stream, are checked against `output`."
    )
    examples: Annotated[tuple[Example, ...], List] = Field(
        default=(), description="Inputs with their expected outputs."
    )


class Server(Section):
    """Listening and limits."""

    listen: Listen = Field(
        default=("127.0.0.1:3000",), description="`host:port`, `[v6]:port`, `unix:/path`, `fd://3`, or a list."
    )
    path_prefix: Prefix = Field(default="", description="Before every API's route and the docs.")
    gateways: Annotated[int, Whole(1, 64)] = Field(
        default=1, description="HTTP processes that share the listening sockets."
    )
    max_body: Size = Field(
        default=16 * MIB, description="Larger requests are answered 413, unless the API says otherwise."
    )
    header_timeout_s: Duration = Field(
        default=10.0, alias="header_timeout", description="Limit for a request's headers."
    )
    body_timeout_s: Duration = Field(default=60.0, alias="body_timeout", description="Limit for a request's body.")
    keep_alive_s: Duration = Field(default=75.0, alias="keep_alive", description="How long an idle connection is kept.")
    drain_timeout_s: DurationOrZero = Field(
        default=30.0, alias="drain_timeout", description="How long calls may finish at shutdown."
    )
    docs: Flag = Field(default=True, description="Whether `/docs` and `/openapi.json` are served.")


class Reload(Section):
    """What is watched, and how soon a change of it is acted on."""

    watch: Flag = Field(
        default=True,
        description="Whether changes of the spec, its `env_files` and the files that workers imported are applied.",
    )
    include: Patterns = Field(
        default=(), description="More files of the project that are watched: patterns as in a .gitignore."
    )
    exclude: Patterns = Field(
        default=(), description="Files of the project that are not watched: patterns as in a .gitignore."
    )
    debounce_s: DurationOrZero = Field(
        default=0.3, alias="debounce", description="How long nothing more must change, before a change is acted on."
    )


class Spec(Section):
    """A bentofile, complete."""

    bentod: Literal[1] = Field(description="The version of this format.")
    name: DnsLabel = Field(description="Names the daemon, the image and the metrics' `app` label.")
    version: Line = Field(default="0.0.0", max_length=128, description="The application's version.")
    description: Prose = Field(default="", description="What the application does; shown in the docs.")
    labels: dict[str, Line] = Field(default={}, description="Shown at `/` and in OpenAPI, as `x-labels`.")
    env_files: Lines = Field(default=(), description="dotenv files whose variables interpolation can use.")
    env: dict[Variable, Line] = Field(default={}, description="Environment of every worker.")
    types: dict[Name, Any] = Field(default={}, description='JSON Schemas, referred to as `{$ref: "#/types/NAME"}`.')
    models: dict[Name, Model] = Field(default={}, description="Weights: what to fetch, pin and hand to services.")
    services: dict[Name, Service] = Field(default={}, description="Pools of worker processes and what they run.")
    apis: dict[Name, Api] = Field(description="The public operations; at least one.")
    server: Server = Field(default_factory=Server, description="Where to listen, and what is too much or too slow.")
    reload: Reload = Field(default_factory=Reload, description="What is watched while the daemon runs.")
    build: Build = Field(default_factory=Build, description="The container image that is built from this.")

"""Spec → Plan. Pure: nothing is looked up, nothing is started."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

from bentod.plan.model import Plan, RecyclePolicy, ReloadPlan, RestartPolicy, ServerPlan, ServicePlan, WorkerPlan
from bentod.plan.models import Located
from bentod.spec.interpolate import expand, models_in
from bentod.spec.model import Api, Spec
from bentod.wire.messages import ApiRoute, Example


def build(
    spec: Spec,
    project: Path,
    environ: Mapping[str, str],
    env_files: Collection[str] = (),
    models: Mapping[str, Located] = MappingProxyType({}),
) -> Plan:
    """What will run. `environ` lies beneath the spec's own `env`; `env_files` are the names in it that the spec's
    `env_files` set, so that a change of these counts as one of the spec. `models` are those that lie on this host."""
    return Plan(
        name=spec.name,
        version=spec.version,
        description=spec.description,
        labels=spec.labels,
        project=project,
        types=spec.types,
        services=tuple(_service(name, spec, environ, env_files, models) for name in spec.services),
        apis=tuple(_route(name, api, spec) for name, api in spec.apis.items()),
        server=_server(spec),
        reload=ReloadPlan(**dict(spec.reload)),
        models={name: models.get(name) for name in spec.models},
    )


def _server(spec: Spec) -> ServerPlan:
    server = spec.server
    return ServerPlan(
        listen=server.listen,
        path_prefix=server.path_prefix,
        gateways=server.gateways,
        header_timeout_s=server.header_timeout_s,
        body_timeout_s=server.body_timeout_s,
        keep_alive_s=server.keep_alive_s,
        drain_timeout_s=server.drain_timeout_s,
        docs=server.docs,
    )


def _service(
    name: str, spec: Spec, environ: Mapping[str, str], env_files: Collection[str], models: Mapping[str, Located]
) -> ServicePlan:
    service = spec.services[name]
    used = sorted(models_in([{**spec.env, **service.env}, service.init]))
    paths = {model: models[model].path for model in used if model in models}
    apis = [api for api in spec.apis.values() if api.service == name]
    from_files = {variable: environ[variable] for variable in sorted(env_files) if variable in environ}
    return ServicePlan(
        name=name,
        target=service.target,
        methods=tuple(sorted({api.method for api in apis})),
        hooks={hook: method for hook, method in dict(service.hooks).items() if method},
        expected=tuple(sorted({error for api in apis for error in api.errors})),
        threads=service.threads,
        concurrency=service.concurrency,
        start_timeout_s=service.start_timeout_s,
        stop_timeout_s=service.stop_timeout_s,
        restart=RestartPolicy(**dict(service.restart)),
        workers=tuple(_worker(index, name, spec, environ, paths) for index in range(service.workers)),
        gateways=spec.server.gateways,
        recycle=RecyclePolicy(**dict(service.recycle)) if service.recycle else None,
        reload=service.reload,
        init=service.init,
        env={**from_files, **spec.env, **service.env},
        implied=any(api.target for api in apis) and service.model_fields_set == {"target"},
        models={model: models.get(model) for model in used},
    )


def _worker(index: int, name: str, spec: Spec, environ: Mapping[str, str], paths: Mapping[str, str]) -> WorkerPlan:
    service = spec.services[name]
    own = {"BENTOD_NAME": spec.name, "BENTOD_SERVICE": name, "BENTOD_WORKER_INDEX": str(index)}
    wanted = expand({**spec.env, **service.env}, index, paths)
    return WorkerPlan(index, expand(service.init, index, paths), {**environ, **wanted, **own})


def _route(name: str, api: Api, spec: Spec) -> ApiRoute:
    level = api.priority
    return ApiRoute(
        name=name,
        service=api.service,
        method=api.method,
        path=spec.server.path_prefix + api.route,
        input=api.input,
        output=api.output,
        summary=api.summary,
        description=api.description,
        tags=tuple(api.tags),
        deprecated=api.deprecated,
        timeout_s=api.timeout_s,
        queue=api.queue,
        max_body=spec.server.max_body if api.max_body is None else api.max_body,
        retry=api.retry,
        errors=dict(api.errors),
        output_check=api.output_check,
        stream=api.stream or "",
        stream_idle_s=api.stream_idle_s,
        takes=api.takes,
        max_size=api.batching.max_size if api.batching else 0,
        max_delay_s=api.batching.max_delay_s if api.batching else 0.0,
        concurrency=api.concurrency or 0,
        priority=level.default,
        highest=level.default if level.highest is None else level.highest,
        examples=tuple(Example(e.name, e.input, e.output, e.has_output, e.tolerance) for e in api.examples),
    )

"""Spec → Plan. Pure: nothing is looked up, nothing is started."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from bentod.plan.granted import GPUS, variables
from bentod.plan.grants import NOTHING, Demand, Grant, Needs, Placement
from bentod.plan.model import Plan, RecyclePolicy, ReloadPlan, RestartPolicy, ServerPlan, ServicePlan, WorkerPlan
from bentod.plan.models import Located
from bentod.spec.interpolate import Seat, expand, models_in
from bentod.spec.model import Api, Service, Spec
from bentod.spec.model_resources import AUTO
from bentod.wire.messages import ApiRoute, Example


def build(
    spec: Spec,
    project: Path,
    environ: Mapping[str, str],
    env_files: Collection[str] = (),
    models: Mapping[str, Located] = MappingProxyType({}),
    placement: Placement | None = None,
) -> Plan:
    """What will run. `environ` lies beneath the spec's own `env`; `env_files` are the names in it that the spec's
    `env_files` set, so that a change of these counts as one of the spec. `models` are those that lie on this host,
    `placement` is what it gives to the `demands`."""
    given = placement.grants if placement is not None else {}
    return Plan(
        name=spec.name,
        version=spec.version,
        description=spec.description,
        labels=spec.labels,
        project=project,
        types=spec.types,
        services=tuple(_service(name, spec, environ, env_files, models, given.get(name, ())) for name in spec.services),
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


def demands(spec: Spec) -> tuple[Demand, ...]:
    """What has to be placed on a host before it is known what will run; empty if the spec asks nothing of it."""
    return tuple(
        Demand(name, _needs(service) or Needs(), None if service.workers == AUTO else int(service.workers))
        for name, service in spec.services.items()
        if service.resources is not None or service.workers == AUTO
    )


def _needs(service: Service) -> Needs | None:
    return Needs(**dict(service.resources)) if service.resources is not None else None


def _service(
    name: str,
    spec: Spec,
    environ: Mapping[str, str],
    env_files: Collection[str],
    models: Mapping[str, Located],
    grants: Sequence[Grant],
) -> ServicePlan:
    service = spec.services[name]
    auto = service.workers == AUTO
    count = (len(grants) or 1) if auto else int(service.workers)
    used = sorted(models_in([{**spec.env, **service.env}, service.init]))
    paths = {model: models[model].path for model in used if model in models}
    apis = [api for api in spec.apis.values() if api.service == name]
    from_files = {variable: environ[variable] for variable in sorted(env_files) if variable in environ}
    seats = [(index, grants[index] if index < len(grants) else NOTHING) for index in range(count)]
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
        workers=tuple(_worker(index, grant, name, spec, environ, from_files, paths) for index, grant in seats),
        gateways=spec.server.gateways,
        recycle=RecyclePolicy(**dict(service.recycle)) if service.recycle else None,
        reload=service.reload,
        init=service.init,
        env={**from_files, **spec.env, **service.env},
        implied=any(api.target for api in apis) and service.model_fields_set == {"target"},
        models={model: models.get(model) for model in used},
        needs=_needs(service),
        auto=auto,
        hidden=_hidden(spec, service),
    )


def _hidden(spec: Spec, service: Service) -> bool:
    """Whether the workers of a service see no GPU: it says so, or it says nothing and others have asked for theirs."""
    needs = _needs(service)
    if needs is not None and needs.gpus == 0:
        return True
    others = (_needs(one) for one in spec.services.values())
    return not (needs and needs.computes) and any(one is not None and one.computes for one in others)


def _worker(
    index: int,
    grant: Grant,
    name: str,
    spec: Spec,
    environ: Mapping[str, str],
    from_files: Mapping[str, str],
    paths: Mapping[str, str],
) -> WorkerPlan:
    service = spec.services[name]
    needs = _needs(service)
    promised = variables(needs, grant, service.threads, hide=_hidden(spec, service))
    seat = Seat(index, promised["BENTOD_DEVICE"])
    wanted = expand({**spec.env, **service.env}, seat, paths)
    own = {"BENTOD_NAME": spec.name, "BENTOD_SERVICE": name, "BENTOD_WORKER_INDEX": str(index)}
    decided = grant.shares or (needs is not None and needs.gpus == 0)
    given = ("BENTOD_DEVICE", "BENTOD_CPUS", *((*GPUS, "CUDA_DEVICE_ORDER") if decided else ()))
    own |= {variable: promised[variable] for variable in given if variable in promised}
    return WorkerPlan(
        index, expand(service.init, seat, paths), {**environ, **promised, **from_files, **wanted, **own}, grant
    )


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

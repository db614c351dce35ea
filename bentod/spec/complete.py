"""Fills in what an API leaves to its defaults: implied services, methods and routes."""

from __future__ import annotations

from pathlib import Path

from bentod.spec.model import Service, Spec
from bentod.spec.node import Node
from bentod.spec.report import Report


def complete(spec: Spec, directory: Path, root: Node, report: Report) -> Spec:
    """`spec` with implied services, and with `service`, `method` and `route` in every API."""
    services = dict(spec.services)
    apis = {}
    for name, api in spec.apis.items():
        service, method = api.service, api.method or name
        if api.target:
            target, method = split(api.target)
            service = implied_name(target)
            services.setdefault(service, Service(target=target))
        apis[name] = api.model_copy(update={"service": service, "method": method, "route": api.route or f"/{name}"})
    return spec.model_copy(update={"services": services, "apis": apis})


def split(target: str) -> tuple[str, str]:
    """`module:function` → (`module`, `function`); `module:Class.method` → (`module:Class`, `method`)."""
    module, _, attribute = target.partition(":")
    owner, _, method = attribute.rpartition(".")
    return (f"{module}:{owner}" if owner else module), method


def implied_name(target: str) -> str:
    """The name of the service that APIs with this target share: the target, a file's path written as a module."""
    module, colon, attribute = target.partition(":")
    return module.removesuffix(".py").replace("/", ".") + colon + attribute

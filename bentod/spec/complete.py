"""Fills in what was left to defaults: implied services, and each API's service, method and route."""

from __future__ import annotations

import os
from pathlib import Path

from bentod.spec.model import Api, Service, Spec
from bentod.spec.node import Node, value_place
from bentod.spec.node import Path as Route
from bentod.spec.python_target import Finder, TargetError
from bentod.spec.report import Report


def complete(spec: Spec, project: Path, root: Node, finder: Finder, report: Report) -> Spec:
    """`spec` with implied services, and with `service`, `method` and `route` in every API."""
    services = {
        name: service.model_copy(
            update={"target": rebased(service.target, ("services", name, "target"), project, root)}
        )
        for name, service in spec.services.items()
    }
    apis: dict[str, Api] = {}
    for name, api in spec.apis.items():
        service, method = api.service, api.method
        if api.target:
            target, method = split(rebased(api.target, ("apis", name, "target"), project, root))
            service = implied_name(target)
            _imply(service, target, name, services, report)
        elif service in services:
            method = method or _only_method(services[service].target, finder)
        update = {"service": service, "method": method or name, "route": api.route or f"/{name}"}
        apis[name] = api.model_copy(update=update)
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


def rebased(target: str, path: Route, project: Path, root: Node) -> str:
    """`target` relative to the project: a file's path is written relative to the file that it is written in."""
    place, colon, attribute = target.partition(":")
    folder = Path(os.path.abspath(value_place(root, path).file)).parent  # noqa: PTH100 - links stay as they are
    if not place.endswith(".py") or Path(place).is_absolute():
        return target
    return os.path.relpath(folder / place, project) + colon + attribute


def _imply(name: str, target: str, api: str, services: dict[str, Service], report: Report) -> None:
    known = services.get(name)
    if known is None:
        services[name] = Service.model_validate({"target": target})
    elif known.target != target:
        message = f"the service `{name}` that this target implies exists already, with the target `{known.target}`"
        report.at_value(
            ("apis", api, "target"), "duplicate-service", message, "name the service and its method instead"
        )


def _only_method(target: str, finder: Finder) -> str:
    """The name of the function that a target is, if it is one."""
    attribute = target.partition(":")[2]
    if not attribute:
        return ""
    try:
        return attribute.rpartition(".")[2] if finder.find(target).kind == "function" else ""
    except TargetError:
        return ""

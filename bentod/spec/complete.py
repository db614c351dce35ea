"""Fills in what was left to defaults: implied services, and each API's service, method and route."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bentod.spec.model import Api, Service, Spec
from bentod.spec.model_build import Build, Model
from bentod.spec.node import Path as Route
from bentod.spec.project import Project
from bentod.spec.python_target import Finder, TargetError
from bentod.spec.report import Report


def complete(spec: Spec, project: Project, finder: Finder, report: Report) -> Spec:
    """`spec` with implied services, with `service`, `method` and `route` in every API, and with each path as the
    project has it."""
    services = {
        name: service.model_copy(update={"target": rebased(service.target, ("services", name, "target"), project)})
        for name, service in spec.services.items()
    }
    apis: dict[str, Api] = {}
    for name, api in spec.apis.items():
        service, method = api.service, api.method
        if api.target:
            target, method = split(rebased(api.target, ("apis", name, "target"), project))
            service = implied_name(target)
            _imply(service, target, name, services, report)
        elif service in services:
            method = method or _only_method(services[service].target, finder)
        update = {"service": service, "method": method or name, "route": api.route or f"/{name}"}
        apis[name] = api.model_copy(update=update)
    return spec.model_copy(
        update={"services": services, "apis": apis, "models": _models(spec, project), "build": _build(spec, project)}
    )


def _models(spec: Spec, project: Project) -> dict[str, Model]:
    """The models, each path absolute: `${models.NAME.path}` has to mean the same everywhere."""
    models = dict(spec.models)
    for name, model in spec.models.items():
        if "://" not in model.source:
            source = project.absolute(model.source, ("models", name, "source"))
            models[name] = model.model_copy(update={"source": source})
    return models


def _build(spec: Spec, project: Project) -> Build:
    """The image, each path from the project's folder."""
    build = spec.build
    update: dict[str, Any] = {
        key: project.relative(text, ("build", key))
        for key, text in (("requirements", build.requirements), ("lock", build.lock))
        if text
    }
    if build.conda is not None and build.conda.environment:
        at = ("build", "conda", "environment")
        update["conda"] = build.conda.model_copy(update={"environment": project.relative(build.conda.environment, at)})
    return build.model_copy(update=update)


def split(target: str) -> tuple[str, str]:
    """`module:function` → (`module`, `function`); `module:Class.method` → (`module:Class`, `method`)."""
    module, _, attribute = target.partition(":")
    owner, _, method = attribute.rpartition(".")
    return (f"{module}:{owner}" if owner else module), method


def implied_name(target: str) -> str:
    """The name of the service that APIs with this target share: the target, a file's path written as a module."""
    module, colon, attribute = target.partition(":")
    return module.removesuffix(".py").replace("/", ".") + colon + attribute


def rebased(target: str, path: Route, project: Project) -> str:
    """`target` relative to the project: a file's path is written relative to the file that it is written in."""
    place, colon, attribute = target.partition(":")
    if not place.endswith(".py") or Path(place).is_absolute():
        return target
    return os.path.normpath(project.relative(place, path)) + colon + attribute


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

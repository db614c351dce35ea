"""What needs more than one value to judge: names that refer to others, routes, targets."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bentod.spec import check_resources, together
from bentod.spec.explain import keys_of
from bentod.spec.found import did_you_mean
from bentod.spec.model import Api, Recycle, Service, Spec
from bentod.spec.node import Path as Route
from bentod.spec.python_target import Finder, Found, TargetError
from bentod.spec.report import Report

RESERVED = frozenset(("/", "/livez", "/healthz", "/readyz", "/openapi.json", "/docs", "/metrics"))
"""Routes that bentod answers itself."""

_RAISED = [name for name in dir(builtins) if name.endswith(("Error", "Exception"))]


def check(spec: Spec, data: dict[str, Any], finder: Finder, report: Report) -> None:
    """Report everything that is wrong with `spec` as a whole."""
    if not spec.apis and not report.broken(("apis",)):
        report.at_key(
            ("apis",), "wrong-value", "at least one API is needed", "such as `apis: {greet: {target: hello:greet}}`"
        )
    written, apis = data.get("services"), data.get("apis", {})
    found: dict[str, Found | None] = {}
    for name, service in spec.services.items():
        if isinstance(written, dict) and name in written:
            found[name] = _find(service.target, ("services", name, "target"), finder, report)
            _check_service(service, ("services", name), found[name], report)
    check_resources.check(spec, report)
    for name, api in spec.apis.items():
        _check_examples(api, ("apis", name), report)
        _check_errors(api, ("apis", name), finder, report)
        together.check(api, ("apis", name), spec, report)
        _Callable(api, name, frozenset(apis[name]), report).check(spec, found, finder)
    _check_routes(spec, apis, report)


def _find(target: str, path: Route, finder: Finder, report: Report) -> Found | None:
    try:
        return finder.find(target)
    except TargetError as error:
        report.at_value(path, error.code, error.message, error.hint)
        return None


def _check_service(service: Service, path: Route, found: Found | None, report: Report) -> None:
    if service.restart.max_delay_s < service.restart.delay_s:
        report.at_value((*path, "restart", "max_delay"), "wrong-value", "`max_delay` is shorter than `delay`")
    at = (*path, "recycle")
    if service.recycle and not report.broken(at) and not any(value for _, value in service.recycle):
        hint = f"at least one of {', '.join(f'`{key}`' for key in keys_of(Recycle))}, or leave it out"
        report.at_key(at, "missing-key", "`recycle` does not say when", hint)
    if found is None:
        return
    if service.init and found.kind in ("module", "function"):
        report.at_key((*path, "init"), "wrong-value", f"`init` is for a class, and the target is a {found.kind}")
    for hook in ("start", "stop", "ready"):
        method = getattr(service.hooks, hook)
        at = (*path, "hooks", hook)
        if method and found.kind == "function":
            report.at_key(at, "wrong-value", "a target that is a function has no hooks", "use its module or a class")
        elif method and found.names is not None and method not in found.names:
            message = f"`{service.target}` has no `{method}`"
            report.at_value(at, "missing-attribute", message, did_you_mean(method, _public(found.names)))


@dataclass(frozen=True, slots=True)
class _Callable:
    """What one API says about its callable. `written` are the keys that the author wrote."""

    api: Api
    name: str
    written: frozenset[str]
    report: Report

    def check(self, spec: Spec, found: dict[str, Found | None], finder: Finder) -> None:
        """Report a callable that does not exist, is said twice or not at all."""
        api, path = self.api, ("apis", self.name)
        if self.report.broken((*path, "service")) or self.report.broken((*path, "target")):
            return
        if api.target:
            self._check_target(finder)
        elif not api.service:
            hint = "name a service, or the callable itself with `target: module:function`"
            self.report.at_key(path, "missing-key", f"`{self.name}` says neither `service` nor `target`", hint)
        elif api.service not in found:
            if not self.report.broken(("services", api.service)):
                message = f"there is no service `{api.service}`"
                self.report.at_value((*path, "service"), "unknown-service", message, did_you_mean(api.service, found))
        elif not self.report.broken((*path, "method")):
            self._check_method(spec.services[api.service].target, found[api.service])

    def _check_target(self, finder: Finder) -> None:
        path: Route = ("apis", self.name, "target")
        for key in sorted({"service", "method"} & self.written):
            message = f"`target` names the callable, so `{key}` has nothing to say"
            self.report.at_key((*path[:-1], key), "conflict", message, "keep one of the two")
        target = self.api.target
        if ":" not in target:
            hint = f"such as `{target}:function` or `{target}:Class.method`"
            self.report.at_value(path, "wrong-value", "an API's target names a callable", hint)
            return
        found = _find(target, path, finder, self.report)
        if found is not None and found.kind == "class":
            message = f"`{target}` is a class; an API's target is a function or a method"
            methods = sorted(_public(found.names or ()))
            hint = f"such as `{target}.{methods[0]}`" if methods else f"write `{target}.METHOD`"
            self.report.at_value(path, "wrong-value", message, hint)

    def _check_method(self, target: str, found: Found | None) -> None:
        method = self.api.method
        if found is not None and found.kind == "function":
            only = target.partition(":")[2].rpartition(".")[2]
            if method != only:
                message = f"the service's target is the function `{only}`, which has no method `{method}`"
                self._no_method(message, "leave `method` out")
        elif found is not None and found.names is not None and method not in found.names:
            self._no_method(f"`{target}` has no `{method}`", did_you_mean(method, _public(found.names)))

    def _no_method(self, message: str, hint: str) -> None:
        path: Route = ("apis", self.name)
        if "method" in self.written:
            self.report.at_value((*path, "method"), "missing-attribute", message, hint)
        else:
            message += ", which is this API's method because it names no other"
            self.report.at_key(path, "missing-attribute", message, hint)


def _public(names: Iterable[str]) -> list[str]:
    return [name for name in names if not name.startswith("_")]


def _check_routes(spec: Spec, written: dict[str, Any], report: Report) -> None:
    seen: dict[str, str] = {}
    for name, api in spec.apis.items():
        path: Route = ("apis", name, "route") if "route" in written[name] else ("apis", name)
        add = report.at_value if len(path) == 3 else report.at_key
        if report.broken(("apis", name, "route")):
            continue
        route = api.route.rstrip("/") or "/"
        if route in RESERVED:
            report.at_value(
                path, "reserved-route", f"`{api.route}` is a route of bentod itself", "choose another route"
            )
        elif any(part in (".", "..") for part in route.split("/")):
            add(path, "wrong-value", "clients resolve `.` and `..` before they send a path")
        elif route in seen:
            message = f"`{api.route}` is the route of `{seen[route]}` too (line {report.line(('apis', seen[route]))})"
            add(path, "duplicate-route", message, "give one of them another `route`")
        else:
            seen[route] = name


def _check_examples(api: Api, path: Route, report: Report) -> None:
    names: set[str] = set()
    for index, example in enumerate(api.examples):
        if example.name in names:
            at = (*path, "examples", index, "name")
            report.at_value(at, "duplicate-name", f"an example `{example.name}` is there already")
        names.add(example.name)


def _check_errors(api: Api, path: Route, finder: Finder, report: Report) -> None:
    for name in api.errors:
        at = (*path, "errors", name)
        module, _, attribute = name.partition(":")
        if module == "builtins" and not hasattr(builtins, attribute):
            hint = did_you_mean(attribute, _RAISED)
            report.at_key(at, "missing-attribute", f"`builtins` has no `{attribute}`", hint)
        elif module == "builtins":
            if not _is_exception(getattr(builtins, attribute)):
                report.at_key(at, "wrong-value", f"`{name}` is no exception", did_you_mean(attribute, _RAISED))
        else:
            _check_raised(name, at, finder, report)


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _check_raised(name: str, at: Route, finder: Finder, report: Report) -> None:
    try:
        kind = finder.find(name).kind
    except TargetError as error:
        report.at_key(at, error.code, error.message, error.hint)
        return
    if kind in {"module", "function"}:
        report.at_key(at, "wrong-value", f"`{name}` is a {kind}, not an exception")

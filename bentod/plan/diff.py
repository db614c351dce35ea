"""Plan, Plan → Difference: what a change would do, and what forces it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from bentod.plan import services
from bentod.plan.compat import compared, used_types
from bentod.plan.difference import Action, ApiChange, Cause, Difference, GatewayChange, ServiceChange
from bentod.plan.fingerprint import canonical
from bentod.plan.model import Plan
from bentod.plan.words import LIVE_SERVER, RELOAD, changes, existence, listed, short
from bentod.spec.node import dotted


def difference(
    old: Plan | None, new: Plan, files: Mapping[str, tuple[Cause, ...]], failed: Collection[str] = ()
) -> Difference:
    """What lies between a plan that runs and one that is wanted.

    `files`: by service, the causes that are files whose content is another now. `failed`: services that have given
    up, and start again with any change.
    """
    if old is None:
        return Difference(
            services=tuple(ServiceChange(one.name, "add", services.section(one, new)) for one in new.services),
            apis=tuple(ApiChange(api.name, "added") for api in new.apis),
            gateways=GatewayChange("add"),
        )
    return Difference(
        services=tuple(_services(old, new, files, failed)),
        apis=tuple(compared(old, new)),
        gateways=_gateways(old, new),
        documents=tuple(_documents(old, new)),
    )


def _services(
    old: Plan, new: Plan, files: Mapping[str, tuple[Cause, ...]], failed: Collection[str]
) -> Iterator[ServiceChange]:
    """What is there now or will be, in the new plan's order, then what goes."""
    before = {service.name: service for service in old.services}
    for service in new.services:
        known = before.pop(service.name, None)
        if known is None:
            yield ServiceChange(service.name, "add", services.section(service, new))
            continue
        forced = services.restarts(known, service, old, new) + files.get(service.name, ())
        if service.name in failed:
            forced += (Cause("state", "failed", before="failed"),)
        live = services.live(known, service)
        action: Action = "restart" if forced else "live" if live else "keep"
        yield ServiceChange(service.name, action, forced + live)
    for service in before.values():
        yield ServiceChange(service.name, "remove", services.section(service, old))


def _gateways(old: Plan, new: Plan) -> GatewayChange:
    before, after = old.server, new.server
    section = ("server",)
    forced = changes(section, before, after, {"listen": listed, "gateways": str})
    live = changes(section, before, after, LIVE_SERVER)
    return GatewayChange("restart" if forced else "live" if live else "keep", forced + live)


def _documents(old: Plan, new: Plan) -> Iterator[Cause]:
    """Keys that change what is said, or what is watched, and nothing that runs."""
    yield from changes((), old, new, {"name": short, "version": short, "description": lambda text: short(text.strip())})
    for label in sorted(old.labels.keys() | new.labels.keys()):
        before, after = old.labels.get(label), new.labels.get(label)
        if before != after:
            yield Cause("key", dotted(("labels", label)), short(before or ""), short(after or ""))
    for name in sorted((old.types.keys() | new.types.keys()) - used_types(old) - used_types(new)):
        if canonical(old.types.get(name)) != canonical(new.types.get(name)):
            yield Cause("key", dotted(("types", name)), *existence(name in old.types, name in new.types))
    yield from changes(("reload",), old.reload, new.reload, RELOAD)
    used = {name for plan in (old, new) for service in plan.services for name in service.models}
    for name in sorted((old.models.keys() | new.models.keys()) - used):
        before, after = (services.identity(plan.models, name) for plan in (old, new))
        if before != after:
            yield Cause("key", dotted(("models", name)), before, after)

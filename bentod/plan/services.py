"""One service in two plans: what forces new workers, and what those that run can follow. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bentod.plan.difference import Cause
from bentod.plan.fingerprint import settings
from bentod.plan.model import Plan, ServicePlan
from bentod.plan.models import Located
from bentod.plan.words import LIVE_SERVICE, RECYCLE, RESOURCES, RESTART, changes, existence, short
from bentod.spec.node import dotted
from bentod.wire.messages import ApiRoute


def section(service: ServicePlan, plan: Plan) -> tuple[Cause, ...]:
    """Where the spec says that there is this service."""
    return (Cause("key", dotted(_place(service, plan)), after=short(service.target)),)


def live(old: ServicePlan, new: ServicePlan) -> tuple[Cause, ...]:
    """What the workers of a pool can follow while they run."""
    place = ("services", new.name)
    found = changes(place, old, new, LIVE_SERVICE)
    if len(old.workers) != len(new.workers):
        found = (Cause("key", dotted((*place, "workers")), str(len(old.workers)), str(len(new.workers))), *found)
    found += changes((*place, "restart"), old.restart, new.restart, RESTART)
    found += tuple(cause for cause in _promised(old, new) if not _forcing(old, new, cause))
    return found + changes((*place, "recycle"), old.recycle, new.recycle, RECYCLE)


def restarts(old: ServicePlan, new: ServicePlan, before: Plan, after: Plan) -> tuple[Cause, ...]:
    """The keys of the spec that only new workers can follow."""
    left, right = settings(old), settings(new)
    changed = {key for key in left.keys() | right.keys() if left.get(key) != right.get(key)}
    found = tuple(_causes(old, new, before, after, changed))
    found += tuple(cause for cause in _promised(old, new) if _forcing(old, new, cause)) + _moved(old, new)
    if old.hidden != new.hidden and not found:
        seen = ("all GPUs again, since no service asks for any", "no GPU, since others have been given theirs")
        found = (Cause("state", "hidden", after=f"to see {seen[new.hidden]}"),)
    return found if found or not changed else (Cause("key", min(changed), after="changed"),)


def _promised(old: ServicePlan, new: ServicePlan) -> tuple[Cause, ...]:
    return changes(("services", new.name, "resources"), old.needs, new.needs, RESOURCES)


def _forcing(old: ServicePlan, new: ServicePlan, cause: Cause) -> bool:
    """Whether another promise needs new workers: they learn in their environment how many CPUs they have, and whether
    they have a GPU. Who was promised nothing is not held to anything."""
    if cause.name.endswith(".cpus") or old.needs is None or new.needs is None:
        return True
    return old.needs.computes != new.needs.computes and ".gpu" in cause.name


def _moved(old: ServicePlan, new: ServicePlan) -> tuple[Cause, ...]:
    """The workers that are to have other GPUs."""
    moves = []
    for before, after in zip(old.workers, new.workers, strict=False):
        left, right = ([share.device for share in worker.grant.shares] for worker in (before, after))
        if left != right and left and right:
            moves.append(f"worker {after.index}: {_named(left)} → {_named(right)}")
    found = short(f"another GPU, {'; '.join(moves)}")
    return (Cause("state", "devices", after=found),) if moves else ()


def _named(uuids: Sequence[str]) -> str:
    """GPUs by the first group of their UUIDs: for people, of whom the whole ones would fill the line."""
    return ", ".join("-".join(uuid.split("-")[:2]) for uuid in uuids)


def _causes(old: ServicePlan, new: ServicePlan, before: Plan, after: Plan, changed: set[str]) -> Iterator[Cause]:
    place = ("services", new.name)
    if dotted((*place, "target")) in changed:
        at = dotted((*place, "target") if not new.implied else _place(new, after))
        yield Cause("key", at, short(old.target), short(new.target))
    yield from changes(place, old, new, {"threads": str, "concurrency": str})
    for hook in _either(old.hooks, new.hooks):
        if dotted((*place, "hooks", hook)) in changed:
            named = old.hooks.get(hook, ""), new.hooks.get(hook, "")
            yield Cause("key", dotted((*place, "hooks", hook)), *map(short, named))
    for name in _either(old.init, new.init):
        if (key := dotted((*place, "init", name))) in changed:
            yield Cause("key", key, *existence(name in old.init, name in new.init))
    for name in _either(old.env, new.env):
        if (key := dotted((*place, "env", name))) in changed:
            at = dotted(("env", name)) if new.implied else key
            yield Cause("key", at, *existence(name in old.env, name in new.env))
    yield from _used(old, new, before, after, changed)
    if "name" in changed:
        yield Cause("key", "name", short(before.name), short(after.name))
    if "server.gateways" in changed:
        yield Cause("key", "server.gateways", str(before.server.gateways), str(after.server.gateways))


def identity(models: Mapping[str, Located | None], name: str) -> str:
    """What tells a model's content from another one, for people; "" if there is no such model."""
    model = models.get(name)
    if model is None:
        return "not fetched yet" if name in models else ""
    return (model.commit or model.version or model.digest.removeprefix("sha256:"))[:12]


def _used(old: ServicePlan, new: ServicePlan, before: Plan, after: Plan, changed: set[str]) -> Iterator[Cause]:
    """What the service uses, and what the APIs want of it: models, methods, and which exceptions are expected."""
    for name in _either(old.models, new.models):
        if (key := dotted(("models", name))) in changed:
            yield Cause("key", key, identity(old.models, name), identity(new.models, name))
    wanted = {api.name: api for api in after.apis if api.service == new.name}
    had = {api.name: api for api in before.apis if api.service == old.name}
    place = ("services", new.name)
    if dotted((*place, "methods")) in changed:
        differing = set(old.methods) ^ set(new.methods)
        for name in _either(had, wanted):
            left, right = had.get(name), wanted.get(name)
            methods = [api.method if api else "" for api in (left, right)]
            if methods[0] != methods[1] and differing.intersection(methods):
                yield _of_api(name, "method", methods, before, after)
    if dotted((*place, "errors")) in changed:
        differing = set(old.expected) ^ set(new.expected)
        for name in _either(had, wanted):
            left, right = had.get(name), wanted.get(name)
            errors = [set(api.errors) & differing if api else set() for api in (left, right)]
            if errors[0] != errors[1]:
                yield _of_api(name, "errors", [", ".join(sorted(some)) for some in errors], before, after)


def _of_api(name: str, key: str, said: list[str], before: Plan, after: Plan) -> Cause:
    """A cause that is an API's key, or the API itself where it is new or gone."""
    both = _has(before.apis, name) and _has(after.apis, name)
    return Cause("key", dotted(("apis", name, key) if both else ("apis", name)), *map(short, said))


def _has(apis: Iterable[ApiRoute], name: str) -> bool:
    return any(api.name == name for api in apis)


def _either(old: Iterable[str], new: Iterable[str]) -> list[str]:
    """The names in any of the two, those that are there now first."""
    return list(dict.fromkeys([*new, *old]))


def _place(service: ServicePlan, plan: Plan) -> tuple[str, ...]:
    """The section of a service, or the API whose `target` implies it."""
    if service.implied:
        return ("apis", next(api.name for api in plan.apis if api.service == service.name), "target")
    return ("services", service.name)

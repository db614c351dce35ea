"""What a pool of workers is made from, as digests: where these are equal, the pool can stay. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

from bentod.plan.model import ServicePlan
from bentod.spec.node import dotted


def settings(service: ServicePlan) -> Mapping[str, str]:
    """Every key of the spec that only a new pool can follow, with a digest of its value, sorted.

    What can change while the workers run is left out: their number, their time-outs, when they are restarted or
    recycled, how much memory they may have. So is what the daemon's own environment gives them, and which GPUs they
    have: that is compared worker by worker.
    """
    return {key: _digest(value) for key, value in sorted(_values(service), key=itemgetter(0))}


def digest(service: ServicePlan, files: Mapping[str, str]) -> str:
    """One digest of all of them and of `files`, the project's files that the workers imported (path → SHA-256)."""
    return _digest([dict(settings(service)), dict(files)])


def canonical(value: Any) -> str:
    """Plain data as text that tells 1 from 1.0 and true, whatever the order of keys in maps."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=repr)


def _values(service: ServicePlan) -> Iterator[tuple[str, Any]]:
    def key(*parts: str) -> str:
        return dotted(("services", service.name, *parts))

    yield key("target"), service.target
    yield key("threads"), service.threads
    yield key("concurrency"), service.concurrency
    yield key("methods"), sorted(service.methods)
    yield key("errors"), sorted(service.expected)
    yield from ((key("hooks", hook), method) for hook, method in service.hooks.items())
    yield from ((key("init", name), value) for name, value in service.init.items())
    yield from ((key("env", name), value) for name, value in service.env.items())
    for name, model in service.models.items():
        yield dotted(("models", name)), [model.digest, model.path] if model is not None else None
    if service.needs is not None:
        yield key("resources", "cpus"), service.needs.cpus
        yield key("resources", "gpus"), service.needs.computes
    if service.hidden:
        yield key("hidden"), True
    yield "name", [worker.environ.get("BENTOD_NAME") for worker in service.workers][:1]
    yield "server.gateways", service.gateways > 1


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()

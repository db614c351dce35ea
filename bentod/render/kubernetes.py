"""A Deployment as manifests: what `bentod render kubernetes` writes. The templates are in `recipes/kubernetes`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from bentod.plan.image import CODE_AT, MODELS_AT, PORT
from bentod.plan.times import KILL_AFTER_S
from bentod.render.cluster import Cluster, check
from bentod.render.deployment import CACHE_AT, Deployment, cached
from bentod.render.names import as_annotations, label_value, resource_name, service_name
from bentod.render.recipes import Filters, Unwritable, Written, rendered
from bentod.render.room import Room
from bentod.render.scalars import block, quoted, truth, whole

_ROUTERS_S = 5
"""How long routers have to learn that a pod ends, before it is told to: what `preStop` sleeps."""
_TRY_S = 5
_GIB = 1024**3
_WORD = re.compile(r"[A-Za-z0-9_.-]+")


def kubernetes(deployment: Deployment, cluster: Cluster) -> dict[str, str]:
    """The manifests, by the names of their files; the last is `kustomization.yaml`. Raises Unwritable."""
    check(deployment, cluster)
    values = _values(deployment, cluster)
    scales = cluster.most > cluster.replicas
    wanted = {
        "config-map-spec": bool(cluster.specs),
        "config-map-env": bool(deployment.settings),
        "deployment": True,
        "service": True,
        "horizontal-pod-autoscaler": scales and not cluster.keda,
        "scaled-object": scales and cluster.keda,
        "pod-disruption-budget": True,
        "network-policy": True,
        "http-route": bool(cluster.gateway),
    }
    files = {
        f"{name}.yaml": rendered(f"kubernetes/{name}.yaml.j2", values, _FILTERS)
        for name, is_wanted in wanted.items()
        if is_wanted
    }
    files["kustomization.yaml"] = rendered("kubernetes/kustomization.yaml.j2", {"files": tuple(files)}, _FILTERS)
    return files


def _values(deployment: Deployment, cluster: Cluster) -> dict[str, Any]:
    namespace, _, gateway = cluster.gateway.rpartition("/")
    return {
        **_pod(deployment, cluster),
        "name": deployment.name,
        "version": deployment.version,
        "version_label": label_value(deployment.version),
        "description": deployment.description,
        "annotations": list(as_annotations(deployment.labels).items()),
        "service": service_name(deployment.name),
        "port": cluster.port,
        "replicas": cluster.replicas if cluster.most == cluster.replicas else 0,
        "least": cluster.replicas,
        "most": cluster.most,
        "env_name": resource_name(deployment.name, "env"),
        "spec_name": resource_name(deployment.name, "spec"),
        "egress": cluster.egress or deployment.models == "fetch",
        "gateway": gateway,
        "gateway_namespace": namespace,
        "hostnames": cluster.hostnames,
        "path": deployment.path_prefix or "/",
    }


def _pod(deployment: Deployment, cluster: Cluster) -> dict[str, Any]:
    return {
        "image": deployment.image,
        "container_port": PORT,
        "user": deployment.user,
        "group": deployment.group,
        "secret": cluster.secret or resource_name(deployment.name, "env"),
        "secret_variables": deployment.variables,
        "settings": sorted(deployment.settings.items()),
        "specs": _specs(cluster.specs),
        "config_digest": _digest(deployment.settings, cluster.specs),
        "routers": str(_ROUTERS_S),
        "grace_s": _ROUTERS_S + deployment.stop_s + KILL_AFTER_S,
        "progress_s": max(600.0, deployment.start_s * 2),
        "start_tries": max(1.0, deployment.start_s / _TRY_S),
        **_resources(deployment.room),
        "mounted": deployment.models == "mount",
        "models_at": MODELS_AT,
        "cache": CACHE_AT if deployment.models == "fetch" else "",
        **cached(),
        "claim": cluster.claim or (resource_name(deployment.name, "models") if deployment.models == "mount" else ""),
    }


def _resources(room: Room) -> dict[str, Any]:
    """Requests and limits. Memory beyond its limit ends a pod, so that is requested, too."""
    needed = max(_GIB, room.least_memory or 0) if room.memory is None else room.memory
    return {
        "cpu": cpus(1000 if room.cpus_m is None else room.cpus_m),
        "memory": "" if room.memory is None else size(room.memory),
        "memory_request": size(needed),
        "gpus": room.gpus,
        "gpu_count": str(room.gpus),
    }


def _specs(specs: Mapping[str, str]) -> list[dict[str, str]]:
    """The files of the ConfigMap. A key cannot hold what a file's name can, so it is a number."""
    return [
        {"key": f"spec-{index}", "path": f"{CODE_AT}/{path}", "text": text}
        for index, (path, text) in enumerate(specs.items())
    ]


def _digest(settings: Mapping[str, str], specs: Mapping[str, str]) -> str:
    if not settings and not specs:
        return ""
    said = json.dumps([sorted(settings.items()), list(specs.items())])
    return f"sha256:{hashlib.sha256(said.encode()).hexdigest()}"


def cpus(thousandths: int) -> str:
    """CPUs as a quantity: `2`, or `500m`."""
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)


def size(count: int) -> str:
    """Bytes as a quantity: `512Mi`."""
    for unit, factor in (("Ti", 1024**4), ("Gi", 1024**3), ("Mi", 1024**2), ("Ki", 1024)):
        if count % factor == 0:
            return f"{count // factor}{unit}"
    return str(count)


def _word(text: str) -> Written:
    """A word in a comment."""
    if not _WORD.fullmatch(text):
        raise Unwritable(f"a comment cannot say {text!r}")
    return Written(text)


_FILTERS: Filters = {"q": quoted, "n": whole, "truth": truth, "block": block, "word": _word}

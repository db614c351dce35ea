"""What a manifest says of the cluster, and what a cluster would refuse, or run otherwise than it was meant."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from bentod.render.deployment import Deployment
from bentod.render.recipes import Unwritable

_CONFIG_MAP_BYTES = 1024 * 1024 - 4096
_ANNOTATION_BYTES = 256 * 1024 - 4096
_MOST_PODS = 10_000
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_GATEWAY = re.compile(rf"(?:{_LABEL}/)?(?=[^/]{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_HOST = re.compile(rf"(?=.{{1,253}}\Z)(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
_FILE = re.compile(r"(?![/-]|\.\.(/|$))[^\x00-\x1f\x7f:]+")


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is said of the cluster. `replicas` is the least number of pods, `most` the greatest: if they are the same,
    nothing scales. `secret` and `claim` are "" for the usual names.

    `specs` are the spec's files, by their paths in the project, with their text, if a ConfigMap shall hold them.
    `egress`: pods may reach anything. `gateway` is `NAME` or `NAMESPACE/NAME`, "" for no route; `hostnames` are those
    that it is for, all if there are none.
    """

    replicas: int = 2
    most: int = 10
    port: int = 80
    secret: str = ""
    claim: str = ""
    specs: Mapping[str, str] = field(default_factory=dict)
    egress: bool = False
    keda: bool = False
    gateway: str = ""
    hostnames: tuple[str, ...] = ()


def check(deployment: Deployment, cluster: Cluster) -> None:
    """Raises Unwritable for the first thing that cannot be."""
    if deployment.user == 0:
        raise Unwritable("`build.user` is root, and these pods may not be: name another user")
    if not 1 <= cluster.replicas <= cluster.most <= _MOST_PODS:
        raise Unwritable(f"from {cluster.replicas} to {cluster.most} pods cannot be: at least 1, at most {_MOST_PODS}")
    if not 1 <= cluster.port <= 65535:
        raise Unwritable(f"{cluster.port} is no port")
    if cluster.claim and deployment.models not in ("mount", "fetch"):
        raise Unwritable("no volume is needed: the spec has no models that are mounted or fetched (`build.models`)")
    _check_names(cluster)
    _check_specs(cluster)
    _check_sizes(deployment, cluster)


def _check_names(cluster: Cluster) -> None:
    for text, what in ((cluster.secret, "Secret"), (cluster.claim, "PersistentVolumeClaim")):
        if text and not _SUBDOMAIN.fullmatch(text):
            raise Unwritable(f"`{text}` is no name of a {what}: lower-case letters, digits, `-` and `.`")
    if cluster.gateway and not _GATEWAY.fullmatch(cluster.gateway):
        raise Unwritable(f"`{cluster.gateway}` is no gateway: write `NAME` or `NAMESPACE/NAME`")
    for host in cluster.hostnames:
        if not _HOST.fullmatch(host):
            raise Unwritable(f"`{host}` is no host name, such as `api.example.org` or `*.example.org`")
    if cluster.hostnames and not cluster.gateway:
        raise Unwritable("host names belong to a route, and no gateway is named")


def _check_specs(cluster: Cluster) -> None:
    for path in cluster.specs:
        if not _FILE.fullmatch(path):
            raise Unwritable(
                f"a pod can have no file {path!r} in place of the image's: the project's folder has it not"
            )


def _check_sizes(deployment: Deployment, cluster: Cluster) -> None:
    for said, what in ((cluster.specs, "the spec"), (deployment.settings, "what `--env` says")):
        if sum(len(text.encode(errors="replace")) for item in said.items() for text in item) > _CONFIG_MAP_BYTES:
            raise Unwritable(f"{what} is too large for a ConfigMap, which holds 1 MiB")
    texts = [deployment.version, deployment.description, *deployment.labels, *deployment.labels.values()]
    if sum(len(json.dumps(text)) for text in texts) > _ANNOTATION_BYTES:
        raise Unwritable("`description` and `labels` are too large for annotations, which hold 256 KiB")

"""The digest of a base image, as far as it can be known without fetching anything."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

_SOCKET = Path("/var/run/docker.sock")
_PATIENCE_S = 3


def digest_of(reference: str, environ: Mapping[str, str]) -> str:
    """The digest that the reference names, or that a Docker engine here knows of it; "" if nobody does."""
    name, _, digest = reference.partition("@")
    return digest or _asked(name, environ)


def _asked(name: str, environ: Mapping[str, str]) -> str:
    if "DOCKER_HOST" not in environ and not _SOCKET.exists():
        return ""
    import docker
    from docker.errors import DockerException
    from requests import RequestException

    known: list[str] = []
    with contextlib.suppress(DockerException, RequestException, OSError):
        client = docker.DockerClient.from_env(environment=dict(environ), timeout=_PATIENCE_S)
        with contextlib.closing(client):
            known = client.images.get(name).attrs.get("RepoDigests") or []
    repository = _repository(name)
    return next((one.partition("@")[2] for one in known if one.partition("@")[0] == repository), "")


def _repository(name: str) -> str:
    """The reference without its tag; a colon before a slash is that of a port."""
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name

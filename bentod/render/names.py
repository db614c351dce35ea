"""Names and labels as Kubernetes has them, made of what a spec says."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

_LONGEST = 63
_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9_.-]+")
_KEY = re.compile(r"(?:(?P<prefix>[a-z0-9.-]{1,253})/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MEANT = ("kubernetes.io", "k8s.io", "bentod.dev")
"""Whose annotations clusters, or we, act upon or read: no label of a spec may pretend to be one."""


def service_name(name: str) -> str:
    """A spec's name as the name of a Service, which begins with a letter."""
    return name if name[:1].isalpha() else _short(f"app-{name}")


def resource_name(name: str, what: str) -> str:
    """The name of what belongs to a spec, such as its Secret; it may be longer than a label."""
    return f"{name}-{what}"


def _short(name: str) -> str:
    """`name` within 63 characters; what was cut off is told by a digest, so that two names stay two."""
    if len(name) <= _LONGEST:
        return name
    return f"{name[:54].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def label_value(text: str) -> str:
    """`text` as the value of a label: what that cannot hold is replaced, what is too long is cut."""
    return _NOT_IN_LABELS.sub("-", text)[:_LONGEST].strip("-_.")


def as_annotations(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels of a spec as annotations, sorted: each under its own name where that is one that means nothing to a
    cluster, the others together in `bentod.dev/labels`, as JSON."""
    own = {key: value for key, value in sorted(labels.items()) if _harmless(key)}
    rest = {key: value for key, value in sorted(labels.items()) if key not in own}
    return {**own, **({"bentod.dev/labels": json.dumps(rest, ensure_ascii=False)} if rest else {})}


def _harmless(key: str) -> bool:
    match = _KEY.fullmatch(key)
    if match is None:
        return False
    prefix = match["prefix"]
    if prefix is None:
        return True
    parts = prefix.split(".")
    if not all(_LABEL.fullmatch(part) for part in parts):
        return False
    return not any(prefix == one or prefix.endswith(f".{one}") for one in _MEANT)

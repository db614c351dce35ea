"""A Spec → the bentofile that says it in full: defaults included, quantities with units, nothing to interpolate."""

from __future__ import annotations

from typing import Any

from bentod.spec.model import Spec


def written(spec: Spec, data: dict[str, Any]) -> dict[str, Any]:
    """`spec` as plain data that loads to the same Spec. `data` is what was written, for the schemas and examples."""
    full: dict[str, Any] = _filled(spec.model_dump(mode="json", by_alias=True))
    implied = set(spec.services) - set(data.get("services", {}))
    full["services"] = {name: service for name, service in full.get("services", {}).items() if name not in implied}
    for name, api in full["apis"].items():
        if "target" in api:
            del api["service"], api["method"]
        if "stream" not in api:
            del api["stream_idle"]
        if "highest" not in api["priority"]:
            api["priority"] = api["priority"]["default"]
        for key in ("input", "output", "examples"):
            api.update({key: data["apis"][name][key]} if key in data["apis"][name] else {})
    full.update({key: data[key] for key in ("types",) if key in data})
    return full


def _filled(value: Any) -> Any:
    """Without what says nothing: empty texts, maps and lists, and keys that were left out."""
    if not isinstance(value, dict):
        return value
    filled = {key: _filled(item) for key, item in value.items()}
    return {key: item for key, item in filled.items() if item is not None and item not in ("", {}, [])}

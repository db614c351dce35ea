"""pydantic's errors → problems in the words of a spec, and the data without what is wrong."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bentod.spec import model, model_build
from bentod.spec.found import did_you_mean, shown
from bentod.spec.node import Path
from bentod.spec.report import Report
from bentod.spec.section import Section

SECTIONS: dict[Path, type[Section]] = {
    (): model.Spec,
    ("models", "*"): model_build.Model,
    ("build",): model_build.Build,
    ("build", "conda"): model_build.Conda,
    ("server",): model.Server,
    ("reload",): model.Reload,
    ("services", "*"): model.Service,
    ("services", "*", "hooks"): model.Hooks,
    ("services", "*", "restart"): model.Restart,
    ("services", "*", "recycle"): model.Recycle,
    ("apis", "*"): model.Api,
    ("apis", "*", "batching"): model.Batching,
    ("apis", "*", "priority"): model.Priority,
    ("apis", "*", "examples", "*"): model.Example,
}
"""Where the format defines the keys; `*` stands for any name or index."""

_EXPECTED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
    "tuple_type": "a list",
    "list_type": "a list",
}
_PLACEHOLDERS: dict[str, Any] = {"bentod": 1, "name": "unnamed", "apis": {}}
"""What stands for a missing key, so that the rest can still be judged."""

_ELSEWHERE = {"port": "listen", "host": "listen", "replicas": "workers", "class": "target", "path": "route"}
"""What other servers call a key."""

_ATTEMPTS = 4
"""As often as a section can be in a section."""


def section_at(path: Path) -> type[Section] | None:
    """The section whose keys are written at `path`."""
    for pattern, section in SECTIONS.items():
        if len(pattern) == len(path) and all(want in ("*", part) for want, part in zip(pattern, path, strict=True)):
            return section
    return None


def keys_of(section: type[Section]) -> list[str]:
    """The keys that a section has, as they are written."""
    return [field.alias or name for name, field in section.model_fields.items()]


def settle(data: dict[str, Any], report: Report) -> model.Spec:
    """The spec that `data` says. What is wrong is reported and left out, so that the rest can be judged."""
    for attempt in range(_ATTEMPTS):
        try:
            return model.Spec.model_validate(data)
        except ValidationError as error:
            details = error.errors(include_url=False)
        for detail in details:
            # Later ones only come from what was left out: a required key takes its section with it.
            if not attempt:
                _explain(detail, report)
            _leave_out(data, detail)
    return model.Spec.model_validate(_PLACEHOLDERS)


def _explain(detail: ErrorDetails, report: Report) -> None:
    path, kind = _path(detail), detail["type"]
    context = detail.get("ctx", {})
    if kind == "missing":
        if not report.broken(path):
            report.at_key(path, "missing-key", f"the key `{path[-1]}` is missing", _purpose(path))
    elif kind == "extra_forbidden":
        section = section_at(path[:-1])
        hint = _meant(str(path[-1]), keys_of(section)) if section else ""
        report.at_key(path, "unknown-key", f"unknown key `{path[-1]}`", hint)
    elif kind == "bentod":
        add = report.at_key if detail["loc"][-1] == "[key]" else report.at_value
        add(path, context["code"], context["message"], context["hint"])
    elif kind in _EXPECTED:
        hint = _written(path, kind, detail["input"])
        message = f"expected {_EXPECTED[kind]}, found {shown(detail['input'])}"
        report.at_value(path, "wrong-type", message, hint)
    elif kind == "literal_error":
        message = f"expected {context['expected']}, found {shown(detail['input'])}"
        report.at_value(path, "wrong-value", message)
    else:
        report.at_value(path, "wrong-value", f"{shown(detail['input'])}: {_lowered(detail['msg'])}")


def _meant(key: str, keys: list[str]) -> str:
    other = _ELSEWHERE.get(key, "")
    return f"did you mean `{other}`?" if other in keys else did_you_mean(key, keys)


def _written(path: Path, kind: str, value: Any) -> str:
    """How a value of another type is written, if that is plain."""
    if kind == "string_type" and isinstance(value, (int, float)):
        return "put it in quotes"
    if kind.startswith("model") and value is True and path:
        return f"write `{path[-1]}: {{}}` for its defaults"
    return ""


def _purpose(path: Path) -> str:
    """What the key at `path` is for."""
    section = section_at(path[:-1])
    fields = section.model_fields.items() if section else ()
    return next((field.description or "" for name, field in fields if (field.alias or name) == path[-1]), "")


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:].replace("Input ", "")


def _path(detail: ErrorDetails) -> Path:
    loc = detail["loc"]
    return loc[:-1] if loc and loc[-1] == "[key]" else loc


def _leave_out(data: dict[str, Any], detail: ErrorDetails) -> None:
    path = _path(detail)
    if detail["type"] == "missing":
        if len(path) == 1:
            data[str(path[0])] = _PLACEHOLDERS[str(path[0])]
            return
        path = path[:-1]
    elif len(path) == 1 and path[0] in _PLACEHOLDERS:
        data[str(path[0])] = _PLACEHOLDERS[str(path[0])]
        return
    drop(data, path)


def drop(data: Any, path: Path) -> None:
    """Remove what is at `path`; an item of a list takes the whole list with it, or the others would move."""
    parents = [data]
    for part in path[:-1]:
        inside = parents[-1]
        exists = part in inside if isinstance(inside, dict) else isinstance(inside, list) and part in range(len(inside))
        if not exists:
            return
        parents.append(inside[part])
    while path and not isinstance(parents[-1], dict):
        parents.pop()
        path = path[:-1]
    if path:
        parents[-1].pop(path[-1], None)

"""Inventory ⇄ plain data as `schemas/inventory.schema.json` describes it, and the file of such data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from bentod.errors import SpecError
from bentod.plan.inventory import Device, GpuProcess, Inventory
from bentod.shipped import shipped
from bentod.spec import quantities, source
from bentod.spec.found import did_you_mean, shown
from bentod.spec.node import Path as Route
from bentod.spec.report import Report

SCHEMA = "schemas/inventory.schema.json"


_MEANT = {"a spec is a map of keys and values": "an inventory is a map of keys and values"}


def document(inventory: Inventory) -> dict[str, Any]:
    """An inventory as JSON can say it, without what daemons have given: the one that it is made for may be of them."""
    found = asdict(replace(inventory, claims=()))
    del found["claims"]
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]  # tuples become lists


def inventory(document: Mapping[str, Any]) -> Inventory:
    """What `document` made a document of, or a person wrote. Raises ValueError for anything else."""
    try:
        _schema().validate(document)
    except jsonschema_rs.ValidationError as error:
        at = "".join(f"/{part}" for part in error.instance_path) or "the whole"
        raise ValueError(f"this is no inventory: {at}: {error.message[:200]}") from None
    devices = tuple(_device(one, place) for place, one in enumerate(document.get("devices", ())))
    return Inventory(
        cpus=float(document["cpus"]),
        cpu_ids=tuple(sorted(document.get("cpu_ids", range(math.ceil(document["cpus"]))))),
        memory=_bytes(document.get("memory")),
        devices=devices,
        gpus=document.get("gpus", "ok" if devices else "none"),
        reason=document.get("reason", ""),
        driver=document.get("driver", ""),
    )


def read(path: Path) -> Inventory:
    """The inventory that a file says, in JSON, YAML or TOML. Raises SpecError with all that is wrong in it."""
    root, problems = source.read(path)
    if root is None or problems:
        hint = "`bentod inventory --json` on the host writes such a file"
        raise SpecError([replace(one, message=_MEANT.get(one.message, one.message), hint=hint) for one in problems])
    report, data = Report(root), root.plain()
    for error in _schema().iter_errors(data):
        _explain(error, report)
    if not report.problems:
        _judge(data, report)
    if report.problems:
        raise SpecError(report.problems)
    return inventory(data)


def _device(data: Mapping[str, Any], place: int) -> Device:
    return Device(
        uuid=data["uuid"],
        name=data.get("name", ""),
        memory=_bytes(data["memory"]) or 0,
        index=data.get("index", str(place)),
        parent=data.get("parent", ""),
        free=_bytes(data.get("free")),
        utilization=data.get("utilization"),
        processes=tuple(
            GpuProcess(**{**one, "memory": _bytes(one.get("memory"))}) for one in data.get("processes", ())
        ),
        state=data.get("state", "ok"),
        reason=data.get("reason", ""),
        errors=data.get("errors"),
    )


def _bytes(value: int | str | None) -> int | None:
    return quantities.size(value) if isinstance(value, str) else value


def _explain(error: jsonschema_rs.ValidationError, report: Report) -> None:
    """One error of the schema at its place, in the words of a spec."""
    route, kind = tuple(error.instance_path), error.kind
    if kind.name == "additionalProperties":
        for key in kind.as_dict()["unexpected"]:
            report.at_key((*route, key), "unknown-key", f"unknown key `{key}`", did_you_mean(key, _keys(route)))
    elif kind.name == "required":
        report.at_key(route, "missing-key", f"the key `{kind.as_dict()['property']}` is missing")
    elif kind.name == "type":
        wanted = " or ".join(map(str, kind.as_dict()["types"]))
        report.at_value(route, "wrong-type", f"expected {wanted}, found {shown(error.instance)}")
    elif kind.name == "anyOf":
        message = f"expected bytes, found {shown(error.instance)}"
        report.at_value(route, "wrong-value", message, "a whole number, or such as `80GiB`")
    else:
        report.at_value(route, "wrong-value", error.message[:200])


def _keys(route: Route) -> list[str]:
    """The keys of the section that is written at `route`."""
    schema = json.loads(shipped(SCHEMA).read_text(encoding="utf-8"))
    section = schema if not route else schema["$defs"]["process" if "processes" in route else "device"]
    return list(section["properties"])


def _judge(data: dict[str, Any], report: Report) -> None:
    """What a schema cannot say."""
    seen: dict[str, int] = {}
    instances = {device["uuid"] for device in data.get("devices", ()) if device.get("parent")}
    for place, device in enumerate(data.get("devices", ())):
        route: Route = ("devices", place)
        uuid = device["uuid"]
        if not uuid and device.get("state", "ok") == "ok":
            report.at_value((*route, "uuid"), "wrong-value", "a device that works has a UUID")
        elif uuid and uuid in seen:
            message = f"this is the UUID of `devices[{seen[uuid]}]` already"
            report.at_value((*route, "uuid"), "duplicate", message)
        elif any(not char.isascii() or not char.isprintable() or char in ", " for char in uuid):
            report.at_value((*route, "uuid"), "wrong-value", "no UUID has blanks, commas or characters besides ASCII")
        if device.get("parent", "") in instances:
            message = "the GPU that an instance is part of is no instance itself, and is not listed"
            report.at_value((*route, "parent"), "wrong-value", message)
        seen.setdefault(uuid, place)
        free, memory = _bytes(device.get("free")), _bytes(device["memory"]) or 0
        if free is not None and free > memory:
            report.at_value((*route, "free"), "wrong-value", "more is free than there is: see `memory`")
    if "cpu_ids" in data and len(data["cpu_ids"]) < data["cpus"]:
        message = f"{len(data['cpu_ids'])} CPUs are named, but `cpus` is {data['cpus']:g}"
        report.at_value(("cpu_ids",), "wrong-value", message)


@cache
def _schema() -> Any:
    return jsonschema_rs.Draft202012Validator(json.loads(shipped(SCHEMA).read_text(encoding="utf-8")))

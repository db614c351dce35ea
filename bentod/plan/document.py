"""Proposal ⇄ plain data as `schemas/plan.schema.json` describes it. Pure, but for the schema's file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

import jsonschema_rs

from bentod.plan.allotment import Allotment, GpuAllotment
from bentod.plan.difference import (
    ApiCause,
    ApiChange,
    Budget,
    Cause,
    Difference,
    GatewayChange,
    GpuBudget,
    Proposal,
    ServiceChange,
    Step,
)
from bentod.plan.grants import Grant, Share
from bentod.plan.text import text
from bentod.shipped import shipped

SCHEMA = "schemas/plan.schema.json"


def document(proposal: Proposal) -> dict[str, Any]:
    """A proposal as JSON can say it."""
    found = proposal.difference
    return {
        "base": proposal.base,
        "state": proposal.state,
        "empty": found.empty,
        "services": {one.name: {"action": one.action, "causes": _causes(one.causes)} for one in found.services},
        "apis": {
            one.name: {"verdict": one.verdict, "causes": [asdict(cause) for cause in one.causes]} for one in found.apis
        },
        "gateways": {"action": found.gateways.action, "causes": _causes(found.gateways.causes)},
        "documents": _causes(found.documents),
        "budget": asdict(proposal.budget),
        "steps": [
            {"service": step.service, "mode": step.mode, "reason": step.reason, "gap_seconds": step.gap_s}
            for step in proposal.steps
        ],
        "placement": _placement(proposal.allotment),
    }


def proposal(document: Mapping[str, Any]) -> Proposal:
    """What `document` made a document of. Raises ValueError for anything else, such as a file that is no plan."""
    try:
        _schema().validate(document)
    except jsonschema_rs.ValidationError as error:
        at = "".join(f"/{part}" for part in error.instance_path) or "the whole"
        raise ValueError(f"this is no plan: {at}: {error.message[:200]}") from None
    services = tuple(
        ServiceChange(name, one["action"], _read(one["causes"])) for name, one in document["services"].items()
    )
    apis = tuple(
        ApiChange(name, one["verdict"], tuple(ApiCause(**cause) for cause in one["causes"]))
        for name, one in document["apis"].items()
    )
    gateways = GatewayChange(document["gateways"]["action"], _read(document["gateways"]["causes"]))
    return Proposal(
        base=document["base"],
        state=document["state"],
        difference=Difference(services, apis, gateways, _read(document["documents"])),
        budget=_budget(document["budget"]),
        steps=tuple(Step(one["service"], one["mode"], one["reason"], one["gap_seconds"]) for one in document["steps"]),
        allotment=_allotment(document["placement"]),
    )


def _placement(found: Allotment | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "services": {name: [_worker(grant) for grant in grants] for name, grants in found.services.items()},
        "gpus": [asdict(one) for one in found.gpus],
        "notes": list(found.notes),
    }


def _worker(grant: Grant) -> dict[str, Any]:
    gpus = [{"uuid": share.device, "part": share.part, "memory": share.memory} for share in grant.shares]
    return {"gpus": gpus, "cpus": list(grant.cpus)}


def _allotment(found: Mapping[str, Any] | None) -> Allotment | None:
    if found is None:
        return None
    services = {name: tuple(_grant(worker) for worker in workers) for name, workers in found["services"].items()}
    return Allotment(services, tuple(GpuAllotment(**one) for one in found["gpus"]), tuple(found["notes"]))


def _grant(worker: Mapping[str, Any]) -> Grant:
    shares = tuple(Share(one["uuid"], one["part"], one["memory"]) for one in worker["gpus"])
    return Grant(shares, tuple(worker["cpus"]))


def _budget(found: Mapping[str, Any]) -> Budget:
    return Budget(**{**found, "gpus": tuple(GpuBudget(**one) for one in found["gpus"])})


def _causes(causes: Iterable[Cause]) -> list[dict[str, Any]]:
    return [asdict(cause) for cause in causes]


def _read(causes: Iterable[Mapping[str, Any]]) -> tuple[Cause, ...]:
    return tuple(Cause(**cause) for cause in causes)


@cache
def _schema() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(json.loads(shipped(SCHEMA).read_text("utf-8")))


__all__ = ["SCHEMA", "document", "proposal", "text"]

"""What is wrong with `resources` beyond single values: promises that say nothing, or contradict the environment."""

from __future__ import annotations

from bentod.spec.explain import keys_of
from bentod.spec.model import Service, Spec
from bentod.spec.model_resources import Resources
from bentod.spec.node import Path as Route
from bentod.spec.report import Report

_GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")


def check(spec: Spec, report: Report) -> None:
    """Report promises that say nothing, and variables that say otherwise."""
    computing = [name for name, service in spec.services.items() if _said_gpus(service)]
    for name, service in spec.services.items():
        at = ("services", name, "resources")
        if service.resources is not None and not report.broken(at):
            _check_keys(service.resources, at, report)
    for name in computing:
        _check_variables(spec.services[name], ("services", name, "env"), name, report)
    for variable in _GPU_VARIABLES:
        if computing and variable in spec.env:
            _refuse(("env", variable), computing[0], report)


def _said_gpus(service: Service) -> bool:
    """Whether `resources` decide which GPUs its workers see."""
    found = service.resources
    return found is not None and (found.gpus is not None or found.gpu_memory is not None)


def _check_keys(found: Resources, at: Route, report: Report) -> None:
    if not any(value is not None for _, value in found):
        hint = f"at least one of {', '.join(f'`{key}`' for key in keys_of(Resources))}, or leave it out"
        report.at_key(at, "missing-key", "`resources` does not say what is needed", hint)
    elif found.gpu_type is not None and found.gpus is None and found.gpu_memory is None:
        hint = "say how many with `gpus`, or how much of one with `gpu_memory`"
        report.at_key((*at, "gpu_type"), "missing-key", "`gpu_type` says which GPU, and nothing says how many", hint)


def _check_variables(service: Service, at: Route, name: str, report: Report) -> None:
    for variable in _GPU_VARIABLES:
        if variable in service.env:
            _refuse((*at, variable), name, report)


def _refuse(at: Route, service: str, report: Report) -> None:
    message = f"`{at[-1]}` is decided by the `resources` of the service {service}"
    report.at_key(at, "conflict", message, "keep one of the two")

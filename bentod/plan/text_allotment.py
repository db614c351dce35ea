"""What workers get of a host, as people read it in a terminal. Takes the document. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bentod.plan import words
from bentod.plan.words import mebibytes

_MOST = 64


def lines(found: Mapping[str, Any] | None, clean: Callable[[str], str]) -> Iterator[str]:
    """A line for each worker that has a GPU, one for the workers of each other service, one for each GPU."""
    if found is None:
        return
    names = {one["uuid"]: f"GPU {clean(one['index'] or one['uuid'])}" for one in found["gpus"]}
    for service, workers in found["services"].items():
        bare = {one["uuid"]: clean(one["uuid"]) for worker in workers for one in worker["gpus"]}
        yield from _service(clean(service), workers, {**bare, **names})
    for one in found["gpus"]:
        of = f"{mebibytes(one['given'])} of {mebibytes(one['memory'])} given"
        others = f", others have {mebibytes(one['others'])}" if one["others"] else ""
        yield f"    {names[one['uuid']]}  {clean(one['name'])}  {one['part']:g} of its time, {of}{others}"
    for note in found["notes"]:
        yield f"  ! {clean(note)}"


def _service(service: str, workers: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> Iterator[str]:
    if not any(one["gpus"] for one in workers):
        cpus = sorted({cpu for one in workers for cpu in one["cpus"]})
        yield f"    {service}  {len(workers)} worker{'' if len(workers) == 1 else 's'} on {words.cpus(cpus)}"
        return
    for index, one in enumerate(workers[:_MOST]):
        told = [_gpu(gpu, names) for gpu in one["gpus"]] + ([words.cpus(one["cpus"])] if one["cpus"] else [])
        yield f"    {service}  worker {index} on {', '.join(told)}"
    if len(workers) > _MOST:
        yield f"    {service}  and {len(workers) - _MOST} more"


def _gpu(gpu: Mapping[str, Any], names: Mapping[str, str]) -> str:
    what = "" if gpu["part"] == 1 else f" ({round(gpu['part'], 3):g} of its time, {mebibytes(gpu['memory'])})"
    return f"{names[gpu['uuid']]}{what}"

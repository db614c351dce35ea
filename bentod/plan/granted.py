"""The variables that tell a worker its resources: which GPUs it sees, and how many threads it may compute with."""

from __future__ import annotations

import math

from bentod.plan.grants import Grant, Needs

GPUS = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
"""What says which GPUs are seen. With `resources` only the placement decides that."""
POOLS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
)
"""The sizes of the thread pools of numeric libraries. Without these each takes as many as the host has CPUs."""


def variables(needs: Needs | None, grant: Grant, threads: int, hide: bool) -> dict[str, str]:
    """What a worker finds in its environment, sorted by name. `threads` is how many calls it runs at once: they share
    its CPUs. `hide`: it sees no GPU at all. `needs` None: the service has no `resources`."""
    found = {**_gpus(grant, hide), **_cpus(needs, threads)}
    return dict(sorted(found.items()))


def device(grant: Grant) -> str:
    """What frameworks call the GPU that the worker is to use, `${worker.device}`. The others that it sees follow."""
    return "cuda:0" if grant.shares else "cpu"


def _gpus(grant: Grant, hide: bool) -> dict[str, str]:
    found = {"BENTOD_DEVICE": device(grant)}
    if grant.shares:
        uuids = ",".join(share.device for share in grant.shares)
        found |= {**dict.fromkeys(GPUS, uuids), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    elif hide:
        found |= {"CUDA_VISIBLE_DEVICES": "", "NVIDIA_VISIBLE_DEVICES": "void"}
    return found


def _cpus(needs: Needs | None, threads: int) -> dict[str, str]:
    if needs is None or needs.cpus is None:
        return {}
    cpus = math.ceil(needs.cpus)
    size = max(1, cpus // max(1, threads))
    tokenizers = "true" if size > 1 else "false"
    return {**dict.fromkeys(POOLS, str(size)), "TOKENIZERS_PARALLELISM": tokenizers, "BENTOD_CPUS": str(cpus)}

"""What is left on GPUs while old and new workers run beside each other: by measured memory where there is some, else by
what was declared. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from bentod.plan.difference import GpuBudget, Usage
from bentod.plan.inventory import Inventory
from bentod.plan.model import Plan, ServicePlan, WorkerPlan
from bentod.plan.reserve import usable
from bentod.plan.words import mebibytes


class GpuRoom:
    """The GPUs that are `there` as the workers of `old` use them, and as new ones take from them."""

    def __init__(self, there: Inventory | None, old: Plan | None, usage: Mapping[str, Usage]) -> None:
        self._devices = {device.uuid: device for device in (there.devices if there is not None else ())}
        self._promised: Counter[str] = Counter()
        for share in (share for claim in (there.claims if there is not None else ()) for share in claim.shares):
            self._promised[share.device] += share.memory
        self._usage = usage
        self._declared: Counter[str] = Counter()
        self._measured: Counter[str] = Counter()
        self._taken: Counter[str] = Counter()
        for service in old.services if old else ():
            self._declared.update(_declared(service.workers))
            for uuid, sizes in _gpus(usage, service).items():
                self._measured[uuid] += sum(sizes)

    def needs(self, service: ServicePlan, workers: Iterable[WorkerPlan]) -> Counter[str]:
        """The bytes on each GPU that these workers are expected to need: what running ones have on average, else what
        was declared."""
        measured = [size for sizes in _gpus(self._usage, service).values() for size in sizes if size]
        each = sum(measured) // len(measured) if measured else 0
        found: Counter[str] = Counter()
        for worker in workers:
            for share in worker.grant.shares:
                found[share.device] += each or share.memory
        return found

    def fits(self, needs: Mapping[str, int]) -> bool:
        """Whether so much more can be used on each."""
        return all(size <= self.left(uuid) for uuid, size in needs.items())

    def left(self, uuid: str) -> int:
        """What can be used on one by who comes next."""
        device = self._devices.get(uuid)
        if device is None:
            return 0
        if device.free is not None and self._measured[uuid]:
            return usable(device.free) - self._taken[uuid]
        others = sum(process.memory or 0 for process in device.processes if process.pid)
        return device.memory - others - self._promised[uuid] - self._declared[uuid] - self._taken[uuid]

    def take(self, needs: Mapping[str, int]) -> None:
        """So much more is used."""
        self._taken.update(needs)

    def told(self, needs: Mapping[str, int]) -> str:
        """Needs and what is left for them, for people: the GPU where it is tightest."""
        uuid = max(needs, key=lambda one: needs[one] - self.left(one))
        device = self._devices.get(uuid)
        where = f"GPU {device.label}" if device is not None else f"the GPU {uuid}"
        return f"about {mebibytes(needs[uuid])} on {where}, where {mebibytes(max(0, self.left(uuid)))} can be used"

    def budget(self, new: Plan) -> tuple[GpuBudget, ...]:
        """What it costs on every GPU that somebody has, or is to have."""
        named = {share.device for service in new.services for one in service.workers for share in one.grant.shares}
        named |= self._declared.keys() | self._taken.keys()
        return tuple(
            GpuBudget(one.uuid, one.name, one.memory, one.free, self._measured[one.uuid], self._taken[one.uuid])
            for one in self._devices.values()
            if one.uuid in named
        )


def _declared(workers: Iterable[WorkerPlan]) -> Counter[str]:
    found: Counter[str] = Counter()
    for worker in workers:
        for share in worker.grant.shares:
            found[share.device] += share.memory
    return found


def _gpus(usage: Mapping[str, Usage], service: ServicePlan) -> Mapping[str, tuple[int, ...]]:
    return usage[service.name].gpus if service.name in usage else {}

"""What NVIDIA's driver says of its GPUs, by NVML. For the child process only: a call of it may hang, or crash."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pynvml  # type: ignore[import-untyped]

from bentod.inventory.gpus import Gpus, failed
from bentod.inventory.processes import process
from bentod.plan.inventory import Device, GpuProcess

_LIBRARY = "libnvidia-ml.so.1"
_NO_FILE = "cannot open shared object file: No such file"
_NO_DRIVER = f"there is no NVIDIA driver here ({_LIBRARY} is not found)"
_WORDS = {
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "NVIDIA's driver is installed, but not loaded: see `dmesg`, and whether "
    "`/dev/nvidiactl` is there",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "NVIDIA's driver in the kernel{loaded} and its library are of different "
    "versions: load the new driver, or start this host again",
    pynvml.NVML_ERROR_NO_PERMISSION: "this user may not use the GPUs: see the mode of /dev/nvidia*",
    pynvml.NVML_ERROR_GPU_IS_LOST: "it is lost: it has fallen off the bus, or is not reachable; see `dmesg`",
    pynvml.NVML_ERROR_RESET_REQUIRED: "it needs a reset: `nvidia-smi --gpu-reset`",
}
_DEADLY = {pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED}
"""Errors of any question about a device that mean the device, not the question."""
_UNCORRECTED = (pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC)
_CANNOT = {pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND}


def error_words(error: Any, root: Path = Path("/")) -> str:
    """An error of NVML, and what to do."""
    loaded = ""
    with contextlib.suppress(OSError, IndexError):
        loaded = " (" + (root / "sys/module/nvidia/version").read_text().split()[0] + ")"
    known = _WORDS.get(error.value)
    return known.format(loaded=loaded) if known else f"NVML says: {error} (error {error.value})"


class Driver:
    """The driver of this host. `open` it, ask for its `gpus`."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._name = ""
        self._since: dict[str, int] = {}
        self.handles: dict[str, Any] = {}
        """Of the GPUs that were last told of, by UUID."""
        self.instances: dict[str, dict[int, list[str]]] = {}
        """The UUIDs of MIG instances by the UUID of their GPU and the number of its GPU instance."""

    def open(self) -> Gpus | None:
        """Load the library. What is wrong, or None: it works."""
        try:
            ctypes.CDLL(_LIBRARY)
        except OSError as error:
            if _NO_FILE in str(error):
                return Gpus(gpus="none", reason=_NO_DRIVER)
            return failed(f"NVIDIA's library does not load: {error}")
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            return failed(error_words(error, self._root))
        with contextlib.suppress(pynvml.NVMLError):
            self._name = pynvml.nvmlSystemGetDriverVersion() or ""
        return None

    def gpus(self) -> Gpus:
        """All devices in NVML's order; each answers for itself. A GPU that has MIG instances is not among them, these
        are in its place."""
        try:
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            return failed(error_words(error, self._root))
        self.handles, self.instances, codes = {}, {}, {}
        devices: list[Device] = []
        for number in range(count):
            for device, code in self._at(number):
                devices.append(device)
                if code:
                    codes[device.index] = code
        return Gpus(tuple(devices), "ok", "", self._name, codes)

    def _at(self, number: int) -> Iterator[tuple[Device, int]]:
        """The GPU of a number, or its MIG instances; with NVML's error if it failed."""
        index, uuid = str(number), ""
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(number)
            uuid = pynvml.nvmlDeviceGetUUID(handle)
            self.handles[uuid] = handle
            if _divided(handle):
                yield from self._parts(handle, uuid, index)
            else:
                yield self._device(handle, uuid, index), 0
        except pynvml.NVMLError as error:
            yield _broken(uuid, index, error_words(error, self._root)), error.value

    def _parts(self, gpu: Any, uuid: str, index: str) -> Iterator[tuple[Device, int]]:
        errors = _told(pynvml.nvmlDeviceGetTotalEccErrors, gpu, *_UNCORRECTED)
        numbers = range(_told(pynvml.nvmlDeviceGetMaxMigDeviceCount, gpu) or 0)
        found = [(number, _told(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, gpu, number)) for number in numbers]
        for number, handle in found:
            if handle is None:  # numbers may be left out
                continue
            place, own = f"{index}:{number}", ""
            try:
                own = pynvml.nvmlDeviceGetUUID(handle)
                instance = _told(pynvml.nvmlDeviceGetGpuInstanceId, handle)
                self.instances.setdefault(uuid, {}).setdefault(-1 if instance is None else instance, []).append(own)
                yield self._device(handle, own, place, uuid, errors), 0
            except pynvml.NVMLError as error:
                yield _broken(own, place, error_words(error, self._root), uuid), error.value
        if all(handle is None for _, handle in found):
            yield _broken(uuid, index, "it is in MIG mode, and has no instances that can compute"), 0

    def _device(self, handle: Any, uuid: str, index: str, parent: str = "", errors: int | None = None) -> Device:
        memory = _told(pynvml.nvmlDeviceGetMemoryInfo, handle, sure=True)
        rates = None if parent else _told(pynvml.nvmlDeviceGetUtilizationRates, handle)
        return Device(
            uuid=uuid,
            name=_told(pynvml.nvmlDeviceGetName, handle) or "",
            memory=0 if memory is None else int(memory.total),
            index=index,
            parent=parent,
            free=None if memory is None else int(memory.free),
            utilization=None if rates is None else _part(rates.gpu),
            processes=tuple(self._processes(handle, uuid, parent)),
            errors=errors if parent else _told(pynvml.nvmlDeviceGetTotalEccErrors, handle, *_UNCORRECTED),
        )

    def _processes(self, handle: Any, uuid: str, parent: str) -> list[GpuProcess]:
        found = _told(pynvml.nvmlDeviceGetComputeRunningProcesses_v3, handle)
        if found is None:
            found = _told(pynvml.nvmlDeviceGetComputeRunningProcesses_v2, handle) or []
        if not found:
            return []
        parts = None if parent else self._parts_of_time(handle, uuid)
        made = [
            process(one.pid, one.usedGpuMemory, None if parts is None else parts.get(one.pid, 0.0), self._root)
            for one in found
        ]
        return sorted(made, key=lambda one: (one.pid, one.memory or 0))

    def _parts_of_time(self, handle: Any, uuid: str) -> dict[int, float] | None:
        """By process, what it used since the last question. The driver has no samples of who used nothing."""
        try:
            samples = pynvml.nvmlDeviceGetProcessUtilization(handle, self._since.get(uuid, 0))
        except pynvml.NVMLError as error:
            if error.value in _DEADLY:
                raise
            return {} if error.value in (pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_SUCCESS) else None
        newest: dict[int, Any] = {}
        for sample in samples:
            if sample.pid not in newest or sample.timeStamp >= newest[sample.pid].timeStamp:
                newest[sample.pid] = sample
        self._since[uuid] = max((sample.timeStamp for sample in samples), default=self._since.get(uuid, 0))
        return {pid: _part(sample.smUtil) for pid, sample in newest.items()}


def _divided(gpu: Any) -> bool:
    """Whether it is in MIG mode. One that could say so and does not is not taken for a whole one. Raises NVMLError."""
    try:
        return bool(pynvml.nvmlDeviceGetMigMode(gpu)[0] == pynvml.NVML_DEVICE_MIG_ENABLE)
    except pynvml.NVMLError as error:
        if error.value not in {*_CANNOT, pynvml.NVML_ERROR_NO_PERMISSION}:
            raise
        return False


def _broken(uuid: str, index: str, reason: str, parent: str = "") -> Device:
    return Device(uuid, "", 0, index, parent, state="failed", reason=reason)


def _part(percent: int) -> float:
    return min(100, max(0, int(percent))) / 100


def _told(function: Callable[..., Any], *arguments: Any, sure: bool = False) -> Any:
    """What the driver answers; None where it does not, as when it is too old. Raises NVMLError of a lost device, and
    of what every device that works is `sure` to tell, if it can at all."""
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        if error.value in _DEADLY or (sure and error.value not in _CANNOT):
            raise
        return None

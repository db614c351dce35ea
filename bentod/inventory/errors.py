"""Waits for what the driver says of errors of GPUs, in a thread of the child process."""

from __future__ import annotations

import ctypes
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pynvml  # type: ignore[import-untyped]

from bentod.inventory.xid import words
from bentod.plan.inventory import DeviceEvent

_WAIT_MS = 1000
_FOREVER = {
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_NO_PERMISSION,
    pynvml.NVML_ERROR_UNINITIALIZED,
}
"""After these there is nothing to wait for."""


class Errors:
    """Tells of critical errors (Xid), by the device that the inventory lists. `watch` what is there, each time."""

    def __init__(self, tell: Callable[[DeviceEvent], None]) -> None:
        self._tell = tell
        self._new: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._uuids: dict[int, str] = {}
        self._watched: set[str] = set()
        self._instances: Mapping[str, Mapping[int, list[str]]] = {}
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def watch(self, handles: Mapping[str, Any], instances: Mapping[str, Mapping[int, list[str]]]) -> None:
        """These GPUs, by UUID, which have these MIG instances."""
        self._instances = instances
        for uuid, handle in handles.items():
            if uuid not in self._watched:
                self._watched.add(uuid)
                self._new.put((uuid, handle))
        if self._thread is None and self._watched:
            self._thread = threading.Thread(target=self._run, name="errors", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            events = pynvml.nvmlEventSetCreate()
        except pynvml.NVMLError:
            return
        while not self._ended.is_set():
            self._register(events)
            self._wait(events)

    def _register(self, events: Any) -> None:
        while not self._new.empty():
            uuid, handle = self._new.get()
            self._uuids[_address(handle)] = uuid
            try:
                pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, events)
            except pynvml.NVMLError:
                continue  # the others may have events

    def _wait(self, events: Any) -> None:
        try:
            found = pynvml.nvmlEventSetWait_v2(events, _WAIT_MS)
        except pynvml.NVMLError as error:
            if error.value in _FOREVER:
                self._ended.set()
            elif error.value != pynvml.NVML_ERROR_TIMEOUT:
                self._ended.wait(_WAIT_MS / 1000)  # such as of a lost GPU: not again at once
            return
        if found.eventType & pynvml.nvmlEventTypeXidCriticalError:
            code = int(found.eventData)
            for uuid in self._concerned(_address(found.device), int(found.gpuInstanceId)):
                self._tell(DeviceEvent(uuid, "xid", code, words(code)))

    def _concerned(self, address: int, instance: int) -> list[str]:
        """The GPU; or its MIG instance, or all of them if the driver does not tell which."""
        uuid = self._uuids.get(address, "")
        parts = self._instances.get(uuid, {})
        if not parts:
            return [uuid] if uuid else []
        return parts.get(instance) or [one for some in parts.values() for one in some]


def _address(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0

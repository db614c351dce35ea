"""A host with GPUs that are not there: a stand-in for the library of NVIDIA's driver, and what it says.

nvml = StandIn(tmp_path)
first = nvml.gpu(memory=80 * GIB, used=GIB)
subprocess.run(..., env={**os.environ, **nvml.environ})
nvml.process(first, pid, memory=4 * GIB)  # the child sees it from its next question on
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

GIB = 1 << 30
LOST, MISMATCH, NO_FUNCTION, UNKNOWN = 15, 18, 13, 999
"""Errors of NVML."""


@functools.cache
def library() -> Path:
    """The folder of the stand-in, made once in a process. Skips the test where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    folder = tempfile.TemporaryDirectory(prefix="nvml-")
    weakref.finalize(library, folder.cleanup)
    target = Path(folder.name) / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", f"-Wl,-soname,{target.name}"]
    source = Path(__file__).with_name("nvml.c")
    done = subprocess.run([compiler, *flags, "-o", target, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Path(folder.name)


@dataclass
class _Unit:
    """A GPU, or with a `parent` a MIG instance."""

    uuid: str
    name: str
    memory: int
    used: int = 0
    utilization: int = 0
    error: int = 0
    ecc: int = 0
    mig: bool = False
    parent: str = ""
    id: int = -1
    processes: dict[int, tuple[int, int]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        if self.parent:
            own = f"instance {self.uuid} {self.memory} {self.used} {self.error} {self.id} {self.name}"
        else:
            numbers = f"{self.utilization} {self.error} {self.ecc} {int(self.mig)}"
            own = f"gpu {self.uuid} {self.memory} {self.used} {numbers} {self.name}"
        return [own, *(f"process {pid} {memory} {part}" for pid, (memory, part) in self.processes.items())]


class StandIn:
    """What the stand-in says. Each method takes effect at once, in processes that run, too."""

    def __init__(self, folder: Path, *, gpus: int = 0, memory: int = 16 * GIB) -> None:
        self._library = library()
        self._file = folder / "nvml"
        self._units: dict[str, _Unit] = {}
        self._orders: dict[str, str] = {}
        self._xids: list[str] = []
        self._driver = "560.35.03"
        self.uuids = [self.gpu(memory=memory) for _ in range(gpus)]
        self._write()

    @property
    def environ(self) -> Mapping[str, str]:
        """What a child needs, to see these GPUs."""
        found = os.environ.get("LD_LIBRARY_PATH")
        path = f"{self._library}:{found}" if found else str(self._library)
        return {"LD_LIBRARY_PATH": path, "FAKE_NVML_FILE": str(self._file)}

    def gpu(self, uuid: str = "", name: str = "Stand-in GPU", memory: int = 16 * GIB, used: int = 0) -> str:
        """One more GPU. Returns its UUID."""
        uuid = uuid or f"GPU-{len(self._units):08x}-0000-0000-0000-000000000000"
        self._units[uuid] = _Unit(uuid, name, memory, used)
        self._write()
        return uuid

    def instance(self, gpu: str, uuid: str = "", name: str = "Stand-in GPU MIG 1g", memory: int = 4 * GIB) -> str:
        """One more MIG instance of a GPU, which is in MIG mode from now on. Returns its UUID."""
        uuid = uuid or f"MIG-{len(self._units):08x}-0000-0000-0000-000000000000"
        number = sum(unit.parent == gpu for unit in self._units.values())
        self._units[gpu].mig = True
        self._units[uuid] = _Unit(uuid, name, memory, parent=gpu, id=number + 1)
        self._write()
        return uuid

    def change(self, uuid: str, **what: object) -> None:
        """`name`, `memory`, `used`, `utilization` (percent, -1: not told), `mig`; `error`: the code of NVML that every
        question about it has for an answer, 0 for none; `ecc`: how many errors could not be corrected."""
        unit = self._units[uuid]
        self._units[uuid] = replace(unit, **what)  # type: ignore[arg-type]
        self._write()

    def lose(self, uuid: str) -> None:
        """It falls off the bus."""
        self.change(uuid, error=LOST)

    def process(self, uuid: str, pid: int, memory: int = GIB, utilization: int = -1) -> None:
        """A process computes there; -1: the driver does not tell. Does not change how much memory is `used`."""
        self._units[uuid].processes[pid] = (memory, utilization)
        self._write()

    def ended(self, uuid: str, pid: int) -> None:
        """It computes there no more."""
        self._units[uuid].processes.pop(pid, None)
        self._write()

    def xid(self, uuid: str, code: int, instance: int = -1) -> None:
        """The driver says that a GPU had an error, to the first process that waits for it, now or later."""
        self._xids.append(f"xid {len(self._xids) + 1} {uuid} {code} {instance}")
        self._write()

    def hang(self, function: str = "*") -> None:
        """It does not answer, until `answer`."""
        self._order(function, f"hang {function}")

    def crash(self, function: str = "*") -> None:
        """Whoever calls it dies."""
        self._order(function, f"crash {function}")

    def fail(self, function: str, code: int = UNKNOWN) -> None:
        """A function such as `nvmlInitWithFlags` returns an error."""
        self._order(function, f"fail {function} {code}")

    def lack(self, function: str) -> None:
        """The driver has no such function."""
        self.fail(function, NO_FUNCTION)

    def answer(self, function: str = "*") -> None:
        """The reverse of `hang`, `crash`, `fail` and `lack`."""
        self._orders.pop(function, None)
        self._write()

    def _order(self, function: str, line: str) -> None:
        self._orders[function] = line
        self._write()

    def _write(self) -> None:
        gpus = [unit for unit in self._units.values() if not unit.parent]
        units = [
            line
            for gpu in gpus
            for unit in (gpu, *(one for one in self._units.values() if one.parent == gpu.uuid))
            for line in unit.lines()
        ]
        lines = [f"driver {self._driver}", *units, *self._xids, *self._orders.values()]
        new = self._file.with_name(f"{self._file.name}.new")
        new.write_text("".join(f"{line}\n" for line in lines))
        new.replace(self._file)

"""Callables that need memory of a device that there is not. `hold` keeps a slot until a file appears."""

import time
from pathlib import Path

OutOfMemoryError = type("OutOfMemoryError", (RuntimeError,), {"__module__": "torch"})
ROOM = 20
sizes = []


def hold(gate):
    Path(gate, "begun").touch()
    while not Path(gate, "open").exists():
        time.sleep(0.002)


def doubled(values):
    sizes.append(len(values))
    if len(values) > ROOM:
        raise OutOfMemoryError(f"CUDA out of memory. Tried to allocate {len(values)}.00 GiB")
    return [2 * value for value in values]


def ran():
    return sizes


def huge(room):
    raise OutOfMemoryError(f"CUDA out of memory. Tried to allocate {room}.00 GiB. Process {__file__} has it all.")

"""What `take` and `Probe` share: how the process that asks the driver is started, what its lines and its end mean."""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

from bentod.inventory.document import inventory
from bentod.inventory.gpus import Gpus
from bentod.plan.inventory import DeviceEvent

COMMAND = (sys.executable, "-P", "-m", "bentod.inventory")
FIRST_S = 30.0
"""The first answer of a child may take so long: where nothing keeps GPUs initialised, each takes the driver seconds."""
LONGEST_LINE = 4 << 20
NONSENSE = "the process that asks NVIDIA's driver says what cannot be understood"


def question(number: int) -> bytes:
    """The line that asks for an answer with this number."""
    return b"%d\n" % number


def understood(line: bytes) -> tuple[int, Gpus] | DeviceEvent:
    """An answer and its number, or news. Raises ValueError for anything else."""
    try:
        data = json.loads(line)
        if "event" in data:
            return _event(data["event"])
        return int(data.pop("answer")), _gpus(data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{NONSENSE}: {str(error)[:200]}") from None


def silent(timeout_s: float) -> str:
    """Why there are no GPUs if a child did not answer in time."""
    return f"NVIDIA's driver did not answer within {timeout_s:g} s: see `dmesg`, and whether `nvidia-smi` answers"


def ended(status: int | None) -> str:
    """Why there are no GPUs if a child ended without an answer."""
    if status is None:
        how = "closed its output"
    elif status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
        how = f"was killed by {name}"
    else:
        how = f"ended with exit code {status}"
    return f"the process that asks NVIDIA's driver {how}, without an answer"


def _gpus(data: dict[str, Any]) -> Gpus:
    codes = data.pop("codes", None) or {}
    if not all(isinstance(code, int) for code in codes.values()):
        raise ValueError(NONSENSE)
    last = bool(data.pop("last", False))
    found = inventory({**data, "cpus": 1})
    return Gpus(found.devices, found.gpus, found.reason, found.driver, codes, last)


def _event(data: dict[str, Any]) -> DeviceEvent:
    uuid, kind, code, text = (data[key] for key in ("uuid", "kind", "code", "text"))
    if kind not in ("xid", "ecc", "lost") or not isinstance(code, int):
        raise ValueError(NONSENSE)
    return DeviceEvent(str(uuid), kind, code, str(text))

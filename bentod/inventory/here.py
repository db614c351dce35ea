"""What this host has besides GPUs: read from the system, in this process."""

from __future__ import annotations

from pathlib import Path

from bentod.inventory.cpus import cpus
from bentod.inventory.memory import total_memory
from bentod.plan.inventory import Inventory


def here(root: Path = Path("/")) -> Inventory:
    """CPUs and memory."""
    count, ids = cpus(root)
    return Inventory(count, ids, total_memory(root))

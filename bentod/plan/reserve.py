"""What of free memory, of the host or of a GPU, may be counted on. One rule for whoever asks whether two fit."""

from __future__ import annotations

from bentod.plan.words import MIB

_PART = 0.1
_LEAST = 64 * MIB


def usable(free: int) -> int:
    """So much of what is free may be promised; negative if not even the reserve is there. What is measured may still
    grow: contexts, caches."""
    return free - max(int(free * _PART), _LEAST)

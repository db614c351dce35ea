"""The calls of one API that wait, by priority and group, and what the API may have at once."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from bentod.dispatch.call import Call

_SLACK = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """What one API may have. `waiting`: calls that may wait. `slots`: how many of the service's slots it may hold at
    once, 0 for all. `priority`: its calls' level unless they say otherwise. `takes`: what the callable expects.

    `max_size`: how much one batch may weigh, 0 if calls are not batched; `max_delay_s`: how long a part of a batch may
    be held."""

    waiting: int = 256
    slots: int = 0
    priority: int = 5
    takes: str = "item"
    max_size: int = 0
    max_delay_s: float = 0.0

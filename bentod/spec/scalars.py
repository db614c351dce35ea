"""What a scalar of YAML or TOML becomes: a value that JSON can hold."""

from __future__ import annotations

import math
from datetime import date, datetime, time
from typing import Any

_INTEGERS = range(-(2**63), 2**64)


def judged(value: Any) -> tuple[Any, str]:
    """`value`, or what stands for it, and what is wrong with it. TOML's dates become strings, as YAML's are."""
    if isinstance(value, float) and not math.isfinite(value):
        return 0.0, "infinity and NaN are not JSON values"
    if isinstance(value, int) and value not in _INTEGERS:
        return 0, "this integer does not fit into 64 bits"
    if isinstance(value, (datetime, date, time)):
        return value.isoformat(), ""
    return value, ""

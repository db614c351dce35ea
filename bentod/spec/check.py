"""What needs more than one value to judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bentod.spec.model import Spec
from bentod.spec.report import Report


def check(spec: Spec, data: dict[str, Any], directory: Path, report: Report) -> None:
    """Report everything that is wrong with `spec` as a whole."""

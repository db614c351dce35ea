"""The examples under `specs/`, and what they need."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path.parent for path in (ROOT / "specs").glob("*/bentofile.yaml"))
TOUR = ROOT / "bentofile.example.yaml"


def named(path: Path) -> str:
    """The id of a test about a file of the repository."""
    return str(path.relative_to(ROOT))


def on_this_host(folder: Path) -> dict[str, Any]:
    """What the example's `cpu.yaml` changes in its spec, if it has one and there is no GPU here."""
    path = folder / "cpu.yaml"
    if not path.is_file() or Path("/dev/nvidia0").exists():
        return {}
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def require(folder: Path) -> None:
    """Skip the test if a package of the example's requirements.txt is missing."""
    for line in (folder / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if name := re.match(r"[a-z0-9-]+", line):
            try:
                version(name.group())
            except PackageNotFoundError:
                pytest.skip(f"{folder.name}/requirements.txt is not installed")

"""Projects made for one test: a few of the modules in `targets/`, and a spec of them. Gates for calls that wait."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.daemon import eventually

TARGETS = Path(__file__).parent / "targets"


def project(folder: Path, *targets: str, files: Mapping[str, str] | None = None, **spec: Any) -> Path:
    """`folder` with these targets, these files, and a spec that says `spec`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in targets:
        shutil.copy(TARGETS / f"{name}.py", folder)
    for path, text in (files or {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    (folder / "bentofile.yaml").write_text(json.dumps({"bentod": 1, "name": "e2e", **spec}), encoding="utf-8")
    return folder


def api(service: str, method: str, *properties: str, **more: Any) -> dict[str, Any]:
    """An API whose input has these properties, all required, of any type."""
    given = {
        "type": "object",
        "properties": dict.fromkeys(properties, True),
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"service": service, "method": method, "input": given, **more}


class Gate:
    """What `targets/waiting.py` waits at. Calls that came in leave a file, so that a test sees what has begun."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    @property
    def input(self) -> dict[str, str]:
        return {"gate": str(self.folder)}

    def count(self, what: str = "begun") -> int:
        """How many calls have `begun`, or were `cancelled`."""
        return len(list(self.folder.glob(f"{what}-*")))

    def reached(self, calls: int = 1, what: str = "begun") -> None:
        """Wait until so many have."""
        eventually(lambda: self.count(what) >= calls, what=f"{calls} calls {what}")

    def open(self) -> None:
        """Let all through, also those that come later."""
        (self.folder / "open").touch()

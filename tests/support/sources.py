"""A small project whose files decide what runs, with what a daemon keeps of it, but without any process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bentod.daemon.desired import Desired, read
from bentod.daemon.folders import Folders
from bentod.daemon.sources import Sources
from tests.support.stage import FakeStage

CODE = "import part\n\n\ndef say(): ...\n"


def digest(content: str) -> str:
    """What a content is called."""
    return hashlib.sha256(content.encode()).hexdigest()


class Project:
    """A folder with a spec, `one.py` and `part.py`, which every pool imports as they are when it is made."""

    def __init__(self, folder: Path, environ: Mapping[str, str] | None = None, **spec: Any) -> None:
        self.folder = folder
        self.environ = dict(environ or {})
        self.folders = Folders(folder / "run", folder / ".bentod", folder / "files")
        self.path = folder / "bentofile.yaml"
        folder.mkdir(exist_ok=True)
        self.write("one.py", CODE)
        self.write("part.py", "WORD = 1\n")
        self.spec(**spec)

    def spec(self, **spec: Any) -> None:
        """Write another spec."""
        given = {
            "bentod": 1,
            "name": "p",
            "services": {"one": {"target": "one.py", "stop_timeout": "50ms", "start_timeout": "50ms"}},
            "apis": {"say": {"service": "one"}},
        }
        self.path.write_text(json.dumps({**given, **spec}))

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def read(self) -> Desired:
        """What the spec says now. Raises SpecError."""
        return read([self.path], self.environ)

    def imports(self, _: str = "") -> dict[str, str]:
        """What a worker would import now."""
        return {name: digest((self.folder / name).read_text()) for name in ("one.py", "part.py")}

    def stage(self, **given: Any) -> FakeStage:
        """Generation 1 of it, running."""
        desired = self.read()
        stage = FakeStage(desired.plan, **given)
        stage.imports, stage.desired = self.imports, desired
        for pool in stage.pools:
            pool.files = self.imports()
        return stage

    def sources(self, *, locked: bool = False) -> Sources:
        """What decides what runs."""
        return Sources(self.folders, self.folder, [self.path], locked=locked)

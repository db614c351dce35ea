"""Images that `bentod build-image` makes, and containers of them that may do next to nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.daemon import eventually
from tests.support.engine import Engine

BUILD_S = 600.0
USER = "43210:43210"
"""Nobody: neither the host nor the image knows this user."""


def build(spec: Sequence[Path], *words: str, environ: Mapping[str, str] | None = None) -> str:
    """Run `bentod build-image`; what it said. Fails if it does."""
    files = [word for file in spec for word in ("-f", str(file))]
    command = [sys.executable, "-P", "-m", "bentod", "build-image", *files, *words]
    done = subprocess.run(
        command, env={**os.environ, **(environ or {})}, capture_output=True, text=True, timeout=BUILD_S
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


class Running:
    """A running container. `url` reaches its port."""

    def __init__(self, engine: Engine, name: str, port: int, **options: Any) -> None:
        self._container = engine.client.containers.run(
            name,
            detach=True,
            read_only=True,
            tmpfs={"/tmp": ""},
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            user=USER,
            ports={f"{port}/tcp": ("127.0.0.1", None)},
            **options,
        )
        try:
            self._container.reload()
            (bound,) = self._container.ports[f"{port}/tcp"]
            self.url = f"http://127.0.0.1:{bound['HostPort']}"
        except BaseException:
            self.remove()
            raise

    @property
    def health(self) -> str:
        """What the engine found out by the image's health check."""
        self._container.reload()
        assert self._container.status == "running", self.log[-3000:]
        return str(self._container.attrs["State"]["Health"]["Status"])

    @property
    def log(self) -> str:
        """All that it has written."""
        return self._container.logs().decode("utf-8", "replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of this name; every line is one of JSON."""
        return [one for one in map(json.loads, self.log.splitlines()) if one["event"] == name]

    def ready(self) -> None:
        """Wait until it serves."""
        eventually(lambda: "generation.ready" in self.log or self.health == "gone", 60, "it serves")

    def said(self, *command: str) -> tuple[int, str]:
        """Exit code and output of a command that runs in it."""
        done = self._container.exec_run([*command])
        return done.exit_code, done.output.decode("utf-8", "replace")

    def stop(self, patience_s: float) -> tuple[int, float]:
        """Send SIGTERM, and wait for the end: the exit code, and how long that took."""
        begun = time.monotonic()
        self._container.kill("SIGTERM")
        code = self._container.wait(timeout=patience_s)["StatusCode"]
        return int(code), time.monotonic() - begun

    def remove(self) -> None:
        """It was needed for this test only."""
        self._container.remove(force=True)


@contextmanager
def container(engine: Engine, name: str, port: int = 3000, **options: Any) -> Iterator[Running]:
    """A container until the block ends: its root is read-only but for /tmp, and it has no rights."""
    found = Running(engine, name, port, **options)
    try:
        yield found
    finally:
        found.remove()


def saved(engine: Engine, name: str, folder: Path) -> Path:
    """The whole image with its layers and its history, as an archive."""
    path = folder / "image.tar"
    with path.open("wb") as file:
        for piece in engine.client.images.get(name).save(chunk_size=1024 * 1024, named=name):
            file.write(piece)
    return path


def holds(archive: Path, text: bytes) -> bool:
    """Whether these bytes are anywhere in an archive that is not compressed."""
    rest = b""
    with archive.open("rb") as file:
        while piece := file.read(4 * 1024 * 1024):
            if text in rest + piece:
                return True
            rest = piece[-len(text) :]
    return False


def names(archive: Path, since: int) -> set[str]:
    """The files in all layers of an image but for the first `since`, which are the base's."""
    with tarfile.open(archive) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        found = set()
        for layer in manifest[0]["Layers"][since:]:
            with tarfile.open(fileobj=tar.extractfile(layer)) as files:
                found.update(files.getnames())
    return found

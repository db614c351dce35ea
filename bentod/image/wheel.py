"""The running bentod as a wheel, so that an image has the very same: from a checkout as from an installed one."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import io
import os
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bentod
from bentod.errors import BentodError
from bentod.image.junk import is_junk_file

DATA = ("schemas", "specs", "recipes", "constraints/bentod.txt")
"""What lies outside the package, and in a wheel in its folder `_data`."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_NEVER = frozenset({"__pycache__", "_data", ".bentod"})


class Unpackable(BentodError):
    """The running bentod cannot be packed."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel: the name of its file, and its content."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class _About:
    """What pip needs to know."""

    version: str
    summary: str
    python: str
    requirements: tuple[str, ...]
    scripts: tuple[tuple[str, str], ...]


def pack(package: Path | None = None) -> Wheel:
    """The wheel of the running bentod, or of the one whose package is given: the same files give the same bytes.
    Raises Unpackable."""
    package = package or Path(bentod.__file__).parent
    about = _of_checkout(package) or _of_installed(package)
    folder = f"bentod-{about.version}.dist-info"
    files = dict(sorted(_files(package)))
    files[f"{folder}/METADATA"] = _metadata(about)
    files[f"{folder}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: bentod\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    scripts = "".join(f"{script} = {target}\n" for script, target in about.scripts)
    files[f"{folder}/entry_points.txt"] = f"[console_scripts]\n{scripts}".encode()
    record = "".join(f"{path},{_digest(data)},{len(data)}\n" for path, data in files.items())
    files[f"{folder}/RECORD"] = f"{record}{folder}/RECORD,,\n".encode()
    return Wheel(name(about.version), _zipped(files))


def name(version: str) -> str:
    """The name of the wheel's file."""
    return f"bentod-{version}-py3-none-any.whl"


def _files(package: Path) -> Iterator[tuple[str, bytes]]:
    """The package, and beneath `bentod/_data` what comes with it, in a checkout from beside it."""
    if not (package / "__init__.py").is_file():
        raise Unpackable(f"bentod cannot be packed for the image: {package} is no folder with its files")
    yield from _beneath(package, "bentod")
    for data in DATA:
        inside = package / "_data" / data
        place = inside if inside.exists() else package.parent / data
        if place.is_dir():
            yield from _beneath(place, f"bentod/_data/{data}")
        elif place.is_file():
            yield f"bentod/_data/{data}", place.read_bytes()


def _beneath(folder: Path, path: str) -> Iterator[tuple[str, bytes]]:
    try:
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _NEVER and not entry.name.startswith("."):
                    yield from _beneath(Path(entry.path), f"{path}/{entry.name}")
            elif entry.is_file() and not is_junk_file(entry.name):
                yield f"{path}/{entry.name}", Path(entry.path).read_bytes()
    except OSError as error:
        raise Unpackable(f"bentod cannot be packed for the image: {error.filename}: {error.strerror}") from None


def _of_checkout(package: Path) -> _About | None:
    """What `pyproject.toml` says, where the package lies beside it: what an editable installation knows may be old."""
    try:
        project: dict[str, Any] = tomllib.loads((package.parent / "pyproject.toml").read_text("utf-8"))["project"]
    except (OSError, KeyError, ValueError):
        return None
    if project.get("name") != "bentod":
        return None
    return _About(
        bentod.__version__,
        project["description"],
        project["requires-python"],
        tuple(sorted(project["dependencies"])),
        tuple(sorted(project["scripts"].items())),
    )


def _of_installed(package: Path) -> _About:
    for found in importlib.metadata.distributions(name="bentod"):
        if (
            found.version == bentod.__version__
            and Path(str(found.locate_file("bentod"))).resolve() == package.resolve()
        ):
            scripts = ((one.name, one.value) for one in found.entry_points.select(group="console_scripts"))
            about = found.metadata
            return _About(
                found.version,
                about["Summary"],
                about["Requires-Python"],
                tuple(sorted(found.requires or [])),
                tuple(sorted(scripts)),
            )
    raise Unpackable(
        f"bentod cannot be packed for the image: nothing says what the package in {package} depends on; "
        "install it with pip, or run it from its checkout"
    )


def _metadata(about: _About) -> bytes:
    lines = [
        "Metadata-Version: 2.1",
        "Name: bentod",
        f"Version: {about.version}",
        f"Summary: {about.summary}",
        f"Requires-Python: {about.python}",
        *(f"Requires-Dist: {requirement}" for requirement in about.requirements),
    ]
    return "\n".join([*lines, ""]).encode()


def _digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _zipped(files: dict[str, bytes]) -> bytes:
    """Stored, not deflated: what deflating gives depends on zlib's version."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for path, data in files.items():
            info = zipfile.ZipInfo(path, _EPOCH)
            info.create_system, info.external_attr = 3, 0o100644 << 16
            archive.writestr(info, data)
    return made.getvalue()

"""What is told of an image that was built: its size by layers, its models, its packages, the time it took."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from bentod.image.order import Image, Layer

_WIDEST = 76
_MOST_LAYERS = 12
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the image."""

    name: str
    source: str
    digest: str
    size: int
    files: int


@dataclass(frozen=True, slots=True)
class Sources:
    """What the image was built from. Sizes are in bytes; `digest` is that of the build context."""

    digest: str
    size: int
    files: int
    project_size: int
    project_files: int
    models: tuple[Model, ...] = ()
    packages: tuple[str, ...] = ()
    """As they were asked for, or are locked."""
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """An image that was built."""

    tags: tuple[str, ...]
    backend: str
    pushed: bool
    seconds: float
    image: Image
    sources: Sources


def packages(lines: Iterable[str]) -> tuple[str, ...]:
    """The packages that the lines of a requirements file name, without their hashes."""
    found = (re.split(r"\s+--hash=|\s+\\", line.strip(), maxsplit=1)[0].strip() for line in lines)
    return tuple(one for one in found if _NAME.match(one))


def document(report: Report) -> str:
    """The report as JSON."""
    return json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n"


def text(report: Report) -> str:
    """The report for a person."""
    image = report.image
    lines = [f"{'pushed' if report.pushed else 'built'} {', '.join(report.tags)} with {report.backend}"]
    lines[0] += f" in {report.seconds:.1f} s"
    if image.id:
        lines.append(f"image    {image.id}, {amount(image.size)}")
    lines += _layers(image.layers)
    lines += summary(report.sources)
    return "\n".join(lines)


def summary(sources: Sources) -> list[str]:
    """What an image is built from, line by line."""
    lines = [f"context  {sources.digest}, {count(sources.files, 'file')}, {amount(sources.size)}"]
    lines.append(f"project  {count(sources.project_files, 'file')}, {amount(sources.project_size)}")
    lines += [
        f"model    {model.name}: {model.source}, {count(model.files, 'file')}, {amount(model.size)}"
        for model in sources.models
    ]
    how = "locked" if sources.locked else "not locked"
    return [*lines, f"packages {count(len(sources.packages), 'requirement')}, {how}"]


def _layers(layers: Sequence[Layer]) -> list[str]:
    """The largest layers, in the image's order; those that are empty are not told."""
    full = [layer for layer in layers if layer.size]
    largest = sorted(full, key=lambda layer: layer.size, reverse=True)[:_MOST_LAYERS]
    shown = [layer for layer in full if any(layer is one for one in largest)]
    lines = [f"layer    {amount(layer.size):>9}  {_short(layer.made_by)}" for layer in shown]
    left = len(full) - len(shown)
    return [*lines, f"         and {left} smaller ones"] if left else lines


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def amount(size: int) -> str:
    """A size in bytes as people read it."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"


def count(number: int, what: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number:,} {what}{'s' * (number != 1)}"

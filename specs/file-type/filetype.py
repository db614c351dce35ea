"""What is in a file, whatever its name says? Magika, a small neural network that looks at a file's bytes."""

from pathlib import Path
from typing import Any

from magika import Magika, MagikaResult


class Detector:
    """Constructed once per worker. Many files take about as long as one: the network looks at them together."""

    def __init__(self) -> None:
        self.model = Magika()

    def identify(self, file: Path) -> dict[str, Any]:
        """The type of one file."""
        return self.identify_all([file])[0]

    def identify_all(self, files: list[Path]) -> list[dict[str, Any]]:
        """The type of each file, in their order."""
        return [described(result) for result in self.model.identify_paths(files)]


def described(result: MagikaResult) -> dict[str, Any]:
    """A result as JSON. Raises OSError if the file could not be read."""
    if not result.ok:
        raise OSError(f"unreadable: {result.status}")
    kind = result.output
    return {
        "label": str(kind.label),
        "description": kind.description,
        "mime_type": kind.mime_type,
        "is_text": kind.is_text,
        "score": min(float(result.score), 1.0),
    }

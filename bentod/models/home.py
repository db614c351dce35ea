"""Where the models of this host lie, and the error of all that goes wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from bentod.errors import BentodError

USUAL = "https://huggingface.co"
"""The hub that is meant where nobody names one."""


class ModelError(BentodError):
    """A model cannot be fetched, read or kept. The text names the model, what was tried and what to do."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folder `root` of bentod's own store. The records of what came from a hub lie beside the models in it.
    `endpoint` is the hub that is asked where a spec names none, "" for huggingface.co."""

    root: Path
    endpoint: str = ""

    @property
    def store(self) -> Path:
        """The folder of the store: `NAME/VERSION/…`."""
        return self.root

    @property
    def paths(self) -> Path:
        """The folder of what files of models elsewhere on this host held when they were read last."""
        return self.root / ".paths"

    @property
    def hub(self) -> Path:
        """The folder of the records of fetches from a hub."""
        return self.root / ".hub"


def default_home(environ: Mapping[str, str]) -> Home:
    """The folder that BENTOD_MODELS names, or the usual one of this user, with the hub that HF_ENDPOINT names. Raises
    ModelError if it has no home."""
    endpoint = recorded(environ.get("HF_ENDPOINT", ""))
    own, data = environ.get("BENTOD_MODELS"), environ.get("XDG_DATA_HOME", "")
    try:
        if own:
            return Home(Path(own).expanduser().absolute(), endpoint)
        folder = Path(data) if data.startswith("/") else Path(environ.get("HOME") or Path.home()) / ".local/share"
    except RuntimeError:  # a container may run as somebody whom nobody knows
        raise ModelError("this user has no home folder: let BENTOD_MODELS name the folder for models") from None
    return Home(folder / "bentod" / "models", endpoint)


def recorded(url: str) -> str:
    """The hub at `url` as records have it: as it may be told, "" for the usual one."""
    shown = without_password(url.strip().rstrip("/"))
    return "" if shown == USUAL else shown


def without_password(url: str) -> str:
    """A URL as it may be told: without what only its owner should know."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

"""What the fetching process is told, and what it says: one JSON document each way, or one a line."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from bentod.models.progress import Listing, Offered, Progress
from bentod.plan.models import Located, ModelPlan


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient fetching is: what fails is tried again `retries` times without any progress, after `delay_s` and
    then twice as long each time. A hub that asks for more than `longest_wait_s` is not waited for. `silence_s` is how
    long a connection may be silent; 0: HF_HUB_DOWNLOAD_TIMEOUT, or what huggingface_hub takes without it."""

    retries: int = 5
    delay_s: float = 1.0
    longest_delay_s: float = 15.0
    longest_wait_s: float = 60.0
    silence_s: float = 0.0
    connections: int = 8


@dataclass(frozen=True, slots=True)
class Order:
    """Fetch these models, or only say what would be fetched. `home` is the folder of the store, `endpoint` the hub
    that is asked where a model names none, as records have it."""

    what: Literal["fetch", "list"]
    models: tuple[ModelPlan, ...]
    home: str
    limits: Limits = field(default_factory=Limits)
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """One line of the fetching process; one of these is there."""

    progress: Progress | None = None
    located: Located | None = None
    listing: Listing | None = None
    error: str = ""


def encode_order(order: Order) -> bytes:
    """One line."""
    return _line(asdict(order))


def decode_order(line: bytes) -> Order:
    """Raises ValueError."""
    with _strict():
        found = json.loads(line)
        models = tuple(ModelPlan(**_tuples(model)) for model in found["models"])
        return Order(found["what"], models, found["home"], Limits(**found["limits"]), found["endpoint"])


def encode_said(said: Said) -> bytes:
    """One line."""
    return _line({name: value for name, value in asdict(said).items() if value})


def decode_said(line: bytes) -> Said:
    """Raises ValueError."""
    with _strict():
        found = json.loads(line)
        for name, made in (("progress", Progress), ("located", Located)):
            if name in found:
                found[name] = made(**found[name])
        if "listing" in found:
            files = tuple(Offered(**file) for file in found["listing"]["files"])
            found["listing"] = Listing(found["listing"]["commit"], files)
        return Said(**found)


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _tuples(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


@contextlib.contextmanager
def _strict() -> Iterator[None]:
    """Both ends are of one version, so what does not fit is no line of theirs."""
    try:
        yield
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(str(error)) from None

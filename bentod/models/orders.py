"""What the fetching process is told, and what it says: one JSON document each way, or one a line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import TypeAdapter

from bentod.models.progress import Listing, Progress
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
    """Fetch these models, or only say what would be fetched. `home` is the folder of the store."""

    what: Literal["fetch", "list"]
    models: tuple[ModelPlan, ...]
    home: str
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Said:
    """One line of the fetching process; one of these is there."""

    progress: Progress | None = None
    located: Located | None = None
    listing: Listing | None = None
    error: str = ""


_ORDER = TypeAdapter(Order)
_SAID = TypeAdapter(Said)


def encode_order(order: Order) -> bytes:
    """One line."""
    return _ORDER.dump_json(order) + b"\n"


def decode_order(line: bytes) -> Order:
    """Raises ValueError."""
    return _ORDER.validate_json(line)


def encode_said(said: Said) -> bytes:
    """One line."""
    return _SAID.dump_json(said, exclude_none=True, exclude_defaults=True) + b"\n"


def decode_said(line: bytes) -> Said:
    """Raises ValueError."""
    return _SAID.validate_json(line)

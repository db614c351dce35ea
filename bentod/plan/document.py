"""Placeholder of the lead, until the real one is here: overwrite it."""

from dataclasses import asdict
from typing import Any

from bentod.plan.difference import Proposal


def document(proposal: Proposal) -> dict[str, Any]:
    """Plain data."""
    return asdict(proposal)

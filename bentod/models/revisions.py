"""Which commit a model is pinned to, and else what a hub is asked for."""

from __future__ import annotations

import re

from bentod.plan.models import ModelPlan

_COMMIT = re.compile(r"[0-9a-f]{40}")


def pinned(model: ModelPlan) -> str:
    """The commit that the model is pinned to; "" if a hub must be asked what its revision is."""
    return model.commit or (model.revision if _COMMIT.fullmatch(model.revision) else "")


def revision_of(model: ModelPlan) -> str:
    """The branch or tag to ask a hub for."""
    return model.revision or "main"

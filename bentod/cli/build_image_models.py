"""Fetches the models that an image gets, before it is built."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import replace

from bentod.cli.build_image_context import Examined
from bentod.cli.progress import ProgressLines
from bentod.models.fetching import fetch
from bentod.models.home import default_home


def fetched(found: Examined, environ: Mapping[str, str]) -> Examined:
    """The same with all models on this host. Raises ModelError, which names the model and what was tried."""
    wanted = found.weights.wanted
    if not wanted:
        return found
    told = ProgressLines(sys.stderr, sys.stderr.isatty())
    located = asyncio.run(fetch(wanted, default_home(environ), environ, told))
    weights = replace(found.weights, located={**found.weights.located, **located}, missing={})
    return replace(found, weights=weights)

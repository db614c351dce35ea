"""Models come from a hub as a whole or not at all, and once they are there no hub is asked again."""

from __future__ import annotations

import os

import pytest

from bentod.models.fetching import fetch_now, listing_now
from bentod.models.home import Home
from bentod.models.orders import Limits
from bentod.plan.models import ModelPlan
from tests.support.hub import Hub

FILES = {
    "config.json": b'{"a": 1}\n',
    "model.safetensors": bytes(range(256)) * 8000,
    "onnx/model.bin": b"x" * 100_000,
    "README.md": b"# hello\n",
}
QUICK = Limits(retries=2, delay_s=0.01, longest_wait_s=2, silence_s=5)


@pytest.fixture
def hub():
    with Hub() as hub:
        hub.add("org/model", FILES)
        yield hub


class Place:
    """A host's folders, and what was told of the fetches."""

    def __init__(self, folder, hub):
        self.home = Home(folder / "models")
        self.cache = folder / "hf" / "hub"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "BENTOD_"))}
        self.environ = {**kept, "HF_HOME": str(folder / "hf"), "HF_ENDPOINT": hub.url}
        self.told = []

    def fetch(self, *models, **environ):
        return fetch_now(models, self.home, {**self.environ, **environ}, self.told.append, QUICK)


@pytest.fixture
def place(tmp_path, hub):
    return Place(tmp_path, hub)


def hf(name="m", source="org/model", **more):
    return ModelPlan(name, "hf", source, **more)


def test_it(place, hub):
    located = place.fetch(hf())
    print(located, place.told, [(r.kind, r.method, r.path) for r in hub.requests])

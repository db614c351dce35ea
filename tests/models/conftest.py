"""A stand-in hub with one model, and a host that fetches from it."""

from __future__ import annotations

import hashlib
import ssl
from functools import cache

import pytest

from tests.support.fetches import Host
from tests.support.hub import Hub

FILES = {
    "config.json": b'{"a": 1}\n',
    "model.safetensors": bytes(range(256)) * 1200,
    "onnx/model.bin": b"x" * 10_000,
    "README.md": b"# hello\n",
}


@pytest.fixture
def files():
    return dict(FILES)


@pytest.fixture
def hub():
    with Hub() as hub:
        hub.commit = hub.add("org/model", FILES)
        hub.weights = hashlib.sha256(FILES["model.safetensors"]).hexdigest()
        yield hub


@pytest.fixture(autouse=True)
def quick_clients(monkeypatch):
    """To load all certificates takes longer than most of these tests."""
    monkeypatch.setattr("httpx2._transports.default.create_ssl_context", _context)


@cache
def _context(*_, **__):
    return ssl.create_default_context()


@pytest.fixture(autouse=True)
def no_token(monkeypatch, tmp_path):
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)


@pytest.fixture
def host(tmp_path, hub):
    yield Host(tmp_path, hub.url)
    from huggingface_hub.utils import close_session

    close_session()

"""Fixtures that several files share."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.support.chromium import browser, chromium
from tests.support.engine import engine
from tests.support.http import Connection, request

__all__ = ["browser", "chromium", "engine", "short_folder"]


@pytest.fixture
def short_folder():
    """A folder with a path that is short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="bt"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def connection(app):
    """A connection to the daemon of the file's own fixture `app`."""
    with Connection(app.url) as connection:
        yield connection


@pytest.fixture
def ask(app):
    """Sends one request, JSON unless it says otherwise, on a connection of its own; the answer."""

    def send(path, body, media_type="application/json", accept=None):
        headers = {"content-type": media_type} | ({"accept": accept} if accept is not None else {})
        plain = media_type == "application/json" and not isinstance(body, bytes)
        with Connection(app.url) as connection:
            return connection.ask(request(path, json.dumps(body).encode() if plain else body, headers=headers))

    return send

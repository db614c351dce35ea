"""Fixtures that several files share."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.support.chromium import browser, chromium

__all__ = ["browser", "chromium", "short_folder"]


@pytest.fixture
def short_folder():
    """A folder with a path that is short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="bt"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)

"""Fixtures that several files share."""

import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def short_folder():
    """A folder with a path that is short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="bt"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)

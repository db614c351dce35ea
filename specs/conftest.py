"""For the examples' tests: each example imports its own modules by their plain names, as it does when it is served."""

import sys
from pathlib import Path

import pytest

for folder in Path(__file__).parent.iterdir():
    if folder.is_dir() and str(folder) not in sys.path:
        sys.path.append(str(folder))


@pytest.fixture(scope="module")
def app(request):
    """The example in whose folder the test lies, served by a real daemon."""
    from tests.support.daemon import running
    from tests.support.examples import on_this_host

    folder = request.path.parent
    with running(folder, overlay=on_this_host(folder)) as app:
        yield app

"""A real engine: what it builds, what it says, and that a build which is given up ends there, too."""

import json
from pathlib import Path

import pytest

from bentod.image.choose import chosen
from bentod.image.context import made, text
from bentod.image.order import BuildFailed, Order
from tests.support.daemon import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
TAG = "bentod-test-build:1"


def order(engine, *steps):
    base = f"python:{engine.python}-slim-bookworm"
    lines = [f"FROM {base}", *(f"RUN {json.dumps(step)}" for step in steps), 'COPY ["src/", "/app/"]', ""]
    dockerfile = "\n".join(lines)
    context = made([text("Dockerfile", dockerfile), text("src/a.txt", "hello"), text("src/ü b/c.txt", "x" * 10_000)])
    return Order(context=context, dockerfile=dockerfile, tags=(TAG,), no_cache=True)


@pytest.fixture(autouse=True)
def removed(engine):
    yield
    for image in engine.client.images.list(TAG):
        engine.client.images.remove(image.id, force=True)


def test_an_image_has_the_files_and_its_layers_are_told(engine):
    lines = []
    given = order(engine, ["python3", "-c", "print('hello from the build')"])
    image = chosen("docker", given, engine.environ).build(given, lines.append)
    assert any(line.endswith(" hello from the build") for line in lines)
    assert any(line.startswith("#") and " done in " in line for line in lines)
    assert image.id == engine.client.images.get(TAG).id
    assert image.layers[-1].made_by.startswith("COPY")
    assert image.layers[-1].size == 10_005


def test_a_step_that_fails_is_told_with_what_it_printed(engine):
    lines = []
    given = order(engine, ["python3", "-c", "print('before'); raise SystemExit(7)"])
    with pytest.raises(BuildFailed, match="exit code: 7"):
        chosen("docker", given, engine.environ).build(given, lines.append)
    assert any(line.endswith(" before") for line in lines)


def test_a_build_that_is_given_up_ends_at_the_engine(engine, tmp_path):
    """The step goes on to print for as long as it runs; what it waits for never comes."""
    begun = []

    def tell(line):
        if line.endswith(" begun"):
            begun.append(line)
            raise KeyboardInterrupt

    code = "import time; print('begun', flush=True); time.sleep(7357)"
    given = order(engine, ["python3", "-c", code])
    with pytest.raises(KeyboardInterrupt):
        chosen("docker", given, engine.environ).build(given, tell)
    assert begun
    eventually(lambda: not running("time.sleep(7357)"), what="the step is gone")
    assert engine.client.images.list(TAG) == []


def running(text):
    """Whether a process with this in its command line runs on this host: the engine is here."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in path.read_bytes():
                return True
        except OSError:
            continue
    return False

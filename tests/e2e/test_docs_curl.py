"""What the pages of docs show is what happens: their specs are run, and their commands with them."""

import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.daemon import running

pytestmark = [pytest.mark.e2e, pytest.mark.beside]
DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = ("types", "streams", "takes")
SHOWN = "http://127.0.0.1:3000"


def blocks(page):
    """The language and the text of each block."""
    return BLOCK.findall((DOCS / f"{page}.md").read_text("utf-8"))


def commands(page):
    """Each command, with the output that is shown after it, or None."""
    found = [*blocks(page), ("", "")]
    return [
        pytest.param(page, text, shown if after == "text" else None, id=f"{page}-{number}")
        for number, ((language, text), (after, shown)) in enumerate(pairwise(found))
        if language == "sh"
    ]


@pytest.fixture(scope="module")
def apps(tmp_path_factory):
    """A daemon for each page's spec, in a folder with the files that the page shows."""
    started = {}
    daemons = []

    def app(page):
        if page not in started:
            folder = tmp_path_factory.mktemp(page)
            for language, text in blocks(page):
                if name := re.match(r"# (\S+\.\w+)\n", text):
                    (folder / name[1]).write_text(text, "utf-8")
                else:
                    assert language in {"sh", "text", "js"}
            if (folder / "samples.py").exists():
                subprocess.run([sys.executable, "samples.py"], cwd=folder, check=True, timeout=60)
            daemons.append(running(folder))
            started[page] = folder, daemons[-1].__enter__()
        return started[page]

    yield app
    for daemon in daemons:
        daemon.__exit__(None, None, None)


def run(folder, *command):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("page", "text", "shown"), [each for page in PAGES for each in commands(page)])
@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_a_command_does_what_is_shown(apps, page, text, shown):
    folder, app = apps(page)
    assert SHOWN in text
    written = set(folder.iterdir())
    command = text.replace(SHOWN, app.url).replace("curl ", "curl --silent --show-error ")
    output = run(folder, "bash", "-e", "-o", "pipefail", "-c", command)
    if shown is not None:
        assert output.strip("\n") == shown.strip("\n")
        return
    [made] = set(folder.iterdir()) - written
    begins = {"png": b"\x89PNG", "jpg": b"\xff\xd8", "webp": b"RIFF", "npy": b"\x93NUMPY"}
    assert made.read_bytes().startswith(begins[made.suffix[1:]])


@pytest.mark.parametrize(
    ("page", "file", "shown"), [("types", "tensors.py", ""), ("streams", "client.py", "0\n1\n2\n")]
)
def test_a_program_does_what_is_shown(apps, page, file, shown):
    folder, app = apps(page)
    text = (folder / file).read_text("utf-8").replace(SHOWN, app.url)
    assert run(folder, sys.executable, "-c", text) == shown


@pytest.mark.skipif(not shutil.which("node"), reason="there is no Node.js")
def test_the_browsers_program_does_what_is_shown(apps):
    folder, app = apps("streams")
    [text] = [text for language, text in blocks("streams") if language == "js"]
    (folder / "client.mjs").write_text(text.replace('"/count"', f'"{app.url}/count"'), "utf-8")
    assert run(folder, "node", "client.mjs") == "0\n1\n2\n"


@pytest.mark.parametrize("page", PAGES)
def test_what_is_linked_is_there(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (DOCS / f"{page}.md").read_text("utf-8"))
    assert [link for link in links if not (DOCS / link).exists()] == []

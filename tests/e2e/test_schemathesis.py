"""What schemathesis makes of each example's OpenAPI document is answered as the document says, whatever it is."""

import os
import re
import subprocess
import sys

import pytest

from tests.support.daemon import running
from tests.support.examples import FOLDERS, ROOT, TOUR, named, require

CONFIG = """
[warnings]  # such as: all that was sent was refused
fail-on = true

[checks.negative_data_rejection]
expected-statuses = [400, 404, 405, 406, 413, 415, 422]

[phases.stateful]
enabled = false
"""
SLOW = {"ocr": 5}  # fewer cases
OVERLAYS = {  # nobody waits for what is meant to take its time
    "embeddings": {
        "types": {"Text": {"maxLength": 200}},
        "apis": {"embed": {"input": {"properties": {"texts": {"maxItems": 4}}}}},
    },
    "hello": {"apis": {"greet_later": {"input": {"properties": {"seconds": {"maximum": 0.01}}}}}},
    "chat": {"types": {"Tokens": {"maximum": 40, "default": 10}}},
}


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize("spec", [*(folder / "bentofile.yaml" for folder in FOLDERS), TOUR], ids=named)
def test_an_example_does_what_its_openapi_document_says(spec, tmp_path):
    name = spec.parent.name
    if spec != TOUR:
        require(spec.parent)
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    words = ["--max-examples", str(SLOW.get(name, 20)), "--generation-deterministic", "--continue-on-failure"]
    with running(spec.parent, spec=spec.name, overlay=OVERLAYS.get(name)) as app:
        prefix = "/v1" if spec == TOUR else ""
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "run", f"{app.url}{prefix}/openapi.json", "--no-color", *words],
            cwd=tmp_path,  # it leaves a folder where it runs
            env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks"},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout
    assert int(re.search(r"(\d+) generated", done.stdout).group(1)) > 100

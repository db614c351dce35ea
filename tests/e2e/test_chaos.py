"""Workers and gateways are killed and the code is edited under load: nobody notices."""

import random

import pytest

from benchmarks.chaos import Every, chaos

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def test_no_request_fails_while_processes_are_killed_and_the_code_is_edited(tmp_path):
    often = Every(worker=0.6, gateway=2.7, reload=1.9)
    found = chaos(tmp_path, seconds=8.0, rate=80.0, workers=3, gateways=2, dice=random.Random(), every=often)
    assert found.requests > 100
    twice = {kind: count for kind, count in found.failed.items() if "worker-lost" in kind}  # killed, and killed again
    assert sum(twice.values()) <= 1, found
    assert (found.failed.keys() - twice.keys(), found.mixed) == (set(), 0), found
    assert found.reloads_live + sum(found.reloads_failed.values()) >= 1

"""Equal specs give equal fingerprints; what forces new workers, and nothing else, gives others."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.plan.build import build
from bentod.plan.fingerprint import digest, settings
from tests.support.specs import BASE, laid_over, loaded

FULL = {
    "env": {"TOP": "1", "LEVEL": "info"},
    "services": {
        "s": {
            "target": "hello:Model",
            "init": {"size": 3, "names": {"a": 1, "b": [1, 2]}},
            "env": {"A": "x", "B": "${worker.index}"},
            "hooks": {"start": "run", "stop": "run"},
            "workers": 2,
        }
    },
    "apis": {
        "greet": {"method": "run", "errors": {"builtins:ValueError": 422, "builtins:KeyError": 404}},
        "again": {"service": "s", "method": "run"},
        "more": {"target": "hello:greet"},
    },
}
SPEC = laid_over(BASE, FULL)


def planned(over=None, environ=None, env_files=(), models=None):
    """The plan of the full spec with something laid over it."""
    with tempfile.TemporaryDirectory() as folder:
        spec = loaded(Path(folder), laid_over(SPEC, over or {})).spec
        return build(spec, Path("/project"), environ or {}, env_files, models or {})


def service(over=None, **options):
    return planned(over, **options).services[0]


def shuffled(value, random):
    """The same data with the keys of every map in another order."""
    if not isinstance(value, dict):
        return value
    names = list(value)
    random.shuffle(names)
    return {name: shuffled(value[name], random) for name in names}


@given(st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(random):
    with tempfile.TemporaryDirectory() as folder:
        other = build(loaded(Path(folder), shuffled(SPEC, random)).spec, Path("/project"), {})
    prints = {one.name: (settings(one), digest(one, {"a.py": "1", "b.py": "2"})) for one in other.services}
    assert prints == {one.name: (settings(one), digest(one, {"b.py": "2", "a.py": "1"})) for one in planned().services}


def test_keys_are_named_as_in_the_spec_and_values_are_digests():
    found = settings(service())
    assert list(found) == [
        "name",
        "server.gateways",
        "services.s.concurrency",
        "services.s.env.A",
        "services.s.env.B",
        "services.s.env.LEVEL",
        "services.s.env.TOP",
        "services.s.errors",
        "services.s.hooks.start",
        "services.s.hooks.stop",
        "services.s.init.names",
        "services.s.init.size",
        "services.s.methods",
        "services.s.target",
        "services.s.threads",
    ]
    assert all(len(value) == 64 for value in found.values())


@pytest.mark.parametrize(
    ("over", "keys"),
    [
        ({"name": "other"}, {"name"}),
        ({"server": {"gateways": 2}}, {"server.gateways"}),
        ({"env": {"LEVEL": "debug"}}, {"services.s.env.LEVEL"}),
        ({"env": {"A": "below the service's own"}}, set()),
        ({"services": {"s": {"env": {"C": "1"}}}}, {"services.s.env.C"}),
        ({"services": {"s": {"init": {"size": 3.5}}}}, {"services.s.init.size"}),
        ({"services": {"s": {"init": {"names": {"b": [1, True]}}}}}, {"services.s.init.names"}),
        ({"services": {"s": {"threads": 2}}}, {"services.s.threads"}),
        ({"services": {"s": {"hooks": {"ready": "run"}}}}, {"services.s.hooks.ready"}),
        ({"apis": {"greet": {"errors": {"builtins:OSError": 500}}}}, {"services.s.errors"}),
        ({"apis": {"greet": {"errors": {"builtins:KeyError": 410}}}}, set()),
        ({"apis": {"greet": {"timeout": "5s", "queue": 9, "input": {"type": "object"}}}}, set()),
        (
            {"services": {"s": {"workers": 8, "start_timeout": "9s", "restart": {"limit": 1}, "reload": "overlap"}}},
            set(),
        ),
        ({"services": {"s": {"recycle": {"max_calls": 7}, "stop_timeout": "9s"}}}, set()),
        ({"version": "2.0.0", "description": "x", "server": {"path_prefix": "/v1"}}, set()),
    ],
)
def test_only_what_workers_cannot_follow_counts(over, keys):
    before, after = settings(service()), settings(service(over))
    assert {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)} == keys


def test_two_gateways_and_three_are_the_same_for_a_worker():
    assert settings(service({"server": {"gateways": 2}})) == settings(service({"server": {"gateways": 3}}))


def test_the_daemons_own_environment_does_not_count_but_env_files_do():
    below = {"HOME": "/root", "FILED": "1"}
    assert settings(service(environ=below)) == settings(service())
    assert "services.s.env.FILED" in settings(service(environ=below, env_files={"FILED"}))


def test_files_count_by_path_and_content():
    one = service()
    prints = {digest(one, files) for files in ({}, {"a.py": "1"}, {"a.py": "2"}, {"b.py": "1"})}
    assert len(prints) == 4

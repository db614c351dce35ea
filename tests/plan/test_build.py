"""Spec → Plan: complete, repeatable, and without a look at anything else."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from bentod.plan.build import build
from bentod.plan.model import RecyclePolicy, ReloadPlan
from bentod.wire.messages import Example
from tests.support.specs import BASE, laid_over, loaded

PROJECT = Path("/project")


def planned(tmp_path, over=None, environ=None):
    """The plan of a small spec with something laid over it."""
    return build(loaded(tmp_path, laid_over(BASE, over or {})).spec, PROJECT, environ or {})


def test_a_small_spec_becomes_a_complete_plan(tmp_path):
    plan = planned(tmp_path)
    (service,), (api,) = plan.services, plan.apis
    assert (plan.name, plan.version, plan.project) == ("app", "0.0.0", PROJECT)
    assert (service.name, service.target, service.methods, dict(service.hooks)) == ("s", "hello", ("greet",), {})
    assert (service.threads, service.concurrency, len(service.workers)) == (1, 100, 1)
    assert (service.start_timeout_s, service.stop_timeout_s) == (60.0, 30.0)
    assert (service.restart.delay_s, service.restart.limit, service.restart.window_s) == (0.2, 10, 300.0)
    assert (api.name, api.service, api.method, api.path, api.queue, api.timeout_s) == (
        "greet",
        "s",
        "greet",
        "/greet",
        256,
        30.0,
    )
    assert (plan.server.listen, plan.server.gateways, plan.server.docs) == (("127.0.0.1:3000",), 1, True)


def test_equal_specs_give_equal_plans_and_stay_as_they_were(tmp_path):
    spec = loaded(
        tmp_path, laid_over(BASE, {"apis": {"greet": {"examples": [{"name": "a", "input": {"x": [1]}}]}}})
    ).spec
    before = copy.deepcopy(spec)
    assert build(spec, PROJECT, {"A": "1"}) == build(spec, PROJECT, {"A": "1"})
    assert spec == before


def test_each_worker_has_its_index_and_its_environment(tmp_path):
    over = {
        "env": {"WHERE": "top", "TOP": "1"},
        "services": {
            "s": {
                "target": "hello:Model",
                "workers": 3,
                "env": {"WHERE": "service", "NUMBER": "n${worker.index}"},
                "init": {"device": "cpu:${worker.index}", "size": 3},
            }
        },
        "apis": {"greet": {"method": "run"}},
    }
    (service,) = planned(tmp_path, over, {"WHERE": "outside", "OUTSIDE": "1", "BENTOD_SERVICE": "liar"}).services
    assert [worker.index for worker in service.workers] == [0, 1, 2]
    assert [dict(worker.init) for worker in service.workers] == [
        {"device": f"cpu:{index}", "size": 3} for index in range(3)
    ]
    assert dict(service.workers[2].environ) == {
        "WHERE": "service",
        "TOP": "1",
        "OUTSIDE": "1",
        "NUMBER": "n2",
        "BENTOD_NAME": "app",
        "BENTOD_SERVICE": "s",
        "BENTOD_WORKER_INDEX": "2",
        "BENTOD_DEVICE": "cpu",
    }


def test_a_spec_cannot_tell_a_worker_that_it_is_another(tmp_path):
    (service,) = planned(tmp_path, {"env": {"BENTOD_WORKER_INDEX": "7"}}).services
    assert service.workers[0].environ["BENTOD_WORKER_INDEX"] == "0"


def test_methods_are_those_that_apis_use_once_each_sorted(tmp_path):
    over = {"apis": {"a": {"service": "s", "method": "later"}, "again": {"service": "s", "method": "greet"}}}
    (service,) = planned(tmp_path, over).services
    assert service.methods == ("greet", "later")


def test_apis_with_an_implied_service_share_a_pool(tmp_path):
    over = {
        "apis": {"one": {"target": "hello:greet"}, "two": {"target": "hello:later"}, "m": {"target": "hello:Model.run"}}
    }
    plan = planned(tmp_path, over)
    used = {api.name: api.service for api in plan.apis}
    assert used["one"] == used["two"] != used["m"]
    assert {service.name for service in plan.services} == {"s", used["one"], used["m"]}


def test_only_hooks_that_are_named_are_planned(tmp_path):
    (service,) = planned(tmp_path, {"services": {"s": {"hooks": {"start": "greet"}}}}).services
    assert dict(service.hooks) == {"start": "greet"}


@pytest.mark.parametrize(
    ("server", "api", "path", "max_body"),
    [
        pytest.param({}, {}, "/greet", 16 * 2**20, id="defaults"),
        pytest.param({"path_prefix": "/v1", "max_body": "1KiB"}, {}, "/v1/greet", 1024, id="of the server"),
        pytest.param({"max_body": "1KiB"}, {"max_body": "2KB", "route": "/a/b"}, "/a/b", 2000, id="of the api"),
    ],
)
def test_a_route_holds_prefix_and_limit(tmp_path, server, api, path, max_body):
    (route,) = planned(tmp_path, {"server": server, "apis": {"greet": api}}).apis
    assert (route.path, route.max_body) == (path, max_body)


def test_a_route_says_how_it_streams(tmp_path):
    (plain,) = planned(tmp_path).apis
    (stream,) = planned(tmp_path, {"apis": {"greet": {"stream": "ndjson", "stream_idle": "5s"}}}).apis
    assert (plain.stream, plain.stream_idle_s) == ("", 60.0)
    assert (stream.stream, stream.stream_idle_s) == ("ndjson", 5.0)


@pytest.mark.parametrize(
    ("api", "expected"),
    [
        pytest.param({}, ("item", 0, 0.0, 0, 5, 5), id="defaults"),
        pytest.param({"takes": "columns", "batching": {}}, ("columns", 32, 0.005, 0, 5, 5), id="batching"),
        pytest.param(
            {"batching": {"max_size": 8, "max_delay": "0s"}, "concurrency": 2}, ("item", 8, 0.0, 2, 5, 5), id="numbers"
        ),
        pytest.param({"priority": 2}, ("item", 0, 0.0, 0, 2, 2), id="level"),
        pytest.param({"priority": {"highest": 1}}, ("item", 0, 0.0, 0, 5, 1), id="highest"),
        pytest.param({"priority": {"default": 7}}, ("item", 0, 0.0, 0, 7, 7), id="default"),
    ],
)
def test_a_route_says_how_its_calls_run(tmp_path, api, expected):
    (route,) = planned(tmp_path, {"apis": {"greet": api}}).apis
    found = (route.takes, route.max_size, route.max_delay_s, route.concurrency, route.priority, route.highest)
    assert found == expected


def test_a_service_knows_how_many_gateways_connect(tmp_path):
    (service,) = planned(tmp_path, {"server": {"gateways": 3}}).services
    assert service.gateways == 3


def test_an_example_tells_no_output_from_null(tmp_path):
    examples = [{"name": "a", "input": 1}, {"name": "b", "input": 1, "output": None, "tolerance": 0.5}]
    (route,) = planned(tmp_path, {"apis": {"greet": {"examples": examples}}}).apis
    assert route.examples == (
        Example("a", 1),
        Example("b", 1, None, has_output=True, tolerance=0.5),
    )


def test_recycling_and_reloading_are_as_the_spec_says_and_off_by_default(tmp_path):
    (service,) = planned(tmp_path).services
    assert (service.recycle, service.reload, planned(tmp_path).reload) == (None, "auto", ReloadPlan())
    over = {
        "services": {"s": {"recycle": {"max_age": "24h", "max_memory": "2GiB"}, "reload": "stop_first"}},
        "reload": {"watch": False, "include": ["data/*.json"], "exclude": ["!keep"], "debounce": 0},
    }
    plan = planned(tmp_path, over)
    assert plan.services[0].recycle == RecyclePolicy(None, 24 * 3600.0, 2 << 30)
    assert plan.services[0].reload == "stop_first"
    assert plan.reload == ReloadPlan(False, ("data/*.json",), ("!keep",), 0.0)


def test_what_the_spec_says_is_kept_apart_from_what_lies_below_it(tmp_path):
    over = {"env": {"A": "1"}, "services": {"s": {"env": {"N": "n${worker.index}"}}}}
    spec = loaded(tmp_path, laid_over(BASE, over)).spec
    (service,) = build(spec, PROJECT, {"HOME": "/root", "FILED": "f"}, {"FILED"}).services
    assert dict(service.env) == {"A": "1", "N": "n${worker.index}", "FILED": "f"}
    assert service.workers[0].environ["N"] == "n0"


def test_a_service_that_only_a_target_names_is_implied(tmp_path):
    services = planned(tmp_path, {"apis": {"one": {"target": "hello:Model.run"}}}).services
    assert {service.name: service.implied for service in services} == {"s": False, "hello:Model": True}

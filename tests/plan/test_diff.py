"""Plan, Plan → Difference: every service and API once, with what forces what happens to it."""

from __future__ import annotations

import pytest

from bentod.plan.diff import difference
from bentod.plan.difference import Cause, Difference
from bentod.plan.models import Located
from tests.plan.test_fingerprint import planned

FILE = Cause("file", "hello.py", "1111", "2222")


def between(old=None, new=None, files=None, failed=()) -> Difference:
    """What lies between the full spec and itself, with something laid over each."""
    return difference(planned(old), planned(new), files or {}, failed)


def causes(found, name="s"):
    return [(cause.name, cause.before, cause.after) for cause in found.of(name).causes]


def api(found, name="greet"):
    return next(change for change in found.apis if change.name == name)


def test_nothing_lies_between_equal_plans():
    found = between()
    assert found.empty
    assert [service.action for service in found.services] == ["keep", "keep"]
    assert [change.verdict for change in found.apis] == ["same", "same", "same"]
    assert found.gateways.action == "keep"


def test_everything_is_new_where_nothing_runs():
    found = difference(None, planned(), {})
    assert [(one.name, one.action) for one in found.services] == [("s", "add"), ("hello", "add")]
    assert {change.verdict for change in found.apis} == {"added"}
    assert not found.empty
    assert not found.breaking


@pytest.mark.parametrize(
    ("over", "cause"),
    [
        ({"services": {"s": {"threads": 4}}}, ("services.s.threads", "1", "4")),
        ({"services": {"s": {"concurrency": 4}}}, ("services.s.concurrency", "100", "4")),
        ({"services": {"s": {"init": {"size": 4}}}}, ("services.s.init.size", "", "changed")),
        ({"services": {"s": {"init": {"other": "s3cret"}}}}, ("services.s.init.other", "", "set")),
        ({"services": {"s": {"env": {"A": "s3cret"}}}}, ("services.s.env.A", "", "changed")),
        ({"env": {"LEVEL": "s3cret"}}, ("services.s.env.LEVEL", "", "changed")),
        ({"services": {"s": {"hooks": {"ready": "run"}}}}, ("services.s.hooks.ready", "", "run")),
        ({"name": "other"}, ("name", "app", "other")),
        ({"server": {"gateways": 3}}, ("server.gateways", "1", "3")),
        ({"apis": {"greet": {"errors": {"builtins:OSError": 503}}}}, ("apis.greet.errors", "", "builtins:OSError")),
        ({"apis": {"new": {"service": "s", "method": "walk"}}}, ("apis.new", "", "walk")),
    ],
)
def test_what_only_new_workers_can_follow_restarts_a_service(over, cause):
    found = between(None, over)
    assert found.of("s").action == "restart"
    assert causes(found) == [cause]
    assert "s3cret" not in repr(found)
    assert between(over, None).of("s").action == "restart"


@pytest.fixture(autouse=True)
def _a_module_with_two_methods(monkeypatch):
    monkeypatch.setattr(
        "tests.support.specs.MODULE", "def greet(): ...\nclass Model:\n def run(self): ...\n def walk(self): ...\n"
    )


def test_a_method_that_no_api_uses_any_more_names_the_api():
    found = between(None, {"apis": {"greet": {"method": "walk"}, "again": {"method": "walk"}}})
    assert causes(found) == [("apis.greet.method", "run", "walk"), ("apis.again.method", "run", "walk")]


@pytest.mark.parametrize(
    ("over", "cause"),
    [
        ({"services": {"s": {"workers": 8}}}, ("services.s.workers", "2", "8")),
        ({"services": {"s": {"start_timeout": "2m"}}}, ("services.s.start_timeout", "60s", "2m")),
        ({"services": {"s": {"stop_timeout": "0s"}}}, ("services.s.stop_timeout", "30s", "0s")),
        ({"services": {"s": {"restart": {"limit": 3}}}}, ("services.s.restart.limit", "10", "3")),
        ({"services": {"s": {"recycle": {"max_age": "1h"}}}}, ("services.s.recycle.max_age", "", "60m")),
        ({"services": {"s": {"reload": "stop_first"}}}, ("services.s.reload", "auto", "stop_first")),
    ],
)
def test_what_a_pool_can_follow_restarts_nothing(over, cause):
    found = between(None, over)
    assert found.of("s").action == "live"
    assert causes(found) == [cause]
    assert not found.empty


def test_a_restart_also_says_what_else_changes():
    found = between(None, {"services": {"s": {"threads": 4, "workers": 1}}})
    assert [cause.name for cause in found.of("s").causes] == ["services.s.threads", "services.s.workers"]


def test_an_implied_service_names_the_key_of_the_api():
    assert causes(difference(None, planned(), {}), "hello") == [("apis.more.target", "", "hello")]
    assert causes(between(None, {"env": {"LEVEL": "debug"}}), "hello") == [("env.LEVEL", "", "changed")]


def test_another_name_is_another_service():
    old = {"services": {"old": {"target": "hello"}}, "apis": {"x": {"service": "old", "method": "greet"}}}
    new = {"services": {"new": {"target": "hello"}}, "apis": {"x": {"service": "new", "method": "greet"}}}
    found = between(old, new)
    actions = {one.name: one.action for one in found.services}
    assert actions == {"s": "keep", "hello": "keep", "new": "add", "old": "remove"}
    assert causes(found, "old") == [("services.old", "", "hello")]
    assert api(found, "x").verdict == "same"
    assert [cause.pointer for cause in api(found, "x").causes] == ["/service"]


def test_files_and_failures_are_causes():
    found = between(files={"s": (FILE,)}, failed=["hello"])
    assert found.of("s").causes == (FILE,)
    assert found.of("hello").causes == (Cause("state", "failed", "failed"),)
    assert {one.action for one in found.services} == {"restart"}


@pytest.mark.parametrize(
    ("over", "action", "cause"),
    [
        ({"server": {"listen": "unix:/tmp/x"}}, "restart", ("server.listen", "127.0.0.1:3000", "unix:/tmp/x")),
        ({"server": {"gateways": 2}}, "restart", ("server.gateways", "1", "2")),
        ({"server": {"docs": False}}, "live", ("server.docs", "true", "false")),
        ({"server": {"keep_alive": "5s"}}, "live", ("server.keep_alive", "75s", "5s")),
    ],
)
def test_gateways_follow_limits_and_restart_for_sockets(over, action, cause):
    found = between(None, over)
    assert found.gateways.action == action
    assert [(one.name, one.before, one.after) for one in found.gateways.causes] == [cause]


def test_another_prefix_breaks_every_api():
    found = between(None, {"server": {"path_prefix": "/v2"}})
    assert found.gateways.action == "live"
    assert {change.verdict for change in found.apis} == {"breaking"}


def test_swapped_routes_break_both():
    found = between(None, {"apis": {"greet": {"route": "/again"}, "again": {"route": "/greet"}}})
    assert [change.name for change in found.breaking] == ["greet", "again"]


@pytest.mark.parametrize(
    ("over", "cause"),
    [
        ({"version": "2.0.0"}, ("version", "0.0.0", "2.0.0")),
        ({"description": "words"}, ("description", "", "words")),
        ({"labels": {"a.b": "c"}}, ('labels["a.b"]', "", "c")),
        ({"types": {"T": {"type": "string"}}}, ("types.T", "", "set")),
        ({"reload": {"watch": False}}, ("reload.watch", "true", "false")),
        ({"reload": {"include": ["*.json"], "debounce": "1s"}}, ("reload.include", "", "*.json")),
    ],
)
def test_what_only_says_something_is_a_document(over, cause):
    found = between(None, over)
    assert not found.empty
    assert {one.action for one in found.services} == {"keep"}
    assert cause in [(one.name, one.before, one.after) for one in found.documents]


def test_a_type_that_an_api_uses_is_the_apis_matter():
    old = {
        "types": {"T": {"maxLength": 9}, "U": {"$ref": "#/types/T"}},
        "apis": {"greet": {"input": {"$ref": "#/types/U"}}},
    }
    found = between(old, {**old, "types": {**old["types"], "T": {"maxLength": 5}}})
    assert found.documents == ()
    [cause] = api(found).causes
    assert (cause.pointer, cause.message, cause.breaking) == ("/input/maxLength", "`maxLength` was 9, is 5", True)


def test_texts_are_short_and_the_difference_is_repeatable():
    long = "x" * 1000
    found = between(None, {"description": long, "services": {"s": {"target": "hello:Model"}}, "labels": {"l": long}})
    assert all(len(one.before) <= 60 and len(one.after) <= 60 for one in found.documents)
    assert found == between(None, {"description": long, "labels": {"l": long}})


def with_models(found, used=True):
    """The full spec with a model, which a service uses or not."""
    over = {"models": {"m": {"source": "hf://org/m"}}}
    if used:
        over["services"] = {"s": {"env": {"M": "${models.m.path}"}}}
    return planned(over, models=found)


@pytest.mark.parametrize("used", [True, False])
def test_another_content_of_a_model_restarts_who_uses_it(used):
    one, two = ({"m": Located("m", "/m", f"sha256:{digit * 64}", commit=digit * 40)} for digit in "12")
    assert difference(with_models(one, used), with_models(one, used), {}).empty
    found = difference(with_models(one, used), with_models(two, used), {})
    cause = ("models.m", "1" * 12, "2" * 12)
    if used:
        assert (found.of("s").action, causes(found)) == ("restart", [cause])
        assert found.of("hello").action == "keep"
    else:
        assert found.of("s").action == "keep"
        assert [(c.name, c.before, c.after) for c in found.documents] == [cause]


def test_a_model_that_is_not_here_yet_is_said():
    there = {"m": Located("m", "/m", f"sha256:{'1' * 64}", version="1.0")}
    assert causes(difference(with_models({}), with_models(there), {})) == [("models.m", "not fetched yet", "1.0")]


def test_another_place_of_the_same_model_is_new_for_workers_that_know_its_path():
    here, there = ({"m": Located("m", path, f"sha256:{'1' * 64}")} for path in ("/a", "/b"))
    assert difference(with_models(here), with_models(there), {}).of("s").action == "restart"
    assert with_models(here).services[0].workers[0].environ["M"] == "/a"

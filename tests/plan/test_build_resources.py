"""What workers are given of a host stands in the plan: their number, their environment, what their arguments name."""

from __future__ import annotations

from bentod.plan.build import build, demands
from bentod.plan.diff import difference
from bentod.plan.grants import Demand, Grant, Needs, Placement, Share
from tests.support.specs import BASE, laid_over, loaded

GPU = {"gpus": 0.5, "gpu_memory": "2GiB"}
CLASS = {"target": "hello:Model", "init": {"device": "${worker.device}"}}
APIS = {"apis": {"greet": {"service": "s", "method": "run"}}}


def planned(folder, service, placement=None, *, environ=None, over=None):
    spec = laid_over(laid_over(BASE, {"services": {"s": {**CLASS, **service}}, **APIS}), over or {})
    found = loaded(folder, spec)
    return build(found.spec, folder, environ or {}, placement=placement)


def on(*devices):
    return Placement({"s": tuple(Grant((Share(device, 0.5, 2 << 30),), (0, 1)) for device in devices)})


def test_a_spec_says_what_has_to_be_placed(tmp_path):
    assert demands(loaded(tmp_path, BASE).spec) == ()
    services = {"s": {"resources": GPU}, "t": {"target": "hello", "workers": "auto"}, "u": {"target": "hello"}}
    spec = loaded(tmp_path, laid_over(BASE, {"services": services})).spec
    assert demands(spec) == (Demand("s", Needs(gpus=0.5, gpu_memory=2 << 30), 1), Demand("t", Needs(), None))


def test_each_worker_gets_what_it_was_given(tmp_path):
    (service,) = planned(tmp_path, {"resources": GPU, "workers": 2}, on("GPU-a", "GPU-b")).services
    first, second = service.workers
    assert (first.init, second.init) == ({"device": "cuda:0"},) * 2
    assert first.environ["CUDA_VISIBLE_DEVICES"] == first.environ["NVIDIA_VISIBLE_DEVICES"] == "GPU-a"
    assert second.environ["CUDA_VISIBLE_DEVICES"] == "GPU-b"
    assert second.grant.shares[0].device == "GPU-b"
    assert service.init == {"device": "${worker.device}"}, "as it was written"


def test_as_many_workers_as_there_is_room_for(tmp_path):
    (service,) = planned(tmp_path, {"workers": "auto", "resources": GPU}, on("a", "b", "c")).services
    assert len(service.workers) == 3
    assert service.auto
    (service,) = planned(tmp_path, {"workers": "auto", "resources": GPU}).services
    assert len(service.workers) == 1, "no host was looked at"


def test_who_asks_for_no_gpu_sees_none_where_others_do(tmp_path):
    over = {"services": {"t": {"target": "hello"}, "z": {"target": "hello", "env": {"CUDA_VISIBLE_DEVICES": "0"}}}}
    plan = planned(tmp_path, {"resources": GPU}, on("a"), over=over)
    _, silent, stubborn = plan.services
    assert silent.workers[0].environ["CUDA_VISIBLE_DEVICES"] == ""
    assert stubborn.workers[0].environ["CUDA_VISIBLE_DEVICES"] == "0", "the spec says so"
    plan = planned(tmp_path, {"resources": {"cpus": 1}}, over=over)
    assert "CUDA_VISIBLE_DEVICES" not in plan.services[1].workers[0].environ
    (none,) = planned(tmp_path, {"resources": {**GPU, "gpus": 0}}, environ={"CUDA_VISIBLE_DEVICES": "0"}).services
    assert none.workers[0].environ["CUDA_VISIBLE_DEVICES"] == ""
    assert none.workers[0].init == {"device": "cpu"}


def test_who_sees_other_gpus_because_of_others_is_told_why(tmp_path):
    def seen(resources):
        services = {"s": {"target": "hello"}, "t": {"target": "hello", **resources}}
        found = loaded(tmp_path, laid_over(BASE, {"services": services}))
        return build(found.spec, tmp_path, {})

    none, some = seen({}), seen({"resources": GPU})
    for old, new, why in (
        (none, some, "to see no GPU, since others have been given theirs"),
        (some, none, "to see all GPUs again, since no service asks for any"),
    ):
        silent = next(one for one in difference(old, new, {}).services if one.name == "s")
        assert [(cause.name, cause.after) for cause in silent.causes] == [("hidden", why)]


def test_thread_pools_fit_the_cpus_unless_the_spec_says_otherwise(tmp_path):
    (service,) = planned(
        tmp_path, {"resources": {"cpus": 2}, "env": {"MKL_NUM_THREADS": "7"}}, environ={"OMP_NUM_THREADS": "64"}
    ).services
    environ = service.workers[0].environ
    assert (environ["OMP_NUM_THREADS"], environ["MKL_NUM_THREADS"], environ["BENTOD_CPUS"]) == ("2", "7", "2")


def actions(old, new):
    (change,) = difference(old, new, {}).services
    return change.action, [(cause.name, cause.before, cause.after) for cause in change.causes]


def test_what_of_a_promise_needs_new_workers(tmp_path):
    before = planned(tmp_path, {"resources": GPU}, on("a"))
    same = planned(tmp_path, {"resources": GPU}, on("a"))
    assert actions(before, same) == ("keep", [])
    more = planned(tmp_path, {"resources": {**GPU, "gpu_memory": "3GiB", "memory": "1GiB"}}, on("a"))
    key = "services.s.resources"
    assert actions(before, more) == ("live", [(f"{key}.memory", "", "1GiB"), (f"{key}.gpu_memory", "2GiB", "3GiB")])
    moved = planned(tmp_path, {"resources": GPU}, on("b"))
    assert actions(before, moved) == (
        "restart",
        [("devices", "", "another GPU, worker 0: a → b")],
    )
    first, second = (f"GPU-{digit * 8}-12ab-34cd-56ef-0123456789ab" for digit in "ab")
    moved = planned(tmp_path, {"resources": GPU}, on(second))
    assert actions(planned(tmp_path, {"resources": GPU}, on(first)), moved) == (
        "restart",
        [("devices", "", "another GPU, worker 0: GPU-aaaaaaaa → GPU-bbbbbbbb")],
    )
    none = planned(tmp_path, {"resources": {**GPU, "gpus": 0}})
    assert actions(before, none) == ("restart", [(f"{key}.gpus", "0.5", "0")])
    cpus = planned(tmp_path, {"resources": {**GPU, "cpus": 2}}, on("a"))
    assert actions(before, cpus) == ("restart", [(f"{key}.cpus", "", "2")])
    grown = planned(tmp_path, {"resources": GPU, "workers": 2}, on("a", "a"))
    assert actions(before, grown) == ("live", [("services.s.workers", "1", "2")])


def test_another_service_that_asks_for_gpus_hides_them_from_the_rest(tmp_path):
    other = {"services": {"t": {"target": "hello", "resources": GPU}}}
    before, after = planned(tmp_path, {}), planned(tmp_path, {}, over=other)
    changes = {one.name: one.action for one in difference(before, after, {}).services}
    assert changes == {"s": "restart", "t": "add"}


def test_a_file_of_variables_does_not_show_gpus_to_who_is_to_see_none(tmp_path):
    found = loaded(tmp_path, laid_over(BASE, {"services": {"s": {**CLASS, "resources": {"gpus": 0}}}, **APIS}))
    said = {"CUDA_VISIBLE_DEVICES": "0", "NVIDIA_VISIBLE_DEVICES": "all"}
    (service,) = build(found.spec, tmp_path, said, env_files=said.keys()).services
    assert {name: service.workers[0].environ[name] for name in said} == {
        "CUDA_VISIBLE_DEVICES": "",
        "NVIDIA_VISIBLE_DEVICES": "void",
    }


def test_a_first_promise_needs_new_workers_and_only_what_is_said_is_a_cause(tmp_path):
    none, some = (planned(tmp_path, one) for one in ({}, {"resources": {"memory": "1GiB"}}))
    place = "services.s.resources"
    assert actions(none, some) == ("restart", [(f"{place}.memory", "", "1GiB")])
    assert actions(some, none) == ("restart", [(f"{place}.memory", "1GiB", "")])

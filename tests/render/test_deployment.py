"""What of a spec is deployed: times, names, and what comes from outside; no secret."""

import pytest

from bentod.render.deployment import Wishes, deployment
from bentod.render.names import as_annotations, label_value, service_name
from bentod.render.recipes import Unwritable
from bentod.render.room import Asked
from bentod.spec.load import load
from bentod.spec.variables import Variable
from tests.support.project import project

SECRET = "s3cr3t-value"
APIS = {"services": {"a": {"target": "answers.py"}}, "apis": {"same": {"service": "a", "method": "same"}}}


def made(folder, environ=None, wishes=None, **spec):
    loaded = load([project(folder, "answers", **{**APIS, **spec}) / "bentofile.yaml"], environ or {})
    return deployment(
        loaded.spec, loaded.as_written, wishes or Wishes(image="e2e:1", kept=loaded.env_file_values.keys())
    )


def test_variables_are_told_apart_and_no_value_is_kept(tmp_path):
    found = made(
        tmp_path,
        {"TOKEN": SECRET, "FILLED": SECRET, "PATH": "/bin", "LEVEL": SECRET, "SET": SECRET},
        env={"A": "${TOKEN}", "B": "${FILLED:?why}", "C": "${LEVEL:-info}", "D": "${PATH}", "E": "${SET}"},
        labels={"token": "x${TOKEN}", "plain": "$$5"},
        description="It is ${TOKEN}",
        build={"env": {"SET": "here"}},
    )
    wanted = (Variable("FILLED", True, True), Variable("LEVEL", False), Variable("TOKEN", True))
    assert found.variables == wanted
    assert SECRET not in repr(found)
    assert found.labels == {"plain": "$5"}
    assert found.description == ""


def test_what_env_files_say_has_to_come_from_outside_too(tmp_path):
    tmp_path.joinpath("some.env").write_text(f"ONE={SECRET}\nTWO=\nHOME=/x\n")
    found = made(tmp_path, env_files=["some.env"], env={"A": "${ONE:-x}"})
    assert found.variables == (Variable("ONE", True), Variable("TWO", True))
    assert SECRET not in repr(found)


def test_what_is_public_is_asked_of_nobody(tmp_path):
    wishes = Wishes(image="e2e:1", settings={"LEVEL": "debug", "A": "1"})
    found = made(tmp_path, {}, wishes, env={"L": "${LEVEL:-info}"})
    assert found.variables == ()
    assert list(found.settings) == ["A", "LEVEL"]


def test_times_follow_the_spec(tmp_path):
    services = {"a": {"target": "answers.py", "start_timeout": "10m"}, "b": {"target": "answers.py"}}
    found = made(tmp_path, services=services, server={"drain_timeout": "90s"})
    assert (found.start_s, found.stop_s) == (660.0, 180.0)
    assert made(tmp_path, server={"drain_timeout": 0}).stop_s == 5.0


def test_models_that_are_fetched_take_their_time_and_maybe_a_token(tmp_path):
    models = {"m": {"source": "hf://org/m"}}
    fetched = made(tmp_path, models=models, build={"models": "fetch"})
    assert fetched.start_s == made(tmp_path, models=models).start_s + 1800
    assert fetched.variables == (Variable("HF_TOKEN", required=False),)
    assert (fetched.models, made(tmp_path, build={"models": "fetch"}).models) == ("fetch", "none")
    assert made(tmp_path, models=models).variables == ()


@pytest.mark.parametrize(("cuda", "wished", "gpus"), [(None, None, 0), ("12", None, 1), ("12", 0, 0), (None, 4, 4)])
def test_gpus(tmp_path, cuda, wished, gpus):
    build = {"cuda": cuda} if cuda else {}
    assert made(tmp_path, {}, Wishes(image="a", room=Asked(gpus=wished)), build=build).room.gpus == gpus


@pytest.mark.parametrize(("gpus", "settings"), [(-1, {}), (65, {}), (None, {"A" * 254: ""}), (None, {"PORT": "1"})])
def test_what_nobody_can_give_is_refused(tmp_path, gpus, settings):
    with pytest.raises(Unwritable):
        made(tmp_path, {}, Wishes(image="a", room=Asked(gpus=gpus), settings=settings))


@pytest.mark.parametrize(
    ("user", "numbers"), [(None, (65532, 65532)), ("1000", (1000, 1000)), ("1000:50", (1000, 50)), ("0", (0, 0))]
)
def test_the_user(tmp_path, user, numbers):
    found = made(tmp_path, build={"user": user} if user else {})
    assert (found.user, found.group) == numbers


@pytest.mark.parametrize(
    ("version", "label"),
    [
        ("1.0.0", "1.0.0"),
        ("1.0+cpu", "1.0-cpu"),
        ("", ""),
        ("-_.", ""),
        ("é", ""),
        ("1" * 64, "1" * 63),
        ("v 1!", "v-1"),
    ],
)
def test_a_version_as_a_label(version, label):
    assert label_value(version) == label


def test_a_service_s_name_begins_with_a_letter_and_two_names_stay_two():
    long = [service_name("3" * 62 + end) for end in "12"]
    assert (service_name("hello"), service_name("3d")) == ("hello", "app-3d")
    assert [len(name) for name in long] == [63, 63]
    assert long[0] != long[1]


def test_labels_become_annotations_unless_a_cluster_would_act_on_them():
    labels = {
        "plain": "1",
        "org.example/a": "2",
        "kubernetes.io/a": "3",
        "x.kubernetes.io/a": "4",
        "deployment.kubernetes.io/revision": "5",
        "bentod.dev/version": "6",
        "bentod.dev/labels": "7",
        "a b": "8",
        "A/b": "9",
        "-a": "10",
        "a" * 64: "11",
        "": "12",
        "a..b/c": "13",
    }
    found = as_annotations(labels)
    assert sorted(found) == ["bentod.dev/labels", "org.example/a", "plain"]
    assert '"deployment.kubernetes.io/revision": "5"' in found["bentod.dev/labels"]
    assert as_annotations({}) == {}

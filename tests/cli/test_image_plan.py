"""The image that a spec asks for, from what this host knows."""

import pytest

from bentod.cli.image_plan import planned
from bentod.errors import SpecError
from bentod.spec.load import load
from tests.support.project import api, project

ENVIRON = {"PATH": "/usr/bin:/bin", "TOKEN": "s3cret"}


def image(folder, **more):
    where = project(
        folder,
        files={"main.py": "def say(): ...\n"},
        services={"s": {"target": "main.py"}},
        apis={"say": api("s", "say")},
        **more,
    )
    return planned(load([where / "bentofile.yaml"], ENVIRON), ENVIRON).image


@pytest.mark.parametrize(
    ("build", "path"),
    [
        ({"env": {"A": "b", "TOKEN": "${TOKEN}"}}, "build.env.TOKEN"),
        ({"env": {"A": "${NONE:-x}${TOKEN}"}}, "build.env.A"),
        ({"run": [["a"], ["curl", "-H", "Bearer ${TOKEN}"]]}, "build.run[1]"),
    ],
)
def test_what_the_environment_says_is_stored_in_no_image(tmp_path, build, path):
    with pytest.raises(SpecError) as raised:
        image(tmp_path, build=build)
    [problem] = raised.value.problems
    assert (problem.code, problem.path, problem.line) == ("from-environment", path, 1)
    assert "s3cret" not in str(problem)


def test_labels_that_the_environment_says_are_for_who_runs_it_and_those_of_the_image_for_the_image(tmp_path):
    found = image(
        tmp_path,
        labels={"team": "vision", "key": "${TOKEN}"},
        description="by ${TOKEN}",
        build={"env": {"A": "$$5"}, "labels": {"ci.run": "${TOKEN}"}},
    )
    assert found.labels["team"] == "vision"
    assert found.labels["ci.run"] == "s3cret", "whoever writes it there means it"
    assert "key" not in found.labels
    assert not any(name.endswith(".description") for name in found.labels)
    assert found.env == {"A": "$5"}

"""What a change would do: by what the services imported, what they are pinned to, and what counts for all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bentod.daemon.desired import Desired
from bentod.daemon.proposal import Disk, Running, propose
from bentod.plan.difference import Usage
from tests.support.sources import Project

FILES = {"one.py": "1", "part.py": "1"}


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture
def desired(project):
    return project.read()


def running(desired, **changed):
    return Running(**{"number": 3, "plan": desired.plan, "files": {"one": FILES}, **changed})


def causes(running, desired, disk):
    """Of the one service: what happens, and the names of the causes with what became of them."""
    change = propose(running, desired, disk).difference.of("one")
    return change.action, [(cause.kind, cause.name, cause.after) for cause in change.causes]


def pinned(desired, files):
    return Desired(desired.loaded, desired.plan, desired.texts, {"one": files})


def test_where_nothing_differs_there_is_nothing_to_do(desired):
    found = propose(running(desired), desired, Disk(FILES))
    assert found.difference.empty
    assert found.base == 3


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"part.py": "2"}, [("file", "part.py", "changed")]),
        ({"part.py": ""}, [("file", "part.py", "removed")]),
        ({"one.py": "2", "part.py": "2"}, [("file", "one.py", "changed"), ("file", "part.py", "changed")]),
    ],
)
def test_a_file_that_was_imported_and_differs_restarts_the_service(desired, now, said):
    assert causes(running(desired), desired, Disk(FILES | now)) == ("restart", said)


def test_what_is_excluded_or_was_not_imported_does_not_count(desired):
    assert causes(running(desired), desired, Disk({"one.py": "1", "other.py": "9"})) == ("keep", [])


def test_a_service_that_is_pinned_is_compared_with_its_pins_and_not_with_the_disk(desired):
    wanted = pinned(desired, FILES)
    assert causes(running(desired), wanted, Disk({"one.py": "9", "part.py": "9"})) == ("keep", [])
    later = {"one": {**FILES, "late.py": "5"}}
    assert causes(running(desired, files=later), wanted, Disk()) == ("keep", []), "it may still import that"
    assert causes(running(desired), pinned(desired, {**FILES, "part.py": "0"}), Disk(FILES)) == (
        "restart",
        [("file", "part.py", "changed")],
    )


def test_included_files_count_for_all_services_unless_code_of_old_is_wanted(desired):
    before = running(desired, included={"a": "1", "b": "1"})
    disk = Disk(FILES, {"a": "2", "c": "1"})
    said = [("file", "a", "changed"), ("file", "b", "removed"), ("file", "c", "added")]
    assert causes(before, desired, disk) == ("restart", said)
    assert causes(before, pinned(desired, FILES), disk) == ("keep", [])


def test_a_failed_service_starts_again_with_any_change(desired):
    action, [(kind, _, _)] = causes(running(desired, failed=frozenset({"one"})), desired, Disk(FILES))
    assert (action, kind) == ("restart", "state")


def test_the_state_changes_with_whatever_a_proposal_is_made_from_and_with_nothing_else(project, desired):
    base, disk = running(desired), Disk(FILES, {"a": "1"})

    def state(running=base, desired=desired, disk=disk):
        return propose(running, desired, disk).state

    first = state()
    assert state(desired=project.read()) == first
    assert state(replace(base, usage={"one": Usage((1 << 30,), 1.0)})) == first
    assert state(disk=replace(disk, available=5)) == first
    project.spec(version="2")
    others = [
        state(replace(base, number=4)),
        state(replace(base, files={"one": FILES | {"part.py": "2"}})),
        state(replace(base, failed=frozenset({"one"}))),
        state(disk=Disk(FILES | {"part.py": "2"}, {"a": "1"})),
        state(disk=Disk(FILES, {"a": "2"})),
        state(disk=Disk(FILES, {"a": "1", "b": "1"})),
        state(desired=project.read()),
        state(desired=pinned(desired, FILES)),
        state(Running(3, None)),
    ]
    assert len({first, *others}) == 1 + len(others)

"""The folders of a daemon: one daemon's only, private, and empty when it begins and ends."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from bentod.daemon.folders import (
    AlreadyRunning,
    Folders,
    RunFolder,
    UnusableFolder,
    folders,
    located,
    service_folder,
    state_folder,
)


@pytest.fixture
def tmp_path():
    """A folder with a path that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="bf") as folder:
        yield Path(folder)


def places(tmp_path, run="run", spec="bentofile.yaml", name="app") -> Folders:
    environ = {"TMPDIR": str(tmp_path / "tmp")}
    return folders(name, tmp_path / spec, environ, tmp_path / run, tmp_path / "state")


def taken(where: Folders) -> RunFolder:
    folder = RunFolder(where)
    folder.take()
    return folder


def test_all_that_is_made_is_private_and_gone_afterwards(tmp_path):
    where = places(tmp_path)
    folder = taken(where)
    made = (where.run.parent, where.run, where.run / "w", where.files.parent, where.files, where.state)
    assert {path.stat().st_mode & 0o777 for path in made} == {0o700}
    (where.files / "0-1").mkdir()
    (where.files / "0-1" / "a.wav").write_text("x")
    folder.release()
    assert not where.run.exists()
    assert not where.files.exists()
    assert where.files.parent.exists()  # that of all daemons
    assert where.state.exists()


def test_what_a_killed_daemon_left_is_cleaned_away(tmp_path):
    where = places(tmp_path)
    (where.files / "0-1").mkdir(parents=True)
    (where.files / "0-1" / "a.wav").write_text("x")
    (where.run / "w").mkdir(parents=True)
    (where.run / "w" / "1").touch()
    folder = taken(where)
    assert list(where.files.iterdir()) == list((where.run / "w").iterdir()) == []
    folder.release()


def test_one_spec_has_one_daemon(tmp_path):
    first = taken(places(tmp_path))
    with pytest.raises(AlreadyRunning):
        taken(places(tmp_path))
    other = taken(places(tmp_path, spec="other.yaml"))
    other.release()
    first.release()
    again = taken(places(tmp_path))
    with pytest.raises(AlreadyRunning):  # it ends with that, and with it the lock that it has taken
        taken(places(tmp_path, name="renamed"))
    again.release()


def test_a_daemon_is_found_and_not_started_twice_when_a_link_to_its_spec_leads_elsewhere(tmp_path):
    for release in ("1", "2"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "bentofile.yaml").touch()
    current = tmp_path / "current"
    current.symlink_to("1")
    where = places(tmp_path, spec="current/bentofile.yaml")
    folder = taken(where)
    where.control.touch()
    current.unlink()
    current.symlink_to("2")
    for spec in ("current", "2"):
        assert located(tmp_path / spec / "bentofile.yaml", {}, tmp_path / "run", None).run == where.run
        with pytest.raises(AlreadyRunning):
            taken(places(tmp_path, spec=f"{spec}/bentofile.yaml"))
    (tmp_path / "3").mkdir()
    assert located(tmp_path / "3/bentofile.yaml", {}, tmp_path / "run", None).run != where.run
    taken(places(tmp_path, spec="3/bentofile.yaml")).release()
    folder.release()
    assert not where.run.exists()
    taken(places(tmp_path, spec="2/bentofile.yaml")).release()


def test_daemons_with_different_run_folders_share_no_files(tmp_path):
    """They may run one spec, and one of them must not clean away what the other's calls have."""
    one, two = places(tmp_path, "one"), places(tmp_path, "two")
    first = taken(one)
    (one.files / "a").touch()
    second = taken(two)
    assert (one.files / "a").exists()
    second.release()
    assert (one.files / "a").exists()
    first.release()


def test_the_files_are_found_again_by_who_did_not_make_them(tmp_path):
    where = places(tmp_path)
    folder = taken(where)
    where.control.touch()
    found = located(
        tmp_path / "bentofile.yaml", {"TMPDIR": str(tmp_path / "tmp")}, tmp_path / "run", tmp_path / "state"
    )
    assert found == where
    folder.release()


@pytest.mark.parametrize("what", ["file", "link"])
def test_a_folder_for_files_that_is_none_is_refused(tmp_path, what):
    where = places(tmp_path)
    where.files.parent.parent.mkdir(parents=True)
    if what == "file":
        where.files.parent.touch()
    else:
        (tmp_path / "elsewhere").mkdir()
        where.files.parent.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnusableFolder, match=str(where.files.parent)):
        taken(where)


def test_an_open_folder_for_files_is_closed(tmp_path):
    where = places(tmp_path)
    where.files.parent.mkdir(parents=True)
    where.files.parent.chmod(0o777)
    folder = taken(where)
    assert where.files.parent.stat().st_mode & 0o777 == 0o700
    folder.release()


def test_a_run_folder_that_is_too_long_for_sockets_is_refused(tmp_path):
    with pytest.raises(UnusableFolder, match="BENTOD_RUN"):
        folders("app", tmp_path / "a.yaml", {}, Path("/tmp") / ("x" * 90), None)


def test_a_successor_has_a_part_of_its_own_and_shares_the_lock(tmp_path):
    where = places(tmp_path)
    old = taken(where)
    beside = where.free()
    assert beside.part != where.part
    assert beside.with_part(where.part) == where
    new = RunFolder(beside)
    new.join(os.dup(old.lock))
    assert {path.stat().st_mode & 0o777 for path in (beside.sockets, beside.files)} == {0o700}
    assert where.free().part not in (where.part, beside.part)
    old.ours, new.ours = False, True
    where.control.touch()
    old.release()
    assert not where.sockets.exists()
    assert not where.files.exists()
    assert where.control.exists()
    assert beside.files.exists()
    with pytest.raises(AlreadyRunning):
        taken(where)
    new.release()
    assert not where.run.exists()
    taken(where).release()


def test_a_successor_that_fails_leaves_the_daemon_s_things_alone(tmp_path):
    where = places(tmp_path)
    old = taken(where)
    where.control.touch()
    new = RunFolder(where.free())
    new.join(os.dup(old.lock))
    new.release()
    assert where.control.exists()
    assert where.sockets.exists()
    assert where.files.exists()
    with pytest.raises(AlreadyRunning):
        taken(where)
    old.release()


def test_parts_come_to_an_end_and_come_back(tmp_path):
    where = places(tmp_path)
    old = taken(where)
    joined = []
    while (beside := where.free()) is not None:
        joined.append(RunFolder(beside))
        joined[-1].join(os.dup(old.lock))
    assert len(joined) == 3
    for one in joined:
        one.release()
    assert where.free() is not None
    old.release()


def test_what_killed_daemons_left_in_any_part_is_cleaned_away(tmp_path):
    where = places(tmp_path)
    beside = where.with_part("y")
    for folder in (beside.sockets, beside.files):
        folder.mkdir(parents=True)
    where.next_control.touch()
    folder = taken(where)
    assert not beside.sockets.exists()
    assert not beside.files.exists()
    assert not where.next_control.exists()
    folder.release()


def test_a_daemon_that_a_service_manager_started_is_found_without_its_environment(tmp_path, monkeypatch):
    monkeypatch.setattr("bentod.daemon.folders._SERVICES", tmp_path)
    spec = tmp_path / "bentofile.yaml"
    control = tmp_path / service_folder(spec) / folders("app", spec, {}, Path("/r"), None).run.name / "control.sock"
    control.parent.mkdir(parents=True)
    control.touch()
    assert located(spec, {"TMPDIR": str(tmp_path / "tmp")}, None, None).control == control


@pytest.mark.parametrize(("name", "inside"), [("bentofile.toml", ""), ("other.yaml", "other.yaml")])
def test_specs_that_lie_side_by_side_share_no_state(tmp_path, name, inside):
    assert state_folder(tmp_path / name, None) == tmp_path / ".bentod" / inside
    assert state_folder(tmp_path / name, tmp_path / "there") == tmp_path / "there" / inside

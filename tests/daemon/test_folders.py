"""The folders of a daemon: one daemon's only, private, and empty when it begins and ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentod.daemon.folders import AlreadyRunning, Folders, RunFolder, UnusableFolder, folders, located


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

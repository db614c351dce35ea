"""Records are whole or not there, whatever ends the daemon, and what cannot be written is one clear error."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bentod import whole
from bentod.daemon import history
from bentod.daemon.desired import contents
from bentod.daemon.git import Git
from bentod.daemon.history import History, HistoryFailed, Marker, Record, ServiceRecord, ended
from bentod.spec.load import load


def record(number=1, outcome="starting", **keys) -> Record:
    return Record(number, "2026-03-01T12:00:00Z", "up", "0.5.0", outcome, **keys)


FULL = record(
    7,
    "live",
    git=Git("abc", "main", None),
    files={"/p/bentofile.yaml": "name: é\r\n"},
    spec={"name": "${NAME}", "labels": {"a": 1.5}},
    services={"s": ServiceRecord("d", {"a.py": "2"})},
    seconds=1.25,
    difference={"base": 6},
)


@pytest.fixture
def kept(tmp_path) -> History:
    return History(tmp_path / "state" / "history")


def folder(kept: History) -> Path:
    return kept._folder


def test_a_record_is_read_as_it_was_written(kept):
    kept.begin(FULL)
    assert kept.get(7) == FULL
    assert kept.records() == [FULL]
    assert (folder(kept) / "7.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder(kept).iterdir()] == ["7.json"]


def test_the_end_of_an_attempt_replaces_its_beginning(kept):
    kept.begin(record())
    kept.finish(ended(record(), "failed", 1.23456, "it broke"))
    assert kept.get(1) == record(outcome="failed", seconds=1.235, error="it broke")


def test_an_attempt_is_begun_once(kept):
    kept.begin(record())
    with pytest.raises(HistoryFailed, match=r"generation 1 cannot be recorded: File exists \(.*/history/1.json\)"):
        kept.begin(record(1, "failed"))
    assert kept.get(1) == record()


def test_numbers_go_up_and_are_never_given_twice(kept):
    assert (kept.next_number(), kept.next_number()) == (1, 2)
    kept.begin(record(9))
    assert History(folder(kept)).next_number() == 10
    (folder(kept) / "12.json").write_text("damaged")
    assert kept.next_number() == 13


def test_the_last_that_became_live_is_found(kept):
    assert kept.last_live() is None
    for number, outcome in ((1, "live"), (2, "live"), (3, "failed"), (10, "refused"), (11, "starting")):
        kept.begin(record(number, outcome))
    assert kept.last_live() == record(2, "live")
    assert [one.number for one in kept.records()] == [11, 10, 3, 2, 1]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"number": 2}', '{"number": "x"}', "\xff\xfe"])
def test_what_is_damaged_is_left_out_and_named(kept, text):
    kept.begin(record(1, "live"))
    (folder(kept) / "2.json").write_text(text, encoding="latin-1")
    (folder(kept) / "3.json").mkdir()
    (folder(kept) / "notes.txt").write_text("")
    for _ in range(2):
        assert kept.records() == [record(1, "live")]
    assert kept.damaged == (folder(kept) / "3.json", folder(kept) / "2.json")
    assert kept.last_live() == record(1, "live")
    assert kept.get(2) is None
    assert kept.get(99) is None


def test_what_would_never_end_is_no_record(kept, monkeypatch):
    monkeypatch.setattr(history, "_MOST", 10_000)
    kept.begin(record(1, "live"))
    os.mkfifo(folder(kept) / "2.json")
    (folder(kept) / "3.json").symlink_to("/dev/zero")
    (folder(kept) / "4.json").write_bytes(b" " * 10_001)
    assert kept.records() == [record(1, "live")]
    assert [path.name for path in kept.damaged] == ["4.json", "3.json", "2.json"]


def test_a_record_under_another_number_is_damaged(kept):
    kept.begin(record(1))
    (folder(kept) / "1.json").rename(folder(kept) / "4.json")
    assert kept.get(4) is None
    assert kept.damaged == (folder(kept) / "4.json",)


def test_a_record_that_a_newer_version_wrote_is_still_read(kept):
    kept.begin(record())
    path = folder(kept) / "1.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "new": 1}))
    assert kept.get(1) == record()


def test_old_records_go_but_never_the_last_live_one(kept):
    for number in range(1, 11):
        kept.begin(record(number, "live" if number in (1, 3) else "failed"))
    (folder(kept) / ".11.json.x.tmp").write_text("half")
    assert kept.prune(4) == 5
    assert sorted(path.name for path in folder(kept).iterdir()) == ["10.json", "3.json", "7.json", "8.json", "9.json"]
    assert kept.next_number() == 11


def test_a_history_that_is_not_there_is_empty(kept):
    assert (kept.records(), kept.get(1), kept.last_live(), kept.prune(), kept.damaged) == ([], None, None, 0, ())


WRITER = """
import os, signal, sys
from pathlib import Path
from bentod.daemon.history import History, Marker, Record, ended

folder = Path(sys.argv[1])

def write(said):
    kept, marker = History(folder), Marker(folder.parent)
    while True:
        record = Record(kept.next_number(), "2026-03-01T12:00:00Z", "up", "0.5.0", files={"/a": "x" * 100_000})
        kept.begin(record)
        marker.set(record.number, os.getpid())
        kept.finish(ended(record, "live", 1.0))
        os.write(said, b"%d " % record.number)

for time in range(50):
    reader, said = os.pipe()
    pid = os.fork()
    if not pid:
        write(said)
    os.close(said)
    begun = os.read(reader, 1000)
    for _ in range(time * 2_000):  # another moment each time
        pass
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    print((begun + os.read(reader, 1000)).decode(), flush=True)
    os.close(reader)
    damaged = History(folder)
    numbers = [record.number for record in damaged.records()]
    print(*damaged.damaged, file=sys.stderr)
    Marker(folder.parent).left() or sys.exit("no marker")
    for number in numbers[5:]:
        (folder / f"{number}.json").unlink()
"""


def test_records_are_whole_whenever_the_daemon_is_killed(kept):
    """Fifty times, a process that writes all the time is killed while it does."""
    done = subprocess.run([sys.executable, "-c", WRITER, str(folder(kept))], capture_output=True, text=True)
    assert (done.returncode, done.stderr.split()) == (0, [])
    said = [int(number) for number in done.stdout.split()]
    found = {one.number: one for one in kept.records()}
    assert kept.damaged == ()
    assert found[max(said)].outcome == "live"
    assert all(one.files == {"/a": "x" * 100_000} for one in found.values())
    kept.prune(5)
    assert all(not path.name.startswith(".") for path in folder(kept).iterdir())


@pytest.mark.parametrize("point", ["fsync", "fdopen", "open"])
def test_a_full_disk_is_one_error_and_leaves_what_was_there(kept, monkeypatch, point):
    kept.begin(record())
    monkeypatch.setattr(whole.os, point, full)
    with pytest.raises(HistoryFailed, match="the end of generation 1 cannot be recorded: No space left on device"):
        kept.finish(record(outcome="live"))
    with pytest.raises(HistoryFailed, match="generation 2 cannot be recorded: No space left on device"):
        kept.begin(record(2))
    monkeypatch.undo()
    assert kept.records() == [record()]
    assert [path.name for path in folder(kept).iterdir()] == ["1.json"]


def full(*_arguments, **_keys):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_in_place_of_the_folder_is_an_error_and_no_history(kept):
    folder(kept).parent.mkdir()
    folder(kept).write_text("")
    with pytest.raises(HistoryFailed, match="generation 1 cannot be recorded"):
        kept.begin(record())
    assert (kept.next_number(), kept.next_number()) == (1, 2)
    assert kept.records() == []


def test_what_is_no_json_is_an_error(kept):
    with pytest.raises(HistoryFailed, match="generation 1 cannot be recorded"):
        kept.begin(record(spec={"a": object()}))


# ── the marker ───────────────────────────────────────────────────────────────────────────────────


def test_a_marker_is_left_only_by_a_daemon_that_has_died(tmp_path):
    marker = Marker(tmp_path)
    assert marker.left() is None
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    marker.set(3, child.pid)
    assert marker.left() is None
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert marker.left() == 3  # dead, though its parent has not looked
    child.communicate()
    assert marker.left() == 3
    marker.clear()
    marker.clear()
    assert marker.left() is None


def test_another_process_with_the_same_number_is_another_daemon(tmp_path):
    marker = Marker(tmp_path)
    marker.set(4, os.getpid())
    assert marker.left() is None
    path = tmp_path / "running.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "started": "another boot 1"}))
    assert marker.left() == 4


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"generation": null, "pid": 1, "started": ""}'])
def test_a_damaged_marker_says_nothing(tmp_path, text):
    (tmp_path / "running.json").write_text(text)
    assert Marker(tmp_path).left() is None


def test_a_marker_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(HistoryFailed, match="it cannot be noted what runs: No such file"):
        Marker(tmp_path / "nowhere").set(1, 1)


# ── the spec as it was ───────────────────────────────────────────────────────────────────────────

SPEC = "bentod: 1\nname: ${NAME}\nservices:\n  s: {target: app}\napis:\n  a: {target: app:run, input: {}, output: {}}\n"


def test_a_recorded_spec_loads_as_it_was_whatever_is_in_its_file_by_now(tmp_path):
    path = tmp_path / "bentofile.yaml"
    (tmp_path / "app.py").write_text("def run(value): ...\n")
    path.write_text(SPEC, newline="\r\n")
    held = contents([path, tmp_path / "missing.yaml"])
    assert held == {path: SPEC.replace("\n", "\r\n").encode()}
    environ = {"NAME": "secret-name"}
    now = load([path], environ)
    path.unlink()
    then = load([path], environ, held)
    assert then == now
    assert then.spec.name == "secret-name"
    assert then.as_written["name"] == "${NAME}"
    assert then.directory == tmp_path

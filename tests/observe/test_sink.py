"""Log files turn over by size, and nothing that happens to them reaches the caller."""

from __future__ import annotations

import os
import re
import shutil
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentod.observe.sink import KEPT, Background, RotatingFile, open_sink


def contents(path):
    """The file and the three before it, newest first; None where there is none."""
    files = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, KEPT + 1))]
    return [file.read_bytes() if file.exists() else None for file in files]


def test_a_file_turns_over_before_it_would_exceed_its_size(tmp_path):
    path = tmp_path / "log"
    sink = RotatingFile(path, max_bytes=10)
    for number in range(6):
        sink.write(b"line%d\n" % number)
    assert contents(path) == [b"line5\n", b"line4\n", b"line3\n", b"line2\n"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2", "log.3"]


def test_lines_that_fit_exactly_stay_together(tmp_path):
    path = tmp_path / "log"
    sink = RotatingFile(path, max_bytes=10)
    sink.write(b"1234\n")
    sink.write(b"1234\n")
    assert contents(path)[:2] == [b"1234\n1234\n", None]
    sink.write(b"\n")
    assert contents(path)[:2] == [b"\n", b"1234\n1234\n"]


def test_lines_longer_than_the_file_may_be_are_not_lost(tmp_path):
    path = tmp_path / "log"
    sink = RotatingFile(path, max_bytes=10)
    sink.write(b"x" * 50 + b"\n")
    sink.write(b"y\n")
    assert contents(path)[:2] == [b"y\n", b"x" * 50 + b"\n"]


def test_a_file_that_is_there_is_continued_and_its_size_counts(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"before\n")
    sink = RotatingFile(path, max_bytes=10)
    sink.write(b"\n")
    sink.write(b"after\n")
    assert contents(path)[:2] == [b"after\n", b"before\n\n"]


def test_the_file_is_private_and_its_folder_is_made(tmp_path):
    path = tmp_path / "a" / "b" / "log"
    RotatingFile(path).write(b"x\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.binary(min_size=1, max_size=12), max_size=30), st.integers(1, 40))
def test_what_is_kept_is_the_end_of_what_was_written(tmp_path, lines, size):
    shutil.rmtree(tmp_path / "property", ignore_errors=True)
    path = tmp_path / "property" / "log"
    sink = RotatingFile(path, max_bytes=size)
    for line in lines:
        sink.write(line)
    kept = b"".join(content or b"" for content in reversed(contents(path)))
    assert b"".join(lines).endswith(kept)
    assert all(len(content or b"") <= max(size, 12) for content in contents(path))


def test_a_folder_that_is_no_folder_raises_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    sink = RotatingFile(tmp_path / "file" / "log", max_bytes=10)
    for _ in range(5):
        sink.write(b"nobody reads this\n")


def test_lines_never_go_to_a_file_that_took_over_the_descriptor(tmp_path):
    """A file that cannot be opened again after it was turned over is closed, and stays closed."""
    folder = tmp_path / "logs"
    sink = RotatingFile(folder / "log", max_bytes=10)
    sink.write(b"12345678\n")
    shutil.rmtree(folder)
    folder.write_text("in the way")
    sink.write(b"12345678\n")
    others = [os.open(tmp_path / f"other{number}", os.O_RDWR | os.O_CREAT) for number in range(4)]
    try:
        for _ in range(4):
            sink.write(b"12345678\n")
        for other in others:
            assert os.fstat(other).st_size == 0
    finally:
        for other in others:
            os.close(other)


def test_writing_goes_on_when_the_folder_is_back(tmp_path):
    folder = tmp_path / "logs"
    sink = RotatingFile(folder / "log", max_bytes=10)
    sink.write(b"12345678\n")
    shutil.rmtree(folder)
    folder.write_text("in the way")
    sink.write(b"12345678\n")
    folder.unlink()
    for _ in range(4):
        sink.write(b"12345678\n")
    assert (folder / "log").read_bytes() == b"12345678\n"


def test_a_pipe_whose_reader_is_gone_raises_nothing():
    reader, writer = os.pipe()
    os.close(reader)
    sink = Background(writer)
    sink.write(b"x\n")
    sink.close()
    os.close(writer)
    sink = Background(writer)
    sink.write(b"x\n")
    sink.close()


def test_everything_is_written_before_the_end():
    reader, writer = os.pipe()
    sink = Background(writer)
    for _ in range(100):
        sink.write(b"x" * 600)
    sink.close()
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == b"x" * 60_000


def test_a_reader_that_pauses_stops_nobody_and_learns_what_it_missed():
    reader, writer = os.pipe()
    sink = Background(writer, limit=200_000)
    for _ in range(1000):
        sink.write(b"x" * 999 + b"\n")
    with os.fdopen(reader, "rb") as pipe:
        text, whole, told = b"", 0, []
        while whole + sum(told) < 1000:
            text += pipe.read1()
            whole = text.count(b"x\n")
            told = [
                int(number) for number in re.findall(rb"^\((\d+) lines were dropped: nobody read", text, re.MULTILINE)
            ]
    sink.close()
    os.close(writer)
    assert whole + sum(told) == 1000
    assert 200 <= whole < 1000


@pytest.mark.parametrize("name", ["", "log"])
def test_no_file_means_stderr(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_sink(name), RotatingFile if name else Background)

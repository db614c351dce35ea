"""The files of a call: safe names, a private folder, believable media types."""

from __future__ import annotations

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.codec.folder import CallFolder, check_media_type, safe_name
from bentod.errors import BodyTooLarge, StorageFailed
from bentod.iotypes.special import BinaryType, FileType, ImageType


@pytest.mark.parametrize(
    ("said", "safe"),
    [
        pytest.param("talk.wav", "talk.wav", id="as it is"),
        pytest.param("", "file", id="nothing"),
        pytest.param("../../etc/passwd", "passwd", id="upwards"),
        pytest.param("..\\..\\boot.ini", "boot.ini", id="upwards, the other way"),
        pytest.param("C:\\Users\\me\\a b.png", "a b.png", id="a path of Windows"),
        pytest.param("/", "file", id="only a folder"),
        pytest.param("..", "file", id="parent"),
        pytest.param(".bashrc", "bashrc", id="hidden"),
        pytest.param("a\x00b\r\n.txt", "ab.txt", id="control characters"),
        pytest.param("\u202egnp.exe", "gnp.exe", id="direction override"),
        pytest.param("ünïcode 漢字.png", "ünïcode 漢字.png", id="letters of the world"),
        pytest.param("\ud800x", "x", id="half a surrogate pair"),
        pytest.param("a" * 10_000 + ".png", "a" * 96 + ".png", id="ten thousand letters"),
        pytest.param("a." + "b" * 10_000, "a." + "b" * 98, id="a suffix of ten thousand letters"),
        pytest.param("漢" * 100 + ".png", "漢" * 32 + ".png", id="not in the middle of a letter"),
    ],
)
def test_a_name_is_made_safe(said, safe):
    assert safe_name(said) == safe


@given(st.text(max_size=200))
def test_a_safe_name_is_one_plain_short_name_whatever_was_said(said):
    safe = safe_name(said)
    assert safe
    assert len(safe.encode()) <= 100
    assert not {"/", "\\", "\0"} & set(safe)
    assert safe.isprintable()
    assert not safe.startswith(".")
    assert safe_name(safe) == safe


def test_a_folder_is_made_when_it_is_needed_and_for_this_user_only(tmp_path):
    folder = CallFolder(tmp_path, "7")
    folder.remove()
    assert not folder.made
    assert not (tmp_path / "7").exists()
    path = folder.new("../x.txt")
    assert path == folder.path / "x.txt" == tmp_path / "7" / "x.txt"
    assert folder.made
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    path.write_text("x")
    folder.remove()
    assert not folder.path.exists()


def test_no_two_files_have_one_name(tmp_path):
    folder = CallFolder(tmp_path, "7")
    names = [folder.new(name).name for name in ("a.png", "b/a.png", "A.png", "a-2.png", "", "")]
    assert names == ["a.png", "a-2.png", "A-3.png", "a-2-2.png", "file", "file-2"]


def test_names_that_others_have_taken_are_stepped_over(tmp_path):
    folder = CallFolder(tmp_path, "7")
    names = [folder.new(name).name for name in ("file-3", "file-2", "", "", "", "FILE", "file-2")]
    assert names == ["file-3", "file-2", "file", "file-4", "file-5", "FILE-6", "file-2-2"]


def test_a_call_brings_at_most_64_files(tmp_path):
    folder = CallFolder(tmp_path, "7")
    assert len({folder.new("") for _ in range(64)}) == 64
    with pytest.raises(BodyTooLarge, match="the input has more than 64 files"):
        folder.new("another")


def test_a_folder_that_was_cleaned_away_is_made_again_for_this_user_only(tmp_path):
    folder = CallFolder(tmp_path / "files" / "gateway", "7")
    assert folder.put("a", b"1").read_bytes() == b"1"
    for path in (folder.path, folder.path.parent, folder.path.parent.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_nothing_is_written_where_another_user_could_exchange_it(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "files").symlink_to("elsewhere")
    folders = [CallFolder(tmp_path / "files", "7"), CallFolder(tmp_path / "files" / "gateway", "7")]
    for folder in folders:
        with pytest.raises(StorageFailed) as raised:
            folder.new("a")
        assert "somebody else's" in raised.value.log
    if os.geteuid():
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    else:
        os.chown(tmp_path / "elsewhere", 12345, -1)
    with pytest.raises(StorageFailed):
        CallFolder(tmp_path / "elsewhere", "7").new("a")
    assert not any((tmp_path / "elsewhere").iterdir())


def test_what_the_disk_refuses_is_an_error_of_its_own(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed) as raised:
        CallFolder(tmp_path / "file", "7").new("a")
    assert (raised.value.detail, str(tmp_path) in raised.value.log) == ("", False)
    folder = CallFolder(tmp_path, "7")
    folder.new("a").mkdir()
    (folder.path / "file").mkdir()
    with pytest.raises(StorageFailed) as raised:
        folder.put("", b"1")
    assert raised.value.log == "the files of the call: Is a directory"


@pytest.mark.parametrize(
    ("wanted", "said", "name", "known"),
    [
        pytest.param("audio/*", "audio/flac", "", "audio/flac", id="said"),
        pytest.param("audio/*", "", "a.flac", "audio/flac", id="by its name"),
        pytest.param("audio/*", "application/octet-stream", "a.mp3", "audio/mpeg", id="octets, by its name"),
        pytest.param("audio/*", "", "a.unheard-of", "", id="nobody knows"),
        pytest.param("audio/*", "application/octet-stream", "", "application/octet-stream", id="octets"),
        pytest.param("audio/wav", "", "", "audio/wav", id="what it must be"),
        pytest.param("audio/wav", "audio/x-wav", "", "audio/wav", id="another name of it"),
        pytest.param("audio/x-wav", "audio/wave", "a.wav", "audio/x-wav", id="yet another"),
        pytest.param("audio/wav", "", "a.wav", "audio/wav", id="by its name, which means another name of it"),
        pytest.param("*/*", "text/csv", "a.png", "text/csv", id="what is said goes before the name"),
        pytest.param("*/*", "", "a.tar.gz", "", id="compressed"),
        pytest.param("application/gzip", "", "a.txt.gz", "application/gzip", id="compressed, which is no text"),
    ],
)
def test_the_most_specific_media_type_is_found(wanted, said, name, known):
    assert check_media_type(FileType(wanted), said, name) == known


@pytest.mark.parametrize(
    ("kind", "said", "name", "text"),
    [
        (FileType("audio/*"), "image/png", "", "is image/png, not audio/\\*"),
        (BinaryType("application/pdf"), "text/plain", "", "is text/plain, not application/pdf"),
        (ImageType("image/png"), "", "a.jpg", "is image/jpeg, not image/png"),
    ],
)
def test_what_is_known_to_be_something_else_is_refused(kind, said, name, text):
    with pytest.raises(ValueError, match=text):
        check_media_type(kind, said, name)

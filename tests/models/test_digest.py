"""The digest of a model: coreutils give the same one, and what no model may hold is refused."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentod.models import digest
from bentod.models.digest import File, FileSet
from bentod.models.home import ModelError

BY_COREUTILS = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum -- | sha256sum"
NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="/\\"),
    min_size=1,
    max_size=30,
).filter(lambda name: name not in {".", "..", "-"})


def by_coreutils(folder):
    done = subprocess.run(["bash", "-o", "pipefail", "-c", BY_COREUTILS], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return f"sha256:{done.stdout.split()[0]}"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    (folder / "sub" / "deep").mkdir(parents=True)
    for path, text in {"a": "1", "b.z": "", "sub/x": "2", "sub/deep/é ü": "3", "Z": "4", "-rf": "5"}.items():
        (folder / path).write_text(text)
    return folder


def test_coreutils_give_the_same_digest(folder):
    found = digest.of(folder)
    assert found.digest == by_coreutils(folder)
    assert [file.path for file in found.files] == ["-rf", "Z", "a", "b.z", "sub/deep/é ü", "sub/x"]
    assert found.size == 5


@settings(max_examples=25)
@given(
    st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map(tuple), st.binary(max_size=20), min_size=1, max_size=6)
)
def test_they_do_so_for_every_model(files):
    folder = Path(tempfile.mkdtemp())
    try:
        for parts, data in files.items():
            path = folder.joinpath(*parts)
            if any(parent.is_file() for parent in path.parents) or path.is_dir() or len(os.fsencode(parts[-1])) > 250:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if any(path.is_file() for path in folder.rglob("*")):
            assert digest.of(folder).digest == by_coreutils(folder)
    finally:
        shutil.rmtree(folder)


def test_one_file_has_its_name(folder):
    assert digest.of(folder / "a").files == (File("a", 1, digest.of(folder).files[2].sha256),)
    (folder / "named").symlink_to("a")
    assert digest.of(folder / "named").files[0].path == "named"


def test_the_order_of_a_file_set_does_not_matter(folder):
    files = digest.of(folder).files
    assert FileSet(tuple(reversed(files))).digest == FileSet(files).digest


def link(path):
    path.symlink_to("/etc/hostname")


def inner_link(path):
    path.symlink_to("a")


def folder_link(path):
    path.symlink_to("sub")


def listening(path):
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path is short
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


@pytest.mark.parametrize(
    ("make", "kind"),
    [(link, "a link"), (inner_link, "a link"), (folder_link, "a link"), (os.mkfifo, "a FIFO"), (listening, "a socket")],
)
def test_what_is_no_regular_file_is_refused(folder, make, kind):
    make(folder / "odd")
    with pytest.raises(ModelError, match=f"odd is {kind}, and a model consists of regular files"):
        digest.of(folder)


def test_a_device_is_refused(folder):
    try:
        os.mknod(folder / "null", 0o20666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")
    with pytest.raises(ModelError, match="null is a device"):
        digest.of(folder)


@pytest.mark.parametrize("name", [b"a\nb", b"a\x1bb", b"\xff", "a\x85".encode(), "a\u2028b".encode(), b"a\\b"])
def test_odd_names_are_refused(folder, name):
    (folder / os.fsdecode(name)).write_text("")
    with pytest.raises(ModelError, match=r"the name .*; rename it") as caught:
        digest.of(folder)
    assert str(caught.value).isprintable()


def test_links_to_files_are_followed_where_they_may_be(folder, tmp_path):
    plain = digest.of(folder)
    (tmp_path / "blob").write_text("1")
    (folder / "a").unlink()
    (folder / "a").symlink_to("../blob")
    assert digest.of(folder, follow=True) == plain
    (folder / "gone").symlink_to("nothing")
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        digest.of(folder, follow=True)


def test_a_model_without_files_is_none(tmp_path):
    (tmp_path / "empty" / "folders").mkdir(parents=True)
    with pytest.raises(ModelError, match="holds no file"):
        digest.of(tmp_path / "empty")
    with pytest.raises(ModelError, match="No such file"):
        digest.of(tmp_path / "nothing")


def test_a_file_that_changes_meanwhile_is_told(folder):
    found = digest.listing(folder)
    (folder / "a").write_text("longer")
    with pytest.raises(ModelError, match="changed while it was read"):
        digest.hashed(found)
    (folder / "a").unlink()
    os.mkfifo(folder / "a")
    with pytest.raises(ModelError, match="changed while it was read"):
        digest.hashed(found)


def test_what_is_read_is_counted(folder):
    counted = []
    (folder / "large").write_bytes(bytes(digest.CHUNK + 1))
    found = digest.of(folder, counted=counted.append)
    assert sum(counted) == found.size == digest.CHUNK + 6


def test_an_error_ends_the_reading_of_other_files(folder):
    """However large they are."""
    with (folder / "large").open("wb") as stream:
        stream.truncate(1 << 40)
    counted = []

    def count(size):
        counted.append(size)
        if len(counted) > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        digest.of(folder, counted=count)
    found = [file for file in digest.listing(folder) if file.path in {"a", "large"}]
    (folder / "a").write_text("changed")
    with pytest.raises(ModelError, match="a changed while it was read"):
        digest.hashed(found)

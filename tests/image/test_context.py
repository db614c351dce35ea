"""Build contexts: the same bytes for the same files, as a stream and as a folder, and what is refused."""

import io
import os
import tarfile
import tracemalloc

import pytest

from bentod.image import context as contexts
from bentod.image.context import MTIME, PROGRAM, Context, ContextError, Entry, digest, held, made, tar, text
from bentod.image.folder import MARK, temporary, write


@pytest.fixture
def own(tmp_path):
    """A file of the project."""
    path = tmp_path / "model.py"
    path.write_bytes(b"print()\n" * 100)
    return path


def entry(path, source, mode=contexts.FILE):
    return Entry(path, source, source.stat().st_size, mode)


def unpacked(context):
    return tarfile.open(fileobj=io.BytesIO(b"".join(tar(context))))


def test_a_stream_has_every_file_in_order_with_its_folders_first(own):
    context = made([entry("src/deep/b.py", own, PROGRAM), text("Dockerfile", "FROM x\n"), text("src/a", "ä")])
    found = unpacked(context).getmembers()
    assert [member.name for member in found] == ["Dockerfile", "src", "src/a", "src/deep", "src/deep/b.py"]
    assert [member.mode for member in found] == [0o644, 0o755, 0o644, 0o755, 0o755]
    assert {(member.mtime, member.uid, member.gid, member.uname) for member in found} == {(MTIME, 0, 0, "")}
    assert unpacked(context).extractfile("src/deep/b.py").read() == own.read_bytes()


def test_the_same_files_give_the_same_bytes_whoever_owns_them_and_when(own, tmp_path):
    other = tmp_path / "other.py"
    other.write_bytes(own.read_bytes())
    os.utime(other, (1, 1))
    other.chmod(0o400)
    left, right = made([text("z", "1"), entry("a", own)]), made([entry("a", other), text("z", "1")])
    assert b"".join(tar(left)) == b"".join(tar(right))
    assert digest(left) == digest(right)


def test_a_digest_tells_content_names_and_modes_apart(own):
    first = made([entry("a", own)])
    others = [made([entry("b", own)]), made([entry("a", own, PROGRAM)]), made([text("a", "x")])]
    assert len({digest(one) for one in (first, *others)}) == 4


def test_files_whose_digest_is_known_are_not_read(tmp_path):
    gone = Entry("models/m/weights.bin", tmp_path / "gone", 5)
    one, two = (digest(made([text("a", "x"), gone], [("models/m", known)])) for known in ("sha256:1", "sha256:2"))
    assert one != two


@pytest.mark.parametrize("name", ["a" * 200, "ü" * 120, "d/" * 90 + "x", "-x", "a b", "x" * 99 + "/" + "y" * 150])
def test_long_and_odd_names_survive(name):
    context = made([text(name, "x")])
    assert unpacked(context).getmembers()[-1].name == name


@pytest.mark.parametrize("pair", [("a", "a"), ("a", "a/b")])
def test_one_path_cannot_stand_for_two_files(pair):
    with pytest.raises(ContextError):
        made([text(pair[0], ""), text(pair[1], "")])


def test_a_large_file_is_streamed_and_never_in_memory(tmp_path):
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(5 * 1024**3)
    stream = tar(made([entry("large", large)]))
    tracemalloc.start()
    got = sum(len(next(stream)) for _ in range(200))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    stream.close()
    assert got > 150 * 1024**2
    assert peak < 8 * 1024**2


def test_a_file_that_shrank_grew_or_went_since_is_told(own):
    context = made([entry("a", own)])
    for change in (lambda: own.write_bytes(b"less"), lambda: own.write_bytes(b"more" * 1000), own.unlink):
        change()
        with pytest.raises(ContextError, match=r"model\.py"):
            list(tar(context))


def test_a_file_that_changes_while_it_is_read_is_told(own):
    own.write_bytes(bytes(3 * 1024**2))
    stream = tar(made([entry("a", own)]))
    next(stream), next(stream)
    os.truncate(own, 1024**2 + 10)
    with pytest.raises(ContextError, match="changed while"):
        list(stream)


def test_what_becomes_a_link_or_a_pipe_after_it_was_found_is_not_read(own, tmp_path):
    context = made([entry("a", own)])
    secret = tmp_path / "secret"
    secret.write_bytes(own.read_bytes())
    own.unlink()
    own.symlink_to(secret)
    with pytest.raises(ContextError):
        list(tar(context))
    own.unlink()
    os.mkfifo(own)
    with pytest.raises(ContextError):
        list(tar(context))


def test_a_folder_above_that_becomes_a_link_leads_nowhere(tmp_path):
    folder, secret = tmp_path / "folder", tmp_path / "secret"
    for one in (folder, secret):
        one.mkdir()
        (one / "f").write_text("four")
    context = made([entry("a", folder / "f")])
    (folder / "f").unlink()
    folder.rmdir()
    folder.symlink_to(secret)
    with pytest.raises(ContextError, match="changed while"):
        list(tar(context))


def test_a_folder_has_what_the_stream_has(own, tmp_path):
    context = made([entry("src/deep/b.py", own, PROGRAM), text("Dockerfile", "FROM x\n"), held("bentod/x.whl", b"\0")])
    write(context, tmp_path / "new" / "out")
    out = tmp_path / "new" / "out"
    found = {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}
    assert set(found) == {"Dockerfile", "bentod/x.whl", "src/deep/b.py", MARK}
    assert found["src/deep/b.py"].stat().st_mode & 0o777 == 0o755
    assert found["Dockerfile"].stat().st_mtime == MTIME
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_an_older_context_is_replaced_whole(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    write(made([text("old", "1")]), out)
    write(made([text("new", "2")]), out)
    assert sorted(path.name for path in out.iterdir()) == [MARK, "new"]
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_not_ours_is_not_replaced(tmp_path, kind):
    out = tmp_path / "out"
    if kind == "folder":
        out.mkdir()
        (out / "thesis.tex").write_text("years")
    elif kind == "file":
        out.write_text("years")
    else:
        (tmp_path / "elsewhere").mkdir()
        out.symlink_to(tmp_path / "elsewhere")
    before = sorted(map(str, tmp_path.rglob("*")))
    with pytest.raises(ContextError, match="cannot be written"):
        write(made([text("a", "1")]), out)
    assert sorted(map(str, tmp_path.rglob("*"))) == before


def test_a_context_that_breaks_off_leaves_what_was_there(tmp_path):
    out = tmp_path / "out"
    write(made([text("old", "1")]), out)
    with pytest.raises(ContextError):
        write(Context((text("a", "1"), Entry("b", tmp_path / "gone", 1))), out)
    assert sorted(path.name for path in out.iterdir()) == [MARK, "old"]
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ContextError])
def test_a_temporary_folder_goes_however_it_ends(tmp_path, error):
    def used():
        with temporary(made([text("a/b", "1")]), tmp_path) as folder:
            assert (folder / "a/b").read_text() == "1"
            raise error

    with pytest.raises(error):
        used()
    assert list(tmp_path.iterdir()) == []

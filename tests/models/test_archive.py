"""Archives: what is exported comes back as it was; what is evil, damaged or too much leaves nothing behind."""

import contextlib
import errno
import gzip
import io
import json
import lzma
import os
import random
import subprocess
import tarfile

import pytest

from bentod.models import archive, copying, manifest
from bentod.models.adding import Source, add
from bentod.models.home import ModelError
from bentod.models.manifest import About, Context
from bentod.models.store import Store
from bentod.models.tags import Tag
from bentod.models.unpacking import unpack

FORMS = ("m.tar", "m.tgz", "m.tar.xz", "m/")
ABOUT = About({"a": "b"}, {"x": [1, "é"]}, Context(framework="torch"), {"predict": {"batchable": True}})
NOISE = random.Random(0).randbytes((1 << 20) + 5)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def other(tmp_path):
    """A store that is empty."""
    return Store(tmp_path / "other")


@pytest.fixture
def known(store, tmp_path):
    """A model with names of every kind and files of every size."""
    folder = tmp_path / "model"
    (folder / "sub" / ("d" * 100)).mkdir(parents=True)
    for name, data in {
        "a": b"",
        "block": b"x" * 512,
        "sub/é ü": b"1",
        f"sub/{'d' * 100}/{'f' * 200}": b"long",
        "weights": NOISE,
    }.items():
        (folder / name).write_bytes(data)
    return add(store, Source(folder), "m", ABOUT).entry


def refused(other, path, match):
    with pytest.raises(ModelError, match=match) as caught:
        unpack(other, path)
    assert str(caught.value).isprintable()
    left = [path for path in other.root.rglob("*") if path.name not in {".lock", ".staging"}]
    assert left == []
    return str(caught.value)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_exported_comes_back(known, other, tmp_path, form):
    path = archive.export(known, f"{tmp_path}/{form}")
    done = unpack(other, path)
    assert done.new
    assert done.entry.manifest == known.manifest
    assert other.verify("m") == ()
    assert not unpack(other, path).new
    assert unpack(other, path, Tag("copy")).entry.tag == Tag("copy", known.version)
    assert unpack(other, path, Tag("copy", "2")).entry.tag == Tag("copy", "2")


@pytest.mark.parametrize("form", FORMS)
def test_the_same_model_gives_the_same_bytes(known, other, tmp_path, form):
    first = archive.export(known, f"{tmp_path}/1/{form}" if (tmp_path / "1").mkdir() is None else "")
    (tmp_path / "2").mkdir()
    copy = unpack(other, first).entry
    os.utime(copy.path / "weights", (1, 1))
    second = archive.export(copy, f"{tmp_path}/2/renamed-{form}")
    if first.is_file():
        assert first.read_bytes() == second.read_bytes()
    else:
        assert subprocess.run(["diff", "-r", first, second], capture_output=True).stdout == b""


def test_one_file_comes_back_as_one(store, other, tmp_path):
    (tmp_path / "weights.bin").write_text("1")
    one = add(store, Source(tmp_path / "weights.bin"), "one:1", About()).entry
    assert unpack(other, archive.export(one, str(tmp_path / "one.tar"))).entry.path.read_text() == "1"


def test_tar_unpacks_it_and_its_digest_is_that_of_coreutils(known, tmp_path):
    path = archive.export(known, str(tmp_path / "m.tar.gz"))
    (tmp_path / "out").mkdir()
    assert subprocess.run(["tar", "xf", path, "-C", tmp_path / "out"], capture_output=True).stderr == b""
    command = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum -- | sha256sum"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path / "out" / "files", capture_output=True, text=True)
    assert f"sha256:{done.stdout.split()[0]}" == known.digest


def test_an_export_replaces_an_archive_but_no_folder(known, tmp_path):
    (tmp_path / "m.tar").write_text("old")
    assert tarfile.is_tarfile(archive.export(known, str(tmp_path / "m.tar")))
    (tmp_path / "empty").mkdir()
    archive.export(known, str(tmp_path / "empty"))
    with pytest.raises(ModelError, match="is there already, and not empty"):
        archive.export(known, str(tmp_path / "empty"))
    os.mkfifo(tmp_path / "fifo.tar")
    with pytest.raises(ModelError, match="is no regular file"):
        archive.export(known, str(tmp_path / "fifo.tar"))


@pytest.mark.parametrize(
    ("target", "form"),
    [
        ("m.tar", "tar"),
        ("m.tar.gz", "gz"),
        ("m.tgz", "gz"),
        ("m-1.2.tar.xz", "xz"),
        ("m.txz", "xz"),
        ("m", "folder"),
        ("m.1/", "folder"),
    ],
)
def test_the_name_says_the_form(target, form):
    assert archive.form_of(target) == form


@pytest.mark.parametrize("target", ["m.zip", "m.tar.zst", "m.tar.bz2", "m.1"])
def test_other_forms_are_refused(known, tmp_path, target):
    with pytest.raises(ModelError, match=r"give it a name that ends in \.tar, "):
        archive.export(known, str(tmp_path / target))


@pytest.mark.parametrize("form", FORMS)
def test_a_model_that_was_changed_is_not_exported(known, tmp_path, form):
    path = known.path / "block"
    path.unlink()
    path.write_bytes(b"y" * 512)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ModelError, match="was changed, and is not exported"):
        archive.export(known, f"{tmp_path}/{form}")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk_leaves_no_half_export(known, tmp_path, form, monkeypatch):
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(ModelError, match=r"cannot be exported to .*: No space left on device"):
        archive.export(known, f"{tmp_path}/{form}")
    assert sorted(tmp_path.rglob("*")) == before


def no_room(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk_leaves_no_half_import(known, other, tmp_path, form, monkeypatch):
    path = archive.export(known, f"{tmp_path}/{form}")
    monkeypatch.setattr(os, "fsync", no_room)
    refused(other, path, r"cannot be imported into the store .*: No space left on device")
    monkeypatch.setattr(copying.shutil, "disk_usage", lambda _: type("", (), {"free": 1}))
    refused(other, path, "has room for 1")


# ── what an archive may try ─────────────────────────────────────────────────────────────────────


def member(name, data=b"", kind=tarfile.REGTYPE, **more):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def packed(path, members, form=tarfile.PAX_FORMAT):
    with tarfile.open(path, "w", format=form) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return path


def described(files, **more):
    """A manifest of files with this content, whatever they are called, and whatever else it says."""
    made = manifest.made(Tag("m", "1"), _file_set(files), None, About())
    return json.dumps({**json.loads(manifest.encoded(made)), **more}).encode()


def _file_set(files):
    from hashlib import sha256

    from bentod.models.digest import File, FileSet

    return FileSet(tuple(File(name, len(data), sha256(data).hexdigest()) for name, data in files.items()))


FILES = {"a": b"1", "sub/b": b"22"}
HEAD = member("manifest.json", described(FILES))
GOOD = [HEAD, member("files/a", b"1"), member("files/sub/b", b"22")]


def test_such_an_archive_would_be_taken(other, tmp_path):
    folders = [member(name, kind=tarfile.DIRTYPE) for name in ("files", "files/sub")]
    for members in (GOOD, [HEAD, *folders, *GOOD[1:]], [HEAD, *reversed(GOOD[1:])]):
        unpack(other, packed(tmp_path / "m.tar", members))
        assert other.verify("m") == ()
        other.remove("m:1")


@pytest.mark.parametrize(
    ("extra", "match"),
    [
        (member("files/a", b"", tarfile.SYMTYPE, linkname="/etc/passwd"), "'files/a' is a link"),
        (member("files/sub", b"", tarfile.SYMTYPE, linkname="/tmp"), "'files/sub' is a link"),
        (member("files/a", b"", tarfile.LNKTYPE, linkname="../../x"), "'files/a' is a link"),
        (member("files/a", b"", tarfile.LNKTYPE, linkname="x" * 300), "is a link"),
        (member("files/a", b"", tarfile.CHRTYPE, devmajor=1, devminor=3), "is a device"),
        (member("files/a", b"", tarfile.BLKTYPE), "is a device"),
        (member("files/a", b"", tarfile.FIFOTYPE), "is a FIFO"),
        (member("files/a", b"1", tarfile.CONTTYPE), "of an unknown kind"),
        (member("files/a", b"", tarfile.GNUTYPE_SPARSE), "of an unknown kind"),
        (member("files/a", b"1", b"Z"), "of an unknown kind"),
        (member("/etc/passwd", b"1"), "is not in its manifest"),
        (member("../a", b"1"), "is not in its manifest"),
        (member("files/../../a", b"1"), "is not in its manifest"),
        (member("files/sub/../a", b"1"), "is not in its manifest"),
        (member("./files/a", b"1"), "is not in its manifest"),
        (member("files//a", b"1"), "is not in its manifest"),
        (member("files/a\x1b[2J", b"1"), "is not in its manifest"),
        (member("files/\udcff", b"1"), "is not in its manifest"),
        (member("files/extra", b"1"), "is not in its manifest"),
        (member("files/" + "x" * 5000, b"1"), "is not in its manifest"),
        (member("..", kind=tarfile.DIRTYPE), "is not in its manifest"),
        (member("files/a", kind=tarfile.DIRTYPE), "is not in its manifest"),
        (member("files/other", kind=tarfile.DIRTYPE), "is not in its manifest"),
        (member("files/a", b"11"), "files/a|a has 2 bytes instead of 1"),
        (member("files/a", b"1" * 10_000_000), "has 10000000 bytes instead of 1"),
        (member("files/a", b""), "has 0 bytes instead of 1"),
        (member("files/a", b"2"), "the digest of .* is not that of its manifest"),
        (HEAD, "is not in its manifest, or is there twice"),
        (member("files/sub/b", b"22"), "there twice|is missing"),
        (member("files/a", b"1", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}), "damaged|twice"),
        (member("files/a", b"1", pax_headers={"path": "../../a"}), "is not in its manifest"),
        (member("files/a", b"1", pax_headers={"size": "-1000"}), "damaged|bytes"),
        (member("files/a", b"1", pax_headers={"size": "99999999999"}), "has 99999999999 bytes instead of 1"),
        (member("files/a", b"1", pax_headers={"comment": "x" * 2_000_000}), r"a header says that it has \d+ bytes"),
    ],
)
def test_evil_members_are_refused(other, tmp_path, extra, match):
    """In place of the first file."""
    refused(other, packed(tmp_path / "m.tar", [HEAD, extra, GOOD[2]]), match)


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ([], "manifest.json does not come first"),
        (GOOD[1:], "manifest.json does not come first"),
        ([*GOOD[1:], HEAD], "manifest.json does not come first"),
        ([member("manifest.json", kind=tarfile.DIRTYPE)], "manifest.json does not come first"),
        ([member("manifest.json", b"", tarfile.SYMTYPE, linkname="/etc/passwd")], "is a link"),
        ([member("./manifest.json", described(FILES)), *GOOD[1:]], "manifest.json does not come first"),
        ([member("manifest.json", b"{}"), *GOOD[1:]], "the manifest of .* is damaged: "),
        ([member("manifest.json", described(FILES, name="../../m")), *GOOD[1:]], "is damaged: name"),
        ([member("manifest.json", described(FILES, size=1)), *GOOD[1:]], "the digest or the size is not that"),
        ([member("manifest.json", described(FILES, digest="sha256:" + "0" * 64)), *GOOD[1:]], "the digest or the size"),
        (GOOD[:2], "files/sub/b is missing"),
        ([*GOOD, GOOD[1]], "there twice"),
        ([HEAD, GOOD[1], GOOD[1], GOOD[2]], "there twice"),
        ([HEAD, *[member("files", kind=tarfile.DIRTYPE)] * 2, *GOOD[1:]], "there twice"),
    ],
)
def test_evil_archives_are_refused(other, tmp_path, members, match):
    refused(other, packed(tmp_path / "m.tar", members), match)


def test_a_manifest_that_is_too_large_is_not_read(other, tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "LARGEST", 100)
    refused(other, packed(tmp_path / "m.tar", GOOD), "its manifest is larger than any")


def raw_header(name, size, kind):
    """A header with a size that `tarfile` would not write: in base 256, so that it may be negative."""
    info = tarfile.TarInfo(name)
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = (b"\x80" if size >= 0 else b"\xff") + size.to_bytes(11, "big", signed=True)
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.DIRTYPE])
@pytest.mark.parametrize("size", [-512, -1, 1 << 40, 1 << 62])
def test_sizes_that_lie_cost_no_memory_and_no_time(other, tmp_path, kind, size):
    path = packed(tmp_path / "m.tar", [HEAD])
    data = path.read_bytes().rstrip(b"\0")
    data += bytes(-len(data) % 512) + raw_header("files/a", size, kind) + bytes(2048)
    path.write_bytes(data)
    refused(other, path, "bytes")


def test_headers_within_headers_end(other, tmp_path):
    path = tmp_path / "m.tar"
    path.write_bytes(raw_header("x", 0, tarfile.XHDTYPE) * 5000)
    refused(other, path, "damaged")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_archives_that_are_cut_off_or_damaged_are_refused(other, tmp_path, pack):
    whole = pack(packed(tmp_path / "m.tar", GOOD).read_bytes()[:3584])
    path = tmp_path / "m"
    chance = random.Random(1)
    for _ in range(40):
        path.write_bytes(whole[: chance.randrange(len(whole) * 2 // 3)])
        refused(other, path, r"(no archive of a model|no exported model|damaged|is missing)")
        data = bytearray(whole)
        for _ in range(3):
            data[chance.randrange(len(data))] ^= 1 + chance.randrange(255)
        path.write_bytes(data)
        with contextlib.suppress(ModelError):  # else it was harmless, such as a time
            done = unpack(other, path)
            assert other.verify(done.entry.tag) == ()
            other.remove(done.entry.tag)


@pytest.mark.parametrize("data", [b"", b"x", b"PK\x03\x04" + bytes(1000), b"\x1f\x8b", b"\xfd7zXZ\x00", bytes(10_240)])
def test_what_is_no_archive_is_refused(other, tmp_path, data):
    (tmp_path / "m").write_bytes(data)
    refused(other, tmp_path / "m", "(no archive of a model|no exported model)")


def test_a_fifo_is_not_waited_for(other, exported, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    refused(other, tmp_path / "fifo", "it is no regular file")
    (exported / "manifest.json").unlink()
    os.mkfifo(exported / "manifest.json")
    refused(other, exported, "it is no regular file")


def test_bombs_are_not_unpacked(other, tmp_path):
    """A gigabyte of zeros, where the manifest announces some bytes, or none is."""
    head = packed(tmp_path / "m.tar", [HEAD]).read_bytes().rstrip(b"\0")
    head += bytes(-len(head) % 512)
    large = tarfile.TarInfo("files/a")
    large.size = 1 << 30
    for start in (head + large.tobuf(), raw_header("manifest.json", 1 << 30, tarfile.REGTYPE)):
        with gzip.open(tmp_path / "bomb", "wb", compresslevel=1) as stream:
            stream.write(start)
            for _ in range(64):
                stream.write(bytes(1 << 20))
        refused(other, tmp_path / "bomb", "(bytes instead of 1|larger than any)")


def test_xz_that_wants_more_memory_than_anybody_has_is_refused(other, tmp_path):
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]
    tar = packed(tmp_path / "m.tar", GOOD).read_bytes()
    (tmp_path / "m.xz").write_bytes(lzma.compress(tar, filters=filters))
    refused(other, tmp_path / "m.xz", "[Mm]emory")


# ── what a folder may try ───────────────────────────────────────────────────────────────────────


@pytest.fixture
def exported(known, tmp_path):
    folder = archive.export(known, f"{tmp_path}/exported/")
    for path in folder.rglob("*"):
        path.chmod(path.stat().st_mode | 0o200)
    return folder


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda folder: (folder / "files" / "a").unlink(), "are not those of its manifest"),
        (lambda folder: (folder / "files" / "new").write_text(""), "are not those of its manifest"),
        (lambda folder: (folder / "files" / "a").write_text("1"), "are not those of its manifest"),
        (lambda folder: (folder / "files" / "block").write_bytes(b"y" * 512), r"the digest of .* is not that"),
        (lambda folder: (folder / "files" / "link").symlink_to("a"), "is a link"),
        (lambda folder: os.mkfifo(folder / "files" / "fifo"), "is a FIFO"),
        (lambda folder: (folder / "other").write_text(""), "'other' is beside its files"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "manifest.json is damaged"),
    ],
)
def test_folders_are_checked_in_the_same_way(exported, other, spoil, match):
    spoil(exported)
    refused(other, exported, match)


def test_a_tag_that_is_taken_stays_what_it_was(known, store, tmp_path):
    path = packed(tmp_path / "m.tar", GOOD)
    add(store, Source(known.path), "m:1", About())
    with pytest.raises(ModelError, match="has another model as m:1"):
        unpack(store, path)
    assert store.get("m:1").digest == known.digest
    assert unpack(store, path, Tag("m", "2")).new

"""The user's values become parts, and parts become the user's values."""

from __future__ import annotations

import array
import io
import os
import sys
from pathlib import Path, PurePosixPath

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bentod.codec.folder import suggested
from bentod.codec.parcels import Parcel
from bentod.iotypes.parts import Blob, Picture, Stored, Tensor
from bentod.wire.entries import CHUNK, CHUNK_WITH, DONE, NAMED, POSITIONAL, RAISED, Terms
from bentod.worker import parts
from bentod.worker.calls import TARGET_RAISED, UNREADABLE, UNSERIALIZABLE, Caller
from bentod.worker.context import Context
from tests.support.gateways import bounds, entries
from tests.support.samples import picture

FAR = sys.float_info.max
SPECIAL = Terms(special=True)
INVALID = "output-invalid"
WAV = suggested("a.wav")


class Worker:
    """A caller of one method, with parts both ways."""

    def __init__(self, function, project=""):
        self.log: list[str] = []
        self._caller = Caller(bounds(function), self.log.append, frozenset(), str(project))

    def call(self, argument=None, terms=SPECIAL, *, kind=POSITIONAL, extra=None):
        """The answer's entry, its parts with it."""
        attachments = []
        if terms.packed:
            parcel = Parcel()
            argument = msgpack.packb(argument, default=parcel.extension)
            attachments = [bytearray(memory) for memory in parcel.clear()]
        (answer,) = entries(self._caller.run((kind, 7, 0, FAR, argument, extra, terms), attachments))
        return answer


def answered(value, terms=SPECIAL, project=""):
    """What a gateway gets of a value that a callable returned."""
    kind, _, _, found = Worker(lambda _: value, project).call(None, terms)
    assert kind == DONE
    return found


def refused(value, terms=SPECIAL, project=""):
    """Code and log of an answer that cannot be sent; the worker goes on."""
    worker = Worker(lambda fine: "fine" if fine else value, project)
    kind, _, _, code, detail, log, about = worker.call(None, terms)
    assert (kind, detail, about) == (RAISED, "", [])
    assert worker.log == [log + "\n"]
    assert worker.call(True, terms)[::3] == [DONE, "fine"]
    return code, log


def back(tensor):
    return np.frombuffer(tensor.data, np.dtype(tensor.dtype).newbyteorder("<")).reshape(tensor.shape)


# ── arrays ───────────────────────────────────────────────────────────────────────────────────────

BASE = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
ARRAYS = {
    "contiguous": BASE,
    "transposed": BASE.T,
    "sliced": BASE[:, ::2, 1:],
    "reversed": BASE[::-1, :, ::-1],
    "Fortran": np.asfortranarray(BASE),
    "broadcast": np.broadcast_to(np.float32(1.5), (3, 2)),
    "big-endian": BASE.astype(">i4"),
    "big-endian and sliced": BASE.astype(">f8")[:, :, ::-1],
    "no dimension": np.array(5, dtype=np.uint16),
    "no dimension, big-endian": np.array(5, dtype=">i8"),
    "nothing": np.zeros((0,), dtype=np.float64),
    "nothing of a shape": np.zeros((3, 0, 2), dtype=np.float32),
    "bool": np.array([[True], [False]]),
    "bool, sliced": np.array([True, False, True, True])[::2],
    "float16": np.array([1.5, -0.0, np.inf, np.nan], dtype=np.float16),
    "complex64": np.array([1 + 2j, -1j], dtype=np.complex64),
    "complex128, big-endian": np.array([1 + 2j, -1j], dtype=">c16"),
    "large": np.arange(100_000, dtype=np.uint8),
    "large and sliced": np.arange(100_000, dtype=np.int64)[::3],
    "read-only": np.frombuffer(b"12345678", dtype=np.int64),
    "masked": np.ma.masked_array([1, 2], [False, True]),
}


@pytest.mark.parametrize("value", ARRAYS.values(), ids=ARRAYS.keys())
def test_any_array_of_numbers_is_a_tensor(value):
    found = answered({"a": [value]})["a"][0]
    assert (found.dtype, found.shape) == (value.dtype.name, value.shape)
    np.testing.assert_array_equal(back(found), np.asarray(value))
    assert answered(value) == found


@settings(max_examples=60, deadline=None)
@given(st.sampled_from("?bBhHiIlLqQefdFD"), st.lists(st.integers(0, 4), max_size=4), st.booleans(), st.data())
def test_arrays_survive_the_way_there_and_back(letter, shape, big_endian, data):
    dtype = np.dtype(letter).newbyteorder(">" if big_endian else "<")
    value = np.arange(np.prod(shape, dtype=int)).astype(dtype).reshape(shape)
    value = value.transpose(data.draw(st.permutations(range(len(shape)))))
    seen = []
    worker = Worker(lambda x: seen.append(x) or x)
    sent = Tensor(value.dtype.name, value.shape, np.ascontiguousarray(value, dtype.newbyteorder("<")).tobytes())
    kind, _, _, found = worker.call(sent, Terms(packed=True, special=True))
    assert (kind, found) == (DONE, sent)
    np.testing.assert_array_equal(seen[0], value)
    assert (seen[0].dtype, seen[0].shape) == (value.dtype.newbyteorder("="), value.shape)


@pytest.mark.parametrize("size", [3, 100_000])
def test_a_callable_may_write_to_its_array(size):
    def f(x):
        x += 1
        return x

    tensor = Tensor("float32", (size,), bytes(4 * size))
    found = Worker(f).call({"x": tensor}, Terms(packed=True, special=True), kind=NAMED)[3]
    assert back(found).tolist() == [1.0] * size


class Torchlike:
    """An array of another library."""

    def __init__(self, value):
        self.value = value

    def __array__(self, dtype=None, copy=None):
        if isinstance(self.value, Exception):
            raise self.value
        return np.asarray(self.value, dtype)


def test_arrays_of_other_libraries_are_tensors():
    found = answered([Torchlike(np.ones((2, 2), np.float32))])[0]
    assert found == Tensor("float32", (2, 2), np.ones(4, np.float32).tobytes())


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(1.5), 1.5),
        (np.int8(-3), -3),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array(["a", "bc"]), ["a", "bc"]),
        (np.array([b"a"]), [b"a"]),
        (np.array([1, "a", None], dtype=object), [1, "a", None]),
        ((np.float64(1), 2), [1.0, 2]),
    ],
    ids=repr,
)
def test_numpys_scalars_and_texts_are_plain(value, plain):
    assert answered({"a": value}) == {"a": plain}


def test_a_complex_scalar_is_a_tensor_without_dimensions():
    assert answered(np.complex64(1 + 2j)) == Tensor("complex64", (), np.complex64(1 + 2j).tobytes())


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(np.array([object()]), id="objects"),
        pytest.param(np.array([{1}], dtype=object), id="sets"),
        pytest.param(np.array(["2020-01-01"], dtype="datetime64[D]"), id="dates"),
        pytest.param(np.zeros(2, dtype=[("a", "i4")]), id="structures"),
        pytest.param(np.zeros(2, dtype=np.longdouble), id="long doubles"),
        pytest.param(np.zeros(2, dtype=np.clongdouble), id="long complex numbers"),
        pytest.param(Torchlike(RuntimeError("needs .detach()")), id="conversion raises"),
        pytest.param(Torchlike(np.array([object()])), id="another library's objects"),
        pytest.param(1j, id="complex"),
        pytest.param({1, 2}, id="set"),
        pytest.param(object(), id="object"),
        pytest.param(memoryview(b"released"), id="released memory"),
    ],
)
def test_what_no_part_stands_for_is_refused(value):
    if isinstance(value, memoryview):
        value.release()
    code, log = refused([value])
    assert code == UNSERIALIZABLE
    assert log.startswith("the answer cannot be sent")


def test_without_special_places_arrays_become_lists():
    assert answered(BASE, Terms()) == BASE.tolist()
    assert refused(Path("/"), Terms())[0] == UNSERIALIZABLE


# ── pictures ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "image/webp"])
def test_pictures_are_encoded_as_the_client_wants_them(media_type):
    image = Image.new("RGB", (7, 5), (1, 200, 3))
    found = answered({"a": image}, Terms(special=True, image=media_type))["a"]
    assert isinstance(found, Picture)
    assert found.media_type == media_type
    opened = Image.open(io.BytesIO(found.data))
    assert (opened.size, opened.get_format_mimetype()) == ((7, 5), media_type)


def test_a_picture_where_the_output_has_none():
    code, log = refused(Image.new("L", (1, 1)))
    assert (code, "image" in log) == (UNSERIALIZABLE, True)


def test_a_picture_is_read_before_the_callable_runs():
    seen = []
    worker = Worker(seen.append)
    assert worker.call(Picture("image/png", picture("image/png", (6, 3))), Terms(packed=True))[0] == DONE
    assert (seen[0].size, seen[0].getpixel((0, 0))) == ((6, 3), (0, 0, 0))


@pytest.mark.parametrize("cut", [30, 60])
def test_a_picture_that_turns_out_to_be_broken_is_the_clients_fault(cut):
    begun = []
    worker = Worker(begun.append)
    broken = Picture("image/png", picture("image/png", (64, 64), mode="RGB")[:-cut], "/image")
    kind, _, run_s, code, detail, log, about = worker.call({"image": broken}, Terms(packed=True))
    assert (kind, code, about, log) == (RAISED, UNREADABLE, ["/image"], "")
    assert detail
    assert run_s >= 0
    assert (begun, worker.log) == ([], [])


# ── bytes ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, 10, 5000, 70_000, 300_000])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_arrive_as_they_are_wherever_they_stand(size, kind):
    data = os.urandom(size)
    for value in (kind(data), {"a": kind(data)}, [{"a": kind(data)}]):
        found = answered(value)
        while isinstance(found, dict | list):
            found = found["a"] if isinstance(found, dict) else found[0]
        assert (found.data if isinstance(found, Blob) else found) == data


@pytest.mark.parametrize("size", [10, 300_000])
def test_memory_of_any_form(size):
    numbers = array.array("d", range(size))
    assert answered(memoryview(numbers)) == Blob(numbers.tobytes())
    assert answered(memoryview(numbers.tobytes())[::2]) == Blob(numbers.tobytes()[::2])


def test_bytes_come_as_bytes():
    seen = []
    worker = Worker(seen.append)
    for size in (3, 100_000):
        worker.call({"x": [Blob(b"x" * size)]}, Terms(packed=True))
        assert seen.pop() == {"x": [b"x" * size]}


# ── files ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def place(tmp_path):
    """A call's folder, a project with a folder that the spec names, and another that it does not."""
    for name in ("call", "project/shared/deep", "project/private", "project/shared-not"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("call/own.wav", "project/shared/deep/a.txt", "project/private/b", "project/shared-not/c", "outside"):
        (tmp_path / name).write_text(name)
    return tmp_path


def filed(place, path, within=("shared",)):
    terms = Terms(special=True, folder=str(place / "call"), within=within)
    return Worker(lambda _: path, place / "project").call(None, terms)


@pytest.mark.parametrize("name", ["call/own.wav", "project/shared/deep/a.txt", "project/shared/../shared/deep/a.txt"])
def test_files_of_the_call_and_of_named_folders_may_be_answered(place, name):
    kind, _, _, found = filed(place, place / name)
    assert kind == DONE
    assert found == Stored(str((place / name).resolve()), {".wav": WAV, ".txt": "text/plain"}[Path(name).suffix])


def test_relative_paths_are_relative_to_the_project(place):
    assert filed(place, Path("shared/deep/a.txt"))[3].path == str(place / "project/shared/deep/a.txt")
    assert filed(place, PurePosixPath("shared/deep/a.txt"))[0] == DONE


@pytest.mark.parametrize(
    "path",
    [
        "outside",
        "project/private/b",
        "project/shared-not/c",
        "call/../outside",
        "project/shared/../private/b",
        "call-not/x",
    ],
)
def test_files_elsewhere_may_not_and_the_client_does_not_learn_of_them(place, path):
    kind, _, _, code, detail, log, _ = filed(place, place / path)
    assert (kind, code, detail) == (RAISED, INVALID, "")
    assert "outside of its call's folder" in log


@pytest.mark.parametrize("target", ["outside", "project/private/b"])
@pytest.mark.parametrize("whole_folder", [True, False])
def test_a_link_is_judged_by_where_it_leads(place, target, whole_folder):
    link = place / "call" / "link"
    if whole_folder:
        link.symlink_to((place / target).parent)
        path = link / Path(target).name
    else:
        link.symlink_to(place / target)
        path = link
    assert filed(place, path)[3] == INVALID
    back_in = place / "project/private/link"
    back_in.symlink_to(place / "call/own.wav")
    assert filed(place, back_in)[3] == Stored(str(place / "call/own.wav"), WAV)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file_cannot_be_sent(place, kind):
    path = place / "call" / "x"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    answer = filed(place, path)
    assert answer[3] == UNSERIALIZABLE
    assert "no file" in answer[5]


def test_a_call_without_a_folder_may_only_name_the_specs(place):
    terms = Terms(special=True, within=("shared",))
    worker = Worker(Path, place / "project")
    assert worker.call(str(place / "project/shared/deep/a.txt"), terms)[0] == DONE
    assert worker.call(str(place / "call/own.wav"), terms)[3] == INVALID
    assert worker.call(str(place / "outside"), Terms(special=True))[3] == INVALID


def test_a_file_comes_as_a_path():
    seen = []
    Worker(seen.append).call([Stored("/a/b.wav", "audio/wav")], Terms(packed=True))
    assert seen == [[Path("/a/b.wav")]]


# ── the context's folder ─────────────────────────────────────────────────────────────────────────


def test_the_folder_of_a_call_is_made_when_it_is_asked_for(tmp_path):
    def f(x, context):
        (context.folder / "a.txt").write_text(x)
        return context.folder / "a.txt"

    folder = tmp_path / "gateway" / "17"
    found = Worker(f).call("text", Terms(special=True, folder=str(folder)), extra=("id", {}))[3]
    assert found == Stored(str(folder / "a.txt"), "text/plain")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert Context("id", {}, FAR, str(folder)).folder == folder  # it may exist already


def test_an_api_without_files_has_no_folder():
    with pytest.raises(RuntimeError, match="format: file"):
        _ = Context("id", {}, FAR).folder
    assert Worker(lambda x, context: context.folder).call(1, Terms(), extra=("id", {}))[3] == TARGET_RAISED


# ── chunks ───────────────────────────────────────────────────────────────────────────────────────


class Sink:
    """An outlet that keeps what it is given."""

    def __init__(self):
        self.chunks = []

    def send(self, chunk):
        self.chunks += entries(chunk)

    def wait(self):
        return True


def test_chunks_have_parts_and_what_was_set_on_the_answer():
    def f(_, context):
        context.response.status = 201
        for number in range(2):
            yield {"n": number, "x": np.full(3000, number, np.float32)}

    sink = Sink()
    caller = Caller(bounds(f), print)
    caller.run((POSITIONAL, 7, 0, FAR, None, ("id", {}), Terms(special=True, ahead=3)), (), sink)
    assert [chunk[0] for chunk in sink.chunks] == [CHUNK_WITH, CHUNK]
    assert [chunk[4:] for chunk in sink.chunks] == [[201, {}], []]
    for number, chunk in enumerate(sink.chunks):
        assert chunk[3]["n"] == number
        assert back(chunk[3]["x"]).tolist() == [number] * 3000


def test_large_bytes_in_an_object_are_not_copied():
    large = b"x" * 100_000
    found = parts.outgoing({"a": large, "b": b"small", "c": 1})
    assert found["a"].data is large
    assert (found["b"], found["c"]) == (Blob(b"small"), 1)
    plain = {"b": b"small"}
    assert parts.outgoing(plain) is plain

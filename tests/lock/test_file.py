"""bentofile.lock: what is written is read again, everything else is refused with its line."""

import os
import tomllib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentod.errors import SpecError
from bentod.lock.file import (
    LockedApis,
    LockedImage,
    LockedModel,
    LockedPython,
    LockFile,
    lock_path,
    made_by_bentod,
    parsed,
    read,
    written,
)
from bentod.lock.pin import pinned
from bentod.plan.models import ModelPlan

DIGEST = "sha256:" + "ab" * 32
COMMIT = "c0" * 20
LOCK = LockFile(
    LockedApis(DIGEST, {"greet": DIGEST}),
    {
        "w": LockedModel(
            "hf://org/name", "main", ("*.json",), ("*.bin",), "https://hub.example", COMMIT, "", DIGEST, 7
        ),
        "v": LockedModel("store://iris", version="v1", digest=DIGEST, size=9),
        "p": LockedModel("weights/a b.bin", digest=DIGEST, size=1),
    },
    LockedPython(DIGEST, "3.12", "pylock.toml", DIGEST),
    LockedImage("python:3.12-slim", DIGEST),
)
GOOD = written(LOCK)


def wrong(text, file="bentofile.lock"):
    with pytest.raises(SpecError) as caught:
        parsed(text, file)
    return [(p.line, p.path, p.code) for p in caught.value.problems]


def test_what_is_written_is_read_again():
    assert parsed(GOOD, "x") == LOCK
    assert written(parsed(GOOD, "x")) == GOOD
    assert tomllib.loads(GOOD)["version"] == 1


def test_the_order_in_which_it_was_made_does_not_count():
    models = dict(reversed(LOCK.models.items()))
    assert written(replace(LOCK, models=models)) == GOOD


def test_an_empty_lock_is_one():
    assert parsed(written(LockFile()), "x") == LockFile()


def test_it_lies_beside_its_spec(tmp_path):
    assert lock_path(tmp_path / "bentofile.yaml") == tmp_path / "bentofile.lock"
    assert read(tmp_path / "bentofile.lock") is None
    (tmp_path / "bentofile.lock").write_text(GOOD)
    assert read(tmp_path / "bentofile.lock") == LOCK
    assert made_by_bentod(tmp_path / "bentofile.lock")
    (tmp_path / "uv.lock").write_text("version = 1\n")
    assert not made_by_bentod(tmp_path / "uv.lock")


CORRUPT = {
    "not TOML": (GOOD.replace("[apis]", "[apis"), (4, "", "syntax")),
    "cut off in the middle": (GOOD[: GOOD.index("commit") + 12], None),
    "a key twice": (GOOD.replace("size = 7", "size = 7\nsize = 8"), None),
    "no version": (GOOD.replace("version = 1\n", "", 1), (1, "version", "unknown-version")),
    "another version": (GOOD.replace("version = 1\n", "version = 2\n", 1), (2, "version", "unknown-version")),
    "truth for a version": (GOOD.replace("version = 1\n", "version = true\n", 1), (2, "version", "unknown-version")),
    "unknown section": (GOOD + "\n[modles]\n", (None, "modles", "unknown-key")),
    "unknown key": (GOOD.replace("commit =", "comit ="), (None, "models.w.comit", "unknown-key")),
    "short commit": (GOOD.replace(COMMIT, COMMIT[:-1]), (None, "models.w.commit", "wrong-value")),
    "upper-case digest": (GOOD.replace("ab" * 32, "AB" * 32, 1), (None, "apis.digest", "wrong-value")),
    "digest of another kind": (GOOD.replace("sha256:", "md5:", 1), (None, "apis.digest", "wrong-value")),
    "negative size": (GOOD.replace("size = 7", "size = -7"), (None, "models.w.size", "wrong-value")),
    "size as text": (GOOD.replace("size = 7", 'size = "7"'), (None, "models.w.size", "wrong-value")),
    "size is a truth": (GOOD.replace("size = 7", "size = true"), (None, "models.w.size", "wrong-value")),
    "no source": (GOOD.replace('source = "store://iris"\n', ""), (None, "models.v", "missing-key")),
    "name with dots": (GOOD.replace("[models.v]", '[models."../v"]'), (None, 'models["../v"]', "wrong-value")),
    "models is a list": ("version = 1\nmodels = []\n", (2, "models", "wrong-type")),
    "model is text": ("version = 1\n[models]\nw = 'x'\n", (3, "models.w", "wrong-type")),
    "include is text": (
        GOOD.replace('include = [\n    "*.json",\n]', 'include = "x"'),
        (None, "models.w.include", "wrong-type"),
    ),
    "revision climbs": (GOOD.replace('"main"', '"../x"'), (None, "models.w.revision", "wrong-value")),
    "endpoint has credentials": (
        GOOD.replace("https://hub", "https://a:b@hub"),
        (None, "models.w.endpoint", "wrong-value"),
    ),
    "lock outside": (GOOD.replace('"pylock.toml"', '"../pylock.toml"'), (None, "python.lock", "wrong-value")),
    "lock is absolute": (GOOD.replace('"pylock.toml"', '"/etc/passwd"'), (None, "python.lock", "wrong-value")),
    "base with a line": (GOOD.replace("python:3.12-slim", "a\\nRUN x"), (None, "image.base", "wrong-value")),
    "schema of no API": (GOOD.replace("greet =", '"a b" ='), (None, 'apis.schemas["a b"]', "wrong-value")),
}  # fmt: skip


@pytest.mark.parametrize(("text", "place"), CORRUPT.values(), ids=CORRUPT)
def test_what_is_corrupt_is_refused_with_its_line(text, place):
    found = wrong(text)
    assert found[0][0] > 0
    if place is not None:
        line, path, code = place
        assert (path, code) in [one[1:] for one in found]
        assert line in (None, found[0][0])


def test_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "bentofile.lock"
    for data in (b"\xff\xfe", b"version = 1\n\0", b"x" * (5 << 20)):
        path.write_bytes(data)
        with pytest.raises(SpecError):
            read(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(SpecError):
        read(path)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(SpecError):  # and it does not wait for somebody to write
        read(path)


def test_every_problem_is_told_at_once():
    text = GOOD.replace("size = 7", "size = -7").replace("commit =", "comit =").replace("[image]", "[imag]")
    assert len(wrong(text)) == 3


FIELDS = [("source", "hf://org/name"), ("revision", "main"), ("endpoint", "https://hub.example"), ("commit", COMMIT)]


@settings(max_examples=400, deadline=None)
@given(
    st.text(st.characters(codec="utf-8")),
    st.sampled_from(["source", "revision", "endpoint", "base", "lock", "include"]),
)
def test_no_string_can_become_anything_else(text, key):
    """What is written of a hostile string is refused, or read as that very string."""
    model = replace(
        LOCK.models["w"], **({key: (text,) if key == "include" else text} if key in LockedModel.__slots__ else {})
    )
    python = replace(LOCK.python, lock=text) if key == "lock" else LOCK.python
    image = replace(LOCK.image, base=text) if key == "base" else LOCK.image
    lock = replace(LOCK, models={"w": model}, python=python, image=image)
    try:
        found = parsed(written(lock), "x")
    except SpecError:
        return
    assert found == lock
    assert not any(ord(char) < 32 or ord(char) == 127 for char in text)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(GOOD)), st.text(max_size=6), st.integers(0, 9))
def test_any_damage_is_a_problem_or_another_lock(at, put, cut):
    problems = ()
    try:
        parsed(GOOD[:at] + put + GOOD[at + cut :], "x")
    except SpecError as error:
        problems = error.problems
    assert all(problem.line > 0 for problem in problems)


W = ModelPlan("w", "hf", "org/name", "main", ("*.json",), ("*.bin",), "https://hub.example")


def test_models_that_are_declared_as_locked_are_pinned():
    assert pinned([W], LOCK)[0].commit == COMMIT
    assert pinned([ModelPlan("v", "store", "iris")], LOCK)[0].version == "v1"
    assert pinned([W], None) == (W,)


@pytest.mark.parametrize(
    "change",
    [{"source": "org/other"}, {"revision": "v2"}, {"include": ()}, {"exclude": ("x",)}, {"endpoint": ""},
     {"name": "x"}, {"kind": "store"}, {"commit": "d0" * 20}, {"digest": "sha256:" + "00" * 32}],
    ids=str,
)  # fmt: skip
def test_models_that_are_declared_in_another_way_are_not(change):
    model = replace(W, **change)
    assert pinned([model], LOCK) == (model,)


def test_paths_are_those_from_the_lock(tmp_path):
    lock = replace(LOCK, file=str(tmp_path / "bentofile.lock"))
    model = ModelPlan("p", "path", str(tmp_path / "weights/a b.bin"))
    assert pinned([replace(model, digest=DIGEST)], lock)[0].digest == DIGEST
    assert pinned([model], lock) == (model,)

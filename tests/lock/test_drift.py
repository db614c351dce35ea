"""What differs from the lock file, each difference with its line, its old and its new."""

from dataclasses import replace

import pytest

from bentod.lock.apis import api_digests
from bentod.lock.changes import changes
from bentod.lock.drift import Current, drift
from bentod.lock.file import LockedApis, LockedImage, LockedModel, LockedPython, LockFile, parsed, written
from bentod.plan.models import ModelPlan
from tests.support.specs import BASE, laid_over, loaded

OLD, NEW = "sha256:" + "aa" * 32, "sha256:" + "bb" * 32
COMMIT = "c0" * 20
HUB = ModelPlan("w", "hf", "org/name", "main", ("*.json",))
STORED = ModelPlan("v", "store", "iris")
APIS = LockedApis(OLD, {"greet": OLD, "later": OLD})
LOCK = parsed(
    written(
        LockFile(
            APIS,
            {
                "w": LockedModel("hf://org/name", "main", ("*.json",), commit=COMMIT, digest=OLD, size=3),
                "v": LockedModel("store://iris", version="v1", digest=OLD),
            },
            LockedPython(OLD, "3.12", "pylock.toml", OLD),
            LockedImage("python:3.12-slim", OLD),
        )
    ),
    "bentofile.lock",
)
NOW = Current(APIS, (HUB, STORED), {"w": OLD, "v": OLD}, base="python:3.12-slim")

DRIFTS = {
    "an API has another schema": (
        {"apis": LockedApis(NEW, {"greet": NEW, "later": OLD})},
        "apis.schemas.greet",
        (OLD[:19], NEW[:19]),
    ),
    "an API is new": ({"apis": LockedApis(NEW, {**APIS.schemas, "x": NEW})}, "apis.schemas", ("`x`", "new")),
    "an API is gone": ({"apis": LockedApis(NEW, {"greet": OLD})}, "apis.schemas.later", ("`later`", "gone")),
    "the digest of all alone": ({"apis": LockedApis(NEW, APIS.schemas)}, "apis.digest", (OLD[:19], NEW[:19])),
    "a model is new": ({"models": (HUB, STORED, replace(HUB, name="x"))}, "models", ("`x`", "not locked")),
    "a model is gone": ({"models": (HUB,)}, "models.v", ("`v`", "the spec has none")),
    "another source": ({"models": (replace(HUB, source="org/b"), STORED)}, "models.w.source", ("hf://org/name", "hf://org/b")),
    "another revision": ({"models": (replace(HUB, revision="v2"), STORED)}, "models.w.revision", ("`main`", "`v2`")),
    "another commit": (
        {"models": (replace(HUB, commit="d0" * 20), STORED)}, "models.w.commit", (COMMIT, "d0" * 20),
    ),
    "other files": ({"models": (replace(HUB, include=()), STORED)}, "models.w.include", ("`*.json`", "nothing")),
    "files that are left out": ({"models": (replace(HUB, exclude=("a", "b")), STORED)}, "models.w", ("nothing", "`a`")),
    "another hub": ({"models": (replace(HUB, endpoint="https://x"), STORED)}, "models.w", ("nothing", "https://x")),
    "another version": ({"models": (HUB, replace(STORED, version="v2"))}, "models.v.version", ("`v1`", "`v2`")),
    "another digest": ({"models": (replace(HUB, digest=NEW), STORED)}, "models.w.digest", (OLD[:19], NEW[:19])),
    "other bytes lie here": ({"digests": {"w": NEW, "v": OLD}}, "models.w.digest", (OLD[:19], NEW[:19])),
    "another base": ({"base": "python:3.13-slim"}, "image.base", ("python:3.12-slim", "python:3.13-slim")),
    "another base by its digest": ({"base": f"python:3.12-slim@{NEW}"}, "image.digest", (OLD[:19], NEW[:19])),
}  # fmt: skip


def test_what_is_as_it_was_has_no_drift():
    assert drift(NOW, LOCK) == []
    assert drift(replace(NOW, digests={}, base=f"python:3.12-slim@{OLD}"), LOCK) == []
    assert drift(replace(NOW, base=""), LOCK) == []


@pytest.mark.parametrize(("change", "path", "said"), DRIFTS.values(), ids=DRIFTS)
def test_every_drift_is_told_with_its_line(change, path, said):
    (problem,) = drift(replace(NOW, **change), LOCK)
    assert problem.path.startswith(path)
    assert (problem.code, problem.file, problem.line) == ("drift", "bentofile.lock", LOCK.lines[path])
    assert all(word in problem.message for word in said)
    assert "bentod lock" in problem.hint


def test_a_lock_that_says_nothing_drifts_from_everything():
    lock = parsed("version = 1\n", "bentofile.lock")
    assert [problem.line for problem in drift(NOW, lock)] == [1] * 3


def test_models_that_are_locked_without_a_pin_are_told():
    lock = parsed(written(replace(LOCK, models={"w": LockedModel("hf://org/name", "main", ("*.json",))})), "l")
    assert ["not pinned" in problem.message for problem in drift(replace(NOW, models=(HUB,)), lock)] == [True]


def test_all_drifts_are_told_at_once():
    many = replace(NOW, models=(replace(HUB, revision="v2", include=()),), base="x", apis=LockedApis(NEW, {}))
    assert len(drift(many, LOCK)) == 6


def test_changes_are_told_key_by_key():
    new = replace(LOCK, models={"w": replace(LOCK.models["w"], commit="d0" * 20)}, image=None)
    assert changes(LOCK, new) == [
        "models.v.source: store://iris → nothing",
        "models.v.version: v1 → nothing",
        f"models.v.digest: {OLD[:19]}… → nothing",
        f"models.w.commit: {COMMIT} → {'d0' * 20}",
        "image.base: python:3.12-slim → nothing",
        f"image.digest: {OLD[:19]}… → nothing",
    ]


TYPED = {
    "types": {"A": {"$ref": "#/types/B"}, "B": {"type": "string"}, "C": True},
    "apis": {"greet": {"service": "s", "input": {"$ref": "#/types/A"}}, "later": {"service": "s"}},
}


def digests(folder, *changes):
    document = laid_over(BASE, TYPED)
    for change in changes:
        document = laid_over(document, change)
    return api_digests(loaded(folder, document).spec)


@pytest.mark.parametrize(
    ("change", "apis"),
    [
        ({"types": {"B": {"type": "integer"}}}, ["greet"]),
        ({"types": {"C": False}}, []),
        ({"apis": {"later": {"output": {"type": "string"}}}}, ["later"]),
        ({"apis": {"later": {"route": "/x"}}}, ["later"]),
        ({"apis": {"later": {"stream": "sse"}}}, ["later"]),
        ({"server": {"path_prefix": "/v1"}}, ["greet", "later"]),
        ({"apis": {"later": {"timeout": "3s", "summary": "x", "queue": 3}}}, []),
    ],
    ids=str,
)
def test_the_digest_of_an_api_is_that_of_what_clients_see(tmp_path, change, apis):
    old, new = digests(tmp_path), digests(tmp_path, change)
    assert sorted(name for name in old.schemas if old.schemas[name] != new.schemas[name]) == apis
    assert (old.digest != new.digest) == bool(apis)

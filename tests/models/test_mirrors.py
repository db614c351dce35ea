"""Two hubs that call other files the same commit: what one gave is never taken for what the other has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bentod.models.home import USUAL, Home, ModelError, default_home
from bentod.models.locate import locate
from bentod.models.records import Records
from bentod.plan.models import Located, Missing
from tests.support.fetches import hf
from tests.support.hub import Fault, Hub

ALWAYS = 99


@pytest.fixture
def mirror(hub, files):
    """A hub with a file that is another one at the same commit."""
    with Hub() as mirror:
        mirror.add("org/model", files)
        files["model.safetensors"] = b"other weights"
        changed = mirror.add("org/model", files)
        commits = mirror.repositories["org/model"].commits
        commits[hub.commit] = commits.pop(changed)
        mirror.repositories["org/model"].refs["main"] = hub.commit
        yield mirror


def at(host, hub):
    """The host from now on asks that hub, as HF_ENDPOINT does."""
    host.url, host.home = hub.url, replace(host.home, endpoint=hub.url)
    return host


def here(host, model):
    return locate([model], host.home)[model.name]


@pytest.mark.parametrize("pinned", [True, False])
def test_what_one_hub_gave_is_not_what_another_has(host, hub, mirror, files, pinned):
    asked = {"commit": hub.commit} if pinned else {}
    first = at(host, hub).pull(**asked)
    assert isinstance(here(host, hf(**asked)), Located)
    assert isinstance(here(at(host, mirror), hf(**asked)), Missing)
    second = host.pull(**asked)
    assert (first.endpoint, second.endpoint) == (hub.url, mirror.url)
    assert first.digest != second.digest
    assert host.files(second) == files
    assert here(host, hf(**asked)).digest == second.digest
    assert sorted(one.endpoint for one in host.records.all()) == sorted([hub.url, mirror.url])


def test_the_usual_hub_is_the_same_whether_it_is_named_or_not(tmp_path):
    for endpoint in ("", "https://huggingface.co", "https://huggingface.co/"):
        records = Records(Home(tmp_path))
        assert records.hub(hf(endpoint=endpoint)) == ""
        assert Records(Home(tmp_path, endpoint="https://mirror")).hub(hf(endpoint=endpoint or USUAL)) == ""


def test_a_hub_is_the_same_whoever_names_it(host, hub):
    record = host.pull(endpoint=hub.url, commit=hub.commit)
    assert here(at(host, hub), hf(commit=hub.commit)).digest == record.digest
    assert isinstance(here(host, hf(commit=hub.commit, endpoint=f"{hub.url}/")), Located)


def test_what_is_pinned_by_its_digest_may_come_from_anywhere(host, hub, mirror):
    record = at(host, hub).pull(commit=hub.commit)
    hub.requests.clear()
    at(host, mirror)
    for model in (hf(commit=hub.commit, locked=record.digest), hf(commit=hub.commit, digest=record.digest)):
        assert here(host, model).digest == record.digest
        assert host.pull(model) == record
    assert mirror.requests == hub.requests == []


def test_what_was_touched_since_is_still_what_its_own_hub_gave(host, hub, mirror):
    record = at(host, hub).pull(commit=hub.commit)
    Path(record.folder, "config.json").resolve().touch()
    again = at(host, mirror).pull(hf(commit=hub.commit, locked=record.digest))
    assert (again.endpoint, again.digest) == (hub.url, record.digest)
    assert [one.endpoint for one in host.records.all()] == [hub.url]


@pytest.mark.parametrize("pinned", [True, False])
def test_a_hub_that_cannot_be_reached_leaves_what_another_gave_with_a_warning(host, hub, mirror, pinned):
    asked = {"commit": hub.commit} if pinned else {}
    record = at(host, hub).pull(**asked)
    mirror.faults = [Fault(kind, times=ALWAYS, status=503) for kind in ("revision", "tree")]
    assert at(host, mirror).pull(**asked) == record
    assert f"the files are those of {hub.url}" in host.told[-1].note
    assert "503" in host.told[-1].note
    Path(record.folder, "config.json").resolve().write_bytes(b"{}")
    with pytest.raises(ModelError, match="503"):
        host.pull(**asked)


def test_a_fetch_in_a_child_is_of_the_hub_that_the_environment_names(host, hub, mirror):
    for asked in (hub, mirror):
        found = at(host, asked).fetch(hf(), HF_ENDPOINT=asked.url)["m"]
        assert found.digest == here(host, hf()).digest
    assert {one.endpoint for one in host.records.all()} == {hub.url, mirror.url}


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("", ""),
        ("https://huggingface.co/", ""),
        ("https://hub.example.com/hf/", "https://hub.example.com/hf"),
        ("https://me:secret@hub.example.com?token=secret", "https://hub.example.com"),
    ],
)
def test_which_hub_is_the_usual_one(said, known):
    assert default_home({"BENTOD_MODELS": "/m", "HF_ENDPOINT": said}) == Home(Path("/m"), known)

"""What a hub may do wrong while a model comes from it, and what is left of that: a model as a whole, or an error."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from types import SimpleNamespace

import pytest

from bentod.models import pulling, transfer
from bentod.models.home import ModelError
from bentod.models.orders import Limits
from tests.support.fetches import QUICK, hf
from tests.support.hub import Fault, Hub

WEIGHTS = "model.safetensors"
ALWAYS = 99


def test_a_model_lies_there_as_a_whole_and_sha256sum_reproduces_its_digest(host, hub, files):
    record = host.pull()
    assert host.files(record) == files
    assert record.commit == hub.commit
    assert [(file.path, file.size) for file in record.files] == sorted((p, len(d)) for p, d in files.items())
    line = "find -L . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    done = subprocess.run(["sh", "-c", line], cwd=record.folder, capture_output=True, text=True, check=True)
    assert record.digest == "sha256:" + done.stdout.split()[0]
    assert host.partial() == []


def test_what_is_there_takes_one_request_if_it_is_a_branch_and_none_if_it_is_pinned(host, hub):
    first = host.pull()
    hub.requests.clear()
    assert host.pull() == first
    assert [one.kind for one in hub.requests] == ["revision"]
    hub.requests.clear()
    assert host.pull(commit=hub.commit) == first
    assert host.pull(revision=hub.commit) == first
    assert hub.requests == []


def test_a_branch_that_moves_brings_only_what_is_new(host, hub, files):
    host.pull()
    hub.requests.clear()
    files["config.json"] = b"{}"
    moved = hub.add("org/model", files)
    record = host.pull()
    assert (record.commit, host.files(record)) == (moved, files)
    assert [one.path.rpartition("/")[2] for one in hub.asked("resolve")] == ["config.json"]
    assert len(host.records.all()) == 2


def test_a_branch_that_moves_between_the_listing_and_the_files_makes_no_mixture(host, hub, files):
    other = {**files, "config.json": b"other", WEIGHTS: b"other"}
    hub.faults = [Fault("tree", do=lambda: hub.add("org/model", other))]
    record = host.pull()
    assert (record.commit, host.files(record)) == (hub.commit, files)
    assert host.pull().commit != hub.commit


def test_a_commit_that_goes_between_the_listing_and_the_files_is_an_error(host, hub):
    hub.faults = [Fault("resolve", "config", do=hub.repositories["org/model"].commits.clear)]
    with pytest.raises(ModelError, match=f"no revision `{hub.commit}`") as raised:
        host.pull(commit=hub.commit)
    assert "hf://org/model" in str(raised.value)
    assert host.records.all() == []


def test_patterns_choose(host, files):
    record = host.pull(include=("*.json", "onnx/*"), exclude=("*.md",))
    assert sorted(host.files(record)) == ["config.json", "onnx/model.bin"]
    assert host.pull(include=("onnx/*", "*.json"), exclude=("*.md",)).key == record.key


def test_patterns_that_leave_nothing_are_named_with_what_there_is(host):
    with pytest.raises(ModelError, match=r"`include` is `\*\.gguf`.*`config\.json`.*change the patterns"):
        host.pull(include=("*.gguf",))
    with pytest.raises(ModelError, match=r"`exclude` is `\*`"):
        host.pull(exclude=("*",))


def test_a_long_listing_comes_in_pages(host, hub, files):
    hub.page = 2
    assert host.files(host.pull()) == files
    assert len(hub.asked("tree")) == 3


def test_a_listing_without_an_end_is_given_up(host, hub, monkeypatch):
    monkeypatch.setattr("bentod.models.huggingface._MOST_ENTRIES", 3)
    with pytest.raises(ModelError, match="more than 3 files"):
        host.pull()


def refusing(hub, **more):
    return Fault(times=ALWAYS, **more)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("revision", status=401), "wants to know who asks .401; no token is set.; set HF_TOKEN"),
        (Fault("revision", status=403), "accept its conditions at http.*/org/model, and set HF_TOKEN"),
        (Fault("revision", status=404), "no such repository .404.*private"),
        (Fault("revision", status=429, headers={"Retry-After": "86400"}), "429. and asks to wait 86400 s"),
        (Fault("revision", status=429), "too many requests"),
        (Fault("tree", status=500), "fails with 500, again and again"),
        (Fault("revision", status=503), "fails with 503"),
        (Fault("revision", status=418), "answers 418; check `source` and `endpoint`"),
        (Fault("revision", status=200, body=b"<html>log in first</html>"), "not what a hub answers.*HF_ENDPOINT"),
        (Fault("revision", status=200, body=b'{"id": "x", "sha": "../../x"}'), "not what a hub answers.*commit is"),
        (Fault("revision", status=200, body=b"[]"), "not what a hub answers"),
        (Fault("tree", status=200, body=b'[{"type": "file"}]'), "not what a hub answers"),
        (Fault("tree", status=200, body=b"[]"), "has no files at that commit"),
        (Fault("resolve", WEIGHTS, status=404), "no such repository|is not there"),
        (Fault("cdn", status=403), "127.0.0.1:.*, where it keeps files, answered 403; what has come is kept"),
        (Fault("cdn", status=500), "fails with 500"),
        (Fault("cdn", status=302, headers={"Location": "/again"}), "not what a hub|TooManyRedirects"),
        (Fault("cdn", content=b"y" * 307_200), "another file than it lists: of "),
        (
            Fault("resolve", "config", content=b'{"a": 2}\n'),
            "another file than it lists: of `config.json`, its sha1 is",
        ),
        (Fault("cdn", extra=b"more"), "another file than it lists: of .*bytes instead of"),
        (Fault("cdn", extra=b"more" * 100_000, unsized=True), "another file than it lists: of .*, more than"),
        (Fault("cdn", after=0), "bytes|what has come is kept"),
        (Fault("cdn", content=b"short"), "it sent 5 of|another file"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.kind} {value.status}",
)
def test_a_hub_that_fails_leaves_nothing_and_says_what_to_do(host, hub, files, fault, words):
    fault.times = ALWAYS
    hub.faults = [fault]
    with pytest.raises(ModelError, match=words) as raised:
        host.pull()
    assert f"model `m`: hf://org/model (revision main) cannot be fetched from {hub.url}: " in str(raised.value)
    assert "\n" not in str(raised.value)
    assert host.records.all() == []
    if fault.kind in {"resolve", "cdn"}:
        hub.faults = []
        assert host.files(host.pull()) == files
        assert host.partial() == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault("revision", status=500),
        Fault("tree", status=503, headers={"Retry-After": "0"}),
        Fault("tree", status=429, headers={"Retry-After": "0"}, times=2),
        Fault("resolve", status=429),
        Fault("cdn", status=502),
        Fault("cdn", status=403),
        Fault("cdn", after=0),
        Fault("cdn", WEIGHTS[:0], after=70_000, times=4),
        Fault("cdn", after=5_000, unsized=True),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status} {fault.after}",
)
def test_what_passes_is_tried_again(host, hub, files, fault):
    hub.faults = [fault]
    fault.times = max(fault.times, 1)
    assert host.files(host.pull()) == files


def test_a_connection_that_breaks_off_is_continued_where_it_broke(host, hub, files):
    hub.faults = [Fault("cdn", after=100_000)]
    assert host.files(host.pull(include=(WEIGHTS,))) == {WEIGHTS: files[WEIGHTS]}
    assert [one.headers.get("range") for one in hub.asked("cdn")] == [None, "bytes=100000-"]


def test_as_long_as_something_comes_it_goes_on(host, hub, files):
    hub.faults = [Fault("cdn", after=30_000, times=9)]
    assert host.files(host.pull(include=(WEIGHTS,))) == {WEIGHTS: files[WEIGHTS]}
    assert len(hub.asked("cdn")) == 10


def test_a_fetch_that_failed_goes_on_the_next_time(host, hub, files):
    hub.faults = [Fault("cdn", after=200_000), Fault("cdn", times=ALWAYS, status=500)]
    with pytest.raises(ModelError):
        host.pull(include=(WEIGHTS,))
    (left,) = host.partial()
    assert left.stat().st_size == 200_000
    hub.faults, hub.requests = [], []
    assert host.files(host.pull(include=(WEIGHTS,))) == {WEIGHTS: files[WEIGHTS]}
    assert [one.headers.get("range") for one in hub.asked("cdn")] == ["bytes=200000-"]


@pytest.mark.parametrize("left", [b"wrong" * 1000, bytes(range(256)) * 2_000], ids=["wrong", "too much"])
def test_what_was_left_wrong_is_fetched_anew(host, hub, files, left):
    test_a_fetch_that_failed_goes_on_the_next_time(host, hub, files)
    blob = (host.cache / "models--org--model/snapshots" / hub.commit / WEIGHTS).resolve()
    blob.rename(blob.with_name(f"{blob.name}.bentod.incomplete"))
    host.partial()[0].write_bytes(left)
    assert host.files(host.pull(include=(WEIGHTS,))) == {WEIGHTS: files[WEIGHTS]}


def test_a_hub_that_knows_no_ranges_sends_the_file_anew(host, hub, files):
    hub.faults = [Fault("cdn", after=100_000), Fault("cdn", ranges=False)]
    assert host.files(host.pull(include=(WEIGHTS,))) == {WEIGHTS: files[WEIGHTS]}
    assert host.told[-1].done_bytes == len(files[WEIGHTS])


def test_a_silent_connection_is_given_up_and_tried_again(host, hub, files):
    held = threading.Event()
    hub.faults = [Fault("cdn", after=50_000, held=held)]
    limits = Limits(retries=1, delay_s=0.01, silence_s=0.2)
    assert host.files(host.pull(limits=limits, include=(WEIGHTS,))) == {WEIGHTS: files[WEIGHTS]}
    held.set()


def test_a_hub_that_is_not_there(host, tmp_path):
    host.url = "http://127.0.0.1:9"
    with pytest.raises(ModelError, match=r"ConnectError.*is there a network.*HF_ENDPOINT"):
        host.pull()
    with pytest.raises(ModelError, match="no_such_host"):
        host.pull(endpoint="http://no_such_host.invalid", limits=Limits(retries=0))
    with pytest.raises(ModelError, match="cannot be fetched from ftp://x"):
        host.pull(endpoint="ftp://x")


def test_a_hub_that_cannot_be_reached_leaves_what_was_fetched_before(host, hub):
    record = host.pull()
    hub.faults = [Fault("revision", times=ALWAYS, status=503)]
    assert host.pull() == record
    assert host.told[-1].state == "ready"
    assert "503" in host.told[-1].note
    assert f"`main` is taken to be {hub.commit}" in host.told[-1].note
    with pytest.raises(ModelError):
        host.pull(revision="other")


def test_a_hub_that_says_no_is_heard(host, hub):
    """A revision that is gone, or may not be seen any more, is no outage."""
    host.pull()
    hub.faults = [Fault("revision", times=ALWAYS, status=404)]
    with pytest.raises(ModelError, match="404"):
        host.pull()


def test_offline(host, hub, monkeypatch):
    record = host.pull()
    hub.requests.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert host.pull() == record
    assert "HF_HUB_OFFLINE is set" in host.told[-1].note
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE is set.*pull the model before"):
        host.pull(source="org/other")
    assert hub.requests == []


@pytest.mark.parametrize("gated", [False, True])
def test_a_model_that_needs_a_token(host, hub, files, gated, monkeypatch):
    hub.repositories["org/model"].token = "hf_right"
    hub.repositories["org/model"].gated = gated
    with pytest.raises(ModelError, match="no token is set"):
        host.pull()
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(ModelError, match="HF_TOKEN is ") as raised:
        host.pull()
    assert "hf_wrong" not in str(raised.value)
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert host.files(host.pull()) == files
    assert {one.headers.get("authorization") for one in hub.asked("resolve")} == {"Bearer hf_right"}
    assert {one.headers.get("authorization") for one in hub.asked("cdn")} == {None}  # another host


def test_another_host_that_has_the_next_page_of_a_listing_gets_no_token(host, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    with Hub() as other:
        other.add("org/model", {"a.txt": b"a"})
        url = f"{other.url}/api/models/org/model/tree/main"
        hub.faults = [Fault("tree", status=200, body=b"[]", headers={"Link": f'<{url}>; rel="next"'})]
        host.prepared(hf()).offered()
        assert [one.headers.get("authorization") for one in other.asked("tree")] == [None]
    assert {one.headers.get("authorization") for one in hub.requests} == {"Bearer hf_right"}


def test_a_password_in_the_endpoint_is_not_told(host, hub):
    hub.faults = [Fault("revision", status=404)]
    with pytest.raises(ModelError) as raised:
        host.pull(endpoint=hub.url.replace("://", "://me:secret@"))
    assert "secret" not in str(raised.value)
    assert f"from {hub.url}:" in str(raised.value)


@pytest.mark.parametrize("source", ["../up", "org/../../up", "org/..", "a/b/c", "/etc/passwd", "org/mo\ndel", ""])
def test_a_name_that_is_none_asks_nobody(host, hub, source):
    with pytest.raises(ModelError, match="no name of a repository"):
        host.pull(source=source)
    assert hub.requests == []
    assert not host.cache.exists()


@pytest.mark.parametrize(
    "name", ["../../../evil", "/etc/evil", "a/../../evil", "a//b", "./a", "a\\..\\b", "a\nb", "a\0b", "x" * 5000]
)
def test_a_listing_with_a_file_outside_is_refused(host, hub, name):
    hub.repositories["org/model"].listed = {"config.json": name}
    with pytest.raises(ModelError, match="it lists the file"):
        host.pull()
    assert hub.asked("resolve") == []
    assert not host.cache.exists()


def test_a_digest_that_is_a_path_is_refused(host, hub):
    entry = b'[{"type": "file", "path": "a", "size": 1, "oid": "../../../../evil"}]'
    hub.faults = [Fault("tree", status=200, body=entry)]
    with pytest.raises(ModelError, match="the digest of a is"):
        host.pull()


def test_a_disk_that_is_too_small_is_told_before(host, hub, monkeypatch):
    monkeypatch.setattr("bentod.models.hubcache.shutil.disk_usage", lambda _: SimpleNamespace(free=100_000))
    with pytest.raises(ModelError, match=r"0\.00 GiB are to be fetched, and .* has 0\.00 GiB free; make room"):
        host.pull()
    assert hub.asked("resolve") == []
    assert host.files(host.pull(include=("*.json",)))


def test_a_disk_that_becomes_full_gets_back_what_was_taken(host, hub, files, monkeypatch):
    written = []

    def write(stream, data):
        written.append(len(data))
        if sum(written) > 200_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.write(stream, data)

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "_write", write)
        with pytest.raises(ModelError, match=r"No space left on device.*make room"):
            host.pull(include=(WEIGHTS,))
    assert host.partial() == []
    assert host.records.all() == []
    assert host.files(host.pull()) == files


def test_a_digest_that_the_spec_demands(host):
    record = host.pull()
    assert host.pull(digest=record.digest) == record
    with pytest.raises(ModelError, match=f"its digest is {record.digest}, and the spec demands sha256:00"):
        host.pull(digest="sha256:" + "0" * 64)


def test_files_of_other_tools_are_shared_both_ways(host, hub, files):
    from huggingface_hub import snapshot_download

    options = {"cache_dir": host.cache, "endpoint": hub.url}
    folder = snapshot_download("org/model", **options)
    hub.requests.clear()
    record = host.pull()
    assert (record.folder, host.files(record)) == (folder, files)
    assert hub.asked("resolve") == []
    hub.add("org/other", files)
    ours = host.pull(source="org/other")
    hub.requests.clear()
    assert snapshot_download("org/other", local_files_only=True, **options) == ours.folder
    assert snapshot_download("org/other", **options) == ours.folder
    assert hub.asked("cdn", "GET") == []


def test_a_file_in_the_cache_that_is_another_one_is_replaced(host, hub, files):
    from huggingface_hub import snapshot_download

    folder = snapshot_download("org/model", cache_dir=host.cache, endpoint=hub.url)
    for name in ("config.json", WEIGHTS):
        blob = (host.cache / folder / name).resolve()
        blob.write_bytes(b"z" * len(files[name]))
    assert host.files(host.pull()) == files


def test_a_file_that_is_gone_comes_again_and_one_that_was_touched_does_not(host, hub, files):
    record = host.pull(commit=hub.commit)
    hub.requests.clear()
    blob = (host.cache / record.folder / WEIGHTS).resolve()
    os.utime(blob, (1, 1))
    again = host.pull(commit=hub.commit)
    assert hub.requests == []
    assert (again.digest, again.trouble()) == (record.digest, "")
    blob.unlink()
    assert WEIGHTS in again.trouble()
    assert host.files(host.pull(commit=hub.commit)) == files
    assert len(hub.asked("cdn")) == 1


def test_two_specs_with_other_patterns_share_files(host, hub):
    host.pull(include=(WEIGHTS, "config.json"))
    hub.requests.clear()
    host.pull(include=("*",))
    assert sorted(one.path.rpartition("/")[2] for one in hub.asked("resolve")) == ["README.md", "model.bin"]


def test_two_pulls_at_once_fetch_once(host, hub, files):
    held, errors, records = threading.Event(), [], []
    hub.faults = [Fault("cdn", after=1000, held=held)]
    asked = host.prepared(hf()).hub

    def pull():
        try:
            records.append(host.prepared(hf(), hub=asked).run())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=pull) for _ in range(3)]
    for thread in threads:
        thread.start()
    pause = threading.Event()
    while [one.state for one in host.told].count("waiting") < 2 and not errors:
        pause.wait(0.01)
    held.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert host.files(records[0]) == files
    assert records[0] == records[1] == records[2]
    assert len(hub.asked("cdn")) == 2  # one for each file


def test_progress_counts_to_the_end(host, files, monkeypatch):
    monkeypatch.setattr("bentod.models.tally.EVERY_S", 0.0)
    host.pull()
    states = [one.state for one in host.told]
    assert states[0] == "listing"
    assert states[-1] == "ready"
    fetching = [one for one in host.told if one.state == "fetching"]
    assert fetching[-1].done_bytes == fetching[-1].total_bytes == sum(map(len, files.values()))
    assert [one.done_bytes for one in fetching] == sorted(one.done_bytes for one in fetching)
    assert {one.file for one in fetching} >= set(files)
    assert {one.files for one in fetching} == {4}


def test_what_would_be_fetched(host, hub, files):
    listing = host.prepared(hf(include=("*.json",))).offered()
    assert (listing.commit, listing.size) == (hub.commit, len(files["config.json"]))
    assert [file.path for file in listing.files] == ["config.json"]
    assert not host.cache.exists()
    assert not host.home.root.exists()


def test_a_home_that_cannot_be_written(host):
    host.home.root.write_text("a file")
    with pytest.raises(ModelError, match="BENTOD_MODELS names another folder"):
        host.pull()


def test_an_empty_file_and_one_with_an_odd_name(host, hub):
    odd = {"empty.txt": b"", "empty.bin": b"", "a b/ü%20#?.json": b"{}", ".gitattributes": b"x"}
    hub.add("org/odd", odd)
    assert host.files(host.pull(source="org/odd")) == odd


def test_a_revision_with_a_slash_is_one_revision(host, hub, files):
    hub.add("org/model", files, revision="refs/pr/1")
    assert host.pull(revision="refs/pr/1").commit == hub.commit
    with pytest.raises(ModelError, match="no revision `nowhere`"):
        host.pull(revision="nowhere")


def test_the_longest_wait_is_bounded():
    assert pulling._impatient(QUICK).retries == 1


def test_another_hub_than_the_usual_one(host, hub):
    with Hub() as other:
        commit = other.add("org/model", {"a": b"b"})
        assert host.pull(endpoint=other.url + "/").commit == commit
    assert hub.requests == []

"""Models of a BentoML store: its `model.yaml` is read as data, and what was pickled stays a file."""

import os
import sys
from pathlib import Path

import pytest

from bentod.models import bentoml
from bentod.models.home import ModelError
from bentod.models.store import Store
from bentod.models.tags import Tag

IRIS = """\
name: iris_clf
version: 7ldxd6xg4kvvcax4
module: ''
labels:
  owner: me
  stage: "\\xFCn\\xEF"
options: {}
metadata:
  acc: 0.97
  n:
  - 1
  - 2
  when: '2026-11-23T02:09:56.955954'
  d: 2026-11-23
  inf: .inf
context:
  framework_name: ''
  framework_versions: {}
  bentoml_version: 1.4.39
  python_version: 3.11.7
signatures: {}
api_version: v1
creation_time: '2026-11-23T02:09:56.957437+00:00'"""
"""As BentoML 1.4.39 wrote it."""

SKLEARN = """\
name: sk
version: azxv7ohg4of2kax4
module: bentoml.sklearn
labels: {}
options: {}
metadata: {}
context:
  framework_name: sklearn
  framework_versions:
    scikit-learn: 1.2.0
  bentoml_version: 1.4.39
  python_version: 3.11.7
signatures:
  predict:
    batchable: true
    batch_dim:
    - 0
    - 1
api_version: v1
creation_time: '2026-11-23T02:10:16.512897+00:00'"""


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def home(tmp_path):
    """BentoML's home with models in it."""

    def make(*texts, latest=""):
        home = tmp_path / "bentoml"
        for text in texts:
            said = dict(line.split(": ") for line in text.splitlines() if line.startswith(("name: ", "version: ")))
            folder = home / "models" / said["name"] / said["version"]
            folder.mkdir(parents=True)
            (folder / "model.yaml").write_text(text)
            (folder / "saved_model.pkl").write_text(f"model {said['version']}")
            (folder.parent / "latest").write_text(latest or said["version"])
        return home

    return make


def test_what_model_yaml_says_is_kept(store, home):
    folders = bentoml.folders(home(IRIS, SKLEARN))
    assert [folder.name for folder in folders] == ["7ldxd6xg4kvvcax4", "azxv7ohg4of2kax4"]
    iris, sklearn = (bentoml.take(store, bentoml.describe(folder)).entry.manifest for folder in folders)
    assert iris.tag == Tag("iris_clf", "7ldxd6xg4kvvcax4")
    assert iris.created == "2026-11-23T02:09:56.957+00:00"
    assert iris.labels == {"owner": "me", "stage": "ünï"}
    assert iris.metadata == {
        "acc": 0.97,
        "n": [1, 2],
        "when": "2026-11-23T02:09:56.955954",
        "d": "2026-11-23",
        "inf": "inf",
        "bentoml": {"api_version": "v1", "bentoml_version": "1.4.39"},
    }
    assert [file.path for file in iris.files] == ["saved_model.pkl"]
    assert (sklearn.context.framework, sklearn.context.versions) == ("sklearn", {"scikit-learn": "1.2.0"})
    assert sklearn.context.python == "3.11.7"
    assert sklearn.signatures == {"predict": {"batchable": True, "batch_dim": [0, 1]}}
    assert sklearn.metadata["bentoml"]["module"] == "bentoml.sklearn"
    again = [bentoml.take(store, bentoml.describe(folder)).new for folder in folders]
    assert again == [False, False]


def test_another_tag_may_be_given(store, home):
    (folder,) = bentoml.folders(home(IRIS))
    model = bentoml.describe(folder)
    assert bentoml.take(store, model, Tag("mine")).entry.tag == Tag("mine", "7ldxd6xg4kvvcax4")
    assert bentoml.take(store, model, Tag("mine", "1")).entry.tag == Tag("mine", "1")
    assert bentoml.folders(folder) == (folder,)
    assert bentoml.folders(folder.parents[1]) == (folder,)


@pytest.mark.parametrize("latest", ["7ldxd6xg4kvvcax4", "zzz"])
def test_latest_is_what_it_was(store, home, latest):
    folders = bentoml.folders(home(IRIS, IRIS.replace("7ldxd6xg4kvvcax4", "zzz"), latest=latest))
    for folder in folders:
        bentoml.take(store, bentoml.describe(folder))
    assert store.get("iris_clf").version == latest


class Evil:
    """What a pickle may do."""

    def __reduce__(self):
        return (Path.touch, (Path("/nonexistent/opened"),))


def test_nothing_is_unpickled(store, home, monkeypatch):
    import pickle

    (folder,) = bentoml.folders(home(IRIS))
    data = pickle.dumps(Evil())
    (folder / "custom_objects.pkl").write_bytes(data)
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, None)
    model = bentoml.describe(folder)
    assert model.pickled
    assert (bentoml.take(store, model).entry.path / "custom_objects.pkl").read_bytes() == data


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "text",
        "\x00",
        "{",
        "a: &a [*a]",
        "!!python/object/apply:os.system ['touch opened']",
        f"{IRIS}\nmore: !!python/object/apply:pathlib.Path.touch ['opened']",
        f"{IRIS}\nunknown: 1",
        IRIS.replace("name: iris_clf", "name: ../iris"),
        IRIS.replace("name: iris_clf", "name: [a]"),
        IRIS.replace("name: iris_clf\n", ""),
        IRIS.replace("version: 7ldxd6xg4kvvcax4", "version: '..'"),
        IRIS.replace("labels:\n  owner: me\n", "labels:\n  - x\n").replace("  stage", "  - stage"),
        IRIS.replace("signatures: {}", "signatures: {predict: 1}"),
        IRIS.replace("creation_time: '2026", "creation_time: 'long ago"),
        IRIS.replace("creation_time: '2026-11-23T02:09:56.957437+00:00'", "creation_time: '0001-01-01T00:00:00+14:00'"),
        IRIS.replace("context:", "context: []\nignored:"),
        "x: " + "[" * 1000,
    ],
)
def test_what_is_wrong_is_told(store, home, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (folder,) = bentoml.folders(home(IRIS))
    (folder / "model.yaml").write_text(text)
    with pytest.raises(
        ModelError, match=r"model\.yaml (is not safe YAML|does not describe a model of BentoML)"
    ) as caught:
        bentoml.describe(folder)
    assert str(caught.value).isprintable()
    assert not Path("opened").exists()


def test_a_label_with_a_line_end_is_refused(store, home):
    (folder,) = bentoml.folders(home(IRIS.replace("owner: me", r'owner: "a\nb"')))
    with pytest.raises(ModelError, match="the control character"):
        bentoml.take(store, bentoml.describe(folder))
    assert store.find("iris_clf") is None


def test_aliases_that_stand_for_ever_more_are_refused(home):
    (folder,) = bentoml.folders(home(IRIS))
    lines = [f"  a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10 if at else ['x'] * 10)}]" for at in range(12)]
    (folder / "model.yaml").write_text(IRIS.replace("metadata:\n", "metadata:\n" + "\n".join(lines) + "\n"))
    with pytest.raises(ModelError, match="too large, or nested too deeply"):
        bentoml.describe(folder)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  owner: me", "  owner: *a20"),
        ("framework_name: ''", "framework_name: *a20"),
        ("framework_versions: {}", "framework_versions: {x: *a20}"),
        ("python_version: 3.11.7", "python_version: *a20"),
        ("bentoml_version: 1.4.39", "bentoml_version: *a20"),
        ("creation_time: '2026-11-23T02:09:56.957437+00:00'", "creation_time: *a20"),
    ],
)
def test_aliases_where_text_belongs_are_refused_before_they_are_text(home, old, new):
    (folder,) = bentoml.folders(home(IRIS))
    lines = [f"  - &a{at} [{', '.join([f'*a{at - 1}'] * 10 if at else ['x'] * 10)}]" for at in range(21)]
    said = "options:\n" + "\n".join(lines) + "\n" + IRIS.replace("options: {}\n", "").replace(old, new)
    assert new in said
    (folder / "model.yaml").write_text(said)
    with pytest.raises(ModelError, match="does not describe a model of BentoML"):
        bentoml.describe(folder)


def test_a_number_that_nobody_can_write_is_refused(store, home):
    (folder,) = bentoml.folders(home(IRIS.replace("acc: 0.97", "acc: 0x" + "f" * 20_000)))
    with pytest.raises(ModelError, match="a number is too large to be written"):
        bentoml.take(store, bentoml.describe(folder))


def test_links_and_what_is_no_store_are_refused(store, home, tmp_path):
    (folder,) = bentoml.folders(home(IRIS))
    (folder / "secret").symlink_to("/etc/passwd")
    with pytest.raises(ModelError, match="is a link"):
        bentoml.take(store, bentoml.describe(folder))
    (tmp_path / "nothing").mkdir()
    for path in (tmp_path / "nothing", tmp_path / "missing"):
        with pytest.raises(ModelError, match="is no model of BentoML"):
            bentoml.folders(path)
    (folder / "model.yaml").unlink()
    os.mkfifo(folder / "model.yaml")
    with pytest.raises(ModelError, match="cannot be read: it is no regular file"):
        bentoml.describe(folder)


def test_bentoml_itself_is_not_needed():
    assert "bentoml" not in sys.modules

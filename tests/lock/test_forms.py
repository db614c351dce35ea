"""pylock.toml, uv.lock and hashed requirements: all say the same, and what pip cannot check is refused."""

import subprocess
import tomllib

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.pylock import Pylock

from bentod.errors import SpecError
from bentod.lock import pylock as pep751
from bentod.lock.formats import read_locked
from bentod.lock.locked import LockedPackage, locked_package
from bentod.lock.one import Refused
from bentod.lock.target import environments, holds
from tests.support.locks import UV, digits, index_answers, pylock, uv_lock, wheel

HASH = f"sha256:{digits(1)}"


def written(folder, name, text):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(folder, name, text):
    return read_locked(written(folder, name, text), folder)


def codes(folder, name, text):
    with pytest.raises(SpecError) as caught:
        read(folder, name, text)
    return [(problem.line, problem.code) for problem in caught.value.problems]


def shown(locked):
    return {(package.name, package.version, package.marker) for package in locked.packages}


def test_three_forms_of_one_lock(tmp_path):
    marker = "python_version < '3.13'"
    rows = [{"name": "aa", "version": "1.0"}, {"name": "bb-c", "version": "2.0", "marker": marker}]
    lines = f"aa==1.0 \\\n    --hash={HASH}\nBB_c==2.0 ; {marker} \\\n    --hash={HASH}\n    # via aa\n"
    edges = [{"name": "aa"}, {"name": "bb-c", "marker": marker}]
    packages = ({"name": "aa"}, {"name": "bb-c", "version": "2.0"})
    found = [
        read(tmp_path, "pylock.toml", pylock(*rows)),
        read(tmp_path, "pylock.app.toml", pylock(*rows)),
        read(tmp_path, "uv.lock", uv_lock(edges, *packages)),
        read(tmp_path, "locked.txt", lines),
    ]
    assert [one.lines() for one in found] == [
        (f"aa==1.0 --hash={HASH}", f'bb-c==2.0 ; python_version < "3.13" --hash={HASH}')
    ] * 4
    assert all(package.line > 0 for one in found for package in one.packages)


def test_names_that_say_nothing_are_refused(tmp_path):
    for name in ("poetry.lock", "pdm.lock", "Pipfile.lock", "conda.lock", "lock.toml"):
        assert codes(tmp_path, name, "") == [(0, "unknown-lock")]
    with pytest.raises(SpecError):
        read_locked(tmp_path / "pylock.toml", tmp_path)
    (tmp_path / "p").mkdir()
    outside = written(tmp_path, "uv.lock", "")
    (tmp_path / "p/uv.lock").symlink_to(outside)
    with pytest.raises(SpecError) as caught:
        read_locked(tmp_path / "p/uv.lock", tmp_path / "p")
    assert caught.value.problems[0].code == "outside-project"


PYLOCKS = {
    "empty": "",
    "not TOML": "lock-version =",
    "no packages": "lock-version = '1.0'\ncreated-by = 'x'\n",
    "a newer version": pylock(**{"lock-version": "2.0"}),
    "packages is text": "lock-version = '1.0'\ncreated-by = 'x'\npackages = 'x'\n",
    "name not normalised": pylock({"name": "A_b", "version": "1", "wheels": [wheel("A_b", "1")]}),
    "no version": pylock({"name": "a", "wheels": [wheel("a", "1")]}),
    "only a weak hash": pylock(
        {"name": "a", "version": "1", "wheels": [{**wheel("a", "1"), "hashes": {"md5": "0" * 32}}]}
    ),
    "a short hash": pylock({"name": "a", "version": "1", "wheels": [{**wheel("a", "1"), "hashes": {"sha256": "0"}}]}),
    "no hash": pylock({"name": "a", "version": "1", "wheels": [{**wheel("a", "1"), "hashes": {}}]}),
    "a repository": pylock({"name": "a", "vcs": {"type": "git", "url": "https://x.example/a", "commit-id": "0" * 40}}),
    "a folder": pylock({"name": "a", "directory": {"path": "lib/a"}}),
    "a local wheel": pylock(
        {"name": "a", "version": "1", "wheels": [{"path": "a-1-py3-none-any.whl", "hashes": {"sha256": digits(1)}}]}
    ),
    "a local archive": pylock({"name": "a", "archive": {"path": "a.zip", "hashes": {"sha256": digits(1)}}}),
    "http": pylock({"name": "a", "archive": {"url": "http://x.example/a.zip", "hashes": {"sha256": digits(1)}}}),
    "extras": pylock({"name": "a", "version": "1", "marker": "'x' in extras"}, extras=["x"]),
    "groups": pylock(
        {"name": "a", "version": "1", "marker": "'x' in dependency_groups"}, **{"dependency-groups": ["x"]}
    ),
    "option in a marker": pylock({"name": "a", "version": "1", "marker": "platform_release == 'x --pre'"}),
    "variable in a marker": pylock({"name": "a", "version": "1", "marker": "platform_release == '${HOME}'"}),
    "no marker": pylock({"name": "a", "version": "1", "marker": "x == y"}),
    "environment of extras": pylock({"name": "a", "version": "1"}, environments=["'x' in extras"]),
}


@pytest.mark.parametrize("text", PYLOCKS.values(), ids=PYLOCKS)
def test_a_pylock_that_is_refused(tmp_path, text):
    assert codes(tmp_path, "pylock.toml", text)


def test_a_pylock_says_where_it_is_wrong(tmp_path):
    text = pylock({"name": "a", "version": "1"}, {"name": "b", "directory": {"path": "b"}})
    line = text.splitlines().index('name = "b"')
    assert codes(tmp_path, "pylock.toml", text) == [(line, "unpinned-url")]


def test_the_project_itself_is_no_package(tmp_path):
    text = pylock({"name": "a", "version": "1"}, {"name": "app", "directory": {"path": ".", "editable": True}})
    assert shown(read(tmp_path, "pylock.toml", text)) == {("a", "1", "")}


def test_an_archive_is_named_with_its_hash(tmp_path):
    archive = {"url": "https://x.example/a.zip#old", "hashes": {"sha256": digits(2)}}
    found = read(tmp_path, "pylock.toml", pylock({"name": "a", "version": "1", "archive": archive}))
    url = f"https://x.example/a.zip#sha256={digits(2)}"
    assert found.lines() == (f"a @ {url} --hash=sha256:{digits(2)}",)


def test_what_is_written_is_read_again_and_holds_no_credentials(tmp_path):
    archive = {"url": "https://user:hunter2@x.example/a.zip", "hashes": {"sha256": digits(2)}}
    plain = {"name": "c-1-py3-none-any.whl", "url": "http://user:hunter2@x.example/c", "hashes": {"sha256": digits(1)}}
    text = pylock(
        {"name": "b", "version": "1", "marker": 'os_name == "posix"'},
        {"name": "a", "version": "1", "archive": archive},
        {"name": "c", "version": "1", "wheels": [plain]},
        tool={"a b": {"é": [1, True, "x\ny"]}},
    )
    made = pep751.written(Pylock.from_dict(tomllib.loads(text)))
    assert "hunter2" not in made
    assert made == pep751.written(Pylock.from_dict(tomllib.loads(made)))
    assert pep751.created_by(written(tmp_path, "pylock.toml", made)) == "bentod"
    rows = {("a", "1", ""), ("b", "1", 'os_name == "posix"'), ("c", "1", "")}
    assert shown(read(tmp_path, "pylock.toml", made)) == rows
    assert tomllib.loads(made)["tool"] == {"a b": {"é": [1, True, "x\ny"]}}


UV_LOCKS = {
    "empty": "",
    "another version": uv_lock([], version=2),
    "no project": tomli_w.dumps({"version": 1, "package": []}),
    "packages are text": tomli_w.dumps({"version": 1, "package": "x"}),
    "what is needed is not there": uv_lock([{"name": "a"}]),
    "two that fit": uv_lock([{"name": "a"}], {"name": "a"}, {"name": "a", "version": "2"}),
    "a repository": uv_lock([{"name": "a"}], {"name": "a", "source": {"git": "https://x.example/a#" + "0" * 40}}),
    "a folder": uv_lock([{"name": "a"}], {"name": "a", "source": {"editable": "lib"}}),
    "no hash": uv_lock([{"name": "a"}], {"name": "a", "wheels": []}),
    "a weak hash": uv_lock([{"name": "a"}], {"name": "a", "wheels": [{"hash": "md5:" + "0" * 32}]}),
    "a hash that is none": uv_lock([{"name": "a"}], {"name": "a", "wheels": [{"hash": "x --pre"}]}),
    "version with an option": uv_lock([{"name": "a"}], {"name": "a", "version": "1 --pre"}),
    "name with a line": uv_lock([{"name": "a\nb"}], {"name": "a\nb"}),
    "extras that exclude each other": uv_lock([{"name": "a", "marker": "extra == 'x'"}], {"name": "a"}),
    "marker that is none": uv_lock([{"name": "a", "marker": "x"}], {"name": "a"}),
    "requires what is none": uv_lock([], **{"requires-python": "x"}),
    "extra is text": uv_lock([{"name": "a", "extra": "x"}], {"name": "a"}),
    "name is a number": uv_lock([{"name": 1}], {"name": "a"}),
}


@pytest.mark.parametrize("text", UV_LOCKS.values(), ids=UV_LOCKS)
def test_a_uv_lock_that_is_refused(tmp_path, text):
    assert codes(tmp_path, "uv.lock", text)


def test_the_graph_of_a_uv_lock_says_what_is_needed_where(tmp_path):
    win, arm = "sys_platform == 'win32'", "platform_machine == 'aarch64'"
    old, new = "python_full_version < '3.12'", "python_full_version >= '3.12'"
    text = uv_lock(
        [{"name": "a", "extra": ["more"]}, {"name": "b", "marker": old}, {"name": "w", "marker": win},
         {"name": "n", "version": "1", "marker": old}, {"name": "n", "version": "2", "marker": new}],
        {"name": "a", "optional-dependencies": {"more": [{"name": "c", "marker": arm}], "never": [{"name": "z"}]}},
        {"name": "b", "dependencies": [{"name": "c"}, {"name": "a"}]},
        {"name": "c", "dependencies": [{"name": "d"}]},
        {"name": "d", "dependencies": [{"name": "c"}]},
        {"name": "w"}, {"name": "z"}, {"name": "n", "version": "1"}, {"name": "n", "version": "2"},
    )  # fmt: skip
    old, arm = old.replace("'", '"'), arm.replace("'", '"')
    either = f"{arm} or {old}"
    found = read(tmp_path, "uv.lock", text)
    assert {(p.name, p.version, p.marker.replace("(", "").replace(")", "")) for p in found.packages} == {
        ("a", "1.0", ""), ("b", "1.0", old), ("c", "1.0", either), ("d", "1.0", either),
        ("n", "1", old), ("n", "2", 'python_full_version >= "3.12"'),
    }  # fmt: skip


def test_a_graph_with_endlessly_many_ways_is_refused(tmp_path):
    edges = [{"name": f"p{i}", "marker": f"platform_release != '{i}'"} for i in range(300)]
    text = uv_lock(edges, *({"name": f"p{i}", "dependencies": [{"name": "x"}]} for i in range(300)), {"name": "x"})
    assert codes(tmp_path, "uv.lock", text) == [(0, "too-large")]


HASHED = {
    "empty": "",
    "no hash": "a==1",
    "no version": f"a --hash={HASH}",
    "a range": f"a>=1 --hash={HASH}",
    "any patch": f"a==1.* --hash={HASH}",
    "two versions": f"a==1,==1.0 --hash={HASH}",
    "a constraint": "-c other.txt",
    "another file": f"a==1 --hash={HASH}\n-r more.txt",
    "the project": "-e .",
    "an index": f"--index-url https://x.example\na==1 --hash={HASH}",
}


@pytest.mark.parametrize("text", HASHED.values(), ids=HASHED)
def test_hashed_requirements_that_are_refused(tmp_path, text):
    written(tmp_path, "other.txt", f"a==1 --hash={HASH}")
    written(tmp_path, "more.txt", f"b==1 --hash={HASH}")
    assert codes(tmp_path, "locked.txt", text)


words = st.text(st.characters(codec="utf-8"), max_size=12)


@settings(max_examples=400, deadline=None)
@given(words, words, words, words)
def test_a_hostile_package_is_one_line_or_refused(name, version, marker, url):
    try:
        found = locked_package(LockedPackage(name or "a", version or "1", marker, (HASH,), url))
    except Refused:
        return
    line = found.text
    assert line.isascii()
    assert line.isprintable()
    assert [word for word in line.split() if word.startswith("-")] == [f"--hash={HASH}"]
    assert "#" not in line.replace("#sha", "")
    assert "$" not in line


KEYS = ["name", "version", "source", "dependencies", "wheels", "hash", "package", "packages", "marker", "url", "extra"]
tables = st.recursive(
    st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | words, inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(tables)
def test_any_document_is_read_or_refused(tmp_path_factory, value):
    folder = tmp_path_factory.getbasetemp()
    head = {"version": 1, "lock-version": "1.0", "created-by": "x"}
    text = tomli_w.dumps({**head, **(value if isinstance(value, dict) else {"package": value, "packages": value})})
    for name in ("uv.lock", "pylock.toml"):
        try:
            read(folder, name, text)
        except SpecError as error:
            refused = error.problems
        else:
            continue
        assert refused[0].message


@pytest.mark.skipif(not index_answers(), reason="no uv, or no package index that it reaches")
def test_locks_of_the_real_uv_say_the_same_in_every_form(tmp_path):
    dependencies = ["anyio==4.4.0", "tqdm[notebook]>=4 ; python_version < '3.0'", "colorama ; sys_platform == 'win32'"]
    project = {"name": "app", "version": "0", "requires-python": ">=3.11", "dependencies": dependencies}
    written(tmp_path, "pyproject.toml", tomli_w.dumps({"project": project, "dependency-groups": {"dev": ["six"]}}))
    for words in (
        ["lock"],
        ["export", "--no-dev", "--format", "pylock.toml", "-o", "pylock.toml"],
        ["export", "--no-dev", "--no-emit-project", "-o", "locked.txt"],
    ):
        subprocess.run([UV, *words, "--no-config", "--quiet"], cwd=tmp_path, check=True, capture_output=True)
    locks = [read_locked(tmp_path / name, tmp_path) for name in ("uv.lock", "pylock.toml", "locked.txt")]
    for python in ("3.11", "3.12", "3.13", "3.14"):
        for place in environments(python):
            there = [{(p.name, p.version, p.hashes) for p in lock.packages if holds(p.marker, place)} for lock in locks]
            assert there[0] == there[1] == there[2]
            assert {name for name, _, _ in there[0]} >= {"anyio", "idna", "sniffio"}

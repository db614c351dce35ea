"""Patterns mean what git says they mean, and nobody looks where nothing can be."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.daemon import patterns
from bentod.daemon.patterns import Patterns
from bentod.spec.patterns import UnusablePattern

FILES = (
    "a.txt",
    "b.json",
    "conf/a.txt",
    "conf/deep/b.json",
    "conf/deep/er/c.json",
    "models/w.bin",
    "my models/x y.bin",
)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def names(project, include, exclude=(), ignored=()) -> list[str]:
    return [path.relative_to(project).as_posix() for path in Patterns(project, include, exclude, ignored).files()]


def by_git(project, include) -> list[str]:
    """What git would ignore, had these been the lines of a `.gitignore`."""
    (project / ".git" / "info").mkdir(exist_ok=True)
    (project / ".git" / "info" / "exclude").write_text("".join(f"{line}\n" for line in include))
    listed = ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "-z"]
    return sorted(
        subprocess.run(listed, cwd=project, check=True, capture_output=True, text=True).stdout.split("\0")[:-1]
    )


CASES = [
    ["*.txt"],
    ["/*.txt"],
    ["conf"],
    ["conf/"],
    ["/conf/*.txt"],
    ["conf/**/*.json"],
    ["conf/**"],
    ["**/deep"],
    ["deep/b.json"],
    ["con?/deep"],
    ["[ab].*"],
    ["*.bin", "!w.bin"],
    ["my models/*"],
    ["*/deep/*/c.json"],
    ["models/w.bin", "# a comment", ""],
    ["w.bin/"],
    ["[^m]onf/a.txt"],
    ["\\conf/a.txt"],
    ["my\\ models/"],
]


@pytest.mark.parametrize("include", CASES, ids=" ".join)
def test_patterns_mean_what_they_mean_in_a_gitignore(project, include):
    assert sorted(names(project, include)) == by_git(project, include)


parts = st.sampled_from(["*", "**", "conf", "deep", "er", "a.txt", "*.json", "models", "[a-c]*", "?onf"])
lines = st.builds(
    lambda start, middle, end: start + "/".join(middle) + end,
    st.sampled_from(["", "/"]),
    st.lists(parts, min_size=1, max_size=4),
    st.sampled_from(["", "/"]),
)


@given(st.lists(lines, min_size=1, max_size=3))
def test_the_folders_that_are_looked_into_hold_all_that_the_patterns_mean(project, include):
    pattern = Patterns(project, include, [])
    meant = {name for name in FILES if pattern.included(project / name)}
    assert {path.relative_to(project).as_posix() for path in pattern.files()} == meant


def test_only_folders_that_can_hold_something_are_looked_into(project):
    def folders(*include):
        return {path.relative_to(project).as_posix() for path in Patterns(project, include, []).folders()}

    assert folders() == set()
    assert folders("/*.txt") == {"."}
    assert folders("conf/*.txt") == {".", "conf"}
    assert folders("conf/*") == {".", "conf", "conf/deep", "conf/deep/er"}
    assert folders("models/w.bin") == {".", "models"}
    assert folders("*.txt") == {".", "conf", "conf/deep", "conf/deep/er", "models", "my models"}


def test_what_is_excluded_or_ignored_is_not_meant(project):
    assert names(project, ["*.json"], ["**/deep/er/"]) == ["b.json", "conf/deep/b.json"]
    assert names(project, ["*.json"], ["b.json"]) == ["conf/deep/er/c.json"]
    assert names(project, ["*.json"], [], [project / "conf"]) == ["b.json"]


def test_nobody_looks_into_what_nobody_edits(tmp_path):
    for folder in (".git", "__pycache__", "node_modules", ".bentod", ".hg", "env", "src"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("")
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    assert names(tmp_path, ["**/a.txt", "/env/", ".git/"]) == ["src/a.txt"]
    assert {path.name for path in Patterns(tmp_path, [], []).tree()} == {tmp_path.name, "src"}


def test_links_to_folders_are_not_followed_but_links_to_files_count(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").write_text("")
    (tmp_path / "circle").symlink_to(".")
    (tmp_path / "b.txt").symlink_to("real/a.txt")
    (tmp_path / "astray.txt").symlink_to("nowhere")
    assert names(tmp_path, ["*.txt"]) == ["b.txt", "real/a.txt"]


def test_what_is_outside_the_project_is_neither_included_nor_excluded(project):
    found = Patterns(project, ["*"], ["*"])
    assert not found.included(Path("/elsewhere/a.txt"))
    assert not found.excluded(Path("/elsewhere/a.txt"))
    assert found.excluded(project / "a.txt")


def test_too_many_files_are_an_error_that_names_the_pattern(project, monkeypatch):
    monkeypatch.setattr(patterns, "MAX_FILES", 3)
    with pytest.raises(UnusablePattern, match=r"reload.include: `\*.\*` means too many files; at most 3 "):
        names(project, ["models/w.bin", "*.*"])


def test_what_is_no_pattern_is_an_error_that_names_it(project):
    with pytest.raises(UnusablePattern, match=r"`!` is no pattern as in a .gitignore"):
        names(project, ["a.txt", "!"])
    with pytest.raises(UnusablePattern, match=r"sets of characters by name .* are not supported"):
        names(project, ["[[:alpha:]]"])


@given(st.text(st.sampled_from("ab/*?[]!-^\\# .\0\n{}+$:"), max_size=8))
def test_any_text_is_a_pattern_or_an_error(project, line):
    with contextlib.suppress(UnusablePattern):
        names(project, [line], [line])


def test_a_project_that_is_not_there_has_no_files(tmp_path):
    assert names(tmp_path / "nowhere", ["*"]) == []

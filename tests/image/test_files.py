"""Which files of a project an image holds, and what is refused."""

import os
import socket
import stat

import pytest

from bentod.image import files as files_module
from bentod.image.files import Wanted, choose


@pytest.fixture
def tree(tmp_path):
    """A function that makes files, and answers with the project's folder."""
    project = tmp_path / "project"
    project.mkdir()

    def made(*names, **contents):
        for name in names:
            path = project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
        for name, text in contents.items():
            (project / name).write_text(text)
        return project

    return made


def paths(chosen):
    assert chosen.problems == ()
    return [file.path for file in chosen.files]


def codes(chosen):
    return [problem.code for problem in chosen.problems]


def test_what_git_tracks_is_taken_and_nothing_else(tree):
    project = tree("a.py", "b.py", "deep/c.py", "gone/d.py")
    (project / "gone/d.py").unlink()
    assert paths(choose(Wanted(project, tracked=("a.py", "deep/c.py", "gone/d.py")))) == ["a.py", "deep/c.py"]


def test_without_git_all_is_taken_but_junk(tree):
    project = tree(
        "a.py",
        "data/x.csv",
        ".git/config",
        ".bentod/run.log",
        "__pycache__/a.pyc",
        "deep/.venv/x",
        "own/pyvenv.cfg",
        "own/lib/x.py",
        "node_modules/x.js",
        ".env",
        ".env.local",
        "a.pyc",
        "a.py~",
        ".ssh/id_rsa",
    )
    chosen = choose(Wanted(project))
    assert paths(chosen) == ["a.py", "data/x.csv"]
    assert "git does not say" in chosen.notes[0]


def test_patterns_choose_as_in_a_gitignore(tree):
    project = tree("a.py", "data/x.csv", "data/deep/y.csv", "data/z.txt", "tests/t.py")
    wanted = Wanted(project, include=("*.py", "/data/**"), exclude=("tests/", "*.txt"))
    assert paths(choose(wanted)) == ["a.py", "data/deep/y.csv", "data/x.csv"]


def test_a_pattern_that_means_nothing_is_a_problem_also_if_another_means_its_files(tree):
    project = tree("a.py", "src/b.py")
    chosen = choose(Wanted(project, include=("*.py", "src/**", "dta/*.csv", "!x")))
    assert [(problem.code, problem.path) for problem in chosen.problems] == [("no-match", "build.include[2]")]


@pytest.mark.parametrize("pattern", ["[[:alpha:]]", "!"])
def test_a_pattern_that_is_none_is_a_problem(tree, pattern):
    chosen = choose(Wanted(tree("a.py"), exclude=(pattern,)))
    assert codes(chosen) == ["bad-pattern"]
    assert chosen.problems[0].path == "build.exclude"


def test_a_bentoignore_counts_in_every_folder_and_the_nearest_decides(tree):
    project = tree("a.log", "keep/a.log", "keep/b.tmp", "deep/x/y.csv", "deep/z.csv")
    (project / ".bentoignore").write_text("*.log\n# a comment\n\n/deep/x/\n")
    (project / "keep/.bentoignore").write_text("!a.log\n*.tmp\n")
    names = ("a.log", "keep/a.log", "keep/b.tmp", "deep/x/y.csv", "deep/z.csv")
    assert paths(choose(Wanted(project, tracked=names))) == ["deep/z.csv", "keep/a.log"]


def test_nothing_comes_back_of_a_folder_that_is_left_out(tree):
    """As in a .gitignore: whoever leaves out a folder means all of it, whatever is said of names afterwards."""
    project = tree("a.json", "secret/key.json", "secret/deep/b.json", "data/x.csv", "data/keep/y.json", "deep/own/z")
    (project / ".bentoignore").write_text("secret/\n!*.json\n/data/*\n!/data/keep/\n/deep/\n")
    (project / "deep/.bentoignore").write_text("!own/z\n")
    names = ("a.json", "secret/key.json", "secret/deep/b.json", "data/x.csv", "data/keep/y.json", "deep/own/z")
    assert paths(choose(Wanted(project, tracked=names))) == ["a.json", "data/keep/y.json"]
    (project / ".bentoignore").unlink()
    chosen = choose(Wanted(project, tracked=names, exclude=("secret/", "!*.json", "/data/", "/deep/")))
    assert paths(chosen) == ["a.json"]


def test_an_older_context_is_no_part_of_the_project(tree):
    project = tree("a.py", "ctx/.bentod-context", "ctx/src/a.py")
    for wanted in (Wanted(project), Wanted(project, include=("*",))):
        assert paths(choose(wanted)) == ["a.py"]


def test_what_may_be_a_secret_is_told_by_name(tree):
    names = ("a.py", ".env", "id_ed25519", "keys/server.key", "prod.env")
    project = tree(*names, ".bash_history", ".cache/x")
    for wanted in (Wanted(project, tracked=names), Wanted(project, include=("*", "!.*", ".env"))):
        chosen = choose(wanted)
        assert paths(chosen) == sorted(names)
        assert chosen.notes == (
            "`.env`, `id_ed25519`, `keys/server.key`, `prod.env`: in the image, and may hold secrets; `build.exclude` "
            "leaves files out",
        )
    chosen = choose(Wanted(project))
    assert paths(chosen) == ["a.py", "keys/server.key", "prod.env"]
    assert "`keys/server.key`, `prod.env`: in the image" in chosen.notes[0]


def test_a_bentoignore_that_cannot_be_read_is_a_problem_with_its_place(tree):
    project = tree("a.py")
    (project / ".bentoignore").write_bytes(b"\xff\n")
    chosen = choose(Wanted(project))
    assert codes(chosen) == ["bad-pattern"]
    assert chosen.problems[0].file == str(project / ".bentoignore")


def test_what_the_spec_needs_is_taken_whatever_the_patterns_say(tree):
    project = tree("bentofile.yaml", "model.py", "other.py")
    wanted = Wanted(
        project, tracked=("other.py",), exclude=("model.py",), needed=frozenset({"bentofile.yaml", "model.py"})
    )
    chosen = choose(wanted)
    assert paths(chosen) == ["bentofile.yaml", "model.py", "other.py"]
    assert chosen.notes == (
        "`bentofile.yaml`, `model.py` would be left out, but the spec needs them, so the image has them",
    )


def test_what_is_needed_and_not_there_is_a_problem(tree):
    assert codes(choose(Wanted(tree("a.py"), needed=frozenset({"b.py"})))) == ["missing-file"]


def test_files_with_secrets_are_never_taken_not_even_through_a_link(tree):
    project = tree("a.py", "secrets.env")
    withheld = frozenset({"secrets.env"})
    assert paths(choose(Wanted(project, withheld=withheld))) == ["a.py"]
    (project / "innocent").symlink_to("secrets.env")
    assert codes(choose(Wanted(project, withheld=withheld))) == ["escaping-link"]
    assert codes(choose(Wanted(project, tracked=("a.py", "innocent"), withheld=withheld))) == ["escaping-link"]


def test_what_reaches_the_image_otherwise_is_left_out(tree):
    project = tree("a.py", "weights/a.bin", "weights.py")
    assert paths(choose(Wanted(project, apart=frozenset({"weights"})))) == ["a.py", "weights.py"]


def test_what_the_spec_needs_is_taken_also_from_the_folder_of_a_model(tree):
    project = tree("a.py", "weights/a.bin", "weights/model.py")
    wanted = Wanted(project, apart=frozenset({"weights"}), needed=frozenset({"weights/model.py"}))
    assert paths(choose(wanted)) == ["a.py", "weights/model.py"]


def test_links_are_what_they_lead_to(tree):
    project = tree("real/a.py", "real/deep/b.py", "c.py")
    (project / "linked").symlink_to("real")
    (project / "c-too.py").symlink_to(project / "c.py")
    chosen = choose(Wanted(project, exclude=("/real",)))
    assert paths(chosen) == ["c-too.py", "c.py", "linked/a.py", "linked/deep/b.py"]
    assert {file.path: file.source for file in chosen.files}["linked/a.py"] == (project / "real/a.py").resolve()


def test_of_a_linked_folder_only_what_git_tracks_is_taken(tree):
    project = tree("real/a.py", "real/junk.py")
    (project / "linked").symlink_to("real")
    assert paths(choose(Wanted(project, tracked=("linked", "real/a.py")))) == ["linked/a.py", "real/a.py"]


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "/", "..", "deep/../../outside"])
def test_a_link_that_leaves_the_project_is_refused(tree, target):
    project = tree("a.py", "deep/x")
    (project.parent / "outside").write_text("secret")
    (project / "link").symlink_to(target)
    assert codes(choose(Wanted(project))) == ["escaping-link"]
    assert codes(choose(Wanted(project, tracked=("a.py", "link")))) == ["escaping-link"]
    assert codes(choose(Wanted(project, include=("link*", "a.py")))) == ["escaping-link"]
    assert codes(choose(Wanted(project, needed=frozenset({"link"}), exclude=("link",)))) == ["escaping-link"]
    assert paths(choose(Wanted(project, exclude=("link",)))) == ["a.py", "deep/x"]


def test_a_link_through_another_that_leaves_the_project_is_refused(tree):
    project = tree("a.py")
    (project.parent / "outside").mkdir()
    (project.parent / "outside/key").write_text("secret")
    (project / "out").symlink_to("../outside")
    (project / "innocent").symlink_to("out/key")
    assert codes(choose(Wanted(project, tracked=("innocent",)))) == ["escaping-link"]
    assert codes(choose(Wanted(project, tracked=("out/key",)))) == ["escaping-link"]


def test_a_link_into_what_is_never_taken_is_refused(tree):
    project = tree("a.py", ".git/config", ".bentod/state", "env/pyvenv.cfg", "env/x.py")
    for name, target in {"one": ".git", "two": ".bentod/state", "three": "env/x.py"}.items():
        (project / name).symlink_to(target)
    assert codes(choose(Wanted(project, tracked=("one", "two", "three")))) == ["escaping-link"] * 3
    assert codes(choose(Wanted(project))) == ["escaping-link"] * 3


@pytest.mark.parametrize("target", [".", "..", "../deep", "link"])
def test_links_in_circles_are_refused(tree, target):
    project = tree("deep/a.py")
    (project / "deep/link").symlink_to(target)
    for wanted in (Wanted(project), Wanted(project, tracked=("deep/a.py", "deep/link"))):
        assert set(codes(choose(wanted))) <= {"link-loop", "dangling-link"}
        assert codes(choose(wanted))


def test_two_folders_that_link_to_each_other_are_refused(tree):
    project = tree("a/x", "b/y")
    (project / "a/to-b").symlink_to("../b")
    (project / "b/to-a").symlink_to("../a")
    assert set(codes(choose(Wanted(project)))) == {"link-loop"}


def test_a_link_to_nothing_is_refused(tree):
    project = tree("a.py")
    (project / "link").symlink_to("nowhere")
    chosen = choose(Wanted(project))
    assert codes(chosen) == ["dangling-link"]
    assert "`link` is a link to `nowhere`" in chosen.problems[0].message


def test_sockets_and_pipes_are_refused(tree, monkeypatch):
    project = tree("a.py")
    monkeypatch.chdir(project)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        os.mkfifo("p")
        chosen = choose(Wanted(project))
        assert codes(chosen) == ["special-file"] * 2
        assert [problem.message for problem in chosen.problems] == [
            "`p` is a pipe, not a file",
            "`s` is a socket, not a file",
        ]
        assert codes(choose(Wanted(project, tracked=("a.py", "p", "s")))) == ["special-file"] * 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_devices_are_refused(tree):
    project = tree("a.py")
    try:
        os.mknod(project / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except OSError as error:
        pytest.skip(f"no devices here: {error}")
    assert codes(choose(Wanted(project))) == ["special-file"]


@pytest.mark.parametrize("name", ["a\nb", "a\rFROM x", "\x1b[2J", "a\x7f", "a\u2028b", "a\x00b"[:1] + "\t"])
def test_names_with_control_characters_are_refused(tree, name):
    project = tree("a.py", name)
    for wanted in (Wanted(project), Wanted(project, tracked=(name,))):
        chosen = choose(wanted)
        assert codes(chosen) == ["bad-name"]
        assert chosen.problems[0].message.isprintable()


def test_names_that_are_not_utf_8_are_refused(tree):
    project = tree("a.py")
    (project / os.fsdecode(b"\xff.py")).touch()
    chosen = choose(Wanted(project))
    assert codes(chosen) == ["bad-name"]
    chosen.problems[0].message.encode()


@pytest.mark.parametrize("name", ["-rf", "a b", "$HOME", "`id`", "a'b\"c", "#x", "a\\b", "ünï", "*.py", "." * 3, "~a"])
def test_odd_names_are_taken_as_they_are(tree, name):
    assert paths(choose(Wanted(tree(name)))) == [name]
    assert paths(choose(Wanted(tree(name), tracked=(name,)))) == [name]


def test_large_files_are_told_and_not_read(tree):
    project = tree("a.py")
    with (project / "large.bin").open("wb") as file:
        file.truncate(5 * 1024**3)
    chosen = choose(Wanted(project, tracked=("a.py", "large.bin")))
    assert [file.size for file in chosen.files] == [1, 5 * 1024**3]
    assert chosen.notes == ("`large.bin` is large: 5,120 MiB",)


def test_too_many_files_are_a_problem_that_names_the_folder(tree, monkeypatch):
    monkeypatch.setattr(files_module, "MOST_FILES", 10)
    chosen = choose(Wanted(tree("a.py", *(f"data/{number}" for number in range(20)))))
    assert codes(chosen) == ["too-many-files"]
    assert "`data`" in chosen.problems[0].message


def test_programs_stay_programs(tree):
    project = tree("a.py", "run.sh")
    (project / "run.sh").chmod(0o700)
    assert [file.executable for file in choose(Wanted(project)).files] == [False, True]


def test_a_project_that_is_reached_by_a_link_is_the_same(tree, tmp_path):
    project = tree("a.py", "deep/b.py")
    (tmp_path / "way").symlink_to(project)
    assert paths(choose(Wanted(tmp_path / "way"))) == ["a.py", "deep/b.py"]

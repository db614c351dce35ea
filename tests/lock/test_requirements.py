"""Requirements files and `build.packages`: what is taken, and what is refused with its line and what to do."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

from bentod.errors import SpecError
from bentod.lock.one import Refused, requirement
from bentod.lock.requirements import read_file, requirements
from bentod.spec.model_build import Build
from bentod.spec.node import Place

HASH = "ab" * 32
URL = f"https://files.example/a-1.0.tar.gz#sha256={HASH}"


def file(folder, text, name="requirements.txt"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def said(folder, text):
    lines, problems = read_file(file(folder, text), folder)
    assert problems == []
    return [line.text for line in lines]


def refused(folder, text):
    _, problems = read_file(file(folder, text), folder)
    return [(problem.line, problem.code) for problem in problems]


def test_lines_comments_and_continuations(tmp_path):
    text = f"""\ufeff# first
numpy>=2   # a comment with é
torch == 2.4.0 ; python_version < "3.13"

uvicorn[standard] \\
    >=0.30
a @ {URL}  # not the fragment
"""
    assert said(tmp_path, text) == [
        "numpy>=2",
        'torch==2.4.0; python_version < "3.13"',
        "uvicorn[standard]>=0.30",
        f"a @ {URL}",
    ]


def test_a_comment_does_not_go_on_where_it_ends_with_a_backslash(tmp_path):
    assert said(tmp_path, "# a comment \\\nnumpy\n") == ["numpy"]
    assert said(tmp_path, "a \\\n# a comment\nnumpy\n") == ["a", "numpy"]


def test_windows_line_ends(tmp_path):
    assert said(tmp_path, "a\r\nb>=1 \\\r\n ,<2\r\n") == ["a", "b<2,>=1"]


def test_nested_files_are_of_the_project(tmp_path):
    file(tmp_path, "b\n-c ../limits.txt\n", "more/b.txt")
    file(tmp_path, "c<2\n", "limits.txt")
    lines, problems = read_file(file(tmp_path, "a\n-r more/b.txt\n--requirement=more/b.txt\n"), tmp_path)
    assert problems == []
    assert [(line.text, line.constraint, line.line) for line in lines] == [
        ("a", False, 1),
        ("b", False, 1),
        ("c<2", True, 1),
    ]


OPTIONS = [
    "--index-url https://example/simple",
    "-i https://user:hunter2@example/simple",
    "--extra-index-url=https://example",
    "-e .",
    "--editable ./x",
    "--trusted-host example",
    "--find-links /x",
    "-f /x",
    "--no-binary :all:",
    "--only-binary=x",
    "--pre",
    "--prefer-binary",
    "--no-index",
    "--require-hashes",
    "--use-feature x",
    "--hash=sha256:" + HASH,
    "-x",
    "--",
    "-",
    "--global-option x",
    "-reqs.txt --pre",
    "-r 'a' 'b'",
    "-r /etc/passwd",
    "-r https://example/r.txt",
    "-r ~/x",
    "-r $HOME/x",
    "-r",
    "-c",
]


@pytest.mark.parametrize("option", OPTIONS)
def test_options_are_refused_with_what_to_do_instead(tmp_path, option):
    _, problems = read_file(file(tmp_path, f"a\n{option}\nb\n"), tmp_path)
    assert [problem.line for problem in problems] == [2]
    assert problems[0].hint
    assert "hunter2" not in problems[0].message + problems[0].hint


LINES = {
    "option behind": "numpy --pre",
    "option behind a hash": f"numpy==1 --hash=sha256:{HASH} --index-url=https://example",
    "weak hash": "numpy==1 --hash=md5:" + "0" * 32,
    "short hash": "numpy==1 --hash=sha256:abc",
    "variable": "numpy==${VERSION}",
    "path": "./numpy",
    "absolute path": "/opt/numpy.whl",
    "file": "numpy @ file:///opt/numpy.whl",
    "URL alone": "https://example.com/numpy.whl",
    "repository": "numpy @ git+https://example.com/numpy@" + "a" * 40,
    "URL without hash": "numpy @ https://example.com/numpy.whl",
    "URL with a weak hash": "numpy @ https://example.com/numpy.whl#md5=" + "0" * 32,
    "URL without TLS": f"numpy @ http://example.com/numpy.whl#sha256={HASH}",
    "URL with credentials": f"numpy @ https://user:hunter2@example.com/numpy.whl#sha256={HASH}",
    "URL with credentials and more": "numpy @ https://user:hunter2@example.com/numpy.whl ; x ;",
    "URL that climbs": f"numpy @ https://example.com/%2e%2e/numpy.whl#sha256={HASH}",
    "non-ASCII": "nümpy",
    "homograph": "nump\N{CYRILLIC SMALL LETTER U}",
    "control character": "num\x01py",
    "vertical tab": "numpy\x0b--pre",
    "arbitrary equality": "numpy===1.0-x",
    "no version": "numpy==",
    "two names": "numpy scipy",
    "broken marker": "numpy; python_version <",
    "marker that holds an option": 'numpy; platform_release == "x --pre"',
    "marker that is nested": "numpy; " + "(" * 900 + 'os_name == "a"' + ")" * 900,
    "long": "numpy" + "y" * 3000,
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_lines_that_are_refused(tmp_path, line):
    _, problems = read_file(file(tmp_path, f"a\n{line}\nb\n"), tmp_path)
    assert [problem.line for problem in problems] == [2]
    assert "hunter2" not in problems[0].message + problems[0].hint
    assert len(problems[0].message) < 300


def test_files_that_lead_elsewhere_are_refused(tmp_path):
    project = tmp_path / "project"
    file(tmp_path, "evil\n", "outside.txt")
    assert refused(project, "-r ../outside.txt") == [(1, "outside-project")]
    (project / "link.txt").symlink_to(tmp_path / "outside.txt")
    assert refused(project, "-r link.txt") == [(1, "outside-project")]
    assert refused(project, "-r requirements.txt") == [(1, "cycle")]
    file(project, "-r requirements.txt", "other.txt")
    _, problems = read_file(file(project, "-r other.txt"), project)
    assert [(p.code, p.file) for p in problems] == [("cycle", str(project / "other.txt"))]
    assert refused(project, "-r nothing.txt") == [(1, "missing-file")]
    (project / "folder").mkdir()
    assert refused(project, "-r folder") == [(0, "unreadable")]
    os.mkfifo(project / "pipe")
    assert refused(project, "-r pipe") == [(0, "unreadable")]


def test_files_without_end_are_refused(tmp_path):
    for index in range(100):
        file(tmp_path, f"-r {index + 1}.txt", f"{index}.txt")
    _, problems = read_file(tmp_path / "0.txt", tmp_path)
    assert [problem.code for problem in problems] == ["cycle"]


def test_what_is_no_text_is_refused(tmp_path):
    assert refused(tmp_path, b"numpy\n\xff\n") == [(2, "syntax")]
    assert refused(tmp_path, b"numpy\n\0\n") == [(2, "syntax")]
    assert refused(tmp_path, "numpy \\") == [(1, "syntax")]
    assert refused(tmp_path, b"#" * (9 << 20)) == [(0, "too-large")]


def build(**keys):
    return Build.model_validate({"python": "3.12", **keys})


def test_the_list_and_the_file_together(tmp_path):
    file(tmp_path, "b\nbentod\n# c\n")
    found = requirements(build(packages=["a>=1"], requirements="requirements.txt"), tmp_path, {})
    assert [line.text for line in found.lines] == ["a>=1", "b"]
    file(tmp_path, "# other\nb\n")
    assert requirements(build(packages=["a>=1"], requirements="requirements.txt"), tmp_path, {}).digest == found.digest
    assert requirements(build(packages=["a>=2"], requirements="requirements.txt"), tmp_path, {}).digest != found.digest


@pytest.mark.parametrize("text", ["bentod==99", "bentod @ " + URL, "Bentod<0"])
def test_another_bentod_is_refused(tmp_path, text):
    with pytest.raises(SpecError) as caught:
        requirements(build(packages=[text]), tmp_path, {})
    assert [problem.code for problem in caught.value.problems] == ["own-package"]


def test_an_item_of_the_list_is_told_with_its_place(tmp_path):
    origins = {"build.packages[1]": Place("bentofile.yaml", 7, 5)}
    with pytest.raises(SpecError) as caught:
        requirements(build(packages=["a", "b --pre"]), tmp_path, origins)
    assert [(p.file, p.line, p.path) for p in caught.value.problems] == [("bentofile.yaml", 7, "build.packages[1]")]


def test_hashes_belong_to_a_lock(tmp_path):
    file(tmp_path, f"a==1 --hash=sha256:{HASH}\n")
    with pytest.raises(SpecError) as caught:
        requirements(build(requirements="requirements.txt"), tmp_path, {})
    assert "build.lock" in caught.value.problems[0].hint


@settings(max_examples=400, deadline=None)
@given(
    st.text(st.characters(codec="utf-8"), max_size=40)
    | st.from_regex(r"[a-z]+ ?(\[[a-z,]+\])?[<>=!~]{1,3}[0-9.*]+(;.*)?")
)
def test_a_requirement_is_one_line_and_no_option_or_it_is_refused(text):
    try:
        found = str(requirement(text))
    except Refused:
        return
    assert found.isascii()
    assert found.isprintable()
    assert found[0].isalnum()
    assert not any(part.startswith(("-", "#")) for part in found.split(" ")[1:])
    assert "$" not in found
    assert Requirement(found) == requirement(text)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text("ab-r= \n\\#$;<>@:/'\"[]", max_size=60))
def test_any_file_is_read_or_refused(tmp_path_factory, text):
    folder = tmp_path_factory.getbasetemp()
    lines, problems = read_file(file(folder, text, "any.txt"), folder)
    assert all(problem.message for problem in problems)
    assert all("\n" not in line.text for line in lines)

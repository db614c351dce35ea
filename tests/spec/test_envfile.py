"""dotenv files."""

import pytest

from bentod.spec.envfile import MAX_BYTES, read


def values(tmp_path, text, environ=None):
    path = tmp_path / "x.env"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found, problems = read(path, environ or {})
    return found, [(p.line, p.code, p.message) for p in problems]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A=1", {"A": "1"}),
        ("export A=1", {"A": "1"}),
        ("A: 1", {"A": "1"}),
        ("export A: 1\nB:\n", {"A": "1", "B": ""}),
        ("A = 1 # comment\n# B=2\n\n", {"A": "1"}),
        ("A='x # y'\nB=\"x # y\"\nC: 'q'", {"A": "x # y", "B": "x # y", "C": "q"}),
        ("A=\"two\\nlines\"\nB='two\\nlines'", {"A": "two\nlines", "B": "two\\nlines"}),
        ('A="two\nlines"\nB=1', {"A": "two\nlines", "B": "1"}),
        ("A=http://x:1/y=z", {"A": "http://x:1/y=z"}),
        ("A: http://x:1/y=z", {"A": "http://x:1/y=z"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("A=", {"A": ""}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=x\nB=${A}y$A", {"A": "x", "B": "xyx"}),
        ("A='${HOME} $x'", {"A": "${HOME} $x"}),
        ("A: '${HOME}'", {"A": "${HOME}"}),
        ("A=${NOPE:-d}${NOPE:-}", {"A": "d"}),
        ('A="\\$5"', {"A": "$5"}),
        ("A=${HOME}", {"A": "/root"}),
        ("", {}),
        ("\ufeffA=1", {"A": "1"}),
    ],
)
def test_what_a_file_says(tmp_path, text, found):
    assert values(tmp_path, text, {"HOME": "/root"}) == (found, [])


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("A=1\nnonsense here", 2, "syntax"),
        ("A", 1, "syntax"),
        ("A='x", 1, "syntax"),
        ("A=1\n\n\nB=$NOPE", 4, "unset-variable"),
        ("A-B=1", 1, "wrong-value"),
        (b"A=\xff", 0, "syntax"),
        (b"A=\0", 0, "syntax"),
        (b"A=" + b"x" * MAX_BYTES, 0, "too-large"),
    ],
)
def test_what_is_wrong_has_a_line(tmp_path, text, line, code):
    _, [(found_line, found_code, _)] = values(tmp_path, text)
    assert (found_line, found_code) == (line, code)


def test_a_wrong_line_is_not_shown_for_it_may_be_a_secret(tmp_path):
    _, [(_, _, message)] = values(tmp_path, "hunter2 is my password")
    assert "hunter2" not in message


def test_the_process_comes_before_the_file(tmp_path):
    assert values(tmp_path, "A=file\nB=$A", {"A": "process"})[0]["B"] == "process"


def test_a_missing_file_is_a_problem(tmp_path):
    assert read(tmp_path / "none.env", {})[1][0].code == "missing-file"

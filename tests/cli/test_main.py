"""`bentod` itself: verbs that there are not, words that nobody asked for."""

import pytest

from bentod.cli.main import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["statsu"], "did you mean `status`?"),
        (["serve"], "did you mean `up`?"),
        (["stop"], "did you mean `down`?"),
        (["xyzzy"], "`bentod --help` lists them"),
        (["up", "."], "the spec is named by `-f FILE`"),
        (["call"], "the following arguments are required: API\n"),
    ],
)
def test_what_is_no_command_line_says_what_is(words, said, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_help_is_shown_whatever_the_verb(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help", "nonsense"])
    assert end.value.code == 0
    assert "verbs:" in capsys.readouterr().out

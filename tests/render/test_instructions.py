"""The instructions of a Dockerfile: each is one line that says what its values are, and nothing else."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bentod.render.instructions import (
    Cache,
    Comment,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    PrependToPath,
    Run,
    Secret,
    StopSignal,
    Syntax,
    User,
    Workdir,
    written,
)
from bentod.render.recipes import Unwritable
from tests.support.dockerfiles import Read, read

NASTY = [
    *"\"'\\%$`{}[]#&*!|>@:;,?=~ -.0<é\ufeff🍱\u200b\u202e", "$HOME", "${PATH}", "${PORT:-1}", "<<EOF", "\\n", "RUN x",
    "--mount=type=bind", "${x", "\\\\", "''",
]  # fmt: skip
CONTROLS = ["\n", "\r", "\0", "\x0b", "\x0c", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud800", "a\nRUN x"]
TEXTS = st.lists(
    st.one_of(st.sampled_from(NASTY), st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])), max_size=9
)
TEXTS = TEXTS.map("".join)


def one(instruction):
    """What a builder makes of the only line."""
    text = f"FROM a AS b\n{instruction.render()}\nFROM b AS c\n"
    found = read(text)
    assert text.count("\n") == 3
    assert len(found.instructions) == 3
    assert not found.directives
    return found.instructions[1]


@settings(max_examples=1500)
@given(TEXTS)
@example("a\\")
@example("\\'\\\\'$HOME\\")
@example("")
@example("\ufeff")
def test_a_value_means_itself(text):
    assert one(Env("A", text)) == Read("ENV", (), ("A", text))
    assert one(Label("a.b", text)) == Read("LABEL", (), ("a.b", text))
    for made in (Run, Entrypoint):
        assert one(made(("x", text, "--y"))).words == ("x", text, "--y")


@settings(max_examples=500)
@given(TEXTS.filter(lambda text: text and "=" not in text))
@example("--from")
@example("a b")
def test_the_name_of_a_label_means_itself(name):
    assert one(Label(name, "1")) == Read("LABEL", (), (name, "1"))


@pytest.mark.parametrize("bad", CONTROLS, ids=ascii)
@pytest.mark.parametrize(
    "made",
    [
        lambda bad: Env("A", bad),
        lambda bad: Env(bad, "x"),
        lambda bad: Label("a", bad),
        lambda bad: Label(bad, "x"),
        lambda bad: Run(("x", bad)),
        lambda bad: Run((bad,)),
        lambda bad: Run(("x",), (Secret(bad),)),
        lambda bad: Run(("x",), (Cache(bad),)),
        lambda bad: Entrypoint(("x", bad)),
        lambda bad: Healthcheck(("x", bad), 1, 1, 1, 1),
        lambda bad: Copy((bad,), "/x"),
        lambda bad: Copy(("x",), bad),
        lambda bad: Copy(("x",), "/x", bad),
        lambda bad: From(bad, "a"),
        lambda bad: From("a", bad),
        User,
        Workdir,
        Comment,
        Syntax,
        PrependToPath,
    ],
)
def test_what_breaks_a_line_is_refused_everywhere(made, bad):
    for text in (bad, f"a{bad}", f"a{bad}b"):
        with pytest.raises(Unwritable):
            made(text).render()


@pytest.mark.parametrize(
    "instruction",
    [
        Env("", "x"),
        Env("A B", "x"),
        Env("A=B", "x"),
        Env("--a", "x"),
        Env("1A", "x"),
        Env("É", "x"),
        Label("", "x"),
        Label("a=b", "x"),
        From("--platform=x", "a"),
        From("$BASE", "a"),
        From("a b", "a"),
        From("a AS b", "c"),
        From("", "a"),
        From("a@sha256:12", "a"),
        From("a", "B"),
        From("a", "0"),
        From("a", ""),
        User("root"),
        User("0:"),
        User("$UID"),
        User("--x"),
        User("1 2"),
        Workdir("/a b"),
        Workdir("$HOME"),
        Workdir("--x"),
        Workdir(""),
        Workdir("/a\\"),
        Copy(("--from=x",), "/a"),
        Copy(("-x",), "/a"),
        Copy(("a*",), "/a"),
        Copy(("[ab]",), "/a"),
        Copy(("a\\",), "/a"),
        Copy(("$HOME",), "/a"),
        Copy(("../a",), "/a"),
        Copy(("a/../../b",), "/a"),
        Copy(("a",), "/b/.."),
        Copy(("<<EOF",), "/a"),
        Copy(("a",), "/a", "B"),
        Run(()),
        Run(("",)),
        Entrypoint(()),
        Run(("a",), (Secret("a,target=/etc/passwd"),)),
        Run(("a",), (Secret(""),)),
        Run(("a",), (Secret("a b"),)),
        Run(("a",), (Secret("$a"),)),
        Run(("a",), (Cache("/a,id=b"),)),
        Run(("a",), (Cache("$HOME"),)),
        Comment("escape=`"),
        Comment("  syntax = x"),
        Comment("check=skip=all"),
        Syntax("x"),
        Syntax("x:1 y"),
        Syntax("x:1\\"),
        PrependToPath("/a:$HOME"),
        PrependToPath('/a"'),
        Env("A", "x" * 70_000),
        Env("A", "é" * 33_000),
    ],
    ids=repr,
)
def test_what_could_say_more_is_refused(instruction):
    with pytest.raises(Unwritable):
        instruction.render()


@pytest.mark.parametrize(
    ("instruction", "line"),
    [
        (Syntax("docker/dockerfile:1.2"), "# syntax=docker/dockerfile:1.2"),
        (Comment("It is = this."), "# It is = this."),
        (From("registry:5000/a/b:1@sha256:" + "0" * 64, "x"), f"FROM registry:5000/a/b:1@sha256:{'0' * 64} AS x"),
        (Env("A", "0.0.0.0:3000"), "ENV A=0.0.0.0:3000"),
        (Env("A", ""), "ENV A=''"),
        (Env("A", "${PORT:-3000}"), "ENV A='${PORT:-3000}'"),
        (Env("A", "it's"), "ENV A='it'\"'\"'s'"),
        (Env("A", "C:\\x\\"), "ENV A='C:'\\\\'x'\\\\''"),
        (Label("org.example/x", "a b"), "LABEL org.example/x='a b'"),
        (Label("--x", "1"), "LABEL '--x'=1"),
        (PrependToPath("/opt/venv/bin"), 'ENV PATH="/opt/venv/bin:$PATH"'),
        (Run(("a", 'b "c"', "<<EOF")), 'RUN ["a", "b \\"c\\"", "<\\u003cEOF"]'),
        (
            Run(("a",), (Cache("/c", "locked"), Secret("s"))),
            'RUN --mount=type=cache,target=/c,sharing=locked --mount=type=secret,id=s,required=true ["a"]',
        ),
        (Copy(("a/", "b"), "/c/", "build"), 'COPY --from=build ["a/", "b", "/c/"]'),
        (User("65532:65532"), "USER 65532:65532"),
        (Workdir("/app"), "WORKDIR /app"),
        (Expose(3000), "EXPOSE 3000"),
        (StopSignal(), "STOPSIGNAL SIGTERM"),
        (
            Healthcheck(("a", "b"), 9.5, 5, 60, 3),
            'HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["a", "b"]',
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_is_one_line(instruction, line):
    assert instruction.render() == line


@pytest.mark.parametrize("value", ["RUN x", None, 1, ("RUN", "x")])
def test_a_template_takes_nothing_but_instructions(value):
    with pytest.raises(TypeError, match="no instruction"):
        written(value)


def test_an_error_does_not_tell_a_value():
    with pytest.raises(Unwritable) as caught:
        Env("TOKEN", "s3cr3t\n").render()
    assert "s3cr3t" not in str(caught.value)
    assert "U+000A" in str(caught.value)

"""What an engine says while it builds: read without trust, and told as lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.image import messages, trace
from bentod.image.messages import Broken
from bentod.image.steps import Steps
from bentod.image.trace import Garbled, Output, Status, Transfer, Vertex
from tests.support.buildkit import field, line, printed, traced, transfer, varint, vertex

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def told(*parts, steps=None):
    return (steps or Steps()).told(trace.status(b"".join(parts)))


def test_a_message_is_what_buildkit_said():
    data = vertex(A, "[1/2] FROM x", started=5.5, completed=7, cached=True, error="bad") + printed(A, b"out\n")
    found = trace.status(data + transfer(A, "layer", 3, 9) + field(4, field(3, "careful")))
    assert found.vertexes == (Vertex(A, "[1/2] FROM x", True, 5.5, 7.0, "bad"),)
    assert found.outputs == (Output(A, b"out\n"),)
    assert found.transfers == (Transfer(A, "layer", 3, 9, False),)
    assert found.warnings == ("careful",)


def test_fields_that_nobody_knows_are_passed_over():
    unknown = field(99, b"new") + field(98, 7) + varint(97 << 3 | 1) + b"8 bytes." + varint(96 << 3 | 5) + b"four"
    assert trace.status(unknown + vertex(A, "x")).vertexes == (Vertex(A, "x"),)


@pytest.mark.parametrize(
    "data",
    [b"\x0a", b"\x0a\x7fx", b"\xff" * 20, b"\x0b", b"\x0a\x02\x0a\x7f", b"\x0d\x01", b"\x0a" + b"\xff" * 9 + b"\x01"],
)
def test_what_is_cut_off_or_no_message_is_garbled(data):
    with pytest.raises(Garbled):
        trace.status(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_garbled(data):
    try:
        found = trace.status(data)
    except Garbled:
        return
    for text in Steps().told(found):
        assert text.isprintable() or " " in text


def test_steps_are_told_once_with_number_output_and_time():
    steps = Steps()
    assert told(vertex(A, "[1/2] FROM x"), steps=steps) == []
    assert told(vertex(A, "[1/2] FROM x", started=10), vertex(B, "[2/2] RUN y"), steps=steps) == ["#1 [1/2] FROM x"]
    assert told(printed(A, b"one\ntw"), steps=steps) == ["#1 one"]
    assert told(printed(A, b"o\n"), steps=steps) == ["#1 two"]
    assert told(printed(A, b"rest"), vertex(A, "", started=10, completed=12.5), steps=steps) == [
        "#1 rest",
        "#1 done in 2.5 s",
    ]
    assert told(vertex(A, "", started=10, completed=12.5), steps=steps) == []
    assert told(vertex(B, "", cached=True, completed=13), steps=steps) == ["#2 [2/2] RUN y", "#2 cached"]


def test_a_step_that_failed_says_why():
    assert told(vertex(A, "RUN x", started=1, completed=2, error="exit code: 1\nsecond")) == [
        "#1 RUN x",
        "#1 failed: exit code: 1·second",
    ]


def test_large_transfers_are_told_by_quarters():
    steps = Steps()
    told(vertex(A, "FROM x", started=1), steps=steps)
    lines = [text for done in range(0, 101, 5) for text in told(transfer(A, "sha", done * 10**6, 10**8), steps=steps)]
    assert lines == [f"#1 sha: {percent} % of 100 MB" for percent in (25, 50, 75, 100)]
    assert told(transfer(A, "small", 1, 2), steps=steps) == []


def test_output_cannot_command_a_terminal_nor_grow_without_bounds():
    steps = Steps()
    told(vertex(A, "RUN \x1b]0;owned\x07", started=1), steps=steps)
    evil = b"\x1b[2J\x1b[1;1Hfake\rshown\x00\xff\xe2\x80\xae\n"
    assert told(printed(A, evil), steps=steps) == ["#1 shown·�·"]
    for _ in range(50):
        assert told(printed(A, b"x" * 100_000), steps=steps) == []
    assert len(told(printed(A, b"\n"), steps=steps)[0]) < 5000
    assert told(*(vertex(str(number), "x", started=1) for number in range(20_000)), steps=Steps()).__len__() == 10_000


def test_output_of_a_step_that_nobody_announced_is_nothing():
    assert (
        Steps().told(Status(outputs=(Output("unknown", b"x\n"),), transfers=(Transfer("u", "x", 1, 10**9, False),)))
        == []
    )


def test_messages_are_read_however_they_are_cut():
    data = line(stream="a") + line(error="b") + traced(vertex(A, "x"))
    expected = list(messages.messages([data]))
    assert [*map(messages.error, expected)] == ["", "b", ""]
    for size in (1, 2, 7, 50):
        assert list(messages.messages([data[at : at + size] for at in range(0, len(data), size)])) == expected


@pytest.mark.parametrize("data", [b"<html>", b"[1]", b'"x"', b'{"a":', b"\xff\n", b"[" * 100_000, b"1e999999999x"])
def test_what_is_no_message_is_told(data):
    with pytest.raises(Broken):
        list(messages.messages([data]))


def test_a_message_without_end_is_given_up():
    def endless():
        while True:
            yield b"x" * 1024**2

    with pytest.raises(Broken, match="too long"):
        list(messages.messages(endless()))


@pytest.mark.parametrize("aux", ["?", "Cg==", None, 7, {"x": 1}, "ä"])
def test_progress_that_cannot_be_read_is_told(aux):
    message = {"id": "moby.buildkit.trace", "aux": aux}
    try:
        assert messages.status(message) == Status()
    except Broken:
        return
    assert not isinstance(aux, str)


@pytest.mark.parametrize(
    "message",
    [
        {"error": 5},
        {"errorDetail": "x"},
        {"errorDetail": {"message": None}},
        {"aux": {"ID": 5}},
        {"stream": []},
        {"status": {}},
    ],
)
def test_fields_of_a_wrong_kind_say_nothing(message):
    assert (messages.error(message), messages.image_id(message), messages.line(message)) == ("", "", "")

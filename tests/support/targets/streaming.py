"""Generators of every temper. `gate` is a folder: what happens leaves files in it, and `open` in it lets them go on."""

import os
import time
from pathlib import Path
from uuid import uuid4

import numpy as np
from PIL import Image


def count(n):
    for i in range(n):
        yield {"i": i}


def large(n):
    for i in range(n):
        yield {"i": i, "pad": "x" * 65536}


def give(values):
    yield from values


def endless(gate, size=0):
    """Yields for ever, and tells the file `progress` how far it is."""
    _leave(gate, "begun")
    i = 0
    try:
        while True:
            Path(gate, "progress").write_text(str(i))
            yield {"i": i, "pad": "x" * size}
            i += 1
    finally:
        _leave(gate, "closed")


def steady(gate):
    """Yields for ever, with a pause before each chunk."""
    _leave(gate, "begun")
    try:
        while True:
            yield 1
            time.sleep(0.05)
    finally:
        _leave(gate, "closed")


def hold(gate, before=1, after=1):
    """Some chunks, then it waits at the gate, then some more."""
    _leave(gate, "begun")
    try:
        for _ in range(before):
            yield os.getpid()
        while not Path(gate, "open").exists():
            time.sleep(0.005)
        for _ in range(after):
            yield os.getpid()
    finally:
        _leave(gate, "closed")


def fail(after, kind="value"):
    for i in range(after):
        yield {"i": i}
    raise {"value": ValueError, "stop": StopIteration, "exit": SystemExit, "generator": GeneratorExit}[kind]("secret")


def ignore(gate):
    """Will not be closed."""
    _leave(gate, "begun")
    while True:
        try:
            yield 1
        except GeneratorExit:
            _leave(gate, "closed")


def stuck(gate):
    """Its cleaning up never ends."""
    _leave(gate, "begun")
    try:
        while True:
            yield os.getpid()
    finally:
        _leave(gate, "closed")
        while not Path(gate, "open").exists():
            time.sleep(0.005)


def odd(kind, after=0):
    for i in range(after):
        yield {"i": i}
    yield {"object": object(), "nan": float("nan"), "text": "text", "surrogate": "\ud800", "set": {1}, "bytes": b"a"}[
        kind
    ]


def no_stream():
    return [1, 2, 3]


def answer(context):
    context.response.status = 201
    context.response.headers["x-model"] = "one"
    yield 1
    context.response.status = 500
    context.response.headers["x-late"] = "yes"
    yield 2


def arrays(n):
    for i in range(n):
        yield np.full((2,), i, np.float32)


def pictures():
    yield Image.new("RGB", (2, 1), "red")


def raw(kind):
    yield from {
        "text": ["é\n", "", "two\nlines"],
        "bytes": [b"\xff\x00", b"", b"\x01"],
        "large": [b"x" * 5_000_000, b"y"],
        "wrong": ["a", 5],
        "wrong at once": [5],
    }[kind]


def lines(value):
    """Of a file, one by one."""
    with value.open() as file:
        yield from file


def plain():
    return os.getpid()


def _leave(gate, what):
    Path(gate, f"{what}-{uuid4().hex}").touch()

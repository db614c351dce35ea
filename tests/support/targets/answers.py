"""Answers of every kind, good ones and those that no JSON can hold."""

import datetime
import math


def echo(x):
    return x


def same(value):
    return value


def greet(name, greeting="Hello"):
    return f"{greeting}, {name}!"


def give(kind):
    return KINDS[kind]()


def _recursive():
    found = []
    found.append(found)
    return found


def _deep():
    found = []
    for _ in range(5000):
        found = [found]
    return found


class Broken:
    """Its own conversion raises."""

    def __getattr__(self, name):
        raise RuntimeError("secret of the conversion")


KINDS = {
    "none": lambda: None,
    "text": lambda: "a\u2028b\u00e9\U0001f600",
    "tuple": lambda: (1, 2),
    "large": lambda: 2**63,
    "most": lambda: 2**64 - 1,
    "nested null": lambda: {"a": [None, 1.5]},
    "set": lambda: {1, 2},
    "bytes": lambda: b"ab",
    "nested bytes": lambda: {"a": [b"ab"]},
    "nan": lambda: math.nan,
    "nested infinity": lambda: {"a": [1.0, -math.inf]},
    "int keys": lambda: {1: "a"},
    "mixed keys": lambda: {"a": 1, 2: "b"},
    "none key": lambda: {None: 1},
    "tuple key": lambda: {(1, 2): 1},
    "too large": lambda: 2**64,
    "too small": lambda: -(2**63) - 1,
    "recursive": _recursive,
    "deep": _deep,
    "object": object,
    "broken": Broken,
    "function": lambda: _deep,
    "generator": lambda: (n for n in range(3)),
    "complex": lambda: 1j,
    "date": lambda: datetime.datetime(2020, 1, 1),  # noqa: DTZ001 - as careless as users are
    "surrogate": lambda: "\ud800",
}

"""The names that a file binds, read without running it."""

import pytest

from bentod.spec.bindings import MAX_BYTES, UnparsableError, read_bindings

EVERYTHING = """
import a.b, c.d as e
from f import g, h as i
from . import j
x: int = 1
(k, [l, *m]) = y = 1, (2, 3)
for n in []: o = 1
with open("x") as p: q = 1
try: r = 1
except ValueError as s: t = 1
finally: u = 1
if (v := 1): w = 1
else: z = 1
match x:
    case {"a": aa, **bb}: cc = 1
    case [dd, *ee]: ff = 1
def function(inner): hidden = 1
async def later(): global gg; gg = 1
class Class(object):
    attribute = 1
    def method(self): self.not_seen = 1
class Child(Class, Exception):
    def own(self): ...
class Unknown(g): ...
class Dynamic:
    def __getattr__(self, name): ...
class Meta(metaclass=type): ...
@decorated
class Decorated: ...
print([comprehended for comprehended in []])
"""


@pytest.fixture
def bindings(tmp_path):
    path = tmp_path / "x.py"

    def read(source):
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        return read_bindings(path)

    return read


def test_every_way_to_bind_a_name_is_seen(bindings):
    found = bindings(EVERYTHING)
    names = "a e g i j x k l m y n o p q r s t u v w z aa cc dd ee ff function later gg Class Child"
    assert set(names.split()) <= set(found.names)
    assert not {"inner", "hidden", "attribute", "method", "not_seen", "b", "c", "h"} & set(found.names)
    assert not found.dynamic
    assert found.names["function"].kind == found.names["later"].kind == "function"
    assert (found.names["i"].module, found.names["i"].attribute) == ("f", "h")
    assert (found.names["j"].module, found.names["j"].attribute) == (".", "j")


def test_attributes_of_a_class_come_with_those_of_its_bases(bindings):
    found = bindings(EVERYTHING)
    assert {"attribute", "method"} <= found.members("Class")
    assert {"attribute", "method", "own", "args", "__init__"} <= found.members("Child")
    assert "not_seen" not in found.members("Class")


@pytest.mark.parametrize("name", ["Unknown", "Dynamic", "Meta", "Decorated"])
def test_attributes_of_a_class_that_only_running_can_tell(bindings, name):
    assert bindings(EVERYTHING).members(name) is None


def test_a_class_that_is_its_own_base_ends(bindings):
    assert bindings("class A(A): ...").members("A") is None


@pytest.mark.parametrize(
    "source", ["from x import *", "globals()['a'] = 1", "def __getattr__(name): ...", "exec('a = 1')"]
)
def test_a_module_that_binds_more_when_it_runs(bindings, source):
    assert bindings(source).dynamic


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def f(:", "x.py:1"),
        ("a = 1\n\n  b = 2", "x.py:3"),
        (b"a = '\xff'", "x.py"),
        (b"a = 1\0", "x.py"),
        ("(" * 5000, "x.py"),
        ("-" * 100_000 + "1", "x.py"),
        (b"#" * (MAX_BYTES + 1), "more than"),
    ],
    ids=["syntax", "indent", "encoding", "nul", "brackets", "minuses", "size"],
)
def test_what_is_no_python_is_told(bindings, source, says):
    with pytest.raises(UnparsableError, match=says):
        bindings(source)


def test_what_the_compiler_dislikes_is_no_problem_of_the_spec(bindings):
    assert "a" in bindings("a = '\\d'\nb = 1 is 1").names

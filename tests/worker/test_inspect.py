"""What the throw-away process says about a target."""

from bentod.wire.messages import Failed, Setup, decode, encode
from bentod.worker.inspect import look

MODULE = """
def f(x, *, y=1): ...
async def g(**values): ...
class Model:
    def __init__(self, size): raise RuntimeError("nothing is constructed")
    def run(self, x): yield x
"""


def answers(tmp_path, target, *methods, name):
    (tmp_path / f"{name}.py").write_text(MODULE)
    setup = Setup("s", 0, target, str(tmp_path), methods, inspect=True)
    return [decode(encode(answer)) for answer in look(setup)]


def test_each_method_has_an_answer_of_its_own(tmp_path):
    first, f, missing, g = answers(tmp_path, "looked_at.py", "f", "nope", "g", name="looked_at")
    assert first.methods == ()
    assert [(p.name, p.kind, p.required) for p in f.methods[0].parameters] == [
        ("x", "POSITIONAL_OR_KEYWORD", True),
        ("y", "KEYWORD_ONLY", False),
    ]
    assert isinstance(missing, Failed)
    assert g.methods[0].style == "async"


def test_a_class_tells_its_constructor_and_is_not_constructed(tmp_path):
    first, run = answers(tmp_path, "looked_into.py:Model", "run", name="looked_into")
    assert [p.name for p in first.methods[0].parameters] == ["size"]
    assert [p.name for p in run.methods[0].parameters] == ["x"]
    assert run.methods[0].style == "generator"


def test_a_failed_import_is_the_only_answer(tmp_path):
    [failed] = answers(tmp_path, "looked_for.py:Nope", "f", name="looked_for")
    assert isinstance(failed, Failed)
    assert failed.stage == "import"

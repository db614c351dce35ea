"""Golden cases: files and the exact problems that they get. `UPDATE_CASES=1` rewrites them; review the difference."""

import os
import re
import sys
from pathlib import Path

import pytest

from bentod.errors import SpecError
from bentod.spec.load import load

CASES = sorted((Path(__file__).parents[1] / "cases" / "spec").glob("*.case"))
ENVIRON = {"SECRET": "s3cr3t-value", "EMPTY": ""}


def parts(case):
    """`═══ name` starts a file, the first is the spec; `───` starts what is expected."""
    given, _, expected = case.read_text(encoding="utf-8").partition("───\n")
    names = re.split(r"^═══ (.+)\n", given, flags=re.MULTILINE)[1:]
    return dict(zip(names[::2], names[1::2], strict=True)), expected


def told(files, folder):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    specs = [folder / name for name in files if name.startswith("bentofile")]
    try:
        load(specs, ENVIRON)
    except SpecError as error:
        return (
            "".join(
                f"{Path(p.file).name}:{p.line}:{p.column} {p.path} [{p.code}] {p.message}"
                + f" ({p.hint})" * bool(p.hint)
                + "\n"
                for p in error.problems
            )
            .replace(str(folder), "PROJECT")
            .replace(sys.executable, "PYTHON")
        )
    return ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_spec_gets_exactly_these_problems(case, tmp_path):
    files, expected = parts(case)
    found = told(files, tmp_path)
    if os.environ.get("UPDATE_CASES"):
        given = case.read_text(encoding="utf-8").partition("───\n")[0]
        case.write_text(f"{given}───\n{found}", encoding="utf-8")
    else:
        assert found == expected


def test_twelve_mistakes_are_twelve_problems():
    case = next(case for case in CASES if case.stem == "twelve-mistakes")
    assert len(parts(case)[1].splitlines()) == 12

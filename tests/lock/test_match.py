"""The lock wins, and what does not match it is an error; what bentod needs besides comes from its own pins."""

import pytest
from packaging.requirements import Requirement

from bentod.errors import SpecError
from bentod.lock.complete import complete, own_lock, own_ranges
from bentod.lock.file import LockedPython, LockFile
from bentod.lock.locked import Locked, LockedPackage
from bentod.lock.match import mismatches
from bentod.lock.pip import file_digest, pip_input
from bentod.lock.requirements import Line, Requirements, requirements
from bentod.spec.model_build import Build
from tests.support.locks import digits, pylock

HASH = f"sha256:{digits(1)}"


def locked(*texts, **more):
    packages = []
    for number, text in enumerate(texts, 1):
        found = Requirement(text)
        version = next(iter(found.specifier)).version if found.specifier else ""
        packages.append(LockedPackage(found.name, version, str(found.marker or ""), (HASH,), found.url or "", number))
    return Locked(tuple(packages), file="pylock.toml", **more)


def asked(*texts):
    lines = [
        Line(Requirement(text.removeprefix("-c ")), (), text.startswith("-c "), "r.txt", n)
        for n, text in enumerate(texts, 1)
    ]
    return Requirements(tuple(lines))


def codes(lock, *texts, python="3.12"):
    return [(problem.code, problem.line) for problem in mismatches(lock, asked(*texts), python)]


URL = f"https://x.example/a.zip#sha256={digits(1)}"


@pytest.mark.parametrize(
    "text",
    ["a", "A", "a>=1", "a[extra]>=1,<2", "a ; sys_platform == 'linux'", "b ; sys_platform == 'win32'",
     "b ; python_version < '3.12'", "-c a<2", "-c b<2", "a ; platform_machine == 's390x'"],
)  # fmt: skip
def test_what_matches(text):
    assert codes(locked("a==1.5"), text) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [("b", "not-locked"), ("a>=2", "lock-mismatch"), ("a!=1.5", "lock-mismatch"), ("-c a>=2", "lock-mismatch"),
     ("b ; python_version >= '3.12'", "not-locked"), ("b ; platform_machine == 'aarch64'", "not-locked"),
     (f"a @ {URL}", "lock-mismatch")],
)  # fmt: skip
def test_what_does_not(text, code):
    found = mismatches(locked("a==1.5"), asked("a", text), "3.12")
    assert [(p.code, p.file, p.line) for p in found] == [(code, "r.txt", 2)]
    assert found[0].hint


def test_pre_releases_that_are_locked_match():
    assert codes(locked("a==2.0rc1"), "a>=1.9") == []


def test_what_is_locked_for_another_place_is_not_there():
    lock = locked("a==1 ; python_version < '3.12'", "a==2 ; python_version >= '3.12'")
    assert codes(lock, "a<2", python="3.11") == []
    assert codes(lock, "a<2") == [("lock-mismatch", 1)]
    assert codes(locked("a==1 ; sys_platform == 'win32'"), "a") == [("not-locked", 1)]


def test_archives_match_by_their_url():
    lock = locked(f"a @ {URL}")
    assert codes(lock, f"a @ {URL}") == []
    assert codes(lock, "a") == []
    assert codes(lock, "a>=1") == [("lock-mismatch", 1)]
    assert codes(lock, f"a @ {URL.replace('a.zip', 'b.zip')}") == [("lock-mismatch", 1)]


def test_a_lock_for_another_python_or_platform():
    assert codes(locked("a==1", requires_python=">=3.13")) == [("other-python", 0)]
    assert codes(locked("a==1", requires_python=">=3.12.3")) == []
    assert codes(locked("a==1", environments=("sys_platform == 'win32'",)), "a") == [("other-platform", 0)]
    assert (
        codes(locked("a==1", environments=("platform_machine == 'x86_64'",)), "a", "b ; platform_machine == 'arm64'")
        == []
    )


def test_one_package_in_two_versions():
    assert codes(locked("a==1", "a==2")) == [("locked-twice", 2)]
    assert codes(locked("a==1 ; python_version < '3.13'", "a==2 ; python_version >= '3.12'")) == [("locked-twice", 2)]


def test_the_lock_is_completed_by_what_it_lacks():
    own = locked("a==9", "b==9", "c==9")
    lines = complete(
        locked("a==1", "bentod==0", "w==1 ; sys_platform == 'win32'", "c==1 ; python_version < '3.12'"), own, (), "3.12"
    )
    assert lines == tuple(f"{name} --hash={HASH}" for name in ("a==1", "b==9", "c==9"))


def test_a_lock_that_bentod_cannot_run_with_is_refused():
    with pytest.raises(SpecError) as caught:
        complete(locked("x==1", "a==1"), Locked(), [Requirement("A>=2"), Requirement("x")], "3.12")
    assert [(p.code, p.file, p.line) for p in caught.value.problems] == [("lock-mismatch", "pylock.toml", 2)]


def test_bentods_own_pins_fit_its_own_ranges_and_hold_nothing_that_builds():
    own = own_lock()
    for python in ("3.11", "3.12", "3.13", "3.14"):
        assert complete(Locked(), own, (), python)
        requirements = Requirements(tuple(Line(one) for one in own_ranges()))
        assert mismatches(own, requirements, python) == []
    assert not {"hatchling", "setuptools", "pip"} & {package.name for package in own.packages}


def build(**keys):
    return Build.model_validate({"python": "3.12", **keys})


def test_without_a_lock_pip_gets_what_is_asked_for(tmp_path):
    (tmp_path / "r.txt").write_text("b>=1\na\nb>=1\n")
    found = pip_input(build(requirements="r.txt", packages=["c"]), tmp_path, {}, None)
    assert (found.lines, found.locked) == (("a", "b>=1", "c"), False)
    (tmp_path / "r.txt").write_text("-c c.txt\n")
    (tmp_path / "c.txt").write_text("x<2\n")
    with pytest.raises(SpecError) as caught:
        pip_input(build(requirements="r.txt"), tmp_path, {}, None)
    assert [(p.code, p.line) for p in caught.value.problems] == [("needs-lock", 1)]


def test_with_a_lock_pip_gets_all_there_is(tmp_path):
    (tmp_path / "pylock.toml").write_text(pylock({"name": "six", "version": "1.0"}))
    found = pip_input(build(packages=["six"], lock="pylock.toml"), tmp_path, {}, None)
    assert found.locked
    assert f"six==1.0 --hash={HASH}" in found.lines
    assert any(line.startswith("aiohttp==") for line in found.lines)
    with pytest.raises(SpecError):
        pip_input(build(packages=["six>=2"], lock="pylock.toml"), tmp_path, {}, None)


def test_what_bentod_lock_made_counts_as_long_as_it_is_as_it_was(tmp_path):
    path = tmp_path / "pylock.toml"
    path.write_text(pylock({"name": "six", "version": "1.0"}))
    asks = build(packages=["six"])
    python = LockedPython(requirements(asks, tmp_path, {}).digest, "3.12", "pylock.toml", file_digest(path))
    lock = LockFile(python=python, file=str(tmp_path / "bentofile.lock"), lines={"python": 3, "python.digest": 7})
    assert pip_input(asks, tmp_path, {}, lock).locked
    for other, key in (
        (build(packages=["six>=0"]), "requirements"),
        (build(packages=["six"], python="3.13"), "python"),
    ):
        with pytest.raises(SpecError) as caught:
            pip_input(other, tmp_path, {}, lock)
        assert [(p.path, p.line) for p in caught.value.problems] == [(f"python.{key}", 3)]
    path.write_text(path.read_text() + "\n")
    with pytest.raises(SpecError) as caught:
        pip_input(asks, tmp_path, {}, lock)
    assert [(p.path, p.line) for p in caught.value.problems] == [("python.digest", 7)]

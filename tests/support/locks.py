"""Lock files of Python packages, made by hand or by the real `uv`."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import tomli_w

UV = next(filter(None, [shutil.which("uv", path=str(Path(sys.executable).parent)), shutil.which("uv")]), None)


def digits(seed):
    """64 hexadecimal digits, others for another seed."""
    return f"{seed:064x}"


def wheel(name, version, seed=1):
    """One wheel as pylock.toml has it."""
    file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    return {"name": file, "url": f"https://files.example/{file}", "hashes": {"sha256": digits(seed)}}


def pylock(*packages, **more):
    """The text of a pylock.toml; each package has one wheel, if nothing else is said."""
    rows = [
        one if {"wheels", "sdist", "archive", "vcs", "directory"} & one.keys()
        else {**one, "wheels": [wheel(one["name"], one["version"])]}
        for one in packages
    ]  # fmt: skip
    return tomli_w.dumps({"lock-version": "1.0", "created-by": "test", **more, "packages": rows})


def uv_lock(dependencies, *packages, **more):
    """The text of a uv.lock whose project needs these; each package comes from an index and has one wheel."""
    project = {"name": "project", "version": "0", "source": {"virtual": "."}, "dependencies": dependencies}
    rows = [
        {
            "version": "1.0",
            "source": {"registry": "https://index.example"},
            "wheels": [{"url": "https://files.example/x", "hash": f"sha256:{digits(1)}"}],
            **one,
        }
        for one in packages
    ]
    return tomli_w.dumps({"version": 1, "requires-python": ">=3.11", **more, "package": [project, *rows]})


@cache
def index_answers():
    """Whether uv is here and reaches an index of packages."""
    if UV is None:
        return False
    done = subprocess.run(
        [UV, "pip", "compile", "--no-config", "--quiet", "--python-version", "3.12", "-"],
        input=b"iniconfig==2.0.0\n", capture_output=True, timeout=60,
    )  # fmt: skip
    return done.returncode == 0

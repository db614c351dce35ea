"""Callables that read and make files, in all the places where they may and may not."""

import hashlib
import os
import signal
import time
from pathlib import Path


def length(value):
    return value.stat().st_size


def same(value):
    return value


def where(value):
    return str(value)


def digest(value, other=None):
    return {"names": [value.name, other.name], "data": [value.read_text(), other.read_text()]}


def make(how, context):
    return HOW[how](context.folder)


def make_two(context):
    (context.folder / "a.txt").write_text("first")
    (context.folder / "b.bin").write_bytes(b"\xff")
    return {"a": context.folder / "a.txt", "b": context.folder / "b.bin"}


def no_folder(context):
    return str(context.folder)


def hold(value, gate):
    """Waits at the gate, then tells a file what its own file still holds."""
    Path(gate, f"begun-{os.getpid()}").touch()
    while not Path(gate, "open").exists():
        time.sleep(0.005)
    Path(gate, "seen").write_text(value.read_text())
    return value


def die_once(value, mark):
    """The first worker dies of it; the second one says what it got."""
    if not Path(mark).exists():
        Path(mark).write_text(_digest(value))
        os.kill(os.getpid(), signal.SIGKILL)
    return {"first": Path(mark).read_text(), "second": _digest(value)}


def die(value):
    os.kill(os.getpid(), signal.SIGKILL)


def fail(value):
    raise ValueError(f"secret {value}")


def _digest(value):
    data = value.read_bytes() if isinstance(value, Path) else value if isinstance(value, bytes) else value.tobytes()
    return hashlib.sha256(data).hexdigest()


def _written(path, text="inside"):
    path.write_text(text)
    return path


def _linked(path, to):
    path.symlink_to(to)
    return path


def _nested(folder):
    (folder / "deep").mkdir()
    return _written(folder / "deep" / "a.txt")


def _piped(path):
    os.mkfifo(path)
    return path


HOW = {
    "inside": lambda folder: _written(folder / "a.txt"),
    "nested": _nested,
    "link inside": lambda folder: _linked(folder / "l", _written(folder / "a.txt")),
    "bytes": lambda folder: b"inside",
    "dots inside": lambda folder: _nested(folder).parent / ".." / "deep" / "a.txt",
    "outside": lambda folder: Path("/etc/passwd"),
    "link outside": lambda folder: _linked(folder / "l", "/etc/passwd"),
    "folder linked outside": lambda folder: _linked(folder / "l", "/etc") / "passwd",
    "dots outside": lambda folder: folder / ".." / ".." / "secret.txt",
    "folder": lambda folder: folder,
    "missing": lambda folder: folder / "missing",
    "pipe": lambda folder: _piped(folder / "pipe"),
    "device": lambda folder: Path("/dev/zero"),
    "project": lambda folder: Path("filing.py"),
    "within": lambda folder: Path("shared/a.txt"),
    "within absolute": lambda folder: Path(__file__).parent / "shared" / "a.txt",
    "within linked outside": lambda folder: Path("shared/out.txt"),
    "within dots": lambda folder: Path("shared/../filing.py"),
    "beside within": lambda folder: Path("shared-not/a.txt"),
    "nothing": lambda folder: None,
}

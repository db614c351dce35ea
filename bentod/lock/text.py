"""Reads the text of a lock file or of a requirements file: within limits, as UTF-8, or says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

from bentod.errors import Problem, SpecError


def read_text(path: Path, most_bytes: int, hint: str = "") -> str | None:
    """What the file holds, with `\\n` at each line's end; None if there is none. Raises SpecError."""
    file = str(path)
    try:
        if not path.is_file():
            if not path.exists() and not path.is_symlink():
                return None
            raise SpecError([Problem("unreadable", "this is not a file", file, hint=hint)])
        with path.open("rb") as stream:
            data = stream.read(most_bytes + 1)
    except OSError as error:
        message = f"the file cannot be read: {error.strerror or error}"
        raise SpecError([Problem("unreadable", message, file, hint="see who may read it")]) from None
    if len(data) > most_bytes:
        message = f"the file is larger than {most_bytes >> 20} MiB"
        raise SpecError([Problem("too-large", message, file, hint=hint)])
    return decoded(data, file, hint)


def decoded(data: bytes, file: str, hint: str = "") -> str:
    """The text of UTF-8 bytes without NUL. Raises SpecError."""
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecError([Problem("syntax", "the file is not UTF-8", file, line, 1, hint=hint)]) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise SpecError([Problem("syntax", "the file holds a NUL character", file, line, 1, hint=hint)])
    return text.replace("\r\n", "\n")

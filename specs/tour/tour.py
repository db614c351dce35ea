"""What `bentofile.example.yaml` serves: functions for one call and for many, a generator, and a class with hooks."""

import gzip
import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


def shout(text: str) -> str:
    """One positional argument: the input is no object."""
    return text.upper() + "!"


def center(points: np.ndarray) -> np.ndarray:
    """A tensor comes as an array of the declared dtype and shape."""
    if not len(points):
        raise ValueError("there are no points")
    return points.mean(axis=0, dtype=np.float64)


def measure(text: list[str]) -> list[int]:
    """`takes: columns`: a list with the text of each call, and a list with the answer to each."""
    return [len(one) for one in text]


def scale(points: np.ndarray, by: float) -> np.ndarray:
    """`takes: rows`: the points of all calls that run together, and what is the same for all of them."""
    return points * np.float32(by)


def invert(picture: Image.Image) -> Image.Image:
    """An image comes decoded and goes out as the client asks, else as PNG."""
    return ImageOps.invert(picture.convert("RGB"))


def pack(file: Path) -> Path:
    """A file comes as a path. What is made beside it lives as long as the call."""
    packed = file.with_name(f"{file.name}.gz")
    packed.write_bytes(gzip.compress(file.read_bytes(), mtime=0))
    return packed


def packed(_: None) -> Path:
    """A file of the project, in a folder that the schema allows."""
    return Path(__file__).with_name("hello.txt.gz")


def digest(data: bytes) -> str:
    """Bytes come as they are."""
    return hashlib.sha256(data).hexdigest()[:8]


def words(text: str) -> Iterator[str]:
    """Each `yield` is a chunk of the stream."""
    yield from text.split()


class WordCounter:
    """Constructed once per worker, with the service's `init`."""

    def __init__(self, stop_words, greeting="hello"):
        self.stop_words = frozenset(stop_words)
        self.greeting = greeting
        self.warm = False

    def start(self):
        """Runs before the worker is ready."""
        self.count(self.greeting)
        self.warm = True

    def ready(self):
        """Asked now and then; false takes the worker out of rotation."""
        return self.warm

    def stop(self):
        """Runs before the worker ends."""
        self.warm = False

    def count(self, text, most=3):
        """The most frequent words of a text."""
        if not text.strip():
            raise ValueError("the text has no words")
        words = Counter(word for word in text.lower().split() if word not in self.stop_words)
        found = words.most_common(int(most))  # JSON's 3.0 is an integer too
        return [{"word": word, "times": times} for word, times in found]

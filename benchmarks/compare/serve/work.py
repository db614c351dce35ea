"""The work itself, the same for every server: one value at a time, or many at once. Nothing here knows a server."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

TOKENS = 128
"""That go through the network at once."""


class Echo:
    """Four numbers, as they came."""

    def one(self, x: list[float]) -> list[float]:
        return x

    def many(self, x: list[list[float]]) -> list[list[float]]:
        return x

    async def one_async(self, x: list[float]) -> list[float]:
        return x

    async def many_async(self, x: list[list[float]]) -> list[list[float]]:
        return x


class Embed:
    """Sentences become vectors, by the example in `specs/embeddings`.

    Many go through the network in groups of like length: padding costs as much as words do, and arrays that do not fit
    into the caches cost more."""

    def __init__(self) -> None:
        sys.path.append(str(Path(os.environ["COMPARE_SPECS"]) / "embeddings"))
        from embeddings import Embedder

        embedder = Embedder()
        self.tokenizer, self.model = embedder.tokenizer, embedder.model
        self.tokenizer.no_padding()

    def one(self, x: str) -> Any:
        return self.many([x])[0]

    def many(self, x: list[str]) -> Any:
        tokens = [encoding.ids for encoding in self.tokenizer.encode_batch(x)]
        vectors = np.empty((len(x), 384), np.float32)
        for group in self._groups([len(one) for one in tokens]):
            longest = len(tokens[group[-1]])
            ids, mask = np.zeros((len(group), longest), np.int64), np.zeros((len(group), longest), np.float32)
            for row, number in enumerate(group):
                ids[row, : len(tokens[number])] = tokens[number]
                mask[row, : len(tokens[number])] = 1
            vectors[group] = self.model.embed(ids, mask)
        return vectors

    def _groups(self, lengths: list[int]) -> list[list[int]]:
        groups: list[list[int]] = []
        for number in sorted(range(len(lengths)), key=lengths.__getitem__):
            if groups and lengths[number] * (len(groups[-1]) + 1) <= TOKENS:
                groups[-1].append(number)
            else:
                groups.append([number])
        return groups


class Iris:
    """Four measurements become three probabilities, by the example in `specs/iris`."""

    def __init__(self) -> None:
        sys.path.append(str(Path(os.environ["COMPARE_SPECS"]) / "iris"))
        from iris import Classifier

        self.forest = Classifier().forest

    def one(self, x: list[float]) -> Any:
        return self.forest.predict_proba([x])[0]

    def many(self, x: list[list[float]]) -> Any:
        return self.forest.predict_proba(x)


class Image:
    """A picture becomes its size, once all of its pixels are decoded."""

    def one(self, x: Any) -> list[int]:
        x.load()
        return list(x.size)


def opened(body: bytes) -> Any:
    """A picture from the bytes of its file."""
    from PIL import Image as Pillow

    return Pillow.open(io.BytesIO(body))


def listed(answer: Any) -> Any:
    """An answer as JSON has it."""
    return answer.tolist() if hasattr(answer, "tolist") else answer


WORK: dict[str, Any] = {"echo": Echo, "embed": Embed, "iris": Iris, "image": Image}

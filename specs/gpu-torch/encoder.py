"""The network of all-MiniLM-L6-v2, a six-layer BERT, of PyTorch's layers: token ids in, a unit vector per text out."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

LAYERS = 6
HEADS = 12
DIMENSIONS = 384
INNER = 1536
WORDS = 30522
POSITIONS = 512
EPSILON = 1e-12


class Encoder(nn.Module):
    """Embeddings, six layers of attention, and the mean over a text's tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, DIMENSIONS)
        self.positions = nn.Embedding(POSITIONS, DIMENSIONS)
        self.segments = nn.Embedding(2, DIMENSIONS)
        self.normalise = nn.LayerNorm(DIMENSIONS, EPSILON)
        layer = nn.TransformerEncoderLayer(
            DIMENSIONS, HEADS, INNER, activation="gelu", layer_norm_eps=EPSILON, batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """One row for each text, from one row of token ids for each; `mask` is 1 for a token and 0 for padding."""
        places = torch.arange(ids.shape[1], device=ids.device)
        embedded = self.words(ids) + self.positions(places) + self.segments.weight[0]
        states = self.layers(self.normalise(embedded), src_key_padding_mask=mask == 0)
        weights = mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(dim=1) / weights.sum(dim=1)
        return nn.functional.normalize(mean, dim=1)


def load(weights: Path, device: torch.device) -> Encoder:
    """The network with its weights, on its device, ready to answer."""
    encoder = Encoder()
    encoder.load_state_dict(renamed(load_file(weights)))
    return encoder.to(device).eval()


def renamed(saved: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights as BERT calls them, by the names that PyTorch's layers have. Query, key and value are one there."""
    found = {
        "words.weight": saved["embeddings.word_embeddings.weight"],
        "positions.weight": saved["embeddings.position_embeddings.weight"],
        "segments.weight": saved["embeddings.token_type_embeddings.weight"],
    }
    for kind in ("weight", "bias"):
        found[f"normalise.{kind}"] = saved[f"embeddings.LayerNorm.{kind}"]
        for index in range(LAYERS):
            layer, bert = f"layers.layers.{index}", f"encoder.layer.{index}"
            roles = [saved[f"{bert}.attention.self.{role}.{kind}"] for role in ("query", "key", "value")]
            found |= {
                f"{layer}.self_attn.in_proj_{kind}": torch.cat(roles),
                f"{layer}.self_attn.out_proj.{kind}": saved[f"{bert}.attention.output.dense.{kind}"],
                f"{layer}.norm1.{kind}": saved[f"{bert}.attention.output.LayerNorm.{kind}"],
                f"{layer}.linear1.{kind}": saved[f"{bert}.intermediate.dense.{kind}"],
                f"{layer}.linear2.{kind}": saved[f"{bert}.output.dense.{kind}"],
                f"{layer}.norm2.{kind}": saved[f"{bert}.output.LayerNorm.{kind}"],
            }
    return {name: tensor.float() for name, tensor in found.items()}

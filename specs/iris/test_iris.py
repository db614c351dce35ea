"""The classifier, called directly and over HTTP."""

import pytest

pytest.importorskip("sklearn", reason="specs/iris/requirements.txt is not installed")

from iris import Classifier

VIRGINICA = {"sepal_length": 6.5, "sepal_width": 3.0, "petal_length": 5.8, "petal_width": 2.2}
SWAPPED = VIRGINICA | {"petal_length": 2.2, "petal_width": 5.8}


def columns(*flowers):
    return {name: [flower[name] for flower in flowers] for name in VIRGINICA}


@pytest.fixture(scope="module")
def classifier():
    return Classifier(estimators=50, seed=0)


def test_most_of_the_data_is_recognised(classifier):
    from sklearn.datasets import load_iris

    data = load_iris()
    found = classifier.classify(*data.data.T.tolist())
    right = [
        max(found, key=found.get) == data.target_names[kind] for found, kind in zip(found, data.target, strict=True)
    ]
    assert sum(right) > 140


def test_probabilities_are_plain_floats_that_sum_to_one(classifier):
    (probabilities,) = classifier.classify(**columns(VIRGINICA))
    assert {type(key) for key in probabilities} == {str}
    assert {type(value) for value in probabilities.values()} == {float}
    assert sum(probabilities.values()) == pytest.approx(1)


def test_the_seed_decides(classifier):
    again = Classifier(estimators=50, seed=0)
    assert again.classify(**columns(VIRGINICA)) == classifier.classify(**columns(VIRGINICA))


def test_swapped_petal_measures_are_refused_and_nothing_else(classifier):
    refused, fine = classifier.classify(**columns(SWAPPED, VIRGINICA))
    assert isinstance(refused, ValueError)
    assert max(fine, key=fine.get) == "virginica"


@pytest.mark.e2e
def test_over_http(app):
    status, _, probabilities = app.post("/classify", VIRGINICA)
    assert status == 200
    assert max(probabilities, key=probabilities.get) == "virginica"


@pytest.mark.e2e
def test_the_errors_map_turns_an_exception_into_an_answer(app):
    status, headers, problem = app.post("/classify", SWAPPED)
    assert (status, problem["code"]) == (422, "target-raised")
    assert "swapped" in problem["detail"]
    assert headers["content-type"] == "application/problem+json"


@pytest.mark.e2e
def test_the_schema_names_everything_that_is_wrong(app):
    status, _, problem = app.post("/classify", {"sepal_length": "long", "petal_width": -1})
    assert (status, problem["code"]) == (422, "invalid-input")
    assert {"/sepal_length", "/petal_width"} <= {error["pointer"] for error in problem["errors"]}
    assert "petal_length" in str(problem["errors"])

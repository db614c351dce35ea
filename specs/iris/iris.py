"""Which iris is it? A random forest that learns from scikit-learn's own copy of the data when it is constructed."""

from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

SWAPPED = ValueError("an iris has petals that are longer than they are wide: were the two swapped?")
"""In place of one flower's answer: that caller's failure, and nobody else's."""


class Classifier:
    """Constructed once per worker, with the arguments that the spec gives under `init`."""

    def __init__(self, estimators: int = 100, seed: int = 0) -> None:
        data = load_iris()
        self.species = [str(name) for name in data.target_names]
        self.forest = RandomForestClassifier(n_estimators=estimators, random_state=seed).fit(data.data, data.target)

    def classify(
        self, sepal_length: list[float], sepal_width: list[float], petal_length: list[float], petal_width: list[float]
    ) -> list[dict[str, float] | ValueError]:
        """The probability of each species, for flowers measured in centimetres: entry i of every list is flower i.

        A forest of 100 trees takes nearly the same time for one flower as for thirty.
        """
        flowers = list(zip(sepal_length, sepal_width, petal_length, petal_width, strict=True))
        found = self.forest.predict_proba(flowers).tolist()
        return [
            SWAPPED if petal_width > petal_length else dict(zip(self.species, probabilities, strict=True))
            for (_, _, petal_length, petal_width), probabilities in zip(flowers, found, strict=True)
        ]

"""Which iris is it? A random forest that learns from scikit-learn's own copy of the data when it is constructed."""

from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier


class Classifier:
    """Constructed once per worker, with the arguments that the spec gives under `init`."""

    def __init__(self, estimators: int = 100, seed: int = 0) -> None:
        data = load_iris()
        self.species = [str(name) for name in data.target_names]
        self.forest = RandomForestClassifier(n_estimators=estimators, random_state=seed).fit(data.data, data.target)

    def classify(
        self, sepal_length: float, sepal_width: float, petal_length: float, petal_width: float
    ) -> dict[str, float]:
        """The probability of each species, for one flower measured in centimetres."""
        if petal_width > petal_length:
            raise ValueError("an iris has petals that are longer than they are wide: were the two swapped?")
        flower = [[sepal_length, sepal_width, petal_length, petal_width]]
        return dict(zip(self.species, self.forest.predict_proba(flower)[0].tolist(), strict=True))

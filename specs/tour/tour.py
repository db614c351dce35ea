"""What `bentofile.example.yaml` serves: two plain functions, and a class with hooks."""

from collections import Counter


def shout(text: str) -> str:
    """One positional argument: the input is no object."""
    return text.upper() + "!"


class WordCounter:
    """Constructed once per worker, with the service's `init`."""

    def __init__(self, stop_words, greeting="hello"):
        self.stop_words = frozenset(stop_words)
        self.greeting = greeting
        self.warm = False

    def start(self):
        """Runs before the worker is ready."""
        self.count(self.greeting)
        self.warm = True

    def ready(self):
        """Asked now and then; false takes the worker out of rotation."""
        return self.warm

    def stop(self):
        """Runs before the worker ends."""
        self.warm = False

    def count(self, text, most=3):
        """The most frequent words of a text."""
        if not text.strip():
            raise ValueError("the text has no words")
        words = Counter(word for word in text.lower().split() if word not in self.stop_words)
        return [{"word": word, "times": times} for word, times in words.most_common(most)]

"""A language model of nothing but the standard library: which letter follows the last few, in Python's own manual?

It talks like the manual and understands nothing, but it is a real model: it learns when it starts, gives one token at a
time, and temperature and seed do what they do elsewhere.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pydoc_data.topics import topics
from random import Random

Message = dict[str, str]


class Chat:
    """Constructed once per worker: counts which letter follows each of the texts of up to `order` letters."""

    def __init__(self, order: int = 7, letters: int = 200_000) -> None:
        text = manual()[:letters]
        self.order = order
        self.followers: dict[str, Counter[str]] = defaultdict(Counter)
        for length in range(order + 1):
            for place in range(length, len(text)):
                self.followers[text[place - length : place]][text[place]] += 1

    def reply(
        self, messages: list[Message], max_tokens: int = 200, temperature: float = 0.7, seed: int | None = None
    ) -> Iterator[dict[str, str]]:
        """What follows the last message, in pieces of one letter."""
        for letter in self.complete(messages[-1]["content"] + "\n\n", max_tokens, temperature, seed):
            yield {"text": letter}

    def complete(
        self, prompt: str, max_tokens: int = 200, temperature: float = 0.7, seed: int | None = None
    ) -> Iterator[str]:
        """What follows a text, letter by letter."""
        random = Random(seed)  # noqa: S311 (it draws letters, not secrets)
        context = prompt[-self.order :]
        for _ in range(int(max_tokens)):  # JSON's 20.0 is an integer too
            letter = self._next(context, temperature, random)
            yield letter
            context = (context + letter)[-self.order :]

    def _next(self, context: str, temperature: float, random: Random) -> str:
        while context not in self.followers:
            context = context[1:]
        seen = self.followers[context]
        if not temperature:
            return max(seen, key=lambda letter: (seen[letter], letter))
        most = max(seen.values())  # scaled by it, no power is too large for a float
        return random.choices(list(seen), [(times / most) ** (1 / temperature) for times in seen.values()])[0]


def manual() -> str:
    """The topics of Python's `help()`, without indentation and the headings' underlines."""
    text = "\n\n".join(topics[name].strip() for name in sorted(topics))
    return re.sub(r"\n[*=~^-]{3,}\n", "\n", re.sub(r" +", " ", text))

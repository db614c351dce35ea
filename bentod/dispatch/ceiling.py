"""How large batches may be, once one has run out of memory: learned from batches, by nothing but their sizes."""

from __future__ import annotations

from heapq import heapreplace
from typing import NamedTuple

_OFTEN = 3  # batches of a size that went well: memory for it is there
_SHIFTS = 2  # how often that may turn out to be true no longer


class Lesson(NamedTuple):
    """What became of a batch of this `size` that ran out of memory: see `bentod.wire.entries`, SQUEEZED."""

    size: int
    well: int
    again: int


class Ceiling:
    """No batch may be larger than `most`, since one ran out of memory `at` some size; 0: none has. It only sinks, but
    for a guess that was wrong.

    - Both halves went well: their size is the ceiling.
    - A part ran out of memory again: half of it is a guess, so that the next batches have a chance. If even calls that
      are alone run out of memory, it is not the size that matters: the guess is given up, and there are no more.
    - A size that has often gone well is not the reason. Only three such surprises, with no batch between them that was
      as large and went well, count as one; and no more than twice: what comes by chance shall not make batches small.

    Tell it by `went_well` of batches that are larger than `hears`.
    """

    __slots__ = ("_guesses", "_large", "_learned", "_shifts", "_surprised", "_surprises", "at", "hears", "most")

    def __init__(self) -> None:
        self.most = self.at = 0
        self.hears = 0
        self._learned = (0, 0)
        self._large = [0] * _OFTEN
        self._surprises = self._surprised = 0
        self._shifts = _SHIFTS
        self._guesses = True

    def went_well(self, size: int) -> None:
        """A batch of this size had memory enough."""
        if size > self._large[0]:
            heapreplace(self._large, size)
        if size >= self._surprised:
            self._surprises = 0
        self._listen()

    def ran_out(self, lesson: Lesson) -> bool:
        """A batch did not. Returns whether another ceiling holds from now on."""
        if lesson.again == 1:
            return not lesson.well and self._give_up()
        if self._surprising(lesson.again or lesson.size):
            return False
        if not lesson.again:
            return self._sink(lesson.well, lesson.size, learned=True)
        guess = max(2, lesson.again // 2)
        if guess >= lesson.size:
            return self._give_up()
        return self._guesses and self._sink(guess, lesson.again, learned=False)

    def adopt(self, most: int, at: int) -> bool:
        """Somebody else has learned it. Returns whether it is news."""
        return most > 0 and self._sink(most, at, learned=False)

    def _sink(self, most: int, at: int, *, learned: bool) -> bool:
        if learned and (not self._learned[0] or most < self._learned[0]):
            self._learned = most, at
        if self.most and most >= self.most:
            return False
        self.most, self.at = most, at
        return True

    def _give_up(self) -> bool:
        """What was only guessed holds no more."""
        self._guesses = False
        before, (self.most, self.at) = self.most, self._learned
        return self.most != before

    def _surprising(self, failed: int) -> bool:
        """Whether batches of this size have gone well too often for this one to say anything."""
        if failed > self._large[0]:
            return False
        self._surprised = min(failed, self._surprised) if self._surprises else failed
        self._surprises += 1
        if self._surprises < _OFTEN or not self._shifts:
            self._listen()
            return True
        self._shifts -= 1
        self._surprises, self._large = 0, [0] * _OFTEN
        self._listen()
        return False

    def _listen(self) -> None:
        self.hears = min(self._large[0], self._surprised - 1) if self._surprises else self._large[0]

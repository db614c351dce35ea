"""The learned policy against fixed windows, simulated: `benchmarks/batching.py` does the same for more settings."""

from __future__ import annotations

import pytest

from tests.support.simulation import (
    CURVES,
    MOST,
    QUEUE,
    WINDOWS,
    Learned,
    Setting,
    Window,
    compare,
    mean_ratios,
    simulate,
)

OPEN = [
    Setting(curve, arrivals=arrivals, load=load, calls=2_500)
    for curve in ("flat", "linear", "stepped")
    for arrivals in ("poisson", "bursts")
    for load in (0.02, 0.3, 0.6, 1.2)
]
CLOSED = [
    Setting(curve, "closed", clients=clients, calls=4_000) for curve in ("flat", "linear") for clients in (1, 8, 32)
]


@pytest.fixture(scope="module")
def cells():
    return [compare(setting, seeds=1) for setting in OPEN + CLOSED]


def test_it_is_near_the_best_window_everywhere(cells):
    assert {cell.setting: cell.ratios[-1] for cell in cells if cell.ratios[-1] > 1.05} == {}


def test_it_is_better_than_every_window_over_all(cells):
    *windows, learned = mean_ratios(cells)
    assert learned < min(windows)


def test_bursts_and_clients_that_come_back_together_share_batches(cells):
    """Where knowing when to stop is worth more than any window."""
    burst = next(cell for cell in cells if (cell.setting.arrivals, cell.setting.curve) == ("bursts", "flat"))
    closed = next(cell for cell in cells if (cell.setting.clients, cell.setting.curve) == (8, "flat"))
    assert burst.ratios[-1] < 0.95
    assert closed.ratios[-1] < 0.8


def test_it_is_deterministic():
    setting = Setting("stepped", "bursts", load=0.4, calls=1_000)
    assert simulate(setting, Learned()).latencies == simulate(setting, Learned()).latencies


def test_no_delay_is_no_window():
    setting = Setting("flat", "bursts", load=0.2, calls=2_000)
    assert simulate(setting, Learned(max_delay_s=0.0)).latencies == simulate(setting, Window(0.0)).latencies


def test_a_lonely_client_never_waits():
    setting = Setting("flat", "closed", clients=1, calls=1_000)
    assert simulate(setting, Learned()).latencies == simulate(setting, Window(0.0)).latencies


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_batches_and_queues_keep_their_bounds(slots):
    seen = simulate(Setting("linear", load=2.0, slots=slots, calls=4_000), Learned())
    assert max(seen.sizes) == MOST
    assert seen.refused > 0
    assert max(seen.latencies) < (QUEUE / MOST / slots + 2) * CURVES["linear"](MOST) * 1.3


@pytest.mark.parametrize("curve", ["flat", "linear"])
def test_several_slots_are_not_far_from_the_best_window_either(curve):
    cells = [
        compare(Setting(curve, a, load=load, slots=2, calls=2_000), 1)
        for a in ("poisson", "bursts")
        for load in (0.05, 0.5)
    ]
    *windows, learned = mean_ratios(cells)
    assert learned <= min(windows) * 1.03
    assert len(windows) == len(WINDOWS)


def test_a_cost_that_jumps_tenfold_is_followed(monkeypatch):
    """In the middle of the run the callable becomes ten times as slow; holding is then judged by the new cost."""
    ran = 0

    def cost(n):
        nonlocal ran
        ran += 1
        return 0.0005 if ran < 300 else 0.005

    monkeypatch.setitem(CURVES, "jumps", cost)
    setting = Setting("jumps", "closed", clients=8, calls=8_000)
    learned = simulate(setting, Learned()).mean_s
    ran = 0
    assert learned < 0.85 * simulate(setting, Window(0.0)).mean_s

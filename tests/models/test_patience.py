"""How often something is tried again, and how long is waited before."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentod.models.orders import Limits, Order, Said, decode_order, decode_said, encode_order, encode_said
from bentod.models.patience import Passing, Stopped, delay_s, patiently
from bentod.models.progress import Listing, Offered, Progress
from bentod.plan.models import Located, ModelPlan

LIMITS = Limits(retries=4, delay_s=1, longest_delay_s=5, longest_wait_s=60)


class Stop:
    """An event that waits for nothing, and writes down for how long."""

    def __init__(self, after=99):
        self.waits = []
        self._after = after

    def is_set(self):
        return len(self.waits) >= self._after

    def wait(self, seconds):
        self.waits.append(seconds)


def failing(times, **more):
    left = [Passing("no", **more)] * times

    def attempt():
        if left:
            raise left.pop()
        return "done"

    return attempt


def test_it_is_tried_again_after_longer_and_longer_times():
    stop = Stop()
    assert patiently(failing(4), LIMITS, stop) == "done"
    assert stop.waits == [1, 2, 4, 5]


def test_it_is_given_up():
    stop = Stop()
    with pytest.raises(Passing):
        patiently(failing(5), LIMITS, stop)
    assert len(stop.waits) == 4


def test_a_hub_is_waited_for_as_long_as_it_asks_but_not_for_a_day():
    stop = Stop()
    assert patiently(failing(2, wait_s=30.0), LIMITS, stop) == "done"
    assert stop.waits == [30, 30]
    with pytest.raises(Passing):
        patiently(failing(1, wait_s=61.0), LIMITS, stop)


def test_what_gets_on_is_not_given_up():
    reached = iter(range(1, 100))
    assert patiently(failing(20), LIMITS, Stop(), lambda: next(reached)) == "done"


def test_what_gets_back_to_where_it_was_is_given_up():
    reached = iter([0, 10, 5, 10, 5, 10, 5, 10])
    with pytest.raises(Passing):
        patiently(failing(20), LIMITS, Stop(), lambda: next(reached))


def test_it_stops():
    with pytest.raises(Stopped):
        patiently(failing(3), LIMITS, Stop(after=1))


@given(st.integers(1, 1000), st.none() | st.floats(0, 1e9))
def test_no_wait_is_longer_than_the_limits(failures, asked):
    wait = delay_s(LIMITS, failures, asked)
    assert wait is None or 0 <= wait <= (LIMITS.longest_delay_s if asked is None else LIMITS.longest_wait_s)
    assert failures <= LIMITS.retries or wait is None


TEXT = st.text(max_size=20)
NUMBER = st.integers(0, 1 << 60)
MODEL = st.builds(ModelPlan, TEXT, st.sampled_from(["path", "store", "hf"]), TEXT, TEXT, st.lists(TEXT).map(tuple))
SAID = st.one_of(
    st.builds(Said, progress=st.builds(Progress, TEXT, NUMBER, NUMBER, NUMBER, TEXT, st.just("fetching"), TEXT)),
    st.builds(Said, located=st.builds(Located, TEXT, TEXT, TEXT, TEXT, TEXT, NUMBER, NUMBER)),
    st.builds(
        Said, listing=st.builds(Listing, TEXT, st.lists(st.builds(Offered, TEXT, NUMBER, TEXT, TEXT)).map(tuple))
    ),
    st.builds(Said, error=st.text(min_size=1)),
)


@settings(max_examples=40)
@given(st.lists(MODEL, max_size=3).map(tuple), SAID)
def test_what_is_said_is_one_line_and_heard_as_it_was(models, said):
    order = Order("fetch", models, "/home", LIMITS)
    assert decode_order(encode_order(order)) == order
    assert decode_said(encode_said(said)) == said
    assert encode_order(order).count(b"\n") == encode_said(said).count(b"\n") == 1


@pytest.mark.parametrize(
    "line", [b"", b"hello\n", b"[]\n", b'{"x": 1}\n', b'{"progress": {"x": 1}}\n', b"\xff\n", b"1\n"]
)
def test_what_is_no_line_of_theirs(line):
    with pytest.raises(ValueError):  # noqa: PT011 - that is what it raises
        decode_said(line)

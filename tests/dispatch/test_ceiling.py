"""What is learned of batches that ran out of memory: by size alone, and never for nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.dispatch.ceiling import Ceiling, Lesson

FULL = 32


def known(*sizes):
    """After batches of these sizes went well."""
    ceiling = Ceiling()
    for size in sizes:
        ceiling.went_well(size)
    return ceiling


def said(ceiling):
    return ceiling.most, ceiling.at


class Worker:
    """Serves batches of what runs out of memory if `fails(size)`, as a worker does, and tells its ceiling."""

    def __init__(self, fails, *, retry=True):
        self.fails, self.retry = fails, retry
        self.ceiling = Ceiling()
        self.changes = 0
        self.lost = 0

    def batch(self, waiting=FULL):
        size = min(waiting, self.ceiling.most or FULL)
        if not self.fails(size):
            if size > self.ceiling.hears:
                self.ceiling.went_well(size)
        elif size == 1:
            self.lost += 1
        elif not self.retry:
            self.lost += size
            self.changes += self.ceiling.ran_out(Lesson(size, 0, size))
        else:
            parts = [size // 2, size - size // 2]
            failed = [part for part in parts if self.fails(part)]
            self.lost += sum(failed)
            well = max((part for part in parts if part not in failed), default=0)
            self.changes += self.ceiling.ran_out(Lesson(size, well, min(failed, default=0)))
        return size


def test_halves_that_went_well_are_the_ceiling():
    ceiling = Ceiling()
    assert said(ceiling) == (0, 0)
    assert ceiling.ran_out(Lesson(31, 16, 0))
    assert said(ceiling) == (16, 31)
    assert not ceiling.ran_out(Lesson(32, 16, 0))  # it ran already when the first was known
    assert said(ceiling) == (16, 31)
    assert ceiling.ran_out(Lesson(12, 6, 0))
    assert said(ceiling) == (6, 12)


def test_a_part_that_fails_again_leads_to_a_guess():
    ceiling = Ceiling()
    assert ceiling.ran_out(Lesson(64, 0, 32))
    assert said(ceiling) == (16, 32)
    assert not ceiling.ran_out(Lesson(64, 32, 32))
    assert ceiling.ran_out(Lesson(16, 8, 8))
    assert said(ceiling) == (4, 8)


def test_one_bad_call_says_nothing_about_sizes():
    ceiling = known(16, 16, 16)
    assert not ceiling.ran_out(Lesson(32, 16, 16))
    assert not ceiling.ran_out(Lesson(16, 8, 8))
    assert not ceiling.ran_out(Lesson(3, 2, 1))
    assert said(ceiling) == (0, 0)


def test_what_fails_even_alone_is_no_matter_of_size():
    ceiling = Ceiling()
    assert ceiling.ran_out(Lesson(32, 0, 16))
    assert ceiling.ran_out(Lesson(2, 0, 1))
    assert said(ceiling) == (0, 0)
    assert not ceiling.ran_out(Lesson(32, 0, 16))  # it does not begin again
    assert ceiling.ran_out(Lesson(32, 16, 0))
    assert not ceiling.ran_out(Lesson(2, 0, 1))  # what was learned for sure stays
    assert said(ceiling) == (16, 32)


def test_a_size_that_went_well_fails_three_times_before_it_counts():
    ceiling = known(32, 32, 32)
    assert [ceiling.ran_out(Lesson(32, 16, 0)) for _ in range(3)] == [False, False, True]
    assert said(ceiling) == (16, 32)


def test_one_that_goes_well_between_them_says_otherwise():
    ceiling = known(32, 32, 32)
    for _ in range(10):
        assert not ceiling.ran_out(Lesson(32, 16, 0))
        assert not ceiling.ran_out(Lesson(30, 15, 0))
        assert ceiling.hears < 30
        ceiling.went_well(31)
        assert ceiling.hears == 32
    smaller = known(32, 32, 32)
    for size in (32, 32, 32):
        changed = smaller.ran_out(Lesson(size, 16, 0))
        smaller.went_well(20)
    assert changed


def test_that_happens_twice_at_most():
    ceiling = known(32, 32, 32)
    found = []
    for _ in range(10):
        for _ in range(3):
            ceiling.ran_out(Lesson(ceiling.most or 32, (ceiling.most or 32) // 2, 0))
        for _ in range(3):
            ceiling.went_well(ceiling.most)
        found.append(ceiling.most)
    assert found == [16] + [8] * 9


def test_others_tell_what_they_have_learned():
    ceiling = Ceiling()
    assert not ceiling.adopt(0, 0)
    assert ceiling.adopt(16, 32)
    assert not ceiling.adopt(16, 32)
    assert not ceiling.adopt(20, 40)
    assert ceiling.adopt(8, 16)
    assert said(ceiling) == (8, 16)


@pytest.mark.parametrize("retry", [True, False])
@given(limit=st.integers(1, 40), traffic=st.lists(st.integers(1, FULL), min_size=1, max_size=30))
def test_whatever_fits_is_found_and_then_nothing_fails(retry, limit, traffic):
    """Of a callable with room for so many, at most some batches for each halving are lost; then all is well."""
    if not retry and limit < 2:
        return  # without a second run nobody sees that calls go well alone
    worker = Worker(lambda size: size > limit, retry=retry)
    for waiting in traffic * 10:
        worker.batch(waiting)
    for _ in range(20):
        worker.batch()
    lost, changes = worker.lost, worker.changes
    for waiting in [*traffic, FULL]:
        assert worker.batch(waiting) <= limit
    assert (worker.lost, worker.changes) == (lost, changes)
    assert changes <= 6
    most = worker.ceiling.most
    assert most == 0 or (1 <= most <= limit < FULL)
    assert not most or 4 * most >= limit


@pytest.mark.parametrize("retry", [True, False])
def test_what_always_fails_leads_nowhere(retry):
    worker = Worker(lambda size: True, retry=retry)
    for _ in range(1000):
        worker.batch()
    assert worker.ceiling.most == 0
    assert worker.changes <= 6


@pytest.mark.parametrize("seed", range(20))
def test_what_fails_by_chance_does_not_make_batches_small_forever(seed):
    chance = random.Random(seed)
    worker = Worker(lambda size: chance.random() < 0.05)
    for _ in range(20):
        worker.batch()
    before = worker.ceiling.most or FULL
    for _ in range(20_000):
        worker.batch()
    assert (worker.ceiling.most or FULL) >= before // 8
    assert before >= 8


@given(
    st.lists(
        st.one_of(
            st.integers(1, 64),
            st.tuples(st.integers(2, 64), st.integers(0, 64), st.integers(0, 64)),
        ),
        max_size=200,
    )
)
def test_whatever_is_told_it_stays_a_ceiling(told):
    ceiling, learned = Ceiling(), 65
    for one in told:
        before = ceiling.most
        if isinstance(one, int):
            ceiling.went_well(one)
            assert ceiling.most == before
            continue
        size, well, again = one
        well, again = min(well, size - 1), min(again, size)
        if not well and not again:
            continue
        changed = ceiling.ran_out(Lesson(size, well, again))
        assert changed == (ceiling.most != before)
        assert 0 <= ceiling.most < 65
        assert ceiling.most or not ceiling.at
        assert ceiling.hears >= -1
        if not again and changed:
            learned = min(learned, ceiling.most)
        assert learned == 65 or 1 <= ceiling.most <= learned

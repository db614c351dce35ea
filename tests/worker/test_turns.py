"""Whose turn it is: the accounts of slots that several gateways share."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bentod.worker.turns import KEEP_S, Turns


def turns_of(slots=1, gateways=2):
    turns = Turns(slots)
    turns.gateways = gateways
    return turns


def test_as_many_as_there_are_slots_are_taken_and_then_none():
    turns = turns_of(slots=2)
    one = turns.take("a", 0.0)
    assert one is not None
    assert turns.take("a", 0.0) is not None
    assert turns.take("a", 0.0) is turns.take("b", 0.0) is turns.take("b", 0.0) is None
    assert turns.offers(1.0) == []
    turns.end(one, 1.0)
    assert turns.offers(1.0) == ["a"]
    assert turns.take("b", 1.0) is None
    assert turns.take("a", 1.0) is not None


def test_with_one_gateway_nothing_is_refused():
    turns = turns_of(gateways=1)
    tickets = [turns.take("a", 0.0) for _ in range(100)]
    assert None not in tickets
    turns.gateways = 2
    assert turns.take("b", 0.0) is None
    for second, ticket in enumerate(tickets, 1):
        assert turns.offers(float(second)) == []
        turns.end(ticket, float(second))
    assert turns.offers(100.0) == ["b"]


def test_who_was_refused_first_is_first_and_is_remembered_once():
    turns = turns_of()
    ticket = turns.take("x", 0.0)
    for who in "abacab":
        assert turns.take(who, 0.0) is None
    for who in "abc":
        turns.end(ticket, 1.0)
        assert turns.offers(1.0) == [who]
        ticket = turns.take(who, 1.0)
    turns.end(ticket, 1.0)
    assert turns.offers(1.0) == []
    assert not turns.contended


@pytest.mark.parametrize("how", ["passes", "leaves", "is silent"])
def test_a_slot_that_is_not_wanted_goes_to_the_next(how):
    turns = turns_of()
    ticket = turns.take("x", 0.0)
    assert turns.take("a", 0.0) is turns.take("b", 0.0) is None
    turns.end(ticket, 1.0)
    assert turns.offers(1.0) == ["a"]
    assert turns.offers(1.0 + KEEP_S / 2) == []
    now = 1.01
    if how == "passes":
        turns.give_back("a")
    elif how == "leaves":
        turns.leave("a")
    else:
        now = 1.0 + KEEP_S
    assert turns.offers(now) == ["b"]
    assert turns.take("a", now) is None
    assert turns.take("b", now) is not None


def test_to_pass_without_an_offer_changes_nothing():
    turns = turns_of()
    ticket = turns.take("x", 0.0)
    turns.take("a", 0.0)
    for who in "xab":
        turns.give_back(who)
    turns.end(ticket, 1.0)
    assert turns.offers(1.0) == ["a"]
    turns.give_back("b")
    assert turns.take("b", 1.0) is None


def test_what_begins_to_arrive_holds_a_slot_for_long():
    turns = turns_of()
    assert turns.reserve("a", 0.0)
    assert not turns.reserve("b", 1.0)
    assert turns.take("b", 1.0) is None
    assert turns.offers(5.0) == []
    assert turns.take("a", 5.0) is not None
    assert turns.reserve("b", 5.0) is False


def measured(run_s, slots=1):
    """Accounts that have seen calls of this length."""
    turns = turns_of(slots)
    for _ in range(50):
        turns.end(turns.take("a", 0.0), run_s)
    return turns


def taken(turns, who, now):
    count = 0
    while turns.take(who, now) is not None:
        count += 1
    return count


@pytest.mark.parametrize(
    ("run_s", "slots", "ahead"), [(0.01, 1, 0), (0.0005, 1, 0), (0.0002, 1, 2), (0.0001, 2, 10), (0.0, 1, 64)]
)
def test_short_calls_queue_if_they_will_begin_soon(run_s, slots, ahead):
    assert taken(measured(run_s, slots), "a", 1.0) == slots + ahead


def test_nothing_queues_behind_what_has_run_for_long():
    turns = measured(0.0001)
    assert turns.take("a", 1.0) is not None
    assert turns.take("a", 1.0005) is not None
    assert turns.take("a", 1.002) is None


def test_who_was_refused_gets_the_next_place_in_the_queue():
    turns = measured(0.0001)
    tickets = [turns.take("a", 1.0) for _ in range(6)]
    assert None not in tickets
    assert turns.take("b", 1.0) is None
    turns.end(tickets[0], 1.0001)
    assert turns.take("a", 1.0001) is None
    assert turns.offers(1.0001) == ["b"]
    assert turns.take("b", 1.0002) is not None


class Machine(RuleBasedStateMachine):
    """Whatever happens, in any order."""

    WHO = st.sampled_from("abc")

    def __init__(self):
        super().__init__()
        self.turns = turns_of(slots=2, gateways=3)
        self.now = 0.0
        self.tickets = []
        self.waiting = []  # refused and not offered since, in that order
        self.offered = {}

    def offers(self):
        for who in self.turns.offers(self.now):
            others = [one for one in self.waiting if one not in self.offered]
            assert others[0] == who
            self.waiting.remove(who)
            self.offered[who] = self.now

    @rule(who=WHO)
    def send(self, who):
        ticket = self.turns.take(who, self.now)
        if ticket is not None:
            assert ticket not in self.tickets
            self.tickets.append(ticket)
            self.offered.pop(who, None)
        else:
            assert who not in self.offered
            if who not in self.waiting:
                self.waiting.append(who)

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def end(self, data):
        ticket = data.draw(st.sampled_from(self.tickets))
        self.tickets.remove(ticket)
        self.turns.end(ticket, self.now)
        self.offers()

    @rule(who=WHO)
    def give_back(self, who):
        self.turns.give_back(who)
        self.offered.pop(who, None)
        self.offers()

    @rule(who=WHO)
    def leave(self, who):
        self.turns.leave(who)
        self.offered.pop(who, None)
        if who in self.waiting:
            self.waiting.remove(who)
        self.offers()

    @rule(seconds=st.sampled_from([0.0001, 0.001, 0.05, 0.2]))
    def go_on(self, seconds):
        self.now += seconds
        self.offered = {who: since for who, since in self.offered.items() if since + KEEP_S > self.now}
        self.offers()

    @invariant()
    def nobody_waits_while_a_slot_is_free(self):
        if [who for who in self.waiting if who not in self.offered]:
            assert len(self.tickets) + len(self.offered) >= 2

    @invariant()
    def no_more_is_taken_than_there_are_slots_and_what_will_soon_begin(self):
        assert len(self.tickets) <= 2 + 64 + 1

    def teardown(self):
        """In the end everybody has had a turn."""
        while self.tickets:
            self.turns.end(self.tickets.pop(), self.now)
        for _ in range(20):
            self.now += KEEP_S * 1.01
            self.offered.clear()
            self.offers()
        assert self.waiting == []
        assert not self.turns.contended


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)

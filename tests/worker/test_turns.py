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
    assert turns.offers(1.0) == [("a", 1)]
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
    assert turns.offers(100.0) == [("b", 1)]


def test_who_was_refused_first_is_first_and_is_remembered_once():
    turns = turns_of()
    ticket = turns.take("x", 0.0)
    for who in "abacab":
        assert turns.take(who, 0.0) is None
    for who in "abcab":
        turns.end(ticket, 1.0)
        assert turns.offers(1.0) == [(who, 1)]
        ticket = turns.take(who, 1.0)  # and stands at the end of the line again
    turns.end(ticket, 1.0)
    for who, refusals in (("c", 1), ("a", 3), ("b", 2)):
        assert turns.offers(1.0) == [(who, 1)]
        turns.give_back(who, refusals)
    assert turns.offers(1.0) == []
    assert not turns.contended


def test_who_passes_without_knowing_of_a_refusal_stays_in_line():
    turns = turns_of()
    ticket = turns.take("x", 0.0)
    assert turns.take("a", 0.0) is None
    turns.end(ticket, 1.0)
    assert turns.offers(1.0) == [("a", 1)]
    ticket = turns.take("a", 1.0)  # it was on its way already
    assert turns.take("a", 1.0) is None  # and so was this
    turns.give_back("a", 1)
    turns.end(ticket, 2.0)
    assert turns.offers(2.0) == [("a", 1)]


def test_silence_ends_the_offers_until_something_is_heard():
    turns = turns_of()
    ticket = turns.take("x", 0.0)
    assert turns.take("a", 0.0) is None
    turns.end(ticket, 1.0)
    for turn in range(3):
        assert turns.offers(1.0 + turn) == [("a", 1)]
    assert turns.offers(4.0) == []
    ticket = turns.take("a", 5.0)
    assert ticket is not None
    turns.end(ticket, 6.0)
    assert turns.offers(6.0) == [("a", 1)]


def test_several_slots_are_offered_at_once_and_shared():
    turns = turns_of(slots=6, gateways=3)
    tickets = [turns.take("x", 0.0) for _ in range(6)]
    assert turns.take("a", 0.0) is turns.take("b", 0.0) is None
    for ticket in tickets:
        turns.end(ticket, 1.0)
    assert turns.offers(1.0) == [("a", 3), ("b", 3)]
    assert taken(turns, "a", 1.0) == 3


@pytest.mark.parametrize("how", ["passes", "leaves", "is silent"])
def test_a_slot_that_is_not_wanted_goes_to_the_next(how):
    turns = turns_of()
    ticket = turns.take("x", 0.0)
    assert turns.take("a", 0.0) is turns.take("b", 0.0) is None
    turns.end(ticket, 1.0)
    assert turns.offers(1.0) == [("a", 1)]
    assert turns.offers(1.0 + KEEP_S / 2) == []
    now = 1.01
    if how == "passes":
        turns.give_back("a", 1)
    elif how == "leaves":
        turns.leave("a")
    else:
        now = 1.0 + KEEP_S
    assert turns.offers(now) == [("b", 1)]
    assert turns.take("a", now) is None
    assert turns.take("b", now) is not None


def test_to_pass_without_an_offer_changes_nothing():
    turns = turns_of()
    ticket = turns.take("x", 0.0)
    turns.take("a", 0.0)
    for who in "xab":
        turns.give_back(who, 0)
    turns.end(ticket, 1.0)
    assert turns.offers(1.0) == [("a", 1)]
    turns.give_back("b", 0)
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
    assert turns.offers(1.0001) == [("b", 1)]
    assert turns.take("b", 1.0002) is not None


class Machine(RuleBasedStateMachine):
    """Whatever happens, in any order."""

    WHO = st.sampled_from("abc")

    def __init__(self):
        super().__init__()
        self.turns = turns_of(slots=2, gateways=3)
        self.now = 0.0
        self.tickets = []
        self.relying = {}  # refused, and has not passed since: how often
        self.offered = {}  # how many, until when

    def offers(self):
        for who, slots in self.turns.offers(self.now):
            assert who in self.relying
            assert slots >= 1
            self.offered[who] = [slots, self.now + KEEP_S]

    @rule(who=WHO)
    def send(self, who):
        ticket = self.turns.take(who, self.now)
        if ticket is None:
            assert who not in self.offered, "what was offered is refused"
            self.relying[who] = self.relying.get(who, 0) + 1
        else:
            assert ticket not in self.tickets
            self.tickets.append(ticket)
            if who in self.offered:
                self.offered[who] = [self.offered[who][0] - 1, self.now + KEEP_S]
                if not self.offered[who][0]:
                    del self.offered[who]
        self.offers()

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def end(self, data):
        ticket = data.draw(st.sampled_from(self.tickets))
        self.tickets.remove(ticket)
        self.turns.end(ticket, self.now)
        self.offers()

    @rule(who=WHO, knows=st.booleans())
    def give_back(self, who, knows):
        refusals = self.turns._refusals.get(who, 0)
        self.turns.give_back(who, refusals if knows else refusals - 1)
        if knows:
            self.offered.pop(who, None)
            self.relying.pop(who, None)
        self.offers()

    @rule(who=WHO)
    def leave(self, who):
        self.turns.leave(who)
        self.offered.pop(who, None)
        self.relying.pop(who, None)
        self.offers()

    @rule(seconds=st.sampled_from([0.0001, 0.001, 0.05, 0.2]))
    def go_on(self, seconds):
        self.now += seconds
        self.offered = {who: offer for who, offer in self.offered.items() if offer[1] > self.now}
        self.offers()

    @invariant()
    def nobody_stands_in_line_while_a_slot_is_free(self):
        kept = sum(slots for slots, _ in self.offered.values())
        assert not self.turns._line or len(self.tickets) + kept >= 2

    @invariant()
    def who_was_refused_is_not_forgotten(self):
        for who in self.relying:
            assert who in self.turns._line or who in self.offered or who in self.turns._silent

    @invariant()
    def no_more_is_taken_than_there_are_slots_and_what_will_soon_begin(self):
        assert len(self.tickets) <= 2 + 64 + 1


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)

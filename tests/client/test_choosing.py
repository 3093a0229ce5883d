"""Whom to ask and whom to pay: properties of the order, over random answers."""

from dataclasses import replace
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from nearcast.chain.node_records import NodeRecord
from nearcast.client.choosing import (
    RTT_S_UNKNOWN,
    Offering,
    Payee,
    Prospect,
    affordable,
    expected_cost,
    expected_s,
    free_of_charge,
    in_order,
    promising,
    round_trip_s,
)
from nearcast.client.discovery import Outlook
from nearcast.delivery.messages import Holding, State
from nearcast.transport.base import PeerAddress

PRICE = 10_000  # units per GiB: 0.01 USDC
DEAREST = 50_000


def offering(
    number: int = 0,
    *,
    state: State = "all",
    price: int = PRICE,
    size_bytes: int | None = 1 << 30,
    answered_s: float = 0.05,
) -> Offering:
    return Offering(PeerAddress(number.to_bytes(32), ()), Holding(state, size_bytes, price), answered_s)


def payee(
    offered: Offering, *, mbps: int = 100, rate: float | None = None, channel: bool = False, active: bool = True
) -> Payee:
    record = NodeRecord(
        bytes(20), bytes(20), offered.address.endpoint_id, mbps, "eu", offered.holding.price, (), active, 1
    )
    return Payee(offered, record, rate, channel)


STATES = st.sampled_from(("all", "some", "relay"))
offerings = st.builds(
    lambda number, state, price, size, answered: offering(
        number, state=state, price=price, size_bytes=size, answered_s=answered
    ),
    st.integers(0, 1 << 32),
    STATES,
    st.integers(0, 2 * DEAREST),
    st.none() | st.integers(0, 1 << 50),
    st.floats(0, 10),
)
payees = st.builds(
    lambda offered, mbps, rate, channel, active: payee(offered, mbps=mbps, rate=rate, channel=channel, active=active),
    offerings.filter(lambda each: each.holding.price > 0),
    st.integers(1, 100_000),
    st.none() | st.floats(1, 1e10),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(offerings))
def test_for_free_nobody_is_asked_who_wants_money_and_relays_after_holders(answers: list[Offering]) -> None:
    groups = free_of_charge(answers)
    assert all(groups)
    asked = [each for group in groups for each in group]
    assert sorted(map(id, asked)) == sorted(id(each) for each in answers if each.holding.price == 0)
    assert [each.has_it for each in asked] == sorted((each.has_it for each in asked), reverse=True)
    assert all(len({each.has_it for each in group}) == 1 for group in groups)


@given(st.lists(offerings), st.integers(0, 2 * DEAREST))
def test_nobody_is_paid_more_than_the_limit(answers: list[Offering], limit: int) -> None:
    for each in affordable(answers, limit):
        assert 0 < each.holding.price <= limit


@given(st.lists(payees))
def test_the_order_is_of_the_active_ones_open_channels_first_then_the_cheapest(candidates: list[Payee]) -> None:
    order = in_order(candidates)
    assert all(each.node.active for each in order)
    assert len(order) == sum(each.node.active for each in candidates)
    assert [each.has_channel for each in order] == sorted((each.has_channel for each in order), reverse=True)
    for one, next_one in pairwise(order):
        if one.has_channel == next_one.has_channel:
            assert expected_cost(one) <= expected_cost(next_one)


@given(st.lists(payees, min_size=1), st.randoms(use_true_random=False))
def test_the_first_one_costs_the_same_whoever_answered_first(candidates: list[Payee], random: Random) -> None:
    shuffled = list(candidates)
    random.shuffle(shuffled)
    assert [expected_cost(each) for each in in_order(candidates)[:1]] == [
        expected_cost(each) for each in in_order(shuffled)[:1]
    ]


@given(payees, st.integers(1, DEAREST), st.floats(0, 10))
def test_dearer_and_further_away_is_never_better(one: Payee, more: int, later_s: float) -> None:
    holding = one.offering.holding
    dearer = replace(one, offering=replace(one.offering, holding=replace(holding, price=holding.price + more)))
    further = replace(one, offering=replace(one.offering, answered_s=(one.offering.answered_s or 0) + later_s))
    assert expected_cost(dearer) >= expected_cost(one)
    assert expected_cost(further) >= expected_cost(one)


@given(payees, st.floats(1.01, 100))
def test_faster_is_never_worse(one: Payee, factor: float) -> None:
    slow = replace(one, rate_bytes_per_s=1e6)
    fast = replace(one, rate_bytes_per_s=1e6 * factor)
    assert expected_cost(fast) <= expected_cost(slow)


def test_twice_as_fast_may_be_twice_as_dear() -> None:
    offered = offering(answered_s=0.0)
    slow = payee(offered, rate=1e7)
    fast = payee(replace(offered, holding=replace(offered.holding, price=2 * PRICE)), rate=2e7)
    assert expected_cost(slow) == expected_cost(fast)


def test_a_stranger_is_expected_to_be_as_fast_as_it_is_bonded_for_up_to_a_gigabit() -> None:
    offered = offering(size_bytes=125_000_000, answered_s=0.0)
    assert expected_s(payee(offered, mbps=100)) == 10.0
    assert expected_s(payee(offered, mbps=40_000)) == 1.0
    assert expected_s(payee(offered, mbps=100, rate=125e6)) == 1.0


def test_equals_are_paid_in_the_order_in_which_they_answered() -> None:
    same = [payee(offering(number)) for number in range(5)]
    assert in_order(same) == same


def test_the_dead_come_last_and_the_nearest_first() -> None:
    outlooks = [Outlook(is_dead=True, rtt_s=0.001), Outlook(), Outlook(rtt_s=0.3), Outlook(rtt_s=0.02, load=0.9)]
    outlooks.append(Outlook(rtt_s=0.02, load=0.1))
    prospects = [Prospect(PeerAddress(bytes([number]) * 32), each) for number, each in enumerate(outlooks)]
    assert [each.address.endpoint_id[0] for each in promising(prospects)] == [4, 3, 1, 2, 0]


def test_an_estimate_counts_only_where_nothing_was_measured() -> None:
    measured = offering(answered_s=0.05)
    assert round_trip_s(replace(measured, rtt_s=0.001)) == 0.05
    assert round_trip_s(replace(measured, answered_s=None, rtt_s=0.001)) == 0.001
    assert round_trip_s(replace(measured, answered_s=None)) == RTT_S_UNKNOWN

"""What a relay decides: prices, patience, and what it remembers of its looks."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.delivery.world import file_dag, noise

from nearcast.content.cid import raw_cid
from nearcast.delivery import relay
from nearcast.delivery.messages import FetchRequest, LeafSpan
from nearcast.delivery.relay import (
    FOUND_S,
    NOT_FOUND_S,
    PATIENCE_S,
    Looks,
    look_s,
    stall_s,
    upstream_max_price,
    wait_again_s,
)
from nearcast.delivery.relay_layout import AHEAD_BLOCKS, AHEAD_LEAVES, following
from nearcast.delivery.source import STALL_TIMEOUT_S
from nearcast.delivery.trail import HOPS_MAX, Trail, begin
from nearcast.payments.credit import BROUGHT_SHARE, FORGIVEN_SHARE

PRICES = st.integers(0, 1 << 40)
ROOT = raw_cid(bytes(32))
FILE = file_dag(noise(3 << 20)).root
OTHER = file_dag(noise(2 << 20)).root


@given(PRICES, PRICES)
def test_a_relay_pays_no_more_than_it_pays_at_all_and_seven_eighths_of_what_it_earns(price: int, limit: int) -> None:
    assert upstream_max_price(price, limit, at_loss=False) == min(price * 7 // 8, limit)


@given(st.integers(1, 1 << 40), st.integers(1, 1 << 40))
def test_no_client_that_takes_all_it_is_forgiven_and_leaves_all_it_may_makes_a_relay_lose(price: int, gib: int) -> None:
    """Over the life of a channel, without the fixed parts, which are bounded by the channel."""
    earned = price * gib
    price_upstream = upstream_max_price(price, 1 << 40, at_loss=False)
    delivered_cost = price_upstream * gib * (1 + Fraction(1, FORGIVEN_SHARE))
    assert delivered_cost + Fraction(earned, BROUGHT_SHARE) <= earned


@given(PRICES, PRICES)
def test_unless_it_is_told_to_but_never_over_its_own_limit(price: int, limit: int) -> None:
    assert upstream_max_price(price, limit, at_loss=True) == limit


def test_whoever_is_asked_looks_half_as_long_as_it_is_waited_for() -> None:
    waits_s = [PATIENCE_S, *(look_s(Trail(hops)) for hops in range(HOPS_MAX, 0, -1))]
    assert waits_s == [PATIENCE_S / 2**step for step in range(HOPS_MAX + 1)]


def test_each_gives_up_on_the_next_before_it_is_given_up_on_itself() -> None:
    trail = begin(b"client", bytes)
    assert stall_s(trail) == STALL_TIMEOUT_S
    waits_s = []
    for number in range(HOPS_MAX):
        waits_s.append(stall_s(trail))
        trail = trail.passed(f"relay {number}".encode())
    waits_s.append(stall_s(trail))
    assert waits_s == sorted(waits_s, reverse=True)
    assert len(set(waits_s)) == len(waits_s)
    assert waits_s[-1] > 0


@pytest.mark.parametrize("hops", range(HOPS_MAX + 1))
def test_who_has_to_wait_hears_so_before_it_gives_up(hops: int) -> None:
    assert 0 < wait_again_s(Trail(hops)) <= stall_s(Trail(hops)) / 2


def test_a_look_is_remembered_for_its_reach_and_for_a_while() -> None:
    looks: Looks[str] = Looks()
    looks.keep(ROOT, 2, "found", now_s=100.0)
    looks.keep(ROOT, 1, None, now_s=100.0)
    assert looks.recall(ROOT, 3, 100.0) == (False, None)
    assert looks.recall(ROOT, 2, 100.0 + FOUND_S - 0.1) == (True, "found")
    assert looks.recall(ROOT, 2, 100.0 + FOUND_S) == (False, None)
    assert looks.recall(ROOT, 1, 100.0 + NOT_FOUND_S - 0.1) == (True, None)
    assert looks.recall(ROOT, 1, 100.0 + NOT_FOUND_S) == (False, None)
    looks.keep(ROOT, 1, None, 100.0, until_s=102.0)  # somebody was left alone, and may be asked again then
    assert looks.recall(ROOT, 1, 101.9) == (True, None)
    assert looks.recall(ROOT, 1, 102.0) == (False, None)


def test_a_thousand_nonsense_roots_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "ROOTS_MAX", 10)
    looks: Looks[str] = Looks()
    for number in range(1000):
        looks.keep(raw_cid(number.to_bytes(32)), 3, None, now_s=0.0)
    assert len(looks) == 10
    assert looks.recall(raw_cid((999).to_bytes(32)), 3, 0.0) == (True, None)


def request(*spans: LeafSpan) -> FetchRequest:
    return FetchRequest(spans[0].cid, "", "leaves", spans, 0, bytes(16))


def test_what_the_request_asks_for_next_is_brought_along() -> None:
    asked = request(LeafSpan(FILE, 3, 4), LeafSpan(ROOT, 0, 1), LeafSpan(OTHER, 0, 2))
    assert following(asked, FILE, 5) == [(FILE, 5), (FILE, 6), (ROOT, 0), (OTHER, 0), (OTHER, 1)]
    assert following(asked, OTHER, 1) == [(OTHER, 1)]


def test_not_more_than_a_little_is_brought_ahead() -> None:
    assert len(following(request(LeafSpan(FILE, 0, 1000)), FILE, 10)) == AHEAD_LEAVES
    blocks = [LeafSpan(raw_cid(number.to_bytes(32)), 0, 1) for number in range(1000)]
    assert len(following(request(*blocks), blocks[0].cid, 0)) == AHEAD_BLOCKS


def test_of_a_whole_download_the_next_leaves_of_the_file_are_brought_along() -> None:
    whole = FetchRequest(FILE, "", "all", (), 0, bytes(16))
    assert following(whole, FILE, 7) == [(FILE, 7 + ahead) for ahead in range(AHEAD_LEAVES)]
    assert following(whole, ROOT, 0) == [(ROOT, 0)]

"""No pot is promised twice, however downloads set aside, spend and leave."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from nearcast.payments.budget import Allowance, Day, Pot, day_text, set_aside
from nearcast.payments.credit import PART_BITS, parts_of

HOLDERS = ("one", "two", "three")
ACTS = st.tuples(st.sampled_from(HOLDERS), st.sampled_from(("ask", "verify", "leave")), st.integers(0, 400))


@dataclass
class Purse:
    """A pot, and what was spent out of it."""

    money_parts: int
    spent_parts: int = 0
    pot: Pot = field(init=False)

    def __post_init__(self) -> None:
        self.pot = Pot(lambda: self.money_parts - self.spent_parts)


@given(st.lists(ACTS, max_size=60), st.integers(0, 1000), st.integers(0, 1000))
def test_whoever_spends_only_what_it_set_aside_never_passes_any_cap(
    acts: list[tuple[str, str, int]], money_parts: int, other_parts: int
) -> None:
    purses = [Purse(money_parts), Purse(other_parts)]
    pots = [purse.pot for purse in purses]
    aside = dict.fromkeys(HOLDERS, 0)
    for holder, act, parts in acts:
        if act == "ask":
            free = min(pot.free_parts(holder) for pot in pots)
            assert set_aside(pots, holder, parts) == (parts <= free)
            aside[holder] = parts if parts <= free else aside[holder]
        elif act == "verify":
            parts = min(parts, aside[holder])
            aside[holder] -= parts
            for purse in purses:
                purse.spent_parts += parts
                purse.pot.spend(holder, parts)
        else:
            aside[holder] = 0
            for pot in pots:
                pot.set_aside(holder, 0)
        for purse in purses:
            assert purse.spent_parts + sum(aside.values()) <= purse.money_parts
            left = [purse.pot.free_parts(each) - aside[each] for each in HOLDERS]
            assert set(left) == {purse.money_parts - purse.spent_parts - sum(aside.values())}


def test_asking_again_replaces_what_was_set_aside() -> None:
    pot = Pot(lambda: 100)
    assert set_aside([pot], "a", 60)
    assert not set_aside([pot], "b", 41)
    assert set_aside([pot], "a", 100)
    assert pot.free_parts("b") == 0
    pot.set_aside("a", 0)
    assert pot.free_parts("b") == 100


def test_what_is_not_allowed_in_one_pot_is_set_aside_in_none() -> None:
    rich, poor = Pot(lambda: 1000), Pot(lambda: 10)
    assert not set_aside([rich, poor], "a", 11)
    assert rich.free_parts("b") == 1000


def test_an_allowance_is_shared_by_all_nodes_of_a_fetch() -> None:
    allowance = Allowance(cap_units=3)
    price = 1 << 20  # 2^20 units per GiB: a kibibyte is a unit
    assert set_aside([allowance.pot], "node", parts_of(2048, price))
    assert not set_aside([allowance.pot], "other", parts_of(1025, price))
    allowance.spend("node", 1024, price)
    assert allowance.spent_parts == 1 << PART_BITS
    assert set_aside([allowance.pot], "other", parts_of(1024, price))
    allowance.spend("nobody", 4096, price)  # more than was set aside is spent all the same
    assert allowance.pot.free_parts("other") == 0


def test_a_day_is_left_what_is_neither_signed_nor_due() -> None:
    day = Day(cap_units=10)
    assert day.left_parts("monday") == 10 << PART_BITS
    day.note("monday", 4)
    day.note("monday", 3)  # of an earlier moment, come late
    day.unsigned_parts = 3
    assert day.left_parts("monday") == (6 << PART_BITS) - 3
    assert day.left_parts("tuesday") == (10 << PART_BITS) - 3
    day.note("tuesday", 11)
    assert day.left_parts("tuesday") < 0


def test_days_are_those_of_utc() -> None:
    assert day_text(1_763_683_199.9) == "2025-11-20"
    assert day_text(1_763_683_200) == "2025-11-21"

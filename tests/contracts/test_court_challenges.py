"""Committing and revealing, and whose the money is: copiers, late comers, frozen accounts."""

from collections.abc import Callable
from functools import partial

import pytest
from tests.contracts.court_stage import (
    BOND_UNITS,
    HOUR_S,
    NOBODY,
    SALT,
    Courtroom,
    courtroom,
    refusal,
)
from tests.contracts.world import DAY_S, DOLLAR, World

from nearcast.chain.evidence import BlacklistedOffer, commitment

DELAY_S = 60  # Court.revealDelay at first


@pytest.fixture
def room(world: World) -> Courtroom:
    found = courtroom(world)
    found.list_and_wait()
    return found


@pytest.fixture
def evidence(room: Courtroom) -> BlacklistedOffer:
    return room.blacklisted()


def test_a_commitment_takes_the_bond_and_names_its_times(room: Courtroom, evidence: BlacklistedOffer) -> None:
    before = room.balance(room.challenger)
    done = room.commit(evidence)
    event = done.event("Committed")
    times = (done.timestamp_s + DELAY_S, done.timestamp_s + DAY_S)
    announced = commitment(room.challenger.address, evidence.hash(room.domain), SALT)
    assert event.args == (room.challenger.address, announced, BOND_UNITS, *times)
    assert room.docket() == (0, BOND_UNITS, *times, announced[:13])
    assert room.balance(room.challenger) == before - BOND_UNITS


def test_the_bond_comes_out_of_the_account_first(room: Courtroom, evidence: BlacklistedOffer) -> None:
    room.pay_in(4 * DOLLAR)
    before = room.balance(room.challenger)
    room.commit(evidence)
    assert room.balance(room.challenger) == before - 6 * DOLLAR
    assert (room.docket().units, room.docket().bond) == (0, BOND_UNITS)
    room.pay_in(30 * DOLLAR)
    room.wait()
    reward = room.reveal(evidence).event("Convicted").reward
    assert room.docket() == (40 * DOLLAR + reward, 0, 0, 0, bytes(13))


@pytest.mark.parametrize(
    ("after_s", "expected"),
    [(DELAY_S - 1, "TooEarly"), (DELAY_S, None), (DAY_S, None), (DAY_S + 1, "TooLate")],
)
def test_a_reveal_has_its_time(room: Courtroom, evidence: BlacklistedOffer, after_s: int, expected: str | None) -> None:
    room.world.travel_to(room.commit(evidence).timestamp_s + after_s)
    if expected:
        assert refusal(partial(room.reveal, evidence)) == expected
    else:
        assert room.reveal(evidence).named("Convicted")


def test_times_and_bond_stay_as_they_were_when_terms_change(room: Courtroom, evidence: BlacklistedOffer) -> None:
    done = room.commit(evidence)
    for parameter, value in (("revealDelay", HOUR_S), ("revealWindow", HOUR_S), ("challengeBond", 1000 * DOLLAR)):
        room.set(parameter, value)
    room.world.travel_to(done.timestamp_s + DAY_S)
    reward = room.reveal(evidence).event("Convicted").reward
    assert room.docket().units == BOND_UNITS + reward


def test_a_reveal_has_half_an_hour_whatever_the_terms(room: Courtroom, evidence: BlacklistedOffer) -> None:
    room.set("revealDelay", room.world.court.call("REVEAL_DELAY_MAX"))
    room.set("revealWindow", room.world.court.call("REVEAL_WINDOW_MIN"))
    event = room.commit(evidence).event("Committed")
    assert event.revealUntil - event.revealFrom == HOUR_S // 2
    room.world.travel_to(event.revealUntil)
    assert room.reveal(evidence).named("Convicted")


def test_who_copies_a_reveal_has_nothing(room: Courtroom, evidence: BlacklistedOffer) -> None:
    copier = room.world.accounts[3]
    room.commit(evidence)
    room.wait()
    # He sees the reveal on its way and sends the same.
    assert refusal(partial(room.reveal, evidence, who=copier)) == "NoCommitment"
    # He had even copied the commitment before, whatever it might be.
    announced = commitment(room.challenger.address, evidence.hash(room.domain), SALT)
    room.world.court.transact("commit", announced, [], sender=copier)
    room.world.travel(DELAY_S)
    assert refusal(partial(room.reveal, evidence, who=copier)) == "NoCommitment"
    # Or he commits to the evidence now that he knows it: a minute too late.
    room.world.court.transact("forfeit", copier, sender=copier)
    room.commit(evidence, who=copier, salt=SALT[::-1])
    assert refusal(partial(room.reveal, evidence, who=copier, salt=SALT[::-1])) == "TooEarly"
    assert room.reveal(evidence).event("Convicted").challenger == room.challenger.address


def test_a_copied_commitment_does_not_get_in_the_way(room: Courtroom, evidence: BlacklistedOffer) -> None:
    announced = commitment(room.challenger.address, evidence.hash(room.domain), SALT)
    room.world.court.transact("commit", announced, [], sender=room.world.accounts[3])
    assert room.challenge(evidence).named("Convicted")


def test_a_reveal_fits_its_commitment(room: Courtroom, evidence: BlacklistedOffer) -> None:
    assert refusal(partial(room.reveal, evidence)) == "NoCommitment"
    assert room.refused(evidence, at4=SALT[::-1]) == "NoCommitment"
    assert room.refused(evidence, at3=b"DE") == "NoCommitment"
    other = room.offer(size_bytes=1)
    assert room.refused(evidence, at0=other.as_tuple(), at1=room.sign(other)) == "NoCommitment"
    assert room.challenge(evidence).named("Convicted")
    assert refusal(partial(room.reveal, evidence)) == "NoCommitment"


def test_the_empty_commitment_opens_nothing(room: Courtroom, evidence: BlacklistedOffer) -> None:
    room.world.court.transact("commit", bytes(32), [], sender=room.challenger)
    room.wait()
    assert refusal(partial(room.reveal, evidence)) == "NoCommitment"


def test_one_commitment_at_a_time(room: Courtroom, evidence: BlacklistedOffer) -> None:
    room.commit(evidence)
    assert refusal(partial(room.commit, evidence, salt=SALT[::-1])) == "AlreadyCommitted"
    room.commit(evidence, who=room.world.accounts[3])
    room.world.travel(DAY_S + 1)
    done = room.commit(evidence, salt=SALT[::-1])
    assert done.event("Forfeited").bond == BOND_UNITS
    assert room.world.court.call("treasuryUnits") == BOND_UNITS


def test_a_commitment_without_a_reveal_is_forfeited(room: Courtroom, evidence: BlacklistedOffer) -> None:
    room.commit(evidence)
    forfeit = partial(room.world.court.transact, "forfeit", room.challenger)
    anyone = room.world.accounts[8]
    room.world.travel(DAY_S - 10)
    assert refusal(partial(forfeit, sender=anyone)) == "StillOpen"
    with room.world.fork():
        assert forfeit(sender=room.challenger).event("Forfeited").bond == BOND_UNITS  # he may give up at once
    room.world.travel(11)
    assert forfeit(sender=anyone).event("Forfeited").args == (room.challenger.address, BOND_UNITS)
    assert room.world.court.call("treasuryUnits") == BOND_UNITS
    assert room.docket() == (0, 0, 0, 0, bytes(13))
    assert refusal(partial(forfeit, sender=anyone)) == "NoCommitment"
    assert refusal(partial(room.reveal, evidence)) == "NoCommitment"


def test_a_refused_reveal_costs_nothing_yet(room: Courtroom) -> None:
    early = room.blacklisted()
    early = BlacklistedOffer(early.offer, room.sign(room.offer(size_bytes=1)), early.header)
    room.commit(early)
    room.wait()
    before = room.docket()
    assert refusal(partial(room.reveal, early)) == "UnknownHotKey"
    assert room.docket() == before


def test_a_frozen_challenger_stops_no_slash_and_loses_nothing(room: Courtroom, evidence: BlacklistedOffer) -> None:
    room.commit(evidence)
    room.world.token.transact("blacklist", room.challenger, sender=room.world.accounts[0])
    room.wait()
    reward = room.reveal(evidence).event("Convicted").reward
    withdraw = partial(room.world.court.transact, "withdraw", sender=room.challenger)
    assert refusal(partial(withdraw, room.challenger)) == "Error"  # the token's words
    elsewhere = room.world.accounts[9]
    before = room.balance(elsewhere)
    withdraw(elsewhere)
    assert room.balance(elsewhere) == before + BOND_UNITS + reward
    assert refusal(partial(withdraw, elsewhere)) == "NothingToWithdraw"
    assert refusal(partial(withdraw, NOBODY)) == "ZeroAddress"


def test_a_frozen_treasury_or_node_stops_no_slash(room: Courtroom, evidence: BlacklistedOffer) -> None:
    for frozen in (room.world.timelock, room.node):
        room.world.token.transact("blacklist", frozen, sender=room.world.accounts[0])
    event = room.challenge(evidence).event("Convicted")
    share = event.amount - event.reward
    assert room.world.court.call("treasuryUnits") == share
    assert refusal(partial(room.world.court.transact, "collectTreasury", sender=room.challenger)) == "Error"
    room.world.court.transact("withdraw", room.challenger, sender=room.challenger)
    room.world.token.transact("unBlacklist", room.world.timelock, sender=room.world.accounts[0])
    before = room.balance(room.world.timelock)
    assert (
        room.world.court.transact("collectTreasury", sender=room.challenger).event("TreasuryCollected").amount == share
    )
    assert room.balance(room.world.timelock) == before + share
    assert room.balance(room.world.court) == 0
    assert refusal(partial(room.world.court.transact, "collectTreasury", sender=room.challenger)) == "NothingToWithdraw"


def test_nothing_is_nothing_to_pay_in_or_out(room: Courtroom) -> None:
    assert refusal(partial(room.pay_in, 0)) == "ZeroAmount"
    assert refusal(partial(room.world.court.transact, "withdraw", room.challenger, sender=room.challenger)) == (
        "NothingToWithdraw"
    )
    poor = room.world.accounts[9]
    assert refusal(partial(room.world.court.transact, "commit", SALT, [], sender=poor)) == "Error"


def test_the_court_holds_what_it_owes(room: Courtroom, evidence: BlacklistedOffer) -> None:
    """Through a conviction, a forfeit, deposits and a withdrawal."""
    court, people = room.world.court, room.world.accounts[2:5]

    def owed() -> int:
        dockets = [room.docket(person) for person in people]
        return int(court.call("treasuryUnits")) + sum(int(docket.units + docket.bond) for docket in dockets)

    steps: list[Callable[[], object]] = [
        partial(room.pay_in, 3 * DOLLAR),
        partial(room.commit, evidence),
        partial(room.commit, evidence, who=people[1]),
        room.wait,
        partial(room.reveal, evidence),
        partial(room.world.travel, DAY_S),
        partial(court.transact, "forfeit", people[1], sender=people[2]),
        partial(court.transact, "withdraw", people[0], sender=people[0]),
        partial(court.transact, "collectTreasury", sender=people[0]),
    ]
    for step in steps:
        step()
        assert room.balance(court) == owed()
    assert owed() == 0

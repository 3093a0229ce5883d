"""A conviction: what it takes, what it costs whom, and that one offence is punished once in whatever form."""

from dataclasses import replace

import pytest
from tests.contracts.accounts import key_of
from tests.contracts.court_stage import (
    BOND_UNITS,
    CLIENT,
    HOUR_S,
    ROOT,
    SALT,
    Courtroom,
    courtroom,
    refusal,
)
from tests.contracts.registrations import join, send, sign
from tests.contracts.storage import slot_of
from tests.contracts.world import DAY_S, World

from nearcast.chain.devchain.cells import STORAGE
from nearcast.chain.evidence import commitment

SLASH_GAS_MAX = 220_000  # the goal of the issue: commit and reveal, the challenger's bond paid in before
BOND_GBPS_UNITS = 995_267_926  # 0.25 × 1000^1.2 dollars


@pytest.fixture
def room(world: World) -> Courtroom:
    return courtroom(world)


def test_who_offers_listed_content_loses_a_twentieth(room: Courtroom) -> None:
    room.list_and_wait()
    evidence = room.blacklisted()
    done = room.challenge(evidence)
    event = done.event("Convicted")
    loss = BOND_GBPS_UNITS * 5 // 100
    assert (event.operator, event.challenger, event.offence) == (room.node.address, room.challenger.address, 0)
    assert (event.evidenceHash, event.amount, event.reward) == (evidence.hash(room.domain), loss, loss // 2)
    assert room.stake() == BOND_GBPS_UNITS - loss
    assert room.docket().units == BOND_UNITS + loss // 2
    assert room.world.court.call("treasuryUnits") == loss - loss // 2
    assert room.balance(room.world.court) == BOND_UNITS + loss
    assert room.world.court.call("convictions", room.node) == 1


def test_commit_and_reveal_keep_to_the_gas_of_the_goal(room: Courtroom) -> None:
    room.pay_in()
    room.list_and_wait()
    evidence = room.blacklisted()
    committed = room.commit(evidence).gas_used
    room.wait()
    revealed = room.reveal(evidence).gas_used
    print(f"slash by blacklisted offer: commit {committed:,} + reveal {revealed:,} = {committed + revealed:,} gas")
    assert committed + revealed <= SLASH_GAS_MAX


def test_our_hashes_are_the_courts(room: Courtroom) -> None:
    court = room.world.court
    room.list_and_wait()
    evidence = room.blacklisted()
    assert court.call("offerDigest", evidence.offer.as_tuple()) == evidence.offer.digest(room.domain)
    assert court.call("blacklistEvidence", evidence.offer.as_tuple(), b"DE") == replace(evidence, scope=b"DE").hash(
        room.domain
    )
    rates = room.two_prices()
    earlier, later = rates.earlier.as_tuple(), rates.later.as_tuple()
    assert court.call("equivocationEvidence", earlier, later) == rates.hash(room.domain)
    announced = commitment(room.challenger.address, rates.hash(room.domain), SALT)
    assert court.call("commitmentOf", room.challenger, rates.hash(room.domain), SALT) == announced


def test_the_ladder_is_a_twentieth_three_twentieths_then_halves(room: Courtroom) -> None:
    shares: list[float] = []
    room.list_and_wait()
    for _ in range(5):
        assert room.world.court.call("nextSlashBps", room.node) == [500, 1_500, 5_000, 5_000, 5_000][len(shares)]
        stake = room.stake()
        room.challenge(room.blacklisted())
        shares.append(round((stake - room.stake()) / stake, 4))
        room.return_()
        room.world.travel(DAY_S)
        room.world.mine()
    assert shares == [0.05, 0.15, 0.5, 0.5, 0.5]


def test_unbonding_stake_is_reached(room: Courtroom) -> None:
    room.list_and_wait()
    evidence = room.blacklisted()
    room.world.registry.transact("deregister", sender=room.node)
    amount = room.challenge(evidence).event("Convicted").amount
    assert amount == BOND_GBPS_UNITS * 5 // 100
    assert room.world.registry.call("stakeOf", room.node) == (0, BOND_GBPS_UNITS - amount)


@pytest.mark.parametrize("ending", ["another key", "no registration"])
def test_a_retired_hot_key_binds_its_operator_for_what_was_before(room: Courtroom, ending: str) -> None:
    room.list_and_wait()
    before = room.blacklisted()
    if ending == "another key":
        send(room.world, sign(room.world, room.node.but(hot_key=key_of("the next key"))), "update")
    else:
        room.world.registry.transact("deregister", sender=room.node)
    at_the_time = room.blacklisted()  # on the very block that retired it: signed after that
    room.world.mine()
    assert room.refused(at_the_time) == "HotKeyRetired"
    assert room.refused(room.blacklisted()) == "HotKeyRetired"
    assert room.challenge(before).event("Convicted").operator == room.node.address


def test_the_same_evidence_is_worth_nothing_twice(room: Courtroom) -> None:
    room.list_and_wait()
    evidence = room.blacklisted()
    room.challenge(evidence)
    stake = room.stake()
    for who in (room.challenger, room.world.accounts[3]):
        before = room.docket(who).units
        done = room.challenge(evidence, who)
        assert done.event("AlreadyPunished").challenger == who.address
        pulled = BOND_UNITS if who is not room.challenger else 0
        assert room.docket(who).units == before + pulled
        assert room.docket(who).bond == 0
    assert room.stake() == stake
    assert room.world.court.call("convictions", room.node) == 1


@pytest.mark.parametrize(
    "form", ["another client", "another block", "another size", "signed again", "the region's entry"]
)
def test_another_form_of_the_same_offence_is_not_punished_again(room: Courtroom, form: str) -> None:
    room.list_and_wait()
    room.list_and_wait(scope=b"DE")
    noon = room.world.now_s // DAY_S * DAY_S + DAY_S + 12 * HOUR_S  # far from the end of a UTC day
    room.world.travel_to(noon)
    room.world.mine()
    offer = room.offer()
    room.challenge(room.blacklisted(offer))
    scope = bytes(2)
    if form == "another client":
        offer = replace(offer, client=CLIENT[::-1])
    elif form == "another block":
        offer = room.offer()
    elif form == "another size":
        offer = replace(offer, size_bytes=1)
    elif form == "the region's entry":
        scope = b"DE"
    stake = room.stake()
    done = room.challenge(room.blacklisted(offer, scope))
    assert done.named("AlreadyPunished")
    assert room.stake() == stake


def test_the_same_content_listed_anew_the_same_day_is_one_offence(room: Courtroom) -> None:
    room.world.blacklist.transact("setComplianceWindow", HOUR_S, sender=room.world.timelock)
    room.world.travel_to(room.world.now_s // DAY_S * DAY_S + DAY_S)
    room.world.mine()
    room.list_and_wait()
    room.challenge(room.blacklisted())
    room.world.blacklist.transact("remove", ROOT, bytes(2), sender=room.world.timelock)
    room.list_and_wait()
    assert room.challenge(room.blacklisted()).named("AlreadyPunished")


def test_the_fourth_and_later_convictions_are_remembered_too(room: Courtroom) -> None:
    room.list_and_wait()
    proofs = []
    for _ in range(5):
        room.world.travel(DAY_S // 2)
        room.world.mine()
        room.world.travel_to(room.world.now_s // DAY_S * DAY_S + DAY_S)
        room.world.mine()
        room.return_()
        room.world.mine()
        proofs.append(room.blacklisted())
        room.challenge(proofs[-1])
    assert room.world.court.call("convictions", room.node) == 5
    room.set("maxEvidenceAge", 13 * DAY_S)
    for proof in proofs:
        assert room.world.court.call("blacklistPunished", room.node, ROOT, proof.header.timestamp_s)
        try_again = room.challenge(proof, salt=proof.header.hash)
        assert try_again.named("AlreadyPunished")
    assert room.world.court.call("convictions", room.node) == 5


def test_the_number_of_convictions_ends_at_its_greatest_and_convicting_does_not(room: Courtroom) -> None:
    slot = slot_of("Court", "_convictions", room.node.address)
    room.list_and_wait()
    room.world.engine._cells.put(STORAGE, (room.world.court.address, slot), 0xFFFF)
    for _ in range(2):
        stake = room.stake()
        evidence = room.blacklisted()
        assert room.challenge(evidence).event("Convicted").amount == stake // 2
        assert room.world.court.call("convictions", room.node) == 0xFFFF
        assert room.world.court.call("blacklistPunished", room.node, ROOT, evidence.header.timestamp_s)
        room.return_()
        room.world.travel(DAY_S)
        room.world.mine()


def test_two_contents_are_two_offences_and_two_nodes_are_two_operators(room: Courtroom) -> None:
    other = join(room.world, 5)
    second = ROOT[::-1]
    room.list_and_wait()
    room.list_and_wait(second)
    room.challenge(room.blacklisted())
    assert room.challenge(room.blacklisted(room.offer(root=second))).named("Convicted")
    offer = room.offer()
    theirs = replace(room.blacklisted(offer), signature=room.sign(offer, other.hot_key))
    assert room.challenge(theirs).event("Convicted").operator == other.address


def test_slashing_oneself_costs_half_of_the_slash(room: Courtroom) -> None:
    room.world.token.transact("approve", room.world.court, 2**256 - 1, sender=room.node)
    room.list_and_wait()
    wealth = room.stake() + room.balance(room.node)
    amount = room.challenge(room.blacklisted(), who=room.node.operator).event("Convicted").amount
    room.world.court.transact("withdraw", room.node, sender=room.node)
    assert wealth - (room.stake() + room.balance(room.node)) == amount - amount // 2
    room.set("rewardBps", 5_000)
    assert refusal(lambda: room.set("rewardBps", 5_001)) == "OutOfBounds"


def test_who_has_nothing_at_stake_uses_up_no_offence(room: Courtroom) -> None:
    room.list_and_wait()
    evidence = room.blacklisted()
    room.world.registry.transact("deregister", sender=room.node)
    room.world.travel(14 * DAY_S)
    room.world.registry.transact("withdraw", room.node, sender=room.node)
    room.world.registry.transact("setUnbondingPeriod", 60 * DAY_S, sender=room.world.timelock)
    room.set("maxEvidenceAge", 30 * DAY_S)  # what has left before is out of reach
    assert room.challenge(evidence).named("AlreadyPunished")
    assert room.world.court.call("convictions", room.node) == 0
    assert not room.world.court.call("blacklistPunished", room.node, ROOT, evidence.header.timestamp_s)
    assert room.docket().units == BOND_UNITS

"""What is no proof: wrong times, regions, signatures, headers and blocks. Every refusal beside the case that holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest
from eth_hash.auto import keccak
from tests.contracts.accounts import compact, high_s, key_of
from tests.contracts.court_stage import (
    COPYRIGHT,
    HOUR_S,
    ROOT,
    Courtroom,
    courtroom,
    refusal,
)
from tests.contracts.registrations import node_of, send, sign
from tests.contracts.world import DAY_S, World

from nearcast.chain import rlp
from nearcast.chain.devchain.cells import CODE
from nearcast.chain.eip712 import Domain
from nearcast.chain.evidence import EVERYWHERE, BlacklistedOffer, BlockHeader
from nearcast.chain.offers import court_domain, sign_offer
from nearcast.chain.signing import Signer

HISTORY = bytes.fromhex("0000F90827F1C53a10cb7A02335B175320002935")  # EIP-2935
OPCODE_BLOCKS = 256  # how far BLOCKHASH looks back
HISTORY_BLOCKS = 8191  # how far EIP-2935 does


@pytest.fixture
def room(world: World) -> Courtroom:
    return courtroom(world)


@contextmanager
def history(world: World, there: bool) -> Iterator[None]:
    """Whether the chain has EIP-2935's contract."""
    code = world.engine.code(HISTORY)
    world.engine._cells.put(CODE, HISTORY, code if there else None)
    assert bool(world.engine.code(HISTORY)) is there
    try:
        with world.fork():  # what the blocks in it wrote is undone first
            yield
    finally:
        world.engine._cells.put(CODE, HISTORY, code)


# --- when --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("late_s", "expected"), [(-1, "NotListedThen"), (0, None)])
def test_an_entry_counts_from_its_very_second(room: Courtroom, late_s: int, expected: str | None) -> None:
    room.world.travel_to(room.list() + late_s)
    room.world.mine()
    evidence = room.blacklisted()
    room.world.travel(DAY_S)  # the court judges the block's time, not its own
    if expected:
        assert room.refused(evidence) == expected
    else:
        assert room.challenge(evidence).named("Convicted")


@pytest.mark.parametrize(("late_s", "expected"), [(-1, None), (0, "NotListedThen")])
def test_an_entry_counts_until_it_lapses(room: Courtroom, late_s: int, expected: str | None) -> None:
    added = room.world.blacklist.transact("addEmergency", ROOT, EVERYWHERE, COPYRIGHT, sender=room.world.accounts[0])
    room.world.travel_to(added.event("Added").lapsesAt + late_s)
    room.world.mine()
    evidence = room.blacklisted()
    room.world.travel(DAY_S)
    if expected:
        assert room.refused(evidence) == expected
    else:
        assert room.challenge(evidence).named("Convicted")


def test_removal_pardons_and_listing_anew_does_not_reach_back(room: Courtroom) -> None:
    room.list_and_wait()
    evidence = room.blacklisted()
    room.world.blacklist.transact("remove", ROOT, EVERYWHERE, sender=room.world.timelock)
    after = room.blacklisted(room.offer())
    assert room.refused(evidence) == "NotListedThen"
    assert room.refused(after) == "NotListedThen"
    room.list_and_wait()
    assert room.refused(evidence) == "NotListedThen"
    assert room.refused(after) == "NotListedThen"
    assert room.challenge(room.blacklisted()).named("Convicted")


def test_other_content_and_other_scopes_are_not_listed(room: Courtroom) -> None:
    room.list_and_wait(scope=b"DE")
    assert room.refused(room.blacklisted(room.offer(root=ROOT[::-1]), b"DE")) == "NotListedThen"
    assert room.refused(room.blacklisted(scope=EVERYWHERE)) == "NotListedThen"


@pytest.mark.parametrize(("age_s", "expected"), [(5 * DAY_S, None), (5 * DAY_S + 1, "EvidenceTooOld")])
def test_the_age_is_exact(room: Courtroom, age_s: int, expected: str | None) -> None:
    room.list_and_wait()
    evidence = room.blacklisted()
    room.world.travel_to(evidence.header.timestamp_s + 5 * DAY_S - HOUR_S)
    room.commit(evidence)
    room.world.travel_to(evidence.header.timestamp_s + age_s)
    if expected:
        assert refusal(lambda: room.reveal(evidence)) == expected
    else:
        assert room.reveal(evidence).named("Convicted")


def test_evidence_cannot_outlive_unbonding_from_either_side(room: Courtroom) -> None:
    assert refusal(lambda: room.set("maxEvidenceAge", 14 * DAY_S)) == "EvidenceOutlivesUnbonding"
    room.set("maxEvidenceAge", 14 * DAY_S - 1)
    shorten = partial(room.world.registry.transact, "setUnbondingPeriod", sender=room.world.timelock)
    assert refusal(partial(shorten, 13 * DAY_S)) == "EvidenceOutlivesUnbonding"


# --- who and where -----------------------------------------------------------------------------------------------


def test_a_region_binds_a_day_after_it_was_declared(room: Courtroom) -> None:
    grace_s = room.world.court.call("REGION_GRACE")
    room.world.blacklist.transact("setComplianceWindow", HOUR_S, sender=room.world.timelock)
    _, since = room.world.registry.call("regionOf", room.node)
    room.list(scope=b"DE")
    room.world.travel_to(since + grace_s - 1)
    room.world.mine()
    early = room.blacklisted(scope=b"DE")
    room.world.mine()
    late = room.blacklisted(scope=b"DE")
    assert (early.header.timestamp_s, late.header.timestamp_s) == (since + grace_s - 1, since + grace_s)
    assert room.refused(early) == "OtherRegion"
    assert room.challenge(late).named("Convicted")


def test_who_moves_away_is_judged_by_where_it_was(room: Courtroom) -> None:
    room.list_and_wait(scope=b"DE")
    room.list_and_wait(scope=b"FR")
    room.world.travel(30 * DAY_S)
    room.world.mine()
    at_home = room.blacklisted(scope=b"DE")
    not_there = room.blacklisted(scope=b"FR")
    send(room.world, sign(room.world, room.node.but(region=b"FR")), "update")
    moved = room.blacklisted(scope=b"DE")
    just_arrived = room.blacklisted(scope=b"FR")
    assert room.refused(moved) == "OtherRegion"
    assert room.refused(just_arrived) == "OtherRegion"
    assert room.refused(not_there) == "OtherRegion"
    assert room.challenge(at_home).named("Convicted")
    room.world.travel(2 * DAY_S)
    room.world.mine()
    assert room.challenge(room.blacklisted(scope=b"FR")).named("Convicted")


def test_what_was_signed_before_the_first_registration_counts_for_nothing(world: World) -> None:
    world.token.transact("approve", world.court, 2**256 - 1, sender=world.accounts[2])
    room = Courtroom(world, node_of(world, 1, mbps=1000), world.accounts[2])
    room.list_and_wait()
    evidence, rates = room.blacklisted(), room.two_prices()
    assert room.refused(evidence) == "UnknownHotKey"
    courtroom(world)
    assert room.refused(evidence) == "NotANodeThen"
    assert room.refused(rates) == "NotANodeThen"


def test_only_strict_signatures_of_hot_keys_are_evidence(room: Courtroom) -> None:
    room.list_and_wait()
    evidence = room.blacklisted()
    good = evidence.signature
    malformed = [
        b"",
        good[:64],
        good + b"\x00",
        high_s(good),
        compact(good),
        good[:64] + bytes([good[64] - 27]),
        bytes(65),
        good[:64] + b"\x1d",
    ]
    for signature in malformed:
        assert room.refused(replace(evidence, signature=signature)) == "BadSignature", signature.hex()
    strangers = [
        room.sign(evidence.offer, key_of("a stranger")),
        room.sign(evidence.offer, room.node.operator),
        room.sign(replace(evidence.offer, size_bytes=1)),
    ]
    elsewhere = [
        court_domain(1, room.world.court.address),
        court_domain(31337, room.world.registry.address),
        Domain("Nearcast Court", "2", 31337, room.world.court.address),
    ]
    strangers += [sign_offer(domain, evidence.offer, Signer(room.node.hot_key.secret)) for domain in elsewhere]
    for signature in strangers:
        assert room.refused(replace(evidence, signature=signature)) == "UnknownHotKey", signature.hex()
    assert room.challenge(evidence).named("Convicted")


# --- blocks ------------------------------------------------------------------------------------------------------


def forged(header: BlockHeader, encoded: bytes) -> BlockHeader:
    """A header with other bytes, as if the chain had it."""
    return replace(header, encoded=encoded, hash=keccak(encoded))


@pytest.mark.parametrize("how", ["later", "short", "long", "trailing", "empty", "a number"])
def test_a_header_the_chain_does_not_have_dates_nothing(room: Courtroom, how: str) -> None:
    effective_at = room.list()
    header = room.header()
    fields = rlp.decode(header.encoded)
    assert isinstance(fields, list)
    if how == "later":
        fields[11] = (effective_at + 1).to_bytes(4, "big")
    encoded = {
        "short": rlp.encode(fields[:12]),
        "long": rlp.encode([*fields, b"more"]),
        "trailing": header.encoded + b"\x00",
        "empty": b"",
        "a number": b"\x05",
    }.get(how, rlp.encode(fields))
    room.world.travel_to(effective_at)
    room.world.mine()
    # The node signed it, and yet: another block of that number, or none, proves no time.
    lie = forged(header, encoded)
    offer = room.offer(block_number=lie.number, block_hash=lie.hash)
    assert room.refused(BlacklistedOffer(offer, room.sign(offer), lie)) == "NotCanonical"
    # And beside a true offer it is not that offer's header.
    true = room.blacklisted()
    assert room.refused(true, at2=encoded) == "HeaderMismatch"
    assert room.challenge(true).named("Convicted")


def test_a_true_header_of_another_block_does_not_date_an_offer(room: Courtroom) -> None:
    room.world.mine()
    before = room.header()
    room.list_and_wait()
    honest = room.offer(before.number)
    evidence = BlacklistedOffer(honest, room.sign(honest), before)
    assert room.refused(evidence) == "NotListedThen"
    assert room.refused(evidence, at2=room.header().encoded) == "HeaderMismatch"
    for number in (before.number - 1, before.number + 1, room.world.engine.head.number + 100, 2**64 - 1):
        odd = room.offer(block_number=number, block_hash=before.hash)
        lie = BlacklistedOffer(odd, room.sign(odd), replace(before, number=number))
        assert room.refused(lie) == "NotCanonical"


def test_a_block_that_a_reorganisation_took_away_dates_nothing(room: Courtroom) -> None:
    room.list_and_wait()
    with room.world.fork():
        room.world.travel(7)
        room.world.mine()
        evidence = room.blacklisted()
        assert room.challenge(evidence).named("Convicted")
    room.world.travel(9)
    room.world.mine()
    assert room.header().number == evidence.header.number
    assert room.refused(evidence) == "NotCanonical"


@pytest.mark.parametrize(
    ("blocks", "kept", "anchored", "expected"),
    [
        (OPCODE_BLOCKS - 2, False, False, None),
        (OPCODE_BLOCKS + 8, False, False, "NotCanonical"),
        (OPCODE_BLOCKS + 8, False, True, None),
        (OPCODE_BLOCKS + 8, True, False, None),
        (HISTORY_BLOCKS + 8, True, False, "NotCanonical"),
        (HISTORY_BLOCKS + 8, True, True, None),
    ],
)
def test_how_long_the_chain_remembers_a_block(
    room: Courtroom, blocks: int, kept: bool, anchored: bool, expected: str | None
) -> None:
    with history(room.world, kept):
        room.list_and_wait()
        evidence = room.blacklisted()
        room.commit(evidence, anchors=(evidence.offer.block_number,) if anchored else ())
        room.world.mine(blocks - 2)  # the commit's block and the reveal's own are between, too
        if expected:
            assert refusal(lambda: room.reveal(evidence)) == expected
        else:
            assert room.reveal(evidence).named("Convicted")


def test_only_blocks_that_the_chain_knows_are_anchored(room: Courtroom) -> None:
    court, anyone = room.world.court, room.world.accounts[7]
    head = room.header()
    done = court.transact("anchor", [head.number, head.number - 1, head.number], sender=anyone)
    assert [event.blockNumber for event in done.named("Anchored")] == [head.number, head.number - 1]
    assert court.call("anchorOf", head.number) == head.hash
    for ahead in (1, 5, 2**63):
        blocks = [room.world.engine.head.number + ahead]
        assert refusal(partial(court.transact, "anchor", blocks, sender=anyone)) == "BlockUnavailable"
    assert refusal(lambda: court.transact("anchor", [1, 2, 3, 4, 5], sender=anyone)) == "TooManyBlocks"
    assert court.call("anchorOf", head.number + 1) == bytes(32)


def test_an_anchor_stays_what_it_was(room: Courtroom) -> None:
    court, anyone = room.world.court, room.world.accounts[7]
    head = room.header()
    court.transact("anchor", [head.number], sender=anyone)
    with history(room.world, there=False):
        room.world.mine(OPCODE_BLOCKS)
        assert not court.transact("anchor", [head.number], sender=anyone).events
        assert court.call("anchorOf", head.number) == head.hash
        assert refusal(lambda: court.transact("anchor", [head.number + 1], sender=anyone)) == "BlockUnavailable"

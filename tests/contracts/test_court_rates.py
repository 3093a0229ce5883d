"""Two prices for one content and one client within a few blocks: what proves it and what does not."""

from dataclasses import replace

import pytest
from tests.contracts.accounts import high_s, key_of
from tests.contracts.court_stage import CLIENT, ROOT, Courtroom, courtroom
from tests.contracts.registrations import join, send, sign
from tests.contracts.world import DAY_S, World

from nearcast.chain.evidence import RateEquivocation, equivocation

WINDOW_BLOCKS = 15  # Court.rateWindowBlocks at first


@pytest.fixture
def room(world: World) -> Courtroom:
    """In the morning of a UTC day, so that no day ends within a test."""
    world.travel_to(world.now_s // DAY_S * DAY_S + DAY_S)
    return courtroom(world)


def test_two_prices_cost_a_twentieth(room: Courtroom) -> None:
    stake = room.stake()
    evidence = room.two_prices()
    event = room.challenge(evidence).event("Convicted")
    assert (event.operator, event.offence, event.amount) == (room.node.address, 1, stake * 5 // 100)
    assert event.evidenceHash == evidence.hash(room.domain)
    assert room.stake() == stake - event.amount


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [(0, None), (1, None), (WINDOW_BLOCKS, None), (WINDOW_BLOCKS + 1, "OutsideRateWindow")],
)
def test_the_window_is_exact(room: Courtroom, blocks: int, expected: str | None) -> None:
    evidence = room.two_prices(blocks)
    assert evidence.later.block_number - evidence.earlier.block_number == blocks
    if expected:
        assert room.refused(evidence) == expected
    else:
        assert room.challenge(evidence).named("Convicted")


def test_who_waits_as_long_as_the_window_can_ever_be_is_safe_from_any_change_of_it(room: Courtroom) -> None:
    most = room.world.court.call("RATE_WINDOW_BLOCKS_MAX")
    honest, hasty = room.two_prices(most + 1), room.two_prices(most)
    room.set("rateWindowBlocks", most)
    assert room.refused(honest) == "OutsideRateWindow"
    assert room.challenge(hasty).named("Convicted")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"root": ROOT[::-1]}, "NotComparable"),
        ({"client": CLIENT[::-1]}, "NotComparable"),
        ({"price_units_per_gib": 20_000}, "SamePrice"),
    ],
)
def test_what_is_no_equivocation(room: Courtroom, changed: dict[str, object], expected: str) -> None:
    """By a challenger who commits to offers that our own checks would not let him commit to."""
    good = room.two_prices()
    offer = replace(good.earlier, **changed)  # type: ignore[arg-type]
    evidence = unchecked(good, offer, room.sign(offer))
    assert room.refused(evidence) == expected
    assert room.challenge(good).named("Convicted")


def test_other_sizes_do_not_excuse_another_price(room: Courtroom) -> None:
    good = room.two_prices()
    offer = replace(good.earlier, size_bytes=1)
    assert room.challenge(unchecked(good, offer, room.sign(offer))).named("Convicted")


def test_the_later_offer_comes_last(room: Courtroom) -> None:
    good = room.two_prices()
    turned = object.__new__(RateEquivocation)
    fields = {
        "earlier": good.later,
        "earlier_signature": good.later_signature,
        "later": good.earlier,
        "later_signature": good.earlier_signature,
        "header": room.header(good.earlier.block_number),
    }
    for name, value in fields.items():
        object.__setattr__(turned, name, value)
    assert room.refused(turned) == "NotComparable"
    sorted_again = equivocation((good.later, good.later_signature), (good.earlier, good.earlier_signature), good.header)
    assert sorted_again == good


def test_two_prices_on_one_block_count_once_in_either_order(room: Courtroom) -> None:
    evidence = room.two_prices(blocks=0)
    turned = RateEquivocation(
        evidence.later, evidence.later_signature, evidence.earlier, evidence.earlier_signature, evidence.header
    )
    assert room.challenge(evidence).named("Convicted")
    assert room.challenge(turned).named("AlreadyPunished")


def test_one_day_is_one_offence_and_the_next_another(room: Courtroom) -> None:
    first, again = room.two_prices(), room.two_prices(client=CLIENT[::-1])
    assert room.challenge(first).named("Convicted")
    assert room.challenge(again).named("AlreadyPunished")
    assert room.world.court.call("equivocationPunished", room.node, first.header.timestamp_s)
    assert not room.world.court.call("equivocationPunished", room.node, first.header.timestamp_s + DAY_S)
    room.world.travel(DAY_S)
    room.world.mine()
    assert room.challenge(room.two_prices()).named("Convicted")
    assert room.world.court.call("convictions", room.node) == 2


def test_a_retired_key_makes_no_second_price(room: Courtroom) -> None:
    """Whoever has stolen the old key can sign what it likes on blocks of now, or that it says to be of before."""
    next_key = key_of("the next hot key")
    before = room.two_prices()
    send(room.world, sign(room.world, room.node.but(hot_key=next_key)), "update")
    after = room.two_prices()
    honest = replace(after, later_signature=room.sign(after.later, next_key))
    assert room.refused(honest) == "HotKeyRetired"
    assert room.refused(
        replace(honest, earlier_signature=room.sign(after.earlier, next_key)), at3=after.later_signature
    ) == ("HotKeyRetired")
    assert room.challenge(before).event("Convicted").operator == room.node.address


def test_two_keys_of_one_operator_are_one_node(room: Courtroom) -> None:
    """It went back to its first key; both are in use as far as the registry knows."""
    next_key = key_of("the next hot key")
    for key in (next_key, room.node.hot_key):
        send(room.world, sign(room.world, room.node.but(hot_key=key)), "update")
    evidence = room.two_prices()
    mixed = replace(evidence, earlier_signature=room.sign(evidence.earlier, next_key))
    assert room.refused(mixed) == "HotKeyRetired"
    assert room.challenge(evidence).named("Convicted")


def test_two_nodes_may_ask_two_prices(room: Courtroom) -> None:
    other = join(room.world, 5)
    evidence = room.two_prices()
    theirs = replace(evidence, later_signature=room.sign(evidence.later, other.hot_key))
    assert room.refused(theirs) == "DifferentOperators"
    stranger = replace(evidence, earlier_signature=room.sign(evidence.earlier, key_of("a stranger")))
    assert room.refused(stranger) == "UnknownHotKey"


@pytest.mark.parametrize("place", ["earlier", "later"])
def test_both_signatures_are_checked_strictly(room: Courtroom, place: str) -> None:
    evidence = room.two_prices()

    def but(signature: bytes) -> RateEquivocation:
        if place == "earlier":
            return replace(evidence, earlier_signature=signature)
        return replace(evidence, later_signature=signature)

    good, other = evidence.earlier_signature, evidence.later
    if place == "later":
        good, other = evidence.later_signature, evidence.earlier
    for signature in (b"", good[:64], high_s(good), bytes(65)):
        assert room.refused(but(signature)) == "BadSignature"
    assert room.refused(but(room.sign(other))) == "UnknownHotKey"
    assert room.challenge(evidence).named("Convicted")


def test_the_header_must_be_the_later_offers(room: Courtroom) -> None:
    evidence = room.two_prices()
    earlier = room.header(evidence.earlier.block_number)
    assert room.refused(evidence, at4=earlier.encoded) == "HeaderMismatch"
    room.set("maxEvidenceAge", DAY_S)
    room.world.travel(DAY_S)
    assert room.refused(evidence) == "EvidenceTooOld"


def unchecked(good: RateEquivocation, earlier: object, signature: bytes) -> RateEquivocation:
    """Evidence as it comes from somebody who does not check it."""
    made = object.__new__(RateEquivocation)
    for name in ("later", "later_signature", "header"):
        object.__setattr__(made, name, getattr(good, name))
    object.__setattr__(made, "earlier", earlier)
    object.__setattr__(made, "earlier_signature", signature)
    return made

"""One bad row of a batch is skipped with its reason; whatever it is, the good rows are paid."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from eth_hash.auto import keccak
from tests.contracts.accounts import high_s, key_of
from tests.contracts.channels import Channel, Row, batch_digest, keccak_text
from tests.contracts.codec import Reverted
from tests.contracts.trickery import Answer, hostile
from tests.contracts.world import DAY_S, DOLLAR, World, address_of

from nearcast.chain.artifacts import artifact
from nearcast.chain.devchain.cells import STORAGE

MOST = 2**128 - 1


def position(contract: str, variable: str) -> int:
    """The slot of a variable by the compiler's word."""
    (found,) = (entry for entry in artifact(contract).storage_layout["storage"] if entry["label"] == variable)
    return int(found["slot"])


def slot_of(mapping: int, key: object) -> int:
    """The slot of an address's value in a mapping (Solidity, "Layout of State Variables in Storage")."""
    return int.from_bytes(keccak(address_of(key).rjust(32, b"\0") + mapping.to_bytes(32)))


def reason(error: str) -> bytes:
    """How ClaimSkipped names an error."""
    return keccak_text(f"{error}()")[:4]


@pytest.fixture
def channels(world: World) -> tuple[Channel, Channel, Channel]:
    """Three payers, one receiver, a dollar each."""
    first, second, third = (Channel(world, payer=payer, receiver=world.accounts[0]) for payer in world.accounts[1:4])
    for channel in (first, second, third):
        channel.deposit(DOLLAR)
    return first, second, third


def skipped(world: World, channels: tuple[Channel, Channel, Channel], row: Row, error: str, gas_max: int) -> None:
    """Between two good rows: only this one is left out, and the receiver gets the rest."""
    first, _, third = channels
    done = first.claim(first.row(3), row, third.row(4))
    assert [event.claimAmount for event in done.named("Claimed")] == [3, 4]
    assert done.event("ClaimSkipped").reason == reason(error)
    assert first.settle().event("Settled").amount == 7
    assert done.gas_used < gas_max


BAD: dict[str, tuple[str, Callable[[Channel], Row]]] = {
    "more than signed": ("ClaimExceedsCeiling", lambda c: c.row(6, ceiling=5)),
    "more than escrowed": ("ClaimExceedsBalance", lambda c: c.row(DOLLAR + 1)),
    "the largest number": ("ClaimExceedsBalance", lambda c: c.row(MOST)),
    "nothing": ("NothingNewToClaim", lambda c: c.row(0, ceiling=5)),
    "a channel nobody opened": ("ClaimExceedsBalance", lambda c: c.salted(9).row(1)),
    "somebody else's receiver": ("NotAuthorizedToClaim", lambda c: replace(c, receiver=key_of("another")).row(5)),
    "signed by another": ("InvalidSignature", lambda c: c.row(5, signature=key_of("x").sign(c.voucher_digest(5)))),
    "no signature": ("InvalidSignature", lambda c: c.row(5, signature=b"")),
    "64 bytes": ("InvalidSignature", lambda c: c.row(5, signature=c.sign(5)[:64])),
    "66 bytes": ("InvalidSignature", lambda c: c.row(5, signature=c.sign(5) + b"\x00")),
    "a high s": ("InvalidSignature", lambda c: c.row(5, signature=high_s(c.sign(5)))),
    "v of 0 or 1": ("InvalidSignature", lambda c: c.row(5, signature=c.sign(5)[:64] + bytes([c.sign(5)[64] - 27]))),
    "zeros": ("InvalidSignature", lambda c: c.row(5, signature=bytes(65))),
    "a signature for less": ("InvalidSignature", lambda c: c.row(5, signature=c.sign(4))),
    "of another channel": ("InvalidSignature", lambda c: c.row(5, signature=c.salted(1).sign(5))),
    "a refund's signature": ("InvalidSignature", lambda c: c.row(5, signature=c.payer.sign(c.refund_digest(0, 5)))),
    "two kilobytes": ("InvalidSignature", lambda c: c.row(5, signature=bytes(2_000))),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_row_harms_no_other(world: World, channels: tuple[Channel, Channel, Channel], bad: str) -> None:
    error, row = BAD[bad]
    skipped(world, channels, row(channels[1]), error, gas_max=250_000)
    assert channels[1].claimed == 0


def test_a_replayed_row_is_reported_and_has_no_effect(world: World, channels: tuple[Channel, Channel, Channel]) -> None:
    row = channels[1].row(5)
    channels[1].claim(row)
    again = channels[1].claim(row, channels[1].row(4))
    assert [event.reason for event in again.events] == [reason("NothingNewToClaim")] * 2
    assert channels[1].claimed == 5


def test_a_batch_of_bad_rows_alone_goes_through(channels: tuple[Channel, Channel, Channel]) -> None:
    done = channels[0].claim(channels[0].row(5, signature=b""), channels[1].row(MOST))
    assert [event.name for event in done.events] == ["ClaimSkipped"] * 2


def test_one_channel_may_come_twice(channels: tuple[Channel, Channel, Channel]) -> None:
    done = channels[0].claim(channels[0].row(5), channels[0].row(9), channels[0].row(7))
    assert [event.name for event in done.events] == ["Claimed", "Claimed", "ClaimSkipped"]
    assert channels[0].claimed == 9


@pytest.mark.parametrize(
    ("answer", "paid"),
    [
        (Answer.YES, True),
        (Answer.NO, False),
        (Answer.REVERT, False),
        (Answer.BURN_ALL_GAS, False),
        (Answer.RETURN_MUCH, True),
        (Answer.RETURN_LITTLE, False),
    ],
)
def test_a_payer_that_is_a_contract_is_asked_with_little_gas(
    world: World, channels: tuple[Channel, Channel, Channel], answer: Answer, paid: bool
) -> None:
    wallet = world.deploy(hostile("TrickWallet"), answer)
    channel = Channel(world, payer=wallet, receiver=world.accounts[0])
    collector, token = world.allowance_collector, world.token
    token.transact("transfer", wallet, DOLLAR, sender=world.accounts[1])
    wallet.transact("forward", token, token.encode("approve", collector, DOLLAR), sender=world.accounts[1])
    deposit = collector.encode("deposit", channel.config, DOLLAR)
    wallet.transact("forward", collector, deposit, sender=world.accounts[1])

    row = channel.row(5, signature=b"whatever it likes")
    if not paid:
        skipped(world, channels, row, "InvalidSignature", gas_max=500_000)
        return
    assert channels[0].claim(row).event("Claimed").newTotalClaimed == 5


def test_a_token_of_unbounded_supply_cannot_overflow_a_receiver(
    world: World, channels: tuple[Channel, Channel, Channel]
) -> None:
    """65,536 full channels would do it; here the sum is set to where all but one of them would bring it."""
    token = world.deploy(hostile("FeeToken"), 0)
    full = replace(channels[0], token=token)
    token.transact("mint", full.payer, 2**112 - 1, sender=full.payer)
    full.deposit(2**112 - 1)
    slot = slot_of(slot_of(position(world.settlement.name, "receivers"), full.receiver), token)
    world.engine._cells.put(STORAGE, (world.settlement.address, slot), 2**128 - 2**112 + 1)
    assert world.settlement.call("receivers", full.receiver, token) == (2**128 - 2**112 + 1, 0)

    done = channels[1].claim(full.row(2**112 - 1), channels[1].row(5), full.row(2**112 - 2))
    assert [event.name for event in done.events] == ["ClaimSkipped", "Claimed", "Claimed"]
    assert done.event("ClaimSkipped").args == (full.id, reason("ClaimOverflow"))
    assert world.settlement.call("receivers", full.receiver, token) == (2**128 - 1, 0)


# --- by signature ------------------------------------------------------------------------------------------------


def test_rows_of_another_authorizer_are_skipped(world: World, channels: tuple[Channel, Channel, Channel]) -> None:
    """Account 0 signs for two channels of its own and one that is another's."""
    first, second, _ = channels
    foreign = Channel(world, payer=world.accounts[1], receiver=world.accounts[5])
    foreign.deposit(DOLLAR)
    rows = [(first, first.row(3)), (foreign, foreign.row(5)), (second, second.row(4))]
    signature = world.accounts[0].sign(batch_digest(world, rows))
    done = world.settlement.transact("claimWithSignature", [row for _, row in rows], signature, sender=key_of("relay"))
    assert [event.claimAmount for event in done.named("Claimed")] == [3, 4]
    assert done.event("ClaimSkipped").args == (foreign.id, reason("NotReceiverAuthorizer"))


def test_a_wrong_signature_over_the_batch_stops_it(world: World, channels: tuple[Channel, Channel, Channel]) -> None:
    first, second, _ = channels
    rows = [(first, first.row(3)), (second, second.row(4))]
    good = world.accounts[0].sign(batch_digest(world, rows))
    for bad in (world.accounts[1].sign(batch_digest(world, rows)), high_s(good), good[:64], b"", good + b"\x00"):
        with pytest.raises(Reverted, match="InvalidSignature"):
            world.settlement.transact("claimWithSignature", [row for _, row in rows], bad, sender=key_of("relay"))
    with pytest.raises(Reverted, match="InvalidSignature"):
        world.settlement.transact("claimWithSignature", [rows[0][1]], good, sender=key_of("relay"))


# --- where a signature does not count ----------------------------------------------------------------------------


def test_a_voucher_of_another_deployment_or_chain_does_not_count(
    world: World, channels: tuple[Channel, Channel, Channel]
) -> None:
    channel = channels[0]
    other = world.deploy("BatchSettlement")
    for domain in (
        replace(channel.domain, contract=other.address),
        replace(channel.domain, chain_id=8453),
        replace(channel.domain, version="2"),
    ):
        abroad = replace(channel)
        object.__setattr__(abroad, "domain", domain)
        assert abroad.id != channel.id
        assert channel.claim(channel.row(5, signature=abroad.sign(5))).event("ClaimSkipped")
    assert channel.claimed == 0


def test_a_voucher_signed_before_a_close_counts_after_the_channel_opens_again(
    world: World, channels: tuple[Channel, Channel, Channel]
) -> None:
    """Claims are cumulative over the channel's whole life: to reopen with old vouchers about, choose a new salt."""
    channel = channels[0]
    row = channel.row(5)
    world.settlement.transact("initiateWithdraw", channel.config, DOLLAR, sender=channel.payer)
    world.travel(DAY_S)
    world.settlement.transact("finalizeWithdraw", channel.config, sender=channel.payer)
    assert channel.claim(row).event("ClaimSkipped").reason == reason("ClaimExceedsBalance")
    channel.deposit(DOLLAR)
    assert channel.claim(row).event("Claimed").newTotalClaimed == 5

"""What tokens and collectors can do to the settlement contract, and what they cannot."""

from dataclasses import replace

import pytest
from eth_abi.abi import encode
from tests.contracts.accounts import key_of
from tests.contracts.channels import FIFTEEN_MINUTES_S, Channel
from tests.contracts.codec import Reverted
from tests.contracts.trickery import hostile
from tests.contracts.world import DOLLAR, World

FROZEN = "Blacklistable: account is blacklisted"


@pytest.fixture
def channel(world: World) -> Channel:
    """Account 1 pays account 2; ten dollars are in it, three are claimed."""
    channel = Channel(world, payer=world.accounts[1], receiver=world.accounts[2])
    channel.deposit(10 * DOLLAR)
    channel.claim(channel.row(3 * DOLLAR))
    return channel


@pytest.fixture
def other(world: World) -> Channel:
    """Of two others."""
    other = Channel(world, payer=world.accounts[3], receiver=world.accounts[4])
    other.deposit(10 * DOLLAR)
    other.claim(other.row(3 * DOLLAR))
    return other


def freeze(world: World, account: object) -> None:
    world.token.transact("blacklist", account, sender=world.accounts[0])


# --- freezing ----------------------------------------------------------------------------------------------------


def test_a_frozen_receiver_waits_and_nobody_else_does(world: World, channel: Channel, other: Channel) -> None:
    freeze(world, channel.receiver)
    with pytest.raises(Reverted, match=FROZEN):
        channel.settle()
    assert channel.claim(channel.row(4 * DOLLAR)).event("Claimed").claimAmount == DOLLAR
    assert other.settle().event("Settled").amount == 3 * DOLLAR
    world.settlement.transact("initiateWithdraw", channel.config, 6 * DOLLAR, sender=channel.payer)
    world.travel(FIFTEEN_MINUTES_S)
    left = world.settlement.transact("finalizeWithdraw", channel.config, sender=channel.payer)
    assert left.event("WithdrawFinalized").amount == 6 * DOLLAR
    world.token.transact("unBlacklist", channel.receiver, sender=world.accounts[0])
    assert channel.settle().event("Settled").amount == 4 * DOLLAR


def test_a_frozen_payer_still_pays_what_he_signed(world: World, channel: Channel) -> None:
    row = channel.row(5 * DOLLAR)
    freeze(world, channel.payer)
    with pytest.raises(Reverted, match=FROZEN):
        world.settlement.transact("refund", channel.config, DOLLAR, sender=channel.receiver)
    assert world.settlement.call("refundNonce", channel.id) == 0
    channel.claim(row)
    assert channel.settle().event("Settled").amount == 5 * DOLLAR


def test_while_the_contract_itself_is_frozen_claims_are_still_booked(world: World, channel: Channel) -> None:
    freeze(world, world.settlement)
    channel.claim(channel.row(9 * DOLLAR))
    with pytest.raises(Reverted, match=FROZEN):
        channel.settle()
    world.token.transact("unBlacklist", world.settlement, sender=world.accounts[0])
    assert channel.settle().event("Settled").amount == 9 * DOLLAR


# --- collectors --------------------------------------------------------------------------------------------------


def test_a_collector_must_bring_exactly_the_amount(world: World, channel: Channel) -> None:
    collector = world.deploy(hostile("TrickCollector"))
    world.token.transact("transfer", collector, 20, sender=world.accounts[0])
    for pays in (4, 6, 0):
        data = encode(["uint256", "bytes"], [pays, b""])
        with pytest.raises(Reverted, match="DepositCollectionFailed"):
            world.settlement.transact("deposit", channel.config, 5, collector, data, sender=key_of("stranger"))
    data = encode(["uint256", "bytes"], [5, b""])
    done = world.settlement.transact("deposit", channel.config, 5, collector, data, sender=key_of("stranger"))
    assert done.event("Deposited").newBalance == 10 * DOLLAR + 5


def test_nothing_can_be_called_from_within_a_deposit(world: World, channel: Channel) -> None:
    collector = world.deploy(hostile("TrickCollector"))
    world.token.transact("transfer", collector, 20, sender=world.accounts[0])
    own = Channel(world, payer=collector, receiver=collector)
    inner = encode(["uint256", "bytes"], [0, b""])
    calls = [
        world.settlement.encode("settle", channel.receiver, world.token),
        world.settlement.encode("claim", [channel.row(9)]),
        world.settlement.encode("deposit", own.config, 5, collector, inner),
        world.settlement.encode("refund", own.config, 1),
        world.settlement.encode("initiateWithdraw", own.config, 1),
        world.settlement.encode("finalizeWithdraw", own.config),
        world.settlement.encode("multicall", [world.settlement.encode("settle", channel.receiver, world.token)]),
    ]
    for call in calls:
        data = encode(["uint256", "bytes"], [5, call])
        with pytest.raises(Reverted, match="ReentrancyGuardReentrantCall"):
            world.settlement.transact("deposit", own.config, 5, collector, data, sender=key_of("stranger"))


def test_only_the_settlement_contract_can_collect(world: World, channel: Channel) -> None:
    arguments = (channel.payer, world.token, 1, channel.id, b"")
    for collector in (world.erc3009_collector, world.allowance_collector):
        with pytest.raises(Reverted, match="OnlyX402BatchSettlement"):
            collector.transact("collect", *arguments, sender=channel.payer)


def test_nobody_else_can_use_an_allowance(world: World, channel: Channel) -> None:
    """A thief opens a channel from his victim's allowance to himself, signed by a key of his own."""
    victim, thief = world.accounts[6], world.accounts[7]
    world.token.transact("approve", world.allowance_collector, 100 * DOLLAR, sender=victim)
    bait = Channel(world, payer=victim, receiver=thief, signer=thief)
    with pytest.raises(Reverted, match="NotThePayer"):
        world.allowance_collector.transact("deposit", bait.config, DOLLAR, sender=thief)
    arguments = (bait.config, DOLLAR, world.allowance_collector, b"")
    with pytest.raises(Reverted, match="NotAskedByThePayer"):
        world.settlement.transact("deposit", *arguments, sender=thief)
    assert world.token.call("balanceOf", victim) == 10_000 * DOLLAR


def test_an_authorization_is_good_for_one_channel_and_one_time(world: World, channel: Channel) -> None:
    thief = world.accounts[7]
    data = channel.authorization(5)
    bait = replace(channel, receiver=thief, signer=thief)
    with pytest.raises(Reverted, match="FiatTokenV2: invalid signature"):
        world.settlement.transact("deposit", bait.config, 5, world.erc3009_collector, data, sender=thief)
    with pytest.raises(Reverted, match="FiatTokenV2: invalid signature"):
        world.settlement.transact("deposit", channel.config, 6, world.erc3009_collector, data, sender=thief)
    world.settlement.transact("deposit", channel.config, 5, world.erc3009_collector, data, sender=thief)
    with pytest.raises(Reverted, match="authorization is used or canceled"):
        world.settlement.transact("deposit", channel.config, 5, world.erc3009_collector, data, sender=thief)


def test_a_collector_needs_a_settlement_contract(world: World) -> None:
    for name in ("ERC3009DepositCollector", "AllowanceDepositCollector"):
        with pytest.raises(Reverted, match="InvalidX402BatchSettlementAddress"):
            world.deploy(name, bytes(20))


# --- tokens ------------------------------------------------------------------------------------------------------


def test_a_token_that_keeps_a_fee_cannot_be_deposited(world: World, channel: Channel) -> None:
    token = world.deploy(hostile("FeeToken"), 100)
    feeing = replace(channel, token=token)
    token.transact("mint", feeing.payer, 1_000, sender=feeing.payer)
    with pytest.raises(Reverted, match="DepositCollectionFailed"):
        feeing.deposit(500)


def test_tokens_do_not_mix(world: World, channel: Channel) -> None:
    """Worthless units in one channel do not pay out of another token's escrow."""
    token = world.deploy(hostile("FeeToken"), 0)
    worthless = replace(channel, token=token)
    token.transact("mint", worthless.payer, 100 * DOLLAR, sender=worthless.payer)
    worthless.deposit(100 * DOLLAR)
    worthless.claim(worthless.row(100 * DOLLAR))
    worthless.settle()
    assert token.call("balanceOf", channel.receiver) == 100 * DOLLAR
    assert world.token.call("balanceOf", world.settlement) == 10 * DOLLAR


def test_an_amount_above_the_largest_balance_is_refused(world: World, channel: Channel) -> None:
    token = world.deploy(hostile("FeeToken"), 0)
    huge = replace(channel, token=token)
    token.transact("mint", huge.payer, 2**130, sender=huge.payer)
    with pytest.raises(Reverted, match="DepositOverflow"):
        huge.deposit(2**112)
    huge.deposit(2**112 - 1)
    with pytest.raises(Reverted, match="DepositOverflow"):
        huge.deposit(1)

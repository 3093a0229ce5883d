"""BatchSettlement on real bytecode: paying in, claiming, settling, leaving, refunding."""

import pytest
from tests.contracts.accounts import key_of
from tests.contracts.channels import FIFTEEN_MINUTES_S, Channel, batch_digest
from tests.contracts.codec import Reverted
from tests.contracts.world import DAY_S, DOLLAR, ZERO, World


@pytest.fixture
def channel(world: World) -> Channel:
    """Account 1 pays account 2; ten dollars are in it."""
    channel = Channel(world, payer=world.accounts[1], receiver=world.accounts[2])
    channel.deposit(10 * DOLLAR)
    return channel


# --- paying in ---------------------------------------------------------------------------------------------------


def test_the_first_deposit_opens_the_channel(world: World) -> None:
    channel = Channel(world, payer=world.accounts[1], receiver=world.accounts[2])
    done = channel.deposit(3 * DOLLAR)
    assert done.event("ChannelCreated").args == (channel.id, channel.config)
    assert done.event("Deposited").args == (channel.id, world.allowance_collector.address, 3 * DOLLAR, 3 * DOLLAR)
    more = channel.deposit(2 * DOLLAR)
    assert not more.named("ChannelCreated")
    assert (channel.balance, channel.claimed) == (5 * DOLLAR, 0)
    assert world.token.call("balanceOf", world.settlement) == 5 * DOLLAR


def test_anyone_may_send_a_signed_deposit(world: World) -> None:
    channel = Channel(world, payer=world.accounts[1], receiver=world.accounts[2])
    done = channel.deposit_by_signature(4 * DOLLAR, sender=world.accounts[5])
    assert done.event("Deposited").args == (channel.id, world.accounts[5].address, 4 * DOLLAR, 4 * DOLLAR)
    assert world.token.call("balanceOf", world.erc3009_collector) == 0


@pytest.mark.parametrize("which", [0, 2, 3, 4])
def test_a_channel_without_one_of_its_parties_is_not_opened(world: World, which: int) -> None:
    config = list(Channel(world, payer=world.accounts[1], receiver=world.accounts[2]).config)
    config[which] = ZERO
    with pytest.raises(Reverted, match="InvalidChannel"):
        world.settlement.transact("deposit", config, 1, world.erc3009_collector, b"", sender=world.accounts[1])


@pytest.mark.parametrize(("delay_s", "good"), [(899, False), (900, True), (30 * DAY_S, True), (30 * DAY_S + 1, False)])
def test_the_delay_has_bounds(world: World, delay_s: int, good: bool) -> None:
    channel = Channel(world, payer=world.accounts[1], receiver=world.accounts[2], delay_s=delay_s)
    if good:
        assert channel.deposit(1).event("Deposited").amount == 1
        return
    with pytest.raises(Reverted, match="WithdrawDelayOutOfRange"):
        channel.deposit(1)


def test_nothing_and_nobody_are_no_deposit(world: World) -> None:
    channel = Channel(world, payer=world.accounts[1], receiver=world.accounts[2])
    with pytest.raises(Reverted, match="ZeroDeposit"):
        channel.deposit(0)
    with pytest.raises(Reverted, match="InvalidCollector"):
        world.settlement.transact("deposit", channel.config, 1, ZERO, b"", sender=world.accounts[1])


# --- claim and settle --------------------------------------------------------------------------------------------


def test_what_is_signed_is_claimed_and_settled(world: World, channel: Channel) -> None:
    done = channel.claim(channel.row(claimed=2 * DOLLAR, ceiling=3 * DOLLAR))
    assert done.event("Claimed").args == (channel.id, world.accounts[2].address, 2 * DOLLAR, 2 * DOLLAR)
    assert channel.claim(channel.row(3 * DOLLAR)).event("Claimed").claimAmount == 1 * DOLLAR
    paid = channel.settle()
    assert paid.event("Settled").args == (world.accounts[2].address, world.token.address, ZERO, 3 * DOLLAR)
    assert world.token.call("balanceOf", world.accounts[2]) == 10_003 * DOLLAR
    assert channel.settle().events == ()
    assert world.settlement.call("receivers", world.accounts[2], world.token) == (3 * DOLLAR, 3 * DOLLAR)


def test_claim_and_settle_fit_one_multicall(world: World, channel: Channel) -> None:
    claim = world.settlement.encode("claim", [channel.row(DOLLAR)])
    settle = world.settlement.encode("settle", channel.receiver, world.token)
    done = world.settlement.transact("multicall", [claim, settle], sender=channel.receiver)
    assert done.event("Claimed").sender == world.accounts[2].address
    assert done.event("Settled").amount == DOLLAR


def test_a_batch_over_channels_of_many_payers(world: World) -> None:
    channels = [Channel(world, payer=payer, receiver=world.accounts[0]) for payer in world.accounts[1:5]]
    for channel in channels:
        channel.deposit(DOLLAR)
    done = channels[0].claim(*(channel.row(claimed=n + 1) for n, channel in enumerate(channels)))
    assert [event.claimAmount for event in done.named("Claimed")] == [1, 2, 3, 4]
    assert channels[0].settle().event("Settled").amount == 10


def test_the_authorizer_claims_for_the_receiver(world: World) -> None:
    authorizer = key_of("a server's key")
    channel = Channel(world, payer=world.accounts[1], receiver=world.accounts[2], authorizer=authorizer)
    channel.deposit(DOLLAR)
    assert channel.claim(channel.row(5), sender=authorizer).event("Claimed").newTotalClaimed == 5
    row = channel.row(9)
    signature = authorizer.sign(batch_digest(world, [(channel, row)]))
    done = world.settlement.transact("claimWithSignature", [row], signature, sender=world.accounts[7])
    assert done.event("Claimed").args == (channel.id, world.accounts[7].address, 4, 9)


def test_a_separate_key_may_sign_the_vouchers(world: World) -> None:
    signer = key_of("the payer's hot key")
    channel = Channel(world, payer=world.accounts[1], receiver=world.accounts[2], signer=signer)
    channel.deposit(DOLLAR)
    by_payer = world.accounts[1].sign(channel.voucher_digest(5))
    assert channel.claim(channel.row(5, signature=by_payer)).event("ClaimSkipped")
    assert channel.claim(channel.row(5)).event("Claimed").newTotalClaimed == 5


def test_an_empty_batch_is_refused(world: World, channel: Channel) -> None:
    with pytest.raises(Reverted, match="EmptyBatch"):
        channel.claim()
    with pytest.raises(Reverted, match="EmptyBatch"):
        world.settlement.transact("claimWithSignature", [], bytes(65), sender=ZERO)


# --- the payer leaves --------------------------------------------------------------------------------------------


def test_the_payer_leaves_after_the_delay(world: World, channel: Channel) -> None:
    payer = world.accounts[1]
    done = world.settlement.transact("initiateWithdraw", channel.config, 6 * DOLLAR, sender=payer)
    finalize_after = done.timestamp_s + FIFTEEN_MINUTES_S
    assert done.event("WithdrawInitiated").args == (channel.id, 6 * DOLLAR, finalize_after)
    assert world.settlement.call("pendingWithdrawals", channel.id) == (6 * DOLLAR, done.timestamp_s)
    world.travel_to(finalize_after - 1)
    with pytest.raises(Reverted, match="WithdrawDelayNotElapsed"):
        world.settlement.transact("finalizeWithdraw", channel.config, sender=payer)
    left = world.settlement.transact("finalizeWithdraw", channel.config, sender=payer)
    assert left.event("WithdrawFinalized").args == (channel.id, payer.address, 6 * DOLLAR)
    assert world.token.call("balanceOf", payer) == 9_996 * DOLLAR
    with pytest.raises(Reverted, match="WithdrawalNotPending"):
        world.settlement.transact("finalizeWithdraw", channel.config, sender=payer)


def test_a_claim_during_the_delay_comes_first(world: World, channel: Channel) -> None:
    world.settlement.transact("initiateWithdraw", channel.config, 10 * DOLLAR, sender=world.accounts[1])
    channel.claim(channel.row(7 * DOLLAR))
    world.travel(FIFTEEN_MINUTES_S)
    left = world.settlement.transact("finalizeWithdraw", channel.config, sender=world.accounts[1])
    assert left.event("WithdrawFinalized").amount == 3 * DOLLAR
    assert channel.settle().event("Settled").amount == 7 * DOLLAR
    assert (channel.balance, channel.claimed) == (7 * DOLLAR, 7 * DOLLAR)


def test_leaving_has_rules(world: World, channel: Channel) -> None:
    def initiate(amount: int, account: int) -> None:
        world.settlement.transact("initiateWithdraw", channel.config, amount, sender=world.accounts[account])

    with pytest.raises(Reverted, match="InvalidChannel"):
        initiate(1, account=3)
    with pytest.raises(Reverted, match="NothingToWithdraw"):
        initiate(0, account=1)
    with pytest.raises(Reverted, match="WithdrawAmountExceedsAvailable"):
        initiate(10 * DOLLAR + 1, account=1)
    initiate(1, account=1)
    with pytest.raises(Reverted, match="WithdrawalAlreadyPending"):
        initiate(1, account=1)
    world.travel(FIFTEEN_MINUTES_S)
    with pytest.raises(Reverted, match="NotAuthorizedToFinalizeWithdraw"):
        world.settlement.transact("finalizeWithdraw", channel.config, sender=world.accounts[2])


def test_an_emptied_channel_closes_and_opens_again(world: World, channel: Channel) -> None:
    world.settlement.transact("initiateWithdraw", channel.config, 10 * DOLLAR, sender=world.accounts[1])
    world.travel(FIFTEEN_MINUTES_S)
    left = world.settlement.transact("finalizeWithdraw", channel.config, sender=world.accounts[1])
    assert left.event("ChannelClosed").args == (channel.id, channel.config)
    assert channel.deposit(DOLLAR).event("ChannelCreated").channelId == channel.id


# --- the receiver gives it back ----------------------------------------------------------------------------------


def test_a_refund_is_at_once_and_at_most_what_is_unclaimed(world: World, channel: Channel) -> None:
    channel.claim(channel.row(DOLLAR))
    done = world.settlement.transact("refund", channel.config, 100 * DOLLAR, sender=world.accounts[2])
    assert done.event("Refunded").args == (channel.id, world.accounts[2].address, 9 * DOLLAR)
    assert world.token.call("balanceOf", world.accounts[1]) == 9_999 * DOLLAR
    nothing = world.settlement.transact("refund", channel.config, 1, sender=world.accounts[2])
    assert nothing.events == ()
    assert world.settlement.call("refundNonce", channel.id) == 2


def test_a_signed_refund_counts_once(world: World, channel: Channel) -> None:
    signature = channel.sign_refund(nonce=0, amount=4)
    arguments = ("refundWithSignature", channel.config, 4, 0, signature)
    assert world.settlement.transact(*arguments, sender=world.accounts[9]).event("Refunded").amount == 4
    with pytest.raises(Reverted, match="InvalidRefundNonce"):
        world.settlement.transact(*arguments, sender=world.accounts[9])


def test_refunds_have_rules(world: World, channel: Channel) -> None:
    with pytest.raises(Reverted, match="NotAuthorizedToRefund"):
        world.settlement.transact("refund", channel.config, 1, sender=world.accounts[1])
    with pytest.raises(Reverted, match="ZeroRefund"):
        world.settlement.transact("refund", channel.config, 0, sender=world.accounts[2])
    wrong = world.accounts[1].sign(channel.refund_digest(0, 5))
    with pytest.raises(Reverted, match="InvalidSignature"):
        world.settlement.transact("refundWithSignature", channel.config, 5, 0, wrong, sender=world.accounts[2])


@pytest.mark.parametrize(("refunded", "left"), [(2, 1), (3, 0), (4, 0)])
def test_a_refund_counts_towards_the_withdrawal(world: World, channel: Channel, refunded: int, left: int) -> None:
    world.settlement.transact("initiateWithdraw", channel.config, 3, sender=world.accounts[1])
    world.settlement.transact("refund", channel.config, refunded, sender=world.accounts[2])
    pending = world.settlement.call("pendingWithdrawals", channel.id)
    assert pending.amount == left
    assert (pending.initiatedAt != 0) == (left != 0)
    assert world.settlement.call("refundNonce", channel.id) == 1

"""The properties of payment channels by name, each shown on bytecode with drawn amounts.

Those that must hold after every act of anybody are asked again, step by step, in test_machine_settlement.py; that they
can fail is shown in test_machines_find_faults.py. Which of the names in the trade's lists are ours, and where:

| property | where |
|---|---|
| inv_solvency, inv_claimed_monotone, inv_payer_loss_le_signed | here and in the machine |
| inv_paid_equals_claimed; there is no fee, so this is inv_fee_le_cap with the cap at zero | here |
| inv_payee_gets_min_signed_balance, inv_batch_isolation | here; the machine compares every batch with the model |
| inv_exit_always_possible_after_delay, inv_third_party_cannot_move_exit | here |
| inv_replay_rejected[chain, contract, channel, payee, epoch], inv_high_s_rejected | here |
| inv_blacklisted_party_blocks_nobody | here |
| inv_pause_never_blocks_exit | nothing can be paused: no ABI has a word for it, which is asked here |
| inv_chain_walk_bounded | does not apply: vouchers are signatures, there are no hash chains |
| those of stake, blacklist, court and parameters | test_properties_court.py |
"""

import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contracts.accounts import high_s
from tests.contracts.channels import Channel, Domain
from tests.contracts.codec import Reverted, codec_of
from tests.contracts.world import ZERO, World, shared
from tests.depth import is_nightly

from nearcast.chain.artifacts import artifact_names

QUICK = settings(max_examples=1_000 if is_nightly() else 12)
UNITS = st.integers(1, 10**9)


def channel_of(world: World, payer: int = 1, receiver: int = 3, **but: object) -> Channel:
    """Between two of the people, vouchers signed by the payer itself."""
    return Channel(world, world.accounts[payer], world.accounts[receiver], **but)  # type: ignore[arg-type]


def owed(world: World, *channels: Channel) -> int:
    """What the contract must have: unclaimed in these channels, and claimed but not settled by their receivers."""
    receivers = {channel.receiver.address for channel in channels}
    accounts = [world.settlement.call("receivers", receiver, world.token) for receiver in receivers]
    unclaimed = sum(channel.balance - channel.claimed for channel in channels)
    return unclaimed + sum(int(account.totalClaimed - account.totalSettled) for account in accounts)


@QUICK
@given(UNITS, UNITS, st.integers(0, 100), st.integers(0, 100))
def test_inv_solvency(first: int, second: int, claimed: int, refunded: int) -> None:
    with shared().fork() as world:
        one, other = channel_of(world), channel_of(world, payer=2)
        for channel, units in ((one, first), (other, second)):
            channel.deposit(units)
            channel.claim(channel.row(units * claimed // 100))
            world.settlement.transact("refund", channel.config, 1 + units * refunded // 100, sender=channel.receiver)
            assert world.token.call("balanceOf", world.settlement) == owed(world, one, other)
        one.settle()
        assert world.token.call("balanceOf", world.settlement) == owed(world, one, other)


@QUICK
@given(st.lists(st.integers(0, 1_000), min_size=2, max_size=6))
def test_inv_claimed_monotone(wanted: list[int]) -> None:
    """Whatever voucher comes when, the sum claimed is the highest so far."""
    with shared().fork() as world:
        channel = channel_of(world)
        channel.deposit(1_000)
        for number, units in enumerate(wanted, start=1):
            channel.claim(channel.row(units, ceiling=1_000))
            assert channel.claimed == max(wanted[:number])


@QUICK
@given(st.lists(st.integers(1, 10**8), min_size=1, max_size=4))
def test_inv_paid_equals_claimed(claims: list[int]) -> None:
    """To the unit: nobody takes a share on the way, and settling twice pays once."""
    with shared().fork() as world:
        channels = [channel_of(world).salted(number) for number in range(len(claims))]
        for channel, units in zip(channels, claims, strict=True):
            channel.deposit(units)
        before = world.token.call("balanceOf", channels[0].receiver)
        channels[0].claim(*(channel.row(units) for channel, units in zip(channels, claims, strict=True)))
        done = channels[0].settle()
        assert done.event("Settled").amount == sum(claims)
        assert not channels[0].settle().events
        assert world.token.call("balanceOf", channels[0].receiver) - before == sum(claims)
        assert world.token.call("balanceOf", world.settlement) == 0


@QUICK
@given(UNITS, UNITS, UNITS)
def test_inv_payer_loss_le_signed_and_inv_payee_gets_min_signed_balance(paid_in: int, signed: int, wanted: int) -> None:
    """The receiver can have all that is signed and there, and not a unit more; the payer gets the rest back."""
    with shared().fork() as world:
        channel = channel_of(world)
        before = world.token.call("balanceOf", channel.payer)
        channel.deposit(paid_in)
        channel.claim(channel.row(wanted, ceiling=signed))
        channel.claim(channel.row(min(signed, paid_in), ceiling=signed))
        assert channel.claimed == min(signed, paid_in)
        if paid_in > signed:
            world.settlement.transact("initiateWithdraw", channel.config, paid_in - signed, sender=channel.payer)
            world.travel(channel.delay_s)
            world.settlement.transact("finalizeWithdraw", channel.config, sender=channel.payer)
        assert before - world.token.call("balanceOf", channel.payer) == min(signed, paid_in)


@QUICK
@given(UNITS, st.integers(900, 30 * 86_400), st.integers(0, 10**9), st.integers(0, 10**9))
def test_inv_exit_always_possible_after_delay(units: int, delay_s: int, claimed: int, refunded: int) -> None:
    """Whatever the receiver does meanwhile: all that is not claimed is the payer's by then, and not a second before."""
    with shared().fork() as world:
        channel = channel_of(world, delay_s=delay_s)
        before = world.token.call("balanceOf", channel.payer)
        channel.deposit(units)
        started = world.settlement.transact("initiateWithdraw", channel.config, units, sender=channel.payer)
        channel.claim(channel.row(min(claimed, units)))
        if refunded:
            world.settlement.transact("refund", channel.config, refunded, sender=channel.receiver)
        if world.settlement.call("pendingWithdrawals", channel.id).initiatedAt:
            world.travel_to(started.timestamp_s + delay_s - 1)
            with pytest.raises(Reverted, match="WithdrawDelayNotElapsed"):
                world.settlement.transact("finalizeWithdraw", channel.config, sender=channel.payer)
            world.settlement.transact("finalizeWithdraw", channel.config, sender=channel.payer)
        assert before - world.token.call("balanceOf", channel.payer) == min(claimed, units)


@QUICK
@given(st.sampled_from([3, 4, 5, 6]), UNITS)
def test_inv_third_party_cannot_move_exit(who: int, units: int) -> None:
    """Strangers and the receiver can neither start, stop, shorten, prolong nor finish it."""
    with shared().fork() as world:
        channel, stranger = channel_of(world), world.accounts[who]
        channel.deposit(units)
        for _ in range(2):
            pending = world.settlement.call("pendingWithdrawals", channel.id)
            for call in (("initiateWithdraw", channel.config, 1), ("finalizeWithdraw", channel.config)):
                with pytest.raises(Reverted, match=r"InvalidChannel|NotAuthorizedToFinalizeWithdraw"):
                    world.settlement.transact(*call, sender=stranger)
            if who != 3:
                with pytest.raises(Reverted, match="NotAuthorizedToRefund"):
                    world.settlement.transact("refund", channel.config, 1, sender=stranger)
            world.settlement.transact("claim", [channel.row(units)], sender=world.accounts[7])
            assert world.settlement.call("pendingWithdrawals", channel.id) == pending
            if not pending.initiatedAt:
                world.settlement.transact("initiateWithdraw", channel.config, units, sender=channel.payer)


@QUICK
@given(st.permutations(range(4)), UNITS)
def test_inv_batch_isolation(order: list[int], units: int) -> None:
    """Good rows count the same, wherever bad ones stand."""
    with shared().fork() as world:
        good, other = channel_of(world), channel_of(world, payer=2)
        for channel in (good, other):
            channel.deposit(units)
        rows = [
            good.row(units),
            other.row(units),
            good.salted(9).row(units),  # never paid in
            other.row(units, signature=good.sign(units)),
        ]
        done = good.claim(*(rows[number] for number in order))
        assert (good.claimed, other.claimed) == (units, units)
        assert (len(done.named("Claimed")), len(done.named("ClaimSkipped"))) == (2, 2)


@pytest.mark.parametrize("where", ["chain", "contract", "channel", "payee", "epoch"])
def test_inv_replay_rejected(world: World, where: str) -> None:
    """A voucher is good in one place and for one sum; `epoch`: also after the channel was emptied and opened again."""
    channel = channel_of(world)
    channel.deposit(100)
    other = channel
    if where == "epoch":
        channel.claim(channel.row(60))
        world.settlement.transact("refund", channel.config, 100, sender=channel.receiver)
        channel.settle()
        channel.deposit(100)
        assert channel.claim(channel.row(60)).event("ClaimSkipped")
        assert channel.claimed == 60
        return
    if where == "channel":
        other = channel.salted(1)
    if where == "payee":
        other = channel_of(world, receiver=4)
    other.balance or other.deposit(100)
    signature = channel.sign(60)
    if where in ("chain", "contract"):
        chain_id, contract = (1, world.settlement.address) if where == "chain" else (31337, world.token.address)
        foreign = Domain("x402 Batch Settlement", "1", chain_id, contract)
        object.__setattr__(channel, "domain", foreign)
        signature = channel.payer.sign(channel.voucher_digest(60))
        other = channel_of(world)
    assert (
        other.claim(other.row(60, signature=signature)).event("ClaimSkipped").reason
        == keccak(b"InvalidSignature()")[:4]
    )
    assert other.claimed == 0
    assert other.claim(other.row(60)).event("Claimed")


@QUICK
@given(st.integers(1, 100))
def test_inv_high_s_rejected(units: int) -> None:
    with shared().fork() as world:
        channel = channel_of(world)
        channel.deposit(100)
        assert channel.claim(channel.row(units, signature=high_s(channel.sign(units)))).event("ClaimSkipped")
        refund = high_s(channel.sign_refund(0, units))
        with pytest.raises(Reverted, match="InvalidSignature"):
            world.settlement.transact("refundWithSignature", channel.config, units, 0, refund, sender=ZERO)
        assert (channel.claimed, channel.balance) == (0, 100)


@QUICK
@given(st.sampled_from([1, 3]), UNITS)
def test_inv_blacklisted_party_blocks_nobody(frozen: int, units: int) -> None:
    """With the payer or the receiver of one channel frozen by the dollar, the other channel goes its whole way."""
    with shared().fork() as world:
        one, other = channel_of(world), channel_of(world, payer=2, receiver=4)
        for channel in (one, other):
            channel.deposit(units)
        world.token.transact("blacklist", world.accounts[frozen], sender=world.accounts[0])
        before = world.token.call("balanceOf", other.receiver)
        world.settlement.transact("claim", [one.row(units)], sender=one.receiver)
        other.claim(other.row(units))
        other.settle()
        assert (one.claimed, other.claimed) == (units, units)
        assert world.token.call("balanceOf", other.receiver) - before == units
        if frozen == 1:
            one.settle()  # what a payer signed is paid although he is frozen


def test_inv_pause_never_blocks_exit() -> None:
    """Nothing can be paused: no contract has a function that says so."""
    words = ("pause", "freeze", "halt", "stop", "upgrade", "selfdestruct")
    names = {function["name"].lower() for name in artifact_names() for function in codec_of(name).functions}
    assert not [name for name in names for word in words if word in name]

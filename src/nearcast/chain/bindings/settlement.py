"""The settlement of payment channels, and the collector that lets a payer deposit from an allowance.

On public chains this is x402's audited contract, which differs from ours in one thing: a bad row reverts its batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nearcast.chain.bindings.bound import Bound
from nearcast.chain.deposits import DepositAuthorization
from nearcast.chain.rpc import BlockTag
from nearcast.chain.transaction_signing import Call, Spend
from nearcast.chain.vouchers import ChannelConfig, Voucher


@dataclass(frozen=True, slots=True)
class ChannelState:
    """A channel on the chain. `balance_units`: deposits less refunds and withdrawals, claims not taken off."""

    balance_units: int
    claimed_units: int
    pending_units: int  # of a withdrawal that was begun
    withdraw_begun_at: int  # unix time; 0: none was
    refund_nonce: int

    @property
    def available_units(self) -> int:
        """What no claim has taken yet."""
        return self.balance_units - self.claimed_units


@dataclass(frozen=True, slots=True)
class Claim:
    """One row of a batch: a voucher, the payer's signature, and how much of it to claim in all (cumulative)."""

    config: ChannelConfig
    voucher: Voucher
    signature: bytes
    total_units: int

    def as_tuple(self) -> tuple[object, ...]:
        return (self.config.as_tuple(), self.voucher.max_claimable_units), self.signature, self.total_units


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """What a receiver has claimed and been paid of one token."""

    claimed_units: int
    settled_units: int


class Settlement(Bound):
    """BatchSettlement."""

    artifact_name = "BatchSettlement"

    async def channel(self, channel_id: bytes, *, block: BlockTag = "latest") -> ChannelState:
        """A channel's balance, claims and withdrawal. All zero for one that was never opened."""
        calls = [(name, (channel_id,)) for name in ("channels", "pendingWithdrawals", "refundNonce")]
        (balance, claimed), (pending, begun_at), nonce = await self.read_many(calls, block=block)
        return ChannelState(balance, claimed, pending, begun_at, nonce)

    async def receiver(self, receiver: bytes, token: bytes) -> ReceiverState:
        """What was claimed for a receiver and what it was paid."""
        return ReceiverState(*await self.read("receivers", receiver, token))

    def deposit_by_authorization(
        self, config: ChannelConfig, authorization: DepositAuthorization, signature: bytes, *, intent: str = ""
    ) -> Call:
        """Open or fill a channel by the payer's EIP-3009 signature; anybody may submit it."""
        return self.write(
            "deposit",
            config.as_tuple(),
            authorization.amount_units,
            authorization.collector,
            authorization.collector_data(signature),
            intent=intent,
            once=True,
        )

    def claim(self, claims: Sequence[Claim], *, intent: str = "") -> Call:
        """Count vouchers as earned; for the receiver or its authorizer. Bad rows are skipped (ClaimSkipped)."""
        return self.write("claim", [claim.as_tuple() for claim in claims], intent=intent)

    def claim_with_signature(self, claims: Sequence[Claim], authorizer_signature: bytes, *, intent: str = "") -> Call:
        """The same for anybody, by the receivers' authorizer's signature of the whole batch."""
        rows = [claim.as_tuple() for claim in claims]
        return self.write("claimWithSignature", rows, authorizer_signature, intent=intent)

    def settle(self, receiver: bytes, token: bytes, *, intent: str = "") -> Call:
        """Pay a receiver all that was claimed for it; anybody may."""
        return self.write("settle", receiver, token, intent=intent)

    def claim_and_settle(self, claims: Sequence[Claim], receiver: bytes, token: bytes, *, intent: str = "") -> Call:
        """Both in one transaction."""
        return self.multicall([self.claim(claims), self.settle(receiver, token)], intent=intent)

    def refund(self, config: ChannelConfig, amount_units: int, *, intent: str = "") -> Call:
        """Give the payer back what was not claimed; for the receiver or its authorizer."""
        return self.write("refund", config.as_tuple(), amount_units, intent=intent)

    def refund_with_signature(
        self, config: ChannelConfig, amount_units: int, nonce: int, authorizer_signature: bytes, *, intent: str = ""
    ) -> Call:
        """The same for anybody, by the receiver's authorizer's signature; the nonce is the channel's `refund_nonce`."""
        arguments = (config.as_tuple(), amount_units, nonce, authorizer_signature)
        return self.write("refundWithSignature", *arguments, intent=intent)

    def initiate_withdraw(self, config: ChannelConfig, amount_units: int, *, intent: str = "") -> Call:
        """Begin taking back what is not claimed; for the payer. The channel's delay starts."""
        return self.write("initiateWithdraw", config.as_tuple(), amount_units, intent=intent)

    def finalize_withdraw(self, config: ChannelConfig, *, intent: str = "") -> Call:
        """Take it back, once the delay has passed."""
        return self.write("finalizeWithdraw", config.as_tuple(), intent=intent)

    def multicall(self, calls: Sequence[Call], *, intent: str = "") -> Call:
        """Several of these calls in one transaction: all happen or none."""
        return self.write("multicall", [call.data for call in calls], intent=intent)


class AllowanceCollector(Bound):
    """AllowanceDepositCollector: deposits from an allowance that the payer gave to it."""

    artifact_name = "AllowanceDepositCollector"

    def deposit(self, config: ChannelConfig, amount_units: int, *, intent: str = "") -> Call:
        """Open or fill a channel; only its payer may. Approve this contract first."""
        spends = (Spend(config.token, amount_units, self.address),)
        return self.write("deposit", config.as_tuple(), amount_units, intent=intent, once=True, spends=spends)

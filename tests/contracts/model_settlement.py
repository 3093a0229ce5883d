"""What BatchSettlement should do, in plain Python: dictionaries and whole numbers, nothing packed.

A refusal is `Refused` with the name of the contract's error (or, of the token, its words). Everything else returns the
events in order, as (name, arguments). Whether a signature is good is told to the model, never computed by it.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

LARGEST = 2**128 - 1
LARGEST_BALANCE = 2**112 - 1
WITHDRAW_DELAY_MIN_S = 15 * 60
WITHDRAW_DELAY_MAX_S = 30 * 86_400
FROZEN = "Blacklistable: account is blacklisted"
TOO_LITTLE = "ERC20: transfer amount exceeds balance"

Happened = list[tuple[str, tuple[Any, ...]]]


class Refused(Exception):  # noqa: N818 - the contract's word for it is in the argument
    """The contract would not do this; the argument is the name of its error."""


class Config(NamedTuple):
    """A channel, as the contract takes it. Addresses are 20 bytes."""

    payer: bytes
    payer_authorizer: bytes
    receiver: bytes
    receiver_authorizer: bytes
    token: bytes
    withdraw_delay_s: int
    salt: bytes


@dataclass(frozen=True)
class Row:
    """One row of a batch: is `ceiling` signed by the payer of exactly this channel, and how much is wanted of it."""

    channel: bytes
    config: Config
    ceiling: int
    is_signed: bool
    wanted: int


@dataclass
class Channel:
    """Units paid in and not taken out again, and how many of them are claimed."""

    balance: int = 0
    claimed: int = 0
    leaving: int = 0
    leaving_since_s: int = 0
    refund_nonce: int = 0

    @property
    def unclaimed(self) -> int:
        return self.balance - self.claimed


@dataclass
class Money:
    """One token: who has how much, and who may not move."""

    balances: dict[bytes, int] = field(default_factory=dict)
    frozen: set[bytes] = field(default_factory=set)

    def move(self, giver: bytes, taker: bytes, units: int, *also: bytes) -> None:
        """`also` are others whose freeze stops it: who asks for it."""
        if self.frozen & {giver, taker, *also}:
            raise Refused(FROZEN)
        if self.balances.get(giver, 0) < units:
            raise Refused(TOO_LITTLE)
        self.balances[giver] -= units
        self.balances[taker] = self.balances.get(taker, 0) + units


@dataclass
class SettlementModel:
    """All channels of one contract at `address`."""

    address: bytes
    tokens: dict[bytes, Money] = field(default_factory=dict)
    channels: dict[bytes, Channel] = field(default_factory=dict)
    claimed: dict[tuple[bytes, bytes], int] = field(default_factory=dict)  # by receiver and token
    settled: dict[tuple[bytes, bytes], int] = field(default_factory=dict)

    def of(self, channel: bytes) -> Channel:
        return self.channels.setdefault(channel, Channel())

    # --- paying in ---

    def deposit(self, sender: bytes, channel: bytes, config: Config, units: int) -> Happened:
        """The part of a deposit that is the same for all collectors, before the units move."""
        parties = (config.payer, config.receiver, config.receiver_authorizer, config.token)
        if not all(any(party) for party in parties):
            raise Refused("InvalidChannel")
        if not WITHDRAW_DELAY_MIN_S <= config.withdraw_delay_s <= WITHDRAW_DELAY_MAX_S:
            raise Refused("WithdrawDelayOutOfRange")
        if units == 0:
            raise Refused("ZeroDeposit")
        here = self.of(channel)
        if here.balance + units > LARGEST_BALANCE:
            raise Refused("DepositOverflow")
        opened: Happened = [] if here.balance else [("ChannelCreated", (channel, config))]
        return [*opened, ("Deposited", (channel, sender, units, here.balance + units))]

    def deposited(self, channel: bytes, units: int) -> None:
        """The units are here."""
        self.of(channel).balance += units

    # --- claim and settle ---

    def claim(self, sender: bytes, rows: list[Row]) -> Happened:
        if not rows:
            raise Refused("EmptyBatch")
        return [self._row(sender, row, None if sender in row.config[2:4] else "NotAuthorizedToClaim") for row in rows]

    def claim_with_signature(self, sender: bytes, rows: list[Row], signed_by: bytes | None) -> Happened:
        """`signed_by` is who signed exactly these rows, if anyone."""
        if not rows:
            raise Refused("EmptyBatch")
        authorizer = rows[0].config.receiver_authorizer
        if signed_by != authorizer:
            raise Refused("InvalidSignature")
        return [
            self._row(sender, row, None if row.config.receiver_authorizer == authorizer else "NotReceiverAuthorizer")
            for row in rows
        ]

    def settle(self, sender: bytes, receiver: bytes, token: bytes) -> Happened:
        account = receiver, token
        due = self.claimed.get(account, 0) - self.settled.get(account, 0)
        if due == 0:
            return []
        self.tokens[token].move(self.address, receiver, due)
        self.settled[account] = self.claimed[account]
        return [("Settled", (receiver, token, sender, due))]

    # --- the payer leaves ---

    def initiate_withdraw(self, sender: bytes, channel: bytes, config: Config, units: int, now_s: int) -> Happened:
        if sender not in config[:2]:
            raise Refused("InvalidChannel")
        if units == 0:
            raise Refused("NothingToWithdraw")
        here = self.of(channel)
        if here.leaving_since_s:
            raise Refused("WithdrawalAlreadyPending")
        if units > here.unclaimed:
            raise Refused("WithdrawAmountExceedsAvailable")
        here.leaving, here.leaving_since_s = units, now_s
        return [("WithdrawInitiated", (channel, units, now_s + config.withdraw_delay_s))]

    def finalize_withdraw(self, sender: bytes, channel: bytes, config: Config, now_s: int) -> Happened:
        if sender not in config[:2]:
            raise Refused("NotAuthorizedToFinalizeWithdraw")
        here = self.of(channel)
        if not here.leaving_since_s:
            raise Refused("WithdrawalNotPending")
        if now_s < here.leaving_since_s + config.withdraw_delay_s:
            raise Refused("WithdrawDelayNotElapsed")
        units = min(here.leaving, here.unclaimed)
        closed = self._pay_back(channel, config, units)
        here.leaving = here.leaving_since_s = 0
        return [("WithdrawFinalized", (channel, sender, units)), *closed]

    # --- the receiver gives it back ---

    def refund(self, sender: bytes, channel: bytes, config: Config, units: int) -> Happened:
        if sender not in config[2:4]:
            raise Refused("NotAuthorizedToRefund")
        return self._refund(sender, channel, config, units)

    def refund_with_signature(
        self, sender: bytes, channel: bytes, config: Config, units: int, nonce: int, signed_by: bytes | None
    ) -> Happened:
        """`signed_by` is who signed exactly this channel, nonce and amount, if anyone."""
        if nonce != self.of(channel).refund_nonce:
            raise Refused("InvalidRefundNonce")
        if signed_by != config.receiver_authorizer:
            raise Refused("InvalidSignature")
        return self._refund(sender, channel, config, units)

    # --- inside ---

    def _row(self, sender: bytes, row: Row, fault: str | None) -> tuple[str, tuple[Any, ...]]:
        here = self.of(row.channel)
        account = row.config.receiver, row.config.token
        if fault is None and row.wanted <= here.claimed:
            fault = "NothingNewToClaim"
        if fault is None and row.wanted > row.ceiling:
            fault = "ClaimExceedsCeiling"
        if fault is None and row.wanted > here.balance:
            fault = "ClaimExceedsBalance"
        if fault is None and not row.is_signed:
            fault = "InvalidSignature"
        more = row.wanted - here.claimed
        if fault is None and self.claimed.get(account, 0) + more > LARGEST:
            fault = "ClaimOverflow"
        if fault is not None:
            return "ClaimSkipped", (row.channel, fault)
        here.claimed = row.wanted
        self.claimed[account] = self.claimed.get(account, 0) + more
        return "Claimed", (row.channel, sender, more, row.wanted)

    def _refund(self, sender: bytes, channel: bytes, config: Config, units: int) -> Happened:
        if units == 0:
            raise Refused("ZeroRefund")
        here = self.of(channel)
        units = min(units, here.unclaimed)
        if units == 0:
            here.refund_nonce += 1
            return []
        closed = self._pay_back(channel, config, units)
        here.refund_nonce += 1
        if here.leaving_since_s:
            here.leaving -= min(units, here.leaving)
            if here.leaving == 0:
                here.leaving_since_s = 0
        return [("Refunded", (channel, sender, units)), *closed]

    def _pay_back(self, channel: bytes, config: Config, units: int) -> Happened:
        here = self.of(channel)
        if units:
            self.tokens[config.token].move(self.address, config.payer, units)
        here.balance -= units
        return [] if here.balance else [("ChannelClosed", (channel, config))]

"""Which vouchers to claim now, and with which others in one transaction. Pure.

A claim costs gas whatever it brings, and vouchers are cumulative: waiting costs nothing as long as the channel holds
the money. So a claim waits until enough is pending and the gas is at most a tenth of it, for the batch as for each row
in it; a row that is worth less than that waits for more. Not so once the payer began to withdraw: after the channel's
delay the money may be gone, so its newest voucher is claimed at once, whatever the gas.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nearcast.chain.bindings.settlement import Claim
from nearcast.chain.vouchers import ChannelConfig, Voucher
from nearcast.config import PaymentsConfig
from nearcast.payments.channel_reads import Escrow

# Gas of claiming and settling in one transaction, from the development chain: 87,450 for a receiver's first row, 70,338
# for a later one, 1,880,210 for a hundred. What a rollup takes for its data on Ethereum comes on top.
GAS_TRANSACTION: Final = 70_000
GAS_ROW: Final = 19_000
ROWS_MAX: Final = 100  # 1.9 million gas and 48 kB; nodes' pools take 128 kB (geth's txMaxSize), blocks 30 million gas
# To begin a withdrawal and to end it costs its payer 101,000 gas; these answers cost us less than twice that.
ANSWERS_ANYWAY: Final = 2
GAS_SHARE: Final = 10  # gas may be a tenth of what it brings
# Channels that can bring nothing are asked about again after so many polls, 5 minutes: an endpoint that was behind, or
# lied once, must not have them forgotten.
RECHECK_LOOKS: Final = 30
WEI_PER_ETH: Final = 10**18


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """When claiming pays. `usdc_per_eth_units`: what an ETH of gas is worth, in units of 1e-6 USDC."""

    threshold_units: int
    usdc_per_eth_units: int
    poll_s: float = 10.0
    rows_max: int = ROWS_MAX

    def cost_units(self, gas: int, gas_price_wei: int) -> int:
        """What gas costs, in units, rounded up."""
        return -(-gas * gas_price_wei * self.usdc_per_eth_units // WEI_PER_ETH)


def rules_of(config: PaymentsConfig) -> ClaimRules:
    """The rules as they are configured."""
    return ClaimRules(config.claim_threshold, config.usdc_per_eth, config.poll_s)


@dataclass(frozen=True, slots=True)
class Row:
    """A channel with the newest voucher that its payee holds, and what the chain says of it."""

    channel_id: bytes
    config: ChannelConfig
    units: int
    signature: bytes
    state: Escrow

    @property
    def total_units(self) -> int:
        """Up to where a claim can go: the voucher, but never more than the channel holds."""
        return min(self.units, self.state.balance_units)

    @property
    def claimable_units(self) -> int:
        """What a claim would bring now."""
        return max(0, self.total_units - self.state.claimed_units)

    @property
    def is_leaving(self) -> bool:
        """Whether its payer began to withdraw."""
        return self.state.withdraw_begun_at != 0

    def left_s(self, now_s: int) -> int:
        """How long until its payer can take the money; 0 when that is possible now. `now_s`: the chain's time."""
        return max(0, self.state.withdraw_begun_at + self.config.withdraw_delay_s - now_s)

    def claim(self) -> Claim:
        """The row of a transaction."""
        return Claim(self.config, Voucher(self.channel_id, self.units), self.signature, self.total_units)


@dataclass(frozen=True, slots=True)
class Answer:
    """How a withdrawal was answered: when it began, how much of its delay was left then, and how often we claimed."""

    begun_at: int
    left_s: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Decision:
    """What to send now. Empty `batches` and `settles` False: nothing."""

    batches: tuple[tuple[Row, ...], ...]
    settles: bool
    pending_units: int  # of all rows, sent or not
    unsettled_units: int
    cost_units: int  # expected, of what is sent

    @property
    def is_empty(self) -> bool:
        return not self.batches and not self.settles

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(row for batch in self.batches for row in batch)


def must_claim(row: Row, now_s: int, answer: Answer | None, cost_units: int) -> bool:
    """Whether a row cannot wait for gas to be a tenth of it. `cost_units`: what claiming this row alone costs.

    A payer who withdraws and goes on to promise units would have us claim at every one of them. So a withdrawal that
    was answered is answered again only when half of the time that was left then is over (14 times in a day, at most),
    and after ANSWERS_ANYWAY only when that is no loss.
    """
    if not row.is_leaving or not row.claimable_units:
        return False
    if answer is None or answer.begun_at != row.state.withdraw_begun_at:
        return True
    is_worth = answer.count < ANSWERS_ANYWAY or row.claimable_units >= cost_units
    return is_worth and 2 * row.left_s(now_s) < answer.left_s


def decide(
    rows: Sequence[Row],
    rules: ClaimRules,
    *,
    gas_price_wei: int,
    now_s: int,
    answers: Mapping[bytes, Answer],
    unsettled_units: int = 0,
) -> Decision:
    """What to claim at this price of gas. `unsettled_units`: claimed before and not paid out yet."""
    open_rows = sorted((row for row in rows if row.claimable_units), key=_largest_first)
    alone_units = rules.cost_units(expected_gas(1, rules), gas_price_wei)
    forced = [row for row in open_rows if must_claim(row, now_s, answers.get(row.channel_id), alone_units)]
    forced_ids = {row.channel_id for row in forced}
    least_units = GAS_SHARE * rules.cost_units(GAS_ROW, gas_price_wei)
    worth = [row for row in open_rows if row.channel_id not in forced_ids and row.claimable_units >= least_units]
    chosen = forced + worth
    if not forced and not _pays(chosen, rules, gas_price_wei, unsettled_units):
        chosen = []
    settles = bool(chosen) or _pays([], rules, gas_price_wei, unsettled_units)
    return _decision(chosen, rows, rules, gas_price_wei, unsettled_units, settles=settles)


def all_of(rows: Sequence[Row], rules: ClaimRules, *, gas_price_wei: int, unsettled_units: int = 0) -> Decision:
    """Everything, whatever the gas: somebody asked for it."""
    chosen = sorted((row for row in rows if row.claimable_units), key=_largest_first)
    settles = bool(chosen) or unsettled_units > 0
    return _decision(chosen, rows, rules, gas_price_wei, unsettled_units, settles=settles)


def expected_gas(rows_count: int, rules: ClaimRules) -> int:
    """Of claiming so many rows and settling."""
    transactions = max(1, -(-rows_count // rules.rows_max))
    return transactions * GAS_TRANSACTION + rows_count * GAS_ROW


def _decision(
    chosen: Sequence[Row],
    rows: Sequence[Row],
    rules: ClaimRules,
    gas_price_wei: int,
    unsettled_units: int,
    *,
    settles: bool,
) -> Decision:
    step = rules.rows_max
    batches = tuple(tuple(chosen[start : start + step]) for start in range(0, len(chosen), step))
    gas = expected_gas(len(chosen), rules) if batches or settles else 0
    pending_units = sum(row.claimable_units for row in rows)
    return Decision(batches, settles, pending_units, unsettled_units, rules.cost_units(gas, gas_price_wei))


def _pays(rows: Sequence[Row], rules: ClaimRules, gas_price_wei: int, unsettled_units: int) -> bool:
    brought_units = unsettled_units + sum(row.claimable_units for row in rows)
    cost_units = rules.cost_units(expected_gas(len(rows), rules), gas_price_wei)
    return 0 < brought_units >= rules.threshold_units and cost_units * GAS_SHARE <= brought_units


def _largest_first(row: Row) -> tuple[int, bytes]:
    return -row.claimable_units, row.channel_id

"""What is delivered, what is paid, and how far one may run ahead of the other. Pure: both ends of a channel use it.

A price is units per GiB, so a byte costs a 2^30th part of it: amounts are counted in `parts`, 2^30 to a unit
(1e-6 USDC), and a voucher promises whole units, rounded down. Nothing is lost by that over a channel's life, whatever
its fetches cost and however they overlap, because both ends add the same parts and round once.

The payee delivers at most one window ahead of what it holds vouchers for. The window follows what was paid (as a
congestion window follows what was acknowledged): a stranger is trusted with WINDOW_BYTES_MIN, a good customer with half
of what it has paid, nobody with more than WINDOW_BYTES_MAX, nor with more than half of what could still be forgiven if
it were lost: so a channel on a bad link gets slower, and does not come to its end by a few losses. The payer signs for
what it verified and for nothing else, so it has no window of its own to lose.
"""

from dataclasses import dataclass
from typing import Final

PART_BITS: Final = 30  # 2^30 parts to a unit: a price per GiB times a number of bytes is a number of parts
WINDOW_BYTES_MIN: Final = 1 << 20  # one leaf of unixfs-v1-2025
WINDOW_BYTES_MAX: Final = 64 << 20  # 200 MB/s at 300 ms are on their way at a time
STEPS_PER_WINDOW: Final = 4  # vouchers per window: the newest is on its way long before the window is used up
# Bytes that were sent and never arrived, because a link broke or an end crashed, are nobody's fault and nobody pays.
# A payee bears so many per channel. At market prices (0.01 USDC per GiB) the fixed part is worth 320 units, a
# thirtieth of the gas that opening another channel costs; the other part is a sixteenth of what the payer paid.
FORGIVEN_BYTES: Final = 32 << 20
FORGIVEN_SHARE: Final = 16
LOSSES: Final = 2  # windows that could be forgiven, when one is granted: another one after this one; guess
RESTS_UNITS: Final = 320  # what FORGIVEN_BYTES cost at market prices: of rests below a unit, one per greeting
# A relay pays for what it brings before it is paid. What it brought for a channel and that channel did not take (a
# reader that went away; one that never meant to buy, and is the friend of whoever was paid) is its loss, so that has a
# bound, too: the fixed part lets four readers of one payer each be a whole run of leaves ahead.
BROUGHT_BYTES: Final = 64 << 20
BROUGHT_SHARE: Final = 16


def parts_of(size_bytes: int, price_units_per_gib: int) -> int:
    """What so many bytes cost, in parts."""
    return size_bytes * price_units_per_gib


def whole_units(parts: int) -> int:
    """Parts in whole units, rounded down."""
    return parts >> PART_BITS


def cost_units(size_bytes: int, price_units_per_gib: int) -> int:
    """The most that so many bytes can cost: rounded up, for estimates, deposits and caps."""
    return -(-parts_of(size_bytes, price_units_per_gib) >> PART_BITS)


def bytes_for(units: int, price_units_per_gib: int) -> int:
    """How many bytes so many units buy at a price above 0."""
    return (units << PART_BITS) // price_units_per_gib


def forgivable_parts(paid_units: int, price_units_per_gib: int) -> int:
    """How much of what was lost on the way a payee bears in all, once `paid_units` were paid."""
    return parts_of(FORGIVEN_BYTES, price_units_per_gib) + (paid_units << PART_BITS) // FORGIVEN_SHARE


def window_bytes(paid_units: int, price_units_per_gib: int, forgiven_parts: int = 0) -> int:
    """How far delivery may run ahead of payment at this price, once `paid_units` were paid and so much was forgiven."""
    if price_units_per_gib == 0:
        return WINDOW_BYTES_MAX
    earned_bytes = bytes_for(paid_units, price_units_per_gib) // 2
    left_parts = forgivable_parts(paid_units, price_units_per_gib) - forgiven_parts
    borne_bytes = left_parts // price_units_per_gib // LOSSES
    return min(WINDOW_BYTES_MAX, max(WINDOW_BYTES_MIN, min(earned_bytes, borne_bytes)))


def step_bytes(paid_units: int, price_units_per_gib: int, forgiven_parts: int = 0) -> int:
    """After how many verified bytes the payer signs again. It does not know what was forgiven: where that was much, its
    vouchers come in the pauses of the stream (payments/pace.py)."""
    return window_bytes(paid_units, price_units_per_gib, forgiven_parts) // STEPS_PER_WINDOW


@dataclass(slots=True)
class PayeeAccount:
    """One channel as the node that earns sees it. Everything counts from the channel's opening.

    `paid_units`: the newest voucher that is on disk. `capacity_units`: the highest that a voucher can be worth, from
    the chain. `delivered_parts` counts what was handed to the transport, less what was forgiven. `open_streams`:
    answers that are being sent for it right now. `brought_parts`: what its answers cost the node
    elsewhere, and they have not delivered; it is counted from the node's start.
    """

    capacity_units: int
    paid_units: int = 0
    delivered_parts: int = 0
    forgiven_parts: int = 0
    open_streams: int = 0
    brought_parts: int = 0

    def __post_init__(self) -> None:
        self.delivered_parts = max(self.delivered_parts, self.paid_units << PART_BITS)

    @property
    def unpaid_parts(self) -> int:
        return self.delivered_parts - (self.paid_units << PART_BITS)

    def room_bytes(self, price_units_per_gib: int) -> int:
        """How many bytes may leave now. Less than a unit cannot be paid for, so it never stands in the way.

        When everything is paid, the next block may leave whatever its size (blocks are at most 2 MiB), so that a block
        larger than the window is possible at all.
        """
        if price_units_per_gib == 0:
            return WINDOW_BYTES_MAX
        left_parts = (self.capacity_units << PART_BITS) - self.delivered_parts
        if left_parts <= 0:
            return 0
        unpaid_parts = self.unpaid_parts if whole_units(self.unpaid_parts) else 0
        window = window_bytes(self.paid_units, price_units_per_gib, self.forgiven_parts)
        ahead_bytes = window - -(-unpaid_parts // price_units_per_gib)
        return max(0, min(ahead_bytes, -(-left_parts // price_units_per_gib)))

    def may_send(self, size_bytes: int, price_units_per_gib: int) -> bool:
        """Whether so many bytes may leave now."""
        room_bytes = self.room_bytes(price_units_per_gib)
        return size_bytes <= room_bytes or (room_bytes > 0 and not whole_units(self.unpaid_parts))

    def is_exhausted(self) -> bool:
        """Whether the channel's money is spent: no voucher could pay for another byte."""
        return self.delivered_parts >= self.capacity_units << PART_BITS

    def left_to_bring_parts(self, price_units_per_gib: int) -> int:
        """What may still be spent elsewhere on its behalf, ahead of what it takes; may be negative."""
        bound_parts = BROUGHT_BYTES * price_units_per_gib + (self.paid_units << PART_BITS) // BROUGHT_SHARE
        return bound_parts - self.brought_parts

    def deliver(self, size_bytes: int, price_units_per_gib: int) -> None:
        """So many bytes leave."""
        self.delivered_parts += parts_of(size_bytes, price_units_per_gib)

    def pay(self, units: int) -> int:
        """A voucher over `units` in all is on disk; by how much it is more than the one before (0 for an older one).

        A voucher over more than we know to have delivered says that the payer received it after all: what was forgiven
        too early, or what a node that was restarted has forgotten to have sent.
        """
        gained_units = max(0, units - self.paid_units)
        self.paid_units += gained_units
        unknown_parts = max(0, -self.unpaid_parts)
        self.delivered_parts += unknown_parts
        self.forgiven_parts = max(0, self.forgiven_parts - unknown_parts)
        return gained_units

    def reconcile(self, price_units_per_gib: int) -> bool:
        """The payer came back and has sent its newest voucher: what is unpaid now was lost on the way.

        It is forgiven while no answer is under way and the channel's bound allows it; whether it was. A payer that was
        not forgiven still has what is left of its window.
        """
        if self.open_streams or not whole_units(self.unpaid_parts):
            return True
        if self.forgiven_parts + self.unpaid_parts > forgivable_parts(self.paid_units, price_units_per_gib):
            return False
        self.forgiven_parts += self.unpaid_parts
        self.delivered_parts = self.paid_units << PART_BITS
        return True

    def forget_rest(self) -> bool:
        """The payer greets anew: a rest of less than a unit is nothing that it could ever pay, because it counts from
        its newest voucher. It is forgiven, within a bound of its own; whether there was one that was."""
        rest_parts = self.unpaid_parts
        bound_parts = (RESTS_UNITS << PART_BITS) + (self.paid_units << PART_BITS) // FORGIVEN_SHARE
        is_rest = 0 < rest_parts < 1 << PART_BITS
        if self.open_streams or not is_rest or self.forgiven_parts + rest_parts > bound_parts:
            return False
        self.forgiven_parts += rest_parts
        self.delivered_parts = self.paid_units << PART_BITS
        return True


@dataclass(slots=True)
class PayerAccount:
    """One channel as its payer sees it. Everything counts from the channel's opening.

    `signed_units`: the highest that a voucher of ours ever promised, on disk before the voucher leaves.
    `capacity_units`: the channel's balance. `verified_parts`: what arrived and hashed to its name.
    """

    capacity_units: int
    signed_units: int = 0
    verified_parts: int = 0

    def __post_init__(self) -> None:
        self.verified_parts = max(self.verified_parts, self.signed_units << PART_BITS)

    def verify(self, size_bytes: int, price_units_per_gib: int) -> None:
        """So many bytes arrived and are right."""
        self.verified_parts += parts_of(size_bytes, price_units_per_gib)

    @property
    def due_units(self) -> int:
        """What a voucher signed now promises: never more than was verified, nor than there is."""
        return max(self.signed_units, min(whole_units(self.verified_parts), self.capacity_units))

    def is_due(self, price_units_per_gib: int) -> bool:
        """Whether enough was verified for the next voucher, so that the payee never has to wait for it."""
        unsigned_parts = self.verified_parts - (self.signed_units << PART_BITS)
        step = step_bytes(self.signed_units, price_units_per_gib)
        return self.due_units > self.signed_units and unsigned_parts >= parts_of(step, price_units_per_gib)

    def sign(self) -> int:
        """Take what is due as signed; the units to promise. Put it on disk before the voucher leaves."""
        self.signed_units = self.due_units
        return self.signed_units

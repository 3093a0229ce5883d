"""An honest payer and an honest payee over a link that loses connections, with crashes of either: whatever happens in
whatever order, nobody is out of more than was agreed, and the two can always go on.
"""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.depth import by_day

from nearcast.payments.credit import (
    FORGIVEN_BYTES,
    FORGIVEN_SHARE,
    PART_BITS,
    WINDOW_BYTES_MAX,
    PayeeAccount,
    PayerAccount,
    parts_of,
    whole_units,
    window_bytes,
)

BLOCK_BYTES_MAX = 2 << 20
PRICES = st.sampled_from((1, 700, 10_000, 1_000_000, (1 << PART_BITS) + 7))
SIZES = st.sampled_from((1, 300, 1 << 14, 1 << 20, BLOCK_BYTES_MAX))
STREAMS = st.integers(0, 2)


@dataclass(frozen=True)
class Block:
    stream: int
    size_bytes: int
    price: int

    @property
    def parts(self) -> int:
        return parts_of(self.size_bytes, self.price)


class Pair(RuleBasedStateMachine):
    """Blocks are on their way to the payer, vouchers to the payee; a broken connection loses all of both."""

    @initialize(capacity_units=st.sampled_from((1, 50, 3_000, 10**9, 1 << 50)))
    def meet(self, capacity_units: int) -> None:
        self.capacity_units = capacity_units
        self.payer = PayerAccount(capacity_units)
        self.payee = PayeeAccount(capacity_units)
        self.blocks: list[Block] = []
        self.vouchers: list[int] = []
        self.streams: set[int] = set()
        self.prices_seen = {1}
        self.verified_parts = 0  # what really arrived, whatever the payer remembers
        self.handed_parts = 0  # what really left, whatever the payee remembers
        self.forgotten_units = 0  # verified and never signed: a payer's crash

    # What each does.

    @rule(stream=STREAMS, size_bytes=SIZES, price=PRICES, blocks=st.integers(1, 40))
    def deliver(self, stream: int, size_bytes: int, price: int, blocks: int) -> None:
        """As many blocks as the credit allows."""
        self.prices_seen.add(price)
        for _ in range(blocks):
            if not self.payee.may_send(size_bytes, price):
                return
            if stream not in self.streams:
                self.streams.add(stream)
                self.payee.open_streams += 1
            self.payee.deliver(size_bytes, price)
            ahead_bytes = max(window_bytes(self.payee.paid_units, price), size_bytes)
            assert self.payee.unpaid_parts < parts_of(ahead_bytes, price) + (1 << PART_BITS)
            block = Block(stream, size_bytes, price)
            self.handed_parts += block.parts
            self.blocks.append(block)

    @precondition(lambda self: self.blocks)
    @rule(count=st.integers(1, 40), data=st.data())
    def arrive(self, count: int, data: st.DataObject) -> None:
        """Blocks of one stream arrive in order; streams overtake each other."""
        stream = data.draw(st.sampled_from(sorted({block.stream for block in self.blocks})))
        for block in [each for each in self.blocks if each.stream == stream][:count]:
            self.blocks.remove(block)
            self._verify(block)

    @rule()
    def pause(self) -> None:
        """The payer signs what it owes though it is less than a step."""
        self._sign()

    @precondition(lambda self: self.vouchers)
    @rule(data=st.data())
    def voucher_arrives(self, data: st.DataObject) -> None:
        """Any of those on their way; the others come later, too late to count."""
        self.payee.pay(self.vouchers.pop(data.draw(st.integers(0, len(self.vouchers) - 1))))

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def end_stream(self, data: st.DataObject) -> None:
        """The payee's end of an answer closes; what it sent is still on its way."""
        self.streams.remove(data.draw(st.sampled_from(sorted(self.streams))))
        self.payee.open_streams -= 1

    @precondition(lambda self: self.streams or self.blocks)
    @rule(data=st.data())
    def cut_stream(self, data: st.DataObject) -> None:
        """One answer is lost with what it had on its way; the connection lives."""
        stream = data.draw(st.sampled_from(sorted(self.streams | {block.stream for block in self.blocks})))
        self.blocks = [block for block in self.blocks if block.stream != stream]
        if stream in self.streams:
            self.streams.remove(stream)
            self.payee.open_streams -= 1

    # What goes wrong.

    @rule(price=PRICES)
    def connection_breaks(self, price: int) -> None:
        self.blocks, self.vouchers = [], []
        self.payee.open_streams -= len(self.streams)
        self.streams = set()
        self._greet(price)

    @rule(price=PRICES)
    def payer_crashes(self, price: int) -> None:
        """It forgets what it verified and did not sign."""
        self.forgotten_units += 1 + whole_units(self.payer.verified_parts) - self.payer.signed_units
        self.payer = PayerAccount(self.capacity_units, self.payer.signed_units)
        self.connection_breaks(price)

    @rule(price=PRICES)
    def payee_crashes(self, price: int) -> None:
        """It remembers vouchers, and of what it delivered what was written with the last of them: here, nothing."""
        self.payee = PayeeAccount(self.capacity_units, self.payee.paid_units, forgiven_parts=self.payee.forgiven_parts)
        self.streams = set()
        self.connection_breaks(price)

    @rule(units=st.integers(1, 10_000))
    def fill_up(self, units: int) -> None:
        """The payee sees the new deposit first or with the payer: either is fine."""
        self.capacity_units += units
        self.payee.capacity_units = self.payer.capacity_units = self.capacity_units

    # What must be true.

    @rule(price=PRICES, size_bytes=SIZES)
    def can_go_on(self, price: int, size_bytes: int) -> None:
        """When all that is on its way has arrived, another block may leave, unless the money is used up."""
        for block in self.blocks:
            self._verify(block)
        self._sign()
        for units in self.vouchers:
            self.payee.pay(units)
        self.blocks, self.vouchers, self.streams = [], [], set()
        self.payee.open_streams = 0
        is_used_up = self.payee.is_exhausted() or self.payer.signed_units == self.capacity_units
        if is_used_up or self.payee.may_send(size_bytes, price):
            return
        is_forgiven = self.payee.reconcile(price)
        assert self.payee.may_send(size_bytes, price) if is_forgiven else self._lost_more_than_is_borne(price)

    @invariant()
    def the_payer_signs_for_nothing_it_did_not_verify(self) -> None:
        if hasattr(self, "payer"):
            assert self.payer.signed_units << PART_BITS <= self.verified_parts
            assert self.payer.signed_units <= self.capacity_units
            assert self.payee.paid_units <= self.payer.signed_units
            assert self.verified_parts <= self.handed_parts

    @invariant()
    def the_payee_is_owed_no_more_than_a_window(self) -> None:
        if hasattr(self, "payee"):
            assert self.payee.unpaid_parts >= 0
            dearest = max(self.prices_seen)
            borne = FORGIVEN_BYTES * dearest + (self.payee.paid_units << PART_BITS) // FORGIVEN_SHARE
            assert self.payee.forgiven_parts <= borne
            assert self.payee.unpaid_parts < parts_of(WINDOW_BYTES_MAX, dearest) + (1 << PART_BITS)

    @invariant()
    def sums_are_exact_as_long_as_nobody_forgets(self) -> None:
        if hasattr(self, "payer") and not self.forgotten_units:
            assert self.payer.verified_parts == self.verified_parts
            assert self.payer.due_units == min(whole_units(self.verified_parts), self.capacity_units)

    def _verify(self, block: Block) -> None:
        self.payer.verify(block.size_bytes, block.price)
        self.verified_parts += block.parts
        if self.payer.is_due(block.price):
            self._sign()

    def _sign(self) -> None:
        if self.payer.due_units > self.payer.signed_units:
            self.vouchers.append(self.payer.sign())

    def _greet(self, price: int) -> None:
        """The payer shows its newest promise, and the payee forgives."""
        self.payee.pay(self.payer.signed_units)
        self.payee.reconcile(price)

    def _lost_more_than_is_borne(self, price: int) -> bool:
        bound = FORGIVEN_BYTES * price + (self.payee.paid_units << PART_BITS) // FORGIVEN_SHARE
        return self.payee.forgiven_parts + self.payee.unpaid_parts > bound


TestPair = Pair.TestCase
TestPair.settings = by_day(80, stateful_step_count=40)

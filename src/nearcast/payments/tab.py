"""One answer that is being sent and must be paid for as it flows."""

from types import TracebackType
from typing import Final, Self

from nearcast.payments.credit import parts_of
from nearcast.payments.credit_line import CreditLine

# An answer that has waited so long has nothing on its way any more: what its payer did not pay by now was lost with
# another answer. Guess: longer than a round trip around the world and the payer's pause before its last voucher.
QUIET_S: Final = 2.0


class Tab:
    """A context manager: as long as it is open, what it delivered counts as on its way.

    `nonce` names the request, `peer` is who asked (its endpoint id). All methods belong into the loop's own thread.
    """

    def __init__(
        self, line: CreditLine, root: str, nonce: bytes, price_units_per_gib: int, role: str, peer: bytes
    ) -> None:
        self.nonce = nonce
        self.peer = peer
        self.price_units_per_gib = price_units_per_gib
        self.delivered_bytes = 0
        self._line = line
        self._root = root
        self._role = role
        self._is_stopped = False
        self._is_under_way = False
        self._brought_parts = 0  # for this answer, and not delivered by it
        self._aside_parts = 0
        self._is_over = False

    def __enter__(self) -> Self:
        self._line.tabs[self] = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.tabs.pop(self, None)
        self._is_over = True
        self._line.left_behind_parts += self._brought_parts
        self._brought_parts = 0
        self._set_aside(0)
        self._set_under_way(False)

    @property
    def is_stopped(self) -> bool:
        """Whether the answer is not to go on: the payer does not want it any more, or there is no more credit."""
        return self._is_stopped or self._line.closed_reason is not None

    def may_send(self, size_bytes: int) -> bool:
        """Whether so many bytes may leave now."""
        if self.is_stopped:
            return False
        account = self._line.account
        is_allowed = account.may_send(size_bytes, self.price_units_per_gib)
        if self._is_under_way or (is_allowed and not self._line.has_come_back):
            return is_allowed
        self._line.reconcile(self.price_units_per_gib)  # what stands in its way may be lost with a connection
        return account.may_send(size_bytes, self.price_units_per_gib)

    def deliver(self, size_bytes: int) -> None:
        """So many bytes leave. Nothing may wait between the permission and this."""
        self._set_under_way(True)
        self.delivered_bytes += size_bytes
        parts = parts_of(size_bytes, self.price_units_per_gib)
        own_parts = min(parts, self._brought_parts)
        self._brought_parts -= own_parts
        taken_parts = own_parts + self._line.take_left_behind(parts - own_parts)
        self._line.account.brought_parts -= taken_parts
        self._line.deliver(self._root, self._role, size_bytes, parts)
        if taken_parts:
            self._line.changed.beat()  # more may be brought for others

    @property
    def is_worn_out(self) -> bool:
        """Whether more was lost on this channel than is forgiven: no voucher will make room for another byte."""
        return self._line.is_worn_out

    @property
    def is_exhausted(self) -> bool:
        """Whether all that the channel holds was delivered."""
        return self._line.account.is_exhausted()

    async def room(self, size_bytes: int, patience_s: float) -> bool:
        """Wait until so many bytes may leave. False when it is stopped, or when nobody pays for `patience_s`."""
        paid_units, since_s = self._line.account.paid_units, self._line.clock.monotonic_s()
        while not self.may_send(size_bytes):
            now_s = self._line.clock.monotonic_s()
            if self._line.account.paid_units > paid_units:
                paid_units, since_s = self._line.account.paid_units, now_s
            left_s = since_s + patience_s - now_s
            if self.is_stopped or left_s <= 0:
                return False
            if self.is_exhausted:
                if not await self._line.is_filled_up():
                    return False
                continue
            if now_s - since_s >= QUIET_S:
                if self.is_worn_out:
                    return False
                self._set_under_way(False)
            await self._line.changed.wait(min(left_s, QUIET_S))
        return True

    # What is not here is brought, and paid, by the node before it is sold (Backer of payments/budget.py).

    async def may_bring(self, size_bytes: int, patience_s: float) -> bool:
        """Wait until so many bytes may be brought for this answer: one of them could leave, and not too much was
        brought for this channel and not taken. False as `room`, or when nothing changes for `patience_s`."""
        parts = parts_of(size_bytes, self.price_units_per_gib)
        self._set_aside(0)
        while await self.room(1, patience_s):
            if self._line.account.left_to_bring_parts(self.price_units_per_gib) - self._line.aside_parts >= parts:
                self._set_aside(parts)
                return True
            if not await self._line.changed.wait(patience_s):
                return False
        return False

    @property
    def aside_parts(self) -> int:
        """What was set aside for what is being brought, and not spent yet."""
        return self._aside_parts

    def has_backing(self) -> bool:
        """Whether any more may be spent for this answer."""
        return self._line.account.left_to_bring_parts(self.price_units_per_gib) > 0

    def bring(self, parts: int) -> None:
        """So much was spent for it; also for one that has ended meanwhile, and then the next answers may take it."""
        if self._is_over:
            self._line.left_behind_parts += parts
        else:
            self._brought_parts += parts
        self._line.account.brought_parts += parts
        self._set_aside(max(0, self._aside_parts - parts))

    def _set_aside(self, parts: int) -> None:
        is_less = parts < self._aside_parts
        self._line.aside_parts += parts - self._aside_parts
        self._aside_parts = parts
        if is_less:
            self._line.changed.beat()

    def stop(self) -> None:
        """It is not to go on: what it delivered is not on its way any more."""
        self._is_stopped = True
        self._set_under_way(False)

    def _set_under_way(self, is_under_way: bool) -> None:
        if is_under_way != self._is_under_way:
            self._is_under_way = is_under_way
            self._line.account.open_streams += 1 if is_under_way else -1
            if not is_under_way:
                self._line.changed.beat()  # another answer that waits may be the only one now

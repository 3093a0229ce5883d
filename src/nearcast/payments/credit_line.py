"""One channel's credit at the payee while answers are being sent: its account, the answers, and what is for the books.

Plain and synchronous but for one pulse, which beats whenever an answer that waits should look again.
"""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from nearcast.clock import Clock
from nearcast.errors import RefusedError
from nearcast.payments.credit import PART_BITS, PayeeAccount, whole_units
from nearcast.payments.earned_rows import Sale, SaleKey
from nearcast.payments.owed import UNKNOWN_ROLE, UNNAMED, Owed
from nearcast.tasks import Pulse

if TYPE_CHECKING:
    from nearcast.payments.tab import Tab

# What nobody has paid so long after the last byte left did not arrive, on a connection that both ends think well of.
# Guess: rare enough that a cheat gains nothing by waiting, against asking over a new connection.
LOST_S: Final = 60.0


class CreditLine:
    """What the answers of one channel share.

    `on_sale` is called when there is something new for the books; `reread` asks the chain what the channel holds.
    """

    def __init__(
        self,
        payer: bytes,
        account: PayeeAccount,
        owed: Owed,
        clock: Clock,
        on_sale: Callable[[], None],
        reread: Callable[[], Awaitable[None]],
    ) -> None:
        self.account = account
        self.clock = clock
        self.changed = Pulse()
        self.tabs: dict[Tab, None] = {}  # in the order of their opening: a set's would differ from run to run
        self.closed_reason: str | None = None
        self.aside_parts = 0  # for what answers are having brought just now
        self.left_behind_parts = 0  # spent for answers that ended before they had taken it; part of `brought_parts`
        self.has_come_back = False  # the payer, owing something; and nothing was delivered since
        self.is_worn_out = False  # what stands in the way was lost, and is more than the account forgives
        self._delivered_at_s = -LOST_S  # since it may have been before a restart, long ago
        self._has_answered = False  # the payer has paid since something was delivered
        self._payer = payer
        self._owed = owed
        self._on_sale = on_sale
        self._reread = reread
        self._sales: dict[SaleKey, Sale] = {}

    @property
    def owed(self) -> Owed:
        return self._owed

    @property
    def has_sales(self) -> bool:
        """Whether something was sold since the books were written."""
        return bool(self._sales)

    async def is_filled_up(self) -> bool:
        """Whether more was paid into a channel whose money is spent; who paid it in knows of it before we do."""
        with suppress(RefusedError):  # the chain cannot be read, or the rest is being taken back
            await self._reread()
        return not self.account.is_exhausted()

    def deliver(self, root: str, role: str, size_bytes: int, parts: int) -> None:
        """So many bytes of this object leave, and cost so many parts."""
        self.account.delivered_parts += parts
        self.has_come_back = self._has_answered = False
        self._delivered_at_s = self.clock.monotonic_s()
        self._owed.deliver(root, role, parts)
        sale = self._sale(root, role)
        sale.delivered_bytes += size_bytes
        sale.delivered_parts += parts
        self._on_sale()

    def take_left_behind(self, parts: int) -> int:
        """An answer takes so much that was not brought for it: what others of this channel left behind, or what others
        have paid for already. Either makes up for as much that was left behind; how much of it.

        A reader that breaks off and comes back, again and again, takes at last what was brought for it; else its
        channel would be without trust for good, after enough of that.
        """
        taken_parts = min(parts, self.left_behind_parts)
        self.left_behind_parts -= taken_parts
        return taken_parts

    def book_payment(self, gained_units: int) -> None:
        """A voucher over so much more goes into the books; its objects are those delivered first."""
        paid, unknown_parts = self._owed.pay(gained_units << PART_BITS)
        for lot in paid:
            self._sale(lot.root, lot.role).paid_parts += lot.parts
        if unknown_parts:
            sale = self._sale(UNNAMED, UNKNOWN_ROLE)
            sale.delivered_parts += unknown_parts
            sale.paid_parts += unknown_parts

    def greet(self, promised_units: int) -> None:
        """The payer has shown its newest voucher: what it still owes was lost with a connection or in a crash."""
        self.has_come_back = whole_units(self.account.delivered_parts) > promised_units
        if not self.has_come_back and self.account.forget_rest():
            self._owed.forgive()
            self._on_sale()

    def pay(self, units: int) -> int:
        """A voucher is on disk. By how much it is more than the one before."""
        gained_units = self.account.pay(units)
        self._has_answered |= gained_units > 0
        self.is_worn_out = self.is_worn_out and not gained_units
        self.changed.beat()
        return gained_units

    def reconcile(self, price_units_per_gib: int) -> None:
        """Forgive what was lost on the way, within the account's bound.

        Only to a payer that gave a sign of paying what it got: it has come back with its newest voucher, or its
        vouchers went on after the last byte left; or after LOST_S. Whoever just stops paying gets nothing more.
        """
        is_lost = self.clock.monotonic_s() - self._delivered_at_s >= LOST_S
        if not (self.has_come_back or self._has_answered or is_lost):
            return
        before = self.account.delivered_parts
        self.is_worn_out = not self.account.reconcile(price_units_per_gib)
        if self.account.delivered_parts < before:
            self._owed.forgive()
            self._on_sale()
            self.changed.beat()

    def take_sales(self) -> list[Sale]:
        """What was sold since the last call."""
        sales, self._sales = list(self._sales.values()), {}
        return sales

    def close(self, reason: str) -> None:
        """No more is delivered; whoever waits for room is told."""
        if self.closed_reason is None:
            self.closed_reason = reason
            self.stop(self.tabs)

    def stop(self, tabs: Iterable["Tab"]) -> None:
        """Their answers are not to go on."""
        for tab in tuple(tabs):
            tab.stop()
        self.changed.beat()

    def _sale(self, root: str, role: str) -> Sale:
        day = datetime.fromtimestamp(self.clock.unix_s(), UTC).date().isoformat()
        key = SaleKey(day, self._payer, root, role)
        return self._sales.setdefault(key, Sale(key))

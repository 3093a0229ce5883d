"""One channel's credit at the payee while answers are being sent: its account, the answers, and what is for the books.

Plain and synchronous but for one pulse, which beats whenever an answer that waits should look again.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from nearcast.payments.credit import PART_BITS, PayeeAccount
from nearcast.payments.earned_rows import Sale, SaleKey
from nearcast.payments.owed import UNKNOWN_ROLE, UNNAMED, Owed
from nearcast.payments.tasks import Pulse

if TYPE_CHECKING:
    from nearcast.payments.tab import Tab


class CreditLine:
    """What the answers of one channel share.

    `on_sale` is called when there is something new for the books; `today` gives the day in UTC.
    """

    def __init__(
        self, payer: bytes, account: PayeeAccount, owed: Owed, today: Callable[[], str], on_sale: Callable[[], None]
    ) -> None:
        self.account = account
        self.changed = Pulse()
        self.tabs: set[Tab] = set()
        self.closed_reason: str | None = None
        self._payer = payer
        self._owed = owed
        self._today = today
        self._on_sale = on_sale
        self._sales: dict[SaleKey, Sale] = {}

    @property
    def owed(self) -> Owed:
        return self._owed

    @property
    def has_sales(self) -> bool:
        """Whether something was sold since the books were written."""
        return bool(self._sales)

    def deliver(self, root: str, role: str, size_bytes: int, parts: int) -> None:
        """So many bytes of this object leave, and cost so many parts."""
        self.account.delivered_parts += parts
        self._owed.deliver(root, role, parts)
        sale = self._sale(root, role)
        sale.delivered_bytes += size_bytes
        sale.delivered_parts += parts
        self._on_sale()

    def book_payment(self, gained_units: int) -> None:
        """A voucher over so much more goes into the books; its objects are those delivered first."""
        paid, unknown_parts = self._owed.pay(gained_units << PART_BITS)
        for lot in paid:
            self._sale(lot.root, lot.role).paid_parts += lot.parts
        if unknown_parts:
            sale = self._sale(UNNAMED, UNKNOWN_ROLE)
            sale.delivered_parts += unknown_parts
            sale.paid_parts += unknown_parts

    def reconcile(self, price_units_per_gib: int) -> None:
        """Forgive what was lost on the way, where the account's rule and bound allow it."""
        before = self.account.delivered_parts
        self.account.reconcile(price_units_per_gib)
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
        key = SaleKey(self._today(), self._payer, root, role)
        return self._sales.setdefault(key, Sale(key))

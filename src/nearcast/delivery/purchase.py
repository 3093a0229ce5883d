"""What one download buys from one source: the caps before it asks, the offer before it takes, the payment after it has
verified. How the money gets there is not its business (payments/paying.py).
"""

from collections.abc import Callable

from nearcast.content.cid import Cid
from nearcast.delivery.events import FetchEvent, Paying
from nearcast.delivery.messages import PRICE_FREE, Offer
from nearcast.errors import NearcastError, RefusedError
from nearcast.payments.credit import parts_of
from nearcast.payments.paying import Paying as Channel
from nearcast.tasks import Pulse


class Purchase:
    """Of the source called `source`. `on_event` is told when it is paid for the first time.

    `paid_bytes` and `paid_parts` (2^30 to a unit) count what was verified and is paid for, sooner or later, and stands
    in no report yet.
    """

    def __init__(self, channel: Channel, source: str) -> None:
        self.channel = channel
        self.on_event: Callable[[FetchEvent], None] | None = None
        self.lie: NearcastError | None = None
        self.paid_bytes = 0
        self.paid_parts = 0
        self.awaited_less = Pulse()
        self._source = source
        self._awaited_bytes = 0
        self._inline_price = PRICE_FREE
        self._has_told = False

    @property
    def awaits_any(self) -> bool:
        """Whether something was asked for that is not here yet."""
        return self._awaited_bytes > 0

    def may_ask(self, size_bytes: int) -> bool:
        """Whether the caps allow so many bytes more than what was asked for and is not here yet."""
        return self.channel.may_ask(self._awaited_bytes + size_bytes)

    def ask(self, size_bytes: int) -> None:
        """So many bytes are about to be asked for. RefusedError when the caps do not allow it."""
        if not self.may_ask(size_bytes):
            raise RefusedError(
                "it would cost more than may be spent (--cap, or the day's)",
                fix="allow more with --cap, or payments.day_cap in config.toml; what has arrived is kept",
            )
        self._awaited_bytes += size_bytes

    def awaited_no_more(self, size_bytes: int) -> None:
        """So many of them have come, or will not come any more."""
        self._awaited_bytes -= size_bytes
        self.awaited_less.beat()

    def accept(self, root: Cid, offer: Offer) -> int:
        """Check an offer; the price to pay in units per GiB. RefusedError, or IntegrityError for a false one."""
        if offer.price == PRICE_FREE or offer.signed is None:
            return PRICE_FREE
        self.channel.check_offer(root.digest, offer.price, offer.signed.offer, offer.signed.signature)
        if not self._has_told and self.on_event is not None:
            self._has_told = True
            self.on_event(Paying(self._source, offer.price, self.channel.channel_id))
        return offer.price

    def verified(self, size_bytes: int, price_units_per_gib: int) -> None:
        """A block has arrived and is right: it is paid. RefusedError when the money is used up."""
        if price_units_per_gib:
            self.channel.verified(size_bytes, price_units_per_gib)
            self.paid_bytes += size_bytes
            self.paid_parts += parts_of(size_bytes, price_units_per_gib)

    def take_paid(self) -> tuple[int, int]:
        """The bytes and the parts that are paid and that nobody has taken into a report yet."""
        taken = self.paid_bytes, self.paid_parts
        self.paid_bytes = self.paid_parts = 0
        return taken

    def expect_inline(self, price_units_per_gib: int) -> None:
        """Leaves may follow these nodes; their price is that of the nodes."""
        self._inline_price = price_units_per_gib

    def inline_verified(self, size_bytes: int) -> None:
        """A leaf that came behind the nodes was found to be right. Nobody can be told no any more: it is here."""
        try:
            self.verified(size_bytes, self._inline_price)
        except NearcastError as error:
            self.channel.distrust(error.message)

    def distrust(self, lie: NearcastError) -> None:
        """The source lied: it is not paid any more, and what else fails because of that is no news."""
        self.lie = self.lie or lie
        self.channel.distrust(lie.message)

"""Making a promise: on disk first, then signed, so that what left is never more than what is remembered."""

from dataclasses import dataclass

from nearcast.chain.channels import ChannelBook
from nearcast.chain.eip712 import Domain
from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import Voucher, sign_voucher, verify_voucher
from nearcast.clock import Clock
from nearcast.payments.budget import Budget, Day, day_text
from nearcast.payments.messages import Promise
from nearcast.payments.spent import Signed, Signing, SpentLedger

NOTHING = Promise(0, b"")


@dataclass(frozen=True)
class Promising:
    """What all channels of a purse sign with: the voucher key, the two books, the budget. `chain_id`, `domain`: whose.

    The methods that write wait for the disk: call them in a thread.
    """

    chain_id: int
    domain: Domain
    hot: Signer
    book: ChannelBook
    spent: SpentLedger
    budget: Budget
    day: Day
    clock: Clock

    def today(self) -> str:
        return day_text(self.clock.unix_s())

    def write(self, signing: Signing) -> Signed:
        """Write a promise down, as far as the day's cap allows. Waits for the disk. StoreError.

        The ledger comes first: killed in between, the book is behind it, and the next start takes the higher.
        """
        signed = self.spent.sign(signing, self.today(), self.budget.day_cap_units)
        self.book.sign_up_to(signing.channel_id, signed.units)
        return signed

    def adopt(self, channel_id: bytes, receiver: bytes, units: int) -> None:
        """Remember a promise of ours that our books had lost. Waits for the disk. StoreError."""
        self.spent.adopt(channel_id, receiver, units, self.today())
        self.book.sign_up_to(channel_id, units)

    def promise(self, channel_id: bytes, units: int) -> Promise:
        """The voucher over what is written down: the same for the same units."""
        if units == 0:
            return NOTHING
        return Promise(units, sign_voucher(self.domain, Voucher(channel_id, units), self.hot))

    def is_ours(self, channel_id: bytes, promise: Promise) -> bool:
        """Whether our voucher key signed it."""
        if promise.units == 0:
            return True
        voucher = Voucher(channel_id, promise.units)
        return verify_voucher(self.domain, voucher, promise.signature, self.hot.address)

"""A node's own `Payments`: vouchers into its till, deposits to the chain at its own cost.

A payer's channel is the same one whether it pays over HTTP or over a payment stream, and so are the books. What was
charged is what the newest voucher is over: whoever pays before delivery owes nothing.

Bounds: one payment of a channel at a time; DEPOSITS_WAITING_MAX deposits at a time, sent one after another.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol
from weakref import WeakValueDictionary

from nearcast.chain.bindings.settlement import Settlement
from nearcast.chain.eip712 import Domain
from nearcast.chain.signing import is_signed_by
from nearcast.chain.transaction_signing import Call
from nearcast.chain.transactions import Sent
from nearcast.chain.vouchers import channel_id, verify_voucher
from nearcast.clock import Clock
from nearcast.content.cid import Cid
from nearcast.errors import ChainError, RefusedError, RemoteError, RevertedError, UnavailableError
from nearcast.gateways.http.payment import PaymentRequiredError, Sale
from nearcast.gateways.http.payment_messages import (
    BAD_PAYMENT,
    FAILED_DEPOSIT,
    SMALL_DEPOSIT,
    STALE,
    Asking,
    ChannelFacts,
    Deposit,
    Payment,
    parse_payment,
    receipt,
    required,
)
from nearcast.gateways.http.pipe import BusyError
from nearcast.payments.admission import capacity_of, read_channel
from nearcast.payments.credit import cost_units
from nearcast.payments.terms import WITHDRAW_DELAY_S
from nearcast.payments.till import Customer, Till

# Gas for a deposit is about 0.003 USDC on a rollup (110,000 gas at 0.01 gwei and 3,000 USDC per ETH, guess).
DEPOSIT_MIN_UNITS: Final = 50_000
DEPOSITS_WAITING_MAX: Final = 16  # guess: at a block each 2 s the last one waits half a minute
DEPOSIT_MARGIN_S: Final = 60  # an authorization must be good for longer than a transaction may take; guess
NO_DEPOSITS: Final = "this node sends no deposits to the chain: open a channel to it, and come with vouchers"

_log = logging.getLogger("nearcast.payments")


class Sends(Protocol):
    """The part of chain.transactions.Sender that is used here."""

    async def send(self, call: Call) -> Sent: ...


class PaymentDesk:
    """`price`: units per GiB, asked anew for each request. `role`: what this node is for an object, for the books.

    `token` is the domain that the token's authorizations are signed for, `collector` the contract that they name.
    `sender` pays the gas of deposits; None: there are none. It must be nobody else's at the same time.
    """

    def __init__(
        self,
        till: Till,
        settlement: Settlement,
        *,
        token: Domain,
        collector: bytes,
        price: Callable[[], int],
        role: Callable[[Cid], str],
        sender: Sends | None,
        clock: Clock,
        confirmations: int = 1,
        deposit_min_units: int = DEPOSIT_MIN_UNITS,
    ) -> None:
        terms = till.terms
        self._asking = Asking(terms.receiver, terms.hot_key, token, WITHDRAW_DELAY_S, deposit_min_units)
        self._till = till
        self._domain = terms.domain
        self._settlement = settlement
        self._collector = collector
        self._price = price
        self._role = role
        self._sender = sender
        self._clock = clock
        self._confirmations = confirmations
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._depositing = asyncio.Lock()
        self._deposits_waiting = 0

    def is_free(self, size_bytes: int) -> bool:
        return cost_units(size_bytes, self._price()) == 0

    def check(self, header: str | None, sale: Sale) -> Payment:
        if header is None:
            raise self._refused("a payment is required", sale)
        try:
            payment = parse_payment(header, self._asking.network, self._collector)
            self._till.terms.check(payment.config)
            if payment.voucher.channel_id != channel_id(self._domain, payment.config):
                raise RemoteError("the voucher is of another channel")
            if not verify_voucher(self._domain, payment.voucher, payment.signature, payment.config.voucher_signer):
                raise RemoteError("the voucher is not signed by its payer")
        except RemoteError as error:
            raise self._refused(f"{BAD_PAYMENT}: {error.message}", sale) from error
        if payment.deposit is not None:
            self._check_deposit(payment.deposit, sale)
        return payment

    async def take(self, payment: Payment, sale: Sale) -> str:
        channel = payment.voucher.channel_id
        lock = self._locks.setdefault(channel, asyncio.Lock())
        async with lock:
            transaction = b""
            try:
                if payment.deposit is not None:
                    transaction = await self._deposited(payment, payment.deposit, sale)
                customer = await self._till.admit(payment.config)
                with _kept(customer):
                    if payment.promise.units > customer.account.capacity_units:
                        await self._reread(customer)
                    return await self._charge(customer, payment, sale, transaction)
            except RefusedError as error:
                raise self._refused(f"{BAD_PAYMENT}: {error.message}", sale) from error

    async def _charge(self, customer: Customer, payment: Payment, sale: Sale, transaction: bytes) -> str:
        """Nothing may wait between the comparison and the voucher's being taken: else one voucher could pay twice."""
        price = self._price()
        amount_units = cost_units(sale.size_bytes, price)
        facts = _facts(customer)
        if payment.promise.units != facts.charged_units + amount_units:
            raise self._refused(STALE, sale, facts)
        if payment.promise.units > facts.capacity_units:
            raise self._refused(f"{BAD_PAYMENT}: the channel does not hold that much", sale)
        if customer.closed_reason is not None:
            raise self._refused(f"{BAD_PAYMENT}: {customer.closed_reason}", sale)
        customer.sell(sale.root, sale.size_bytes, price, role=self._role(sale.root))
        await customer.pay(payment.promise)
        return receipt(self._asking, _facts(customer), customer.payer, amount_units, transaction)

    # --- deposits ------------------------------------------------------------------------------------------------

    def _check_deposit(self, deposit: Deposit, sale: Sale) -> None:
        authorization = deposit.authorization
        if self._sender is None:
            raise self._refused(f"{FAILED_DEPOSIT}: {NO_DEPOSITS}", sale)
        if authorization.amount_units < self._asking.deposit_min_units:
            raise self._refused(SMALL_DEPOSIT, sale)
        now_s = self._clock.unix_s()
        if not authorization.valid_after_s <= now_s <= authorization.valid_before_s - DEPOSIT_MARGIN_S:
            raise self._refused(f"{FAILED_DEPOSIT}: the deposit's signature is not good for long enough", sale)
        digest = authorization.digest(self._asking.token)
        if not is_signed_by(authorization.payer, digest, deposit.signature):
            raise self._refused(f"{FAILED_DEPOSIT}: the deposit is not signed by its payer", sale)

    async def _deposited(self, payment: Payment, deposit: Deposit, sale: Sale) -> bytes:
        """Sends it unless the voucher that came with it would buy nothing; the transaction's hash."""
        await self._check_charge(payment, sale)
        if self._deposits_waiting >= DEPOSITS_WAITING_MAX:
            raise BusyError("this node has many deposits to send to the chain", fix="try again in a minute")
        assert self._sender is not None  # check() saw to that
        authorization = deposit.authorization
        intent = f"deposit {authorization.nonce.hex()} for 0x{authorization.payer.hex()}"
        call = self._settlement.deposit_by_authorization(
            payment.config, authorization, deposit.signature, intent=intent
        )
        self._deposits_waiting += 1
        try:
            async with self._depositing:
                sent = await self._sender.send(call)
        except RevertedError as error:
            raise self._refused(f"{FAILED_DEPOSIT}: {error.message}", sale) from error
        except (ChainError, UnavailableError) as error:  # its words are about our account and our endpoint
            _log.warning("a deposit could not be sent: %s", error.message)
            raise self._refused(f"{FAILED_DEPOSIT}: this node cannot send deposits just now", sale) from error
        finally:
            self._deposits_waiting -= 1
        customer = self._till.find(payment.voucher.channel_id)
        if customer is not None:
            await self._reread(customer)
        return sent.hash

    async def _check_charge(self, payment: Payment, sale: Sale) -> None:
        """Before gas is paid for. A channel that the till cannot admit yet has no deposit, so nothing was charged."""
        amount_units = cost_units(sale.size_bytes, self._price())
        try:
            customer = await self._till.admit(payment.config)
        except RefusedError:
            charged_units, facts = 0, None
        else:
            facts = _facts(customer)
            charged_units = facts.charged_units
        if payment.promise.units != charged_units + amount_units:
            raise self._refused(STALE, sale, facts)

    async def _reread(self, customer: Customer) -> None:
        """What the channel holds now. RefusedError when it cannot be read, or its money is being taken back."""
        try:
            state, confirmed_units = await read_channel(self._settlement, customer.channel_id, self._confirmations)
        except (ChainError, UnavailableError) as error:
            raise RefusedError("this node cannot read the chain at the moment; try again later") from error
        customer.checked(capacity_of(state, confirmed_units))

    def _refused(self, reason: str, sale: Sale, known: ChannelFacts | None = None) -> PaymentRequiredError:
        price = self._price()
        amount_units = cost_units(sale.size_bytes, price)
        fields = required(self._asking, amount_units, sale.url, reason, known)
        return PaymentRequiredError(reason, sale, price, fields)


class _Paying:
    """Stands among a customer's payment streams while a request pays, so that the till does not forget it."""

    def end(self, reason: str) -> None:
        """There is nothing to end: the payment is taken or refused in a moment."""


@contextmanager
def _kept(customer: Customer) -> Iterator[None]:
    paying = _Paying()
    customer.streams[paying] = None
    try:
        yield
    finally:
        customer.streams.pop(paying, None)


def _facts(customer: Customer) -> ChannelFacts:
    """What was claimed counts as charged too: a node that lost its books knows it from the chain."""
    charged_units = max(customer.promise.units, customer.account.paid_units)
    return ChannelFacts(customer.channel_id, customer.account.capacity_units, charged_units, customer.promise)

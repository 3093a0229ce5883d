"""Channels of ours on the chain: found in the book, opened, filled, and what became of deposits that were interrupted.

Whoever is killed here at any instant has either moved no money, or finds the deposit again: in the book before it is
signed, in the journal before it is sent.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nearcast.chain.address_text import address_text
from nearcast.chain.bindings.settlement import ChannelState, Settlement
from nearcast.chain.bindings.token import Token
from nearcast.chain.channels import OwnChannel, PlannedDeposit
from nearcast.chain.deployment import Deployment
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.signing import Signer
from nearcast.chain.transaction_journal import LIVE, Attempt, State, TransactionJournal
from nearcast.chain.transactions import Sender
from nearcast.chain.vouchers import ChannelConfig
from nearcast.errors import ChainError, FundsError, RefusedError, WalletError
from nearcast.payments.deposit import (
    SALT_BYTES,
    Stage,
    Wish,
    deposit_call,
    intent_of,
    new_channel,
    planned_deposit,
    stage_of,
    write_down,
)
from nearcast.payments.promising import Promising
from nearcast.payments.spent import Deposit, Seen
from nearcast.payments.terms import WITHDRAW_DELAY_S, Terms
from nearcast.tasks import in_thread

OnDeposit = Callable[[int, bool], None]
"""Told how many units are about to leave the wallet, and whether they open a channel."""


@dataclass
class ChannelOpening:
    """`wallet` unlocks the payer's key, once; None: nothing can be opened. `journal`: of the wallet's transactions."""

    deployment: Deployment
    rpc: JsonRpc
    promising: Promising
    wallet: Callable[[], Signer] | None
    journal: Path
    confirmations: int
    _signer: Signer | None = field(default=None, repr=False)
    _unlocking: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    @property
    def settlement(self) -> Settlement:
        return Settlement(self.rpc, self.deployment.contracts["BatchSettlement"])

    @property
    def token(self) -> Token:
        return Token(self.rpc, self.deployment.contracts["TestUSDC"])

    def of_payee(self, terms: Terms) -> list[OwnChannel]:
        """The channels in the book that our voucher key signs for and that pay this payee."""
        return [own for own in self.promising.book.of_authorizer(self.promising.hot.address) if pays(terms, own.config)]

    def remembered(self, own: OwnChannel) -> OwnChannel:
        """The same channel with the highest promise that either book knows; both know it afterwards."""
        ledger_units = self.promising.spent.signed_units(own.channel_id)
        units = max(own.signed_units, ledger_units)
        if own.signed_units != ledger_units:  # killed between the two
            self.promising.adopt(own.channel_id, own.config.receiver, units)
        return OwnChannel(own.channel_id, own.config, units)

    async def look(self, config: ChannelConfig, channel_id: bytes) -> ChannelState:
        """What the chain says of a channel now, also written down; one that is being emptied as empty."""
        state = await self.settlement.channel(channel_id)
        capacity_units = 0 if state.withdraw_begun_at else state.balance_units
        seen = Seen(capacity_units, int(self.promising.clock.unix_s()))
        await in_thread(self.promising.spent.see, channel_id, config.receiver, seen)
        return state

    async def new(self, terms: Terms) -> OwnChannel:
        """A channel that is nowhere yet. WalletError without a wallet."""
        wallet = await self.unlocked(terms)
        hot = self.promising.hot.address
        salt = os.urandom(SALT_BYTES)
        config = ChannelConfig(wallet.address, hot, terms.receiver, terms.hot_key, terms.token, WITHDRAW_DELAY_S, salt)
        return new_channel(terms.domain, config)

    async def fill(
        self, own: OwnChannel, terms: Terms, expected_units: int, on_deposit: OnDeposit, *, opens: bool
    ) -> ChannelState:
        """Deposit into it, as much as the budget says or as is expected; its state then. FundsError, WalletError."""
        wallet = await self.unlocked(terms)
        wish = Wish(self.promising.budget.deposit_units, expected_units)
        amount_units = wish.amount_units(await self._usable_units(wallet), self._funds_fix())
        planned = planned_deposit(own, amount_units, await self._now_s(), opens=opens)
        on_deposit(amount_units, opens)
        await in_thread(write_down, self.promising.book, own, planned)
        await self._send(own, planned, wallet)
        return await self._filled(own, planned)

    async def finish_earlier(self, own: OwnChannel, terms: Terms) -> None:
        """Bring deposits into this channel that were interrupted to their end, if the wallet can be had."""
        for planned in self.promising.book.unfinished_deposits(own.config.payer):
            if planned.channel_id != own.channel_id:
                continue
            is_sent = self._is_sent(own.config.payer, planned)
            stage = await stage_of(self.token, own.config, planned, await self._now_s())
            if self.wallet is not None and (is_sent or stage is Stage.OPEN):
                await self._send(own, planned, await self.unlocked(terms))
            elif stage is Stage.PAID or (stage is Stage.OVER and not is_sent):
                await in_thread(self.promising.book.finish_deposit, planned)

    async def unlocked(self, terms: Terms) -> Signer:
        """The wallet's key. WalletError when there is none to be had."""
        if self.wallet is None:
            receiver = address_text(terms.receiver)
            raise WalletError(
                f"no channel to {receiver} is open, and the wallet that could open one is not at hand",
                fix=f"nearcast channel open {receiver} {self.promising.budget.deposit_units / 10**6:f}",
            )
        async with self._unlocking:  # nobody is asked for a password twice
            if self._signer is None:
                self._signer = await in_thread(self.wallet)
            return self._signer

    async def _send(self, own: OwnChannel, planned: PlannedDeposit, wallet: Signer) -> None:
        call = await deposit_call(self.settlement, self.token, own.config, planned, wallet)
        with TransactionJournal.open(self.journal) as journal:
            sender = Sender(self.rpc, wallet, journal, confirmations=self.confirmations, clock=self.promising.clock)
            sent = await sender.send(call, tell=False)
            today, to = self.promising.today(), own.config.receiver
            deposit = Deposit(sent.hash, today, own.channel_id, to, planned.amount_units, sent.receipt.fee_wei)
            await in_thread(self.promising.spent.add_deposit, deposit)
            await in_thread(self.promising.book.finish_deposit, planned)
            journal.tell(sent.hash)

    async def _filled(self, own: OwnChannel, planned: PlannedDeposit) -> ChannelState:
        state = await self.look(own.config, own.channel_id)
        if state.balance_units < planned.amount_units:
            raise ChainError("the endpoint says that a deposit was made and that the channel does not have it")
        return state

    def _is_sent(self, payer: bytes, planned: PlannedDeposit) -> bool:
        """Whether the journal holds a transaction of it whose end nobody has seen."""
        with TransactionJournal.open(self.journal) as journal:
            return any(_is_open(attempt) for attempt in journal.of_intent(payer, intent_of(planned)))

    async def _usable_units(self, wallet: Signer) -> int:
        if await self.token.is_blacklisted(wallet.address):
            raise FundsError("the token has frozen the wallet: it can neither send nor get USDC")
        return await self.token.balance(wallet.address)

    async def _now_s(self) -> int:
        """The chain's time, or ours where that is later: a chain without transactions has an old newest block."""
        block = await self.rpc.block("latest")
        if block is None:
            raise ChainError("the endpoint has no newest block")
        return max(block.timestamp_s, int(self.promising.clock.unix_s()))

    def _funds_fix(self) -> str:
        return "nearcast wallet faucet" if self.deployment.name == "dev" else "send USDC to nearcast wallet address"


def pays(terms: Terms, config: ChannelConfig) -> bool:
    """Whether a channel pays this payee in a way that it takes."""
    try:
        terms.check(config)
    except RefusedError:
        return False
    return True


def _is_open(attempt: Attempt) -> bool:
    return attempt.state in LIVE or (attempt.state is State.CONFIRMED and not attempt.is_told)

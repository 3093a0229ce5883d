"""Watching one nonce until a transaction with it is deep enough in the chain.

A receipt counts when its block is on the chain, and for good when enough blocks hold that one. What a reorganisation
threw out is pending again and sent again, and so is what the endpoint forgot, with everything below it that waits.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from nearcast.chain.handover import hand_over
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.rpc_types import Receipt
from nearcast.chain.rpc_wire import FIX
from nearcast.chain.transaction_journal import Attempt, State, TransactionJournal
from nearcast.clock import Clock
from nearcast.errors import ChainError, UnavailableError

POLL_FIRST_S: Final = 0.05  # a development chain has it at once
POLL_MAX_S: Final = 2.0  # a block of Base
SEND_AGAIN_S: Final = 20.0  # guess: an endpoint that dropped a transaction keeps it the second time
PATIENCE_S: Final = 600.0  # guess: the longest that a person watches a command
OUTAGES_MAX: Final = 5  # looks in a row that nobody answers; each was tried four times by JsonRpc
CONTRADICTIONS_MAX: Final = (
    8  # receipts in a row in a block that is not on the chain; a reorganisation shows one or two
)

Found = tuple[Attempt, Receipt]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to watch, and when to do something. `reprice` offers more for a stuck transaction."""

    clock: Clock
    sleep: Callable[[float], Awaitable[None]]
    reprice: Callable[[Attempt], Awaitable[object]]
    reprice_after_s: float
    patience_s: float = PATIENCE_S


class Watch:
    """Of all attempts with one nonce of one sender. `until_deep` once."""

    def __init__(
        self, rpc: JsonRpc, journal: TransactionJournal, attempt: Attempt, confirmations: int, patience: Patience
    ) -> None:
        self._rpc = rpc
        self._journal = journal
        self._attempt = attempt
        self._confirmations = confirmations
        self._patience = patience
        self._is_mined = False
        self._contradictions = 0
        self._outages = 0

    async def until_deep(self, *, send_first: bool) -> Found:
        """The attempt that has the nonce for good, and its receipt; `send_first`: its endpoint may never have had it.

        Raises ChainError when another transaction has the nonce or the endpoint contradicts itself, FundsError when
        the account cannot pay for it any more, UnavailableError when it is not done in time.
        """
        clock = self._patience.clock
        started_s = sent_s = priced_s = clock.monotonic_s()
        delay_s = POLL_FIRST_S
        while True:
            found = await self._look_patiently()
            if found is not None:
                return found
            now_s = clock.monotonic_s()
            if now_s - started_s > self._patience.patience_s:
                raise self._too_late()
            if self._is_mined:
                priced_s = now_s
            elif now_s - priced_s > self._patience.reprice_after_s:
                priced_s = sent_s = now_s
                await self._patience.reprice(self._attempt)
            elif send_first or now_s - sent_s > SEND_AGAIN_S:
                send_first, sent_s = False, now_s
                await self._send_again()
            await self._patience.sleep(delay_s)
            delay_s = min(2 * delay_s, POLL_MAX_S)

    async def _look_patiently(self) -> Found | None:
        try:
            found = await self._look()
        except UnavailableError as error:
            self._outages += 1
            if self._outages < OUTAGES_MAX:
                return None
            late = self._too_late()
            raise UnavailableError(f"{error.message}; {late.message}", fix=late.fix) from error
        self._outages = 0
        return found

    async def _look(self) -> Found | None:
        """What has the nonce for good; the journal is told of what is on its way there, or was."""
        head = await self._rpc.head()
        spent = await self._nonce_is_spent(head)  # asked before the receipts: what spent it has one by then
        attempts = self._journal.of_nonce(self._attempt.sender, self._attempt.nonce)
        contradictions_before = self._contradictions
        for attempt in attempts:
            receipt = await self._receipt(attempt)
            if receipt is not None:
                self._is_mined = True
                if head - receipt.block_number + 1 >= self._confirmations:
                    return attempt, receipt
                if (attempt.state, attempt.block_hash) != (State.MINED, receipt.block_hash):
                    place = receipt.block_number, receipt.block_hash
                    self._journal.set_state(attempt.hash, State.MINED, *place)
                return None
        self._is_mined = False
        if self._contradictions > contradictions_before:
            return None  # the endpoint is between two chains, or lies; either way it says nothing about the nonce
        await self._take_back(attempts)
        if spent:
            for attempt in attempts:
                self._journal.set_state(attempt.hash, State.REPLACED)
            raise ChainError(
                f"another transaction of this account took nonce {self._attempt.nonce}; this one will never happen",
                fix="if that was not you, somebody else has the key; otherwise run the command again",
            )
        return None

    async def _receipt(self, attempt: Attempt) -> Receipt | None:
        """The receipt, if its block is on the chain."""
        receipt = await self._rpc.receipt(attempt.hash)
        if receipt is None:
            return None
        if await self._rpc.still_has(receipt.block_number, receipt.block_hash):
            self._contradictions = 0
            return receipt
        self._contradictions += 1
        if self._contradictions >= CONTRADICTIONS_MAX:
            raise ChainError(f"{self._rpc.place} has a receipt in a block that is not on its chain", fix=FIX)
        return None

    async def _take_back(self, attempts: list[Attempt]) -> None:
        """What was in a block and is in none any more waits again."""
        was_mined = [attempt for attempt in attempts if attempt.state in (State.MINED, State.CONFIRMED)]
        for attempt in was_mined:
            self._journal.set_state(attempt.hash, State.PENDING)
        if was_mined:
            await self._send_again()

    async def _nonce_is_spent(self, head: int) -> bool:
        """Whether blocks that are deep enough hold a transaction with the nonce."""
        deep = max(0, head - self._confirmations + 1)
        return await self._rpc.nonce(self._attempt.sender, deep) > self._attempt.nonce

    async def _send_again(self) -> None:
        """Hand over whatever waits up to this nonce and is unknown to the endpoint: it cannot mine past a gap."""
        for attempt in self._journal.live(self._attempt.sender):
            if attempt.nonce > self._attempt.nonce or attempt.state is State.MINED:
                continue
            try:
                if await self._rpc.transaction(attempt.hash) is None:
                    await hand_over(self._rpc, attempt.transaction)
            except UnavailableError:
                return  # the next look says so, if it lasts
            except ChainError:
                if attempt.hash == self._attempt.hash:
                    raise

    def _too_late(self) -> UnavailableError:
        return UnavailableError(
            f"the transaction 0x{self._attempt.hash.hex()} is not confirmed yet; it is written down and may still be",
            fix="run the same command again: it looks for this transaction first",
        )

"""Sending transactions so that each happens once, whatever happens to us, to the endpoint or to the chain.

Before a fee is paid: the call is tried (a refusal is a sentence), funds are checked, the fee has a ceiling. Before it
is sent: the signed transaction is in the journal. Until it is deep enough in the chain: it is watched, sent again when
the endpoint forgets it, with everything that has a lower nonce, raised in price when it is stuck, and taken as pending
again when a reorganisation throws it out. After a crash: `resume` brings to an end whatever the journal holds, and a
call with the same intent finds the old transaction instead of making a new one.

What remains: an endpoint that lies to its only client can withhold everything, and make a transaction look lost. The
journal then still says what was signed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from nearcast.chain.abi import contract
from nearcast.chain.address_text import address_text
from nearcast.chain.fees import FeePolicy
from nearcast.chain.handover import Handover, hand_over
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.rpc_types import Receipt
from nearcast.chain.rpc_wire import FIX, RpcError
from nearcast.chain.signing import Signer
from nearcast.chain.transaction_journal import LIVE, Attempt, State, TransactionJournal
from nearcast.chain.transaction_signing import Call, Fees, SignedTransaction, sign_transaction
from nearcast.chain.transaction_watch import PATIENCE_S, Patience, Watch
from nearcast.clock import Clock, SystemClock
from nearcast.errors import ChainError, FundsError, RevertedError, UnavailableError

# When others send from the same account at the same time: one of n that race wins each round, so all are done in n.
# The dev chain's first account is such a one: every new wallet's ether comes from it.
NONCES_TRIED_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call would take: `cost_max_wei` is the most it can cost, its value counted."""

    gas: int
    fees: Fees
    nonce: int
    cost_max_wei: int

    @property
    def fee_max_wei(self) -> int:
        """The most that its fee can be."""
        return self.gas * self.fees.fee_max_wei


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction that is done and deep enough. `was_found`: an earlier run had signed it."""

    attempt: Attempt
    receipt: Receipt
    was_found: bool

    @property
    def hash(self) -> bytes:
        return self.attempt.hash


class Sender:
    """Sends for one account over one endpoint. One task at a time may wait; several processes may share the journal."""

    def __init__(
        self,
        rpc: JsonRpc,
        signer: Signer,
        journal: TransactionJournal,
        *,
        confirmations: int = 1,
        policy: FeePolicy | None = None,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._rpc = rpc
        self._signer = signer
        self._journal = journal
        self._confirmations = confirmations
        self._policy = policy or FeePolicy()
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._patience_s = patience_s

    @property
    def address(self) -> bytes:
        """The account that pays."""
        return self._signer.address

    async def plan(self, call: Call) -> Plan:
        """What sending it would take, nothing sent. Raises RevertedError, FundsError, ChainError, UnavailableError."""
        balance_wei = await self._rpc.balance(self.address)
        if call.value > balance_wei:
            raise _too_few_coins(self.address, balance_wei, call.value)
        await self._check_spends(call)
        await self._rpc.call(call.to, call.data, sender=self.address, value=call.value)
        fees, gas_limit = await self._fees()
        estimate = await self._rpc.estimate_gas(call.to, call.data, self.address, call.value)
        gas = self._policy.gas(estimate, gas_limit)
        cost_max_wei = call.value + gas * fees.fee_max_wei
        if cost_max_wei > balance_wei:
            raise _too_few_coins(self.address, balance_wei, cost_max_wei)
        nonce = max(await self._rpc.nonce(self.address), await self._rpc.nonce(self.address, "pending"))
        return Plan(gas, fees, nonce, cost_max_wei)

    async def send(self, call: Call, *, on_sent: Callable[[Attempt], None] | None = None, tell: bool = True) -> Sent:
        """Have it done once, and wait until it is deep enough; `on_sent` hears when it is on its way.

        Raises what `plan` raises; RevertedError when the chain ran it and the contract refused; UnavailableError when
        it is not done in time, or nobody answers: then it is in the journal, and sending the same intent or `resume`
        goes on. With `tell` False the intent keeps finding it until `journal.tell`, as after a crash.
        """
        attempt = await self._earlier(call)
        was_found = attempt is not None
        if attempt is None:
            attempt = await self._submit(call)
        if on_sent is not None:
            on_sent(attempt)
        return await self._finish(attempt, was_found=was_found, tell=tell)

    async def resume(self) -> list[Sent | ChainError]:
        """Bring everything unfinished to its end, the lowest nonce first: what was done, or the error of what was not.

        Nobody is told: the next `send` with the same intent finds it.
        """
        outcomes: list[Sent | ChainError] = []
        for attempt in {attempt.nonce: attempt for attempt in self._journal.live(self.address)}.values():
            try:
                outcomes.append(await self._finish(attempt, was_found=True, tell=False))
            except ChainError as error:
                outcomes.append(error)
        return outcomes

    def unfinished(self) -> Sequence[Attempt]:
        """What the journal holds that is not done yet."""
        return self._journal.live(self.address)

    async def reprice(self, attempt: Attempt) -> Attempt | None:
        """Offer more for a transaction that is stuck; None when the policy's cap, or the account's end, is reached."""
        newest = self._journal.of_nonce(self.address, attempt.nonce)[0]
        fees = self._policy.raised(newest.transaction.fees, (await self._fees())[0])
        if fees is None:
            return None
        signed = self._sign(newest.call, newest.transaction.gas, fees)(newest.nonce)
        raised = self._journal.add_replacement(newest, signed)
        try:
            await self._hand_over(raised)
        except (FundsError, RpcError):  # the one before it still stands
            return None
        return raised

    # Beginning.

    async def _earlier(self, call: Call) -> Attempt | None:
        """What was signed for this intent before and still counts."""
        if not call.intent:
            return None
        for attempt in self._journal.of_intent(self.address, call.intent):
            if attempt.state in LIVE or (attempt.state is State.CONFIRMED and (call.once or not attempt.is_told)):
                return attempt
            if attempt.state in (State.REFUSED, State.REPLACED) and await self._rpc.receipt(attempt.hash) is not None:
                return attempt  # the chain has it after all
        return None

    async def _submit(self, call: Call) -> Attempt:
        for _ in range(NONCES_TRIED_MAX):
            plan = await self.plan(call)
            sign = self._sign(call, plan.gas, plan.fees)
            attempt, is_new = self._journal.begin(self.address, call, plan.nonce, sign)
            if not is_new or await self._hand_over(attempt) is not Handover.NONCE_TAKEN:
                return attempt
            self._journal.set_state(attempt.hash, State.REPLACED)
        raise ChainError(f"another program keeps sending from {address_text(self.address)}", fix="stop it")

    def _sign(self, call: Call, gas: int, fees: Fees) -> Callable[[int], SignedTransaction]:
        chain_id = self._rpc.expected_chain_id
        return lambda nonce: sign_transaction(self._signer, chain_id, nonce, call, gas=gas, fees=fees)

    async def _hand_over(self, attempt: Attempt) -> Handover:
        """Give it to the endpoint. Raises FundsError or RpcError, the attempt given up, when it will not take it."""
        try:
            return await hand_over(self._rpc, attempt.transaction)
        except FundsError as error:
            self._journal.set_state(attempt.hash, State.REFUSED)
            cost_wei = attempt.call.value + attempt.transaction.gas * attempt.transaction.fees.fee_max_wei
            raise _too_few_coins(self.address, await self._rpc.balance(self.address), cost_wei) from error
        except RpcError:
            self._journal.set_state(attempt.hash, State.REFUSED)
            raise

    async def _fees(self) -> tuple[Fees, int]:
        block = await self._rpc.block("latest")
        if block is None:
            raise ChainError(f"{self._rpc.place} has no newest block", fix=FIX)
        return self._policy.fees(block.base_fee_wei, await self._rpc.tip_wei()), block.gas_limit

    async def _check_spends(self, call: Call) -> None:
        token = contract("TestUSDC")
        for spend in call.spends:
            data = token.encode_call("balanceOf", [self.address])
            balance = token.decode_result("balanceOf", await self._rpc.call(spend.token, data))
            if balance < spend.amount_units:
                raise FundsError(f"{_usdc(spend.amount_units)} are needed, and {_usdc(balance)} are there")
            if spend.spender is not None:
                data = token.encode_call("allowance", [self.address, spend.spender])
                allowance = token.decode_result("allowance", await self._rpc.call(spend.token, data))
                if allowance < spend.amount_units:
                    allowed = f"{_usdc(allowance)} are allowed to {address_text(spend.spender)}"
                    raise FundsError(f"{_usdc(spend.amount_units)} are needed, and {allowed}", fix="approve it first")

    # Ending.

    async def _finish(self, attempt: Attempt, *, was_found: bool, tell: bool) -> Sent:
        policy = self._policy
        patience = Patience(self._clock, self._sleep, self.reprice, policy.reprice_after_s, self._patience_s)
        watch = Watch(self._rpc, self._journal, attempt, self._confirmations, patience)
        winner, receipt = await watch.until_deep(send_first=was_found)
        state = State.CONFIRMED if receipt.succeeded else State.REVERTED
        self._journal.finish(winner, state, receipt.block_number, receipt.block_hash)
        if tell:
            self._journal.tell(winner.hash)
        if not receipt.succeeded:
            raise await self._refusal(winner, receipt)
        return Sent(winner, receipt, was_found)

    async def _refusal(self, attempt: Attempt, receipt: Receipt) -> RevertedError:
        """Why the chain's run of it failed: asked again on the block before, where it can still be asked."""
        told = f"the transaction 0x{attempt.hash.hex()} was refused and cost {receipt.fee_wei / 1e18:.6f} ETH"
        if receipt.gas_used >= attempt.transaction.gas:
            return RevertedError(f"{told}: it ran out of gas", fix="try again")
        call = attempt.call
        try:
            await self._rpc.call(
                call.to, call.data, sender=self.address, value=call.value, block=receipt.block_number - 1
            )
        except RevertedError as error:
            return RevertedError(f"{told}: {error.message.removeprefix('refused: ')}", fix=error.fix)
        except (ChainError, UnavailableError):
            pass
        return RevertedError(told, fix="something changed just before it; try again")


def _too_few_coins(address: bytes, balance_wei: int, cost_wei: int) -> FundsError:
    return FundsError(
        f"{address_text(address)} holds {_ether(balance_wei)}, and this takes up to {_ether(cost_wei)}",
        fix="send it some ETH; on a development chain `nearcast wallet faucet`",
    )


def _ether(wei: int) -> str:
    return f"{wei / 10**18:.6f} ETH"


def _usdc(units: int) -> str:
    return f"{units / 10**6:,.6f} USDC"

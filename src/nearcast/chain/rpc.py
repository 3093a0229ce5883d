"""One chain over one JSON-RPC endpoint: asked with patience, believed only as far as it agrees with itself.

The first request, and the first after the connection broke, asks for the chain's id; another chain than the configured
one is a ChainError that names both. Whatever only reads is asked again, later and later, when no answer comes; a
transaction is handed over once, and whether it arrived is for `transactions.Sender` to find out.

What an endpoint cannot get away with: another block, receipt or log than the one asked for, blocks that do not follow
each other, a chain that goes back further than any honest one. What it can: leave out logs, and invent a whole chain.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from types import TracebackType
from typing import Any, Final, Self

from nearcast.chain.reverts import revert_error
from nearcast.chain.rpc_types import (
    Block,
    Log,
    Receipt,
    TransactionPlace,
    data,
    parse_block,
    parse_log,
    parse_place,
    parse_receipt,
    quantity,
    to_hex,
)
from nearcast.chain.rpc_wire import BATCH_MAX, FIX, Request, RpcError, Wire
from nearcast.errors import ChainError, RevertedError, UnavailableError

BlockTag = int | str  # a number, "latest" or "pending"
TIMEOUT_S: Final = 10.0  # guess: slow free endpoints answer a page of logs in 3 to 5 s
RETRIES_MAX: Final = 3
RETRY_FIRST_S: Final = 0.25  # then twice as long each time, times a random factor from 0.5 to 1.5
REORG_BLOCKS_MAX: Final = 64  # two epochs, after which Ethereum calls a block final
LOG_BLOCKS_MAX: Final = 10_000  # asked for at once; the span that most providers allow
LOGS_MAX: Final = 1_000_000  # in one answer to our caller, about 1 GB
_REVERTED_CODES: Final = (3, -32015, -32521)  # geth and most others; parity; some rollups


class JsonRpc:
    """A client of one endpoint. `async with` it, or `close` it; calls may run at the same time.

    Every method raises UnavailableError when nobody answers and ChainError when the answer cannot be true.
    """

    def __init__(
        self,
        url: str,
        expected_chain_id: int,
        *,
        timeout_s: float = TIMEOUT_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
        wire: Wire | None = None,
    ) -> None:
        """`wire`: over which to ask instead of HTTP."""
        self.expected_chain_id = expected_chain_id
        self._wire = wire or Wire(url, timeout_s=timeout_s)
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._chain_is_known = False
        self._head_max = 0

    @property
    def place(self) -> str:
        """The endpoint's host and port, for messages."""
        return self._wire.place

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._wire.close()

    # Asking.

    async def ask(self, method: str, *parameters: Any) -> Any:
        """The raw result of one request that only reads. Raises RpcError for the endpoint's own errors."""
        return _value((await self._patiently([(method, parameters)]))[0])

    async def ask_many(self, requests: Sequence[Request]) -> list[Any]:
        """Raw results in the order of the requests, at most BATCH_MAX of them in one HTTP request."""
        results: list[Any] = []
        for start in range(0, len(requests), BATCH_MAX):
            results += await self._patiently(requests[start : start + BATCH_MAX])
        return [_value(result) for result in results]

    async def check_chain(self) -> None:
        """Raises ChainError when the endpoint serves another chain than the configured one."""
        told = quantity(_value((await self._wire.exchange([("eth_chainId", ())]))[0]), "the chain's id")
        if told != self.expected_chain_id:
            raise ChainError(
                f"{self.place} serves the chain {told}, and the one configured is {self.expected_chain_id}",
                fix="name the chain with --chain, or its endpoint with --rpc (chain.rpc in config.toml)",
            )
        self._chain_is_known = True

    async def _patiently(self, requests: Sequence[Request]) -> list[Any]:
        delay_s = RETRY_FIRST_S
        for attempt in range(RETRIES_MAX + 1):
            try:
                return await self._once(requests)
            except UnavailableError:
                if attempt == RETRIES_MAX:
                    raise
            await self._sleep(delay_s * (0.5 + self._rng.random()))
            delay_s *= 2
        raise AssertionError("unreachable")

    async def _once(self, requests: Sequence[Request]) -> list[Any]:
        try:
            if not self._chain_is_known:
                await self.check_chain()
            return await self._wire.exchange(requests)
        except UnavailableError:
            self._chain_is_known = False  # who answers next may be somebody else
            raise

    # Blocks.

    async def head(self) -> int:
        """The newest block's number. Raises ChainError when the chain goes back by more than REORG_BLOCKS_MAX."""
        number = quantity(await self.ask("eth_blockNumber"), "the newest block", 63)
        if number + REORG_BLOCKS_MAX < self._head_max:
            raise ChainError(f"{self.place} went back from block {self._head_max} to {number}", fix=FIX)
        self._head_max = max(self._head_max, number)
        return number

    async def confirmed_head(self, confirmations: int) -> int:
        """The newest block that `confirmations` blocks hold, itself counted: with 1 it is the head. Never below 0."""
        return max(0, await self.head() - max(0, confirmations - 1))

    async def block(self, which: BlockTag | bytes = "latest") -> Block | None:
        """A block by number, tag or hash; None when the endpoint does not have it."""
        if isinstance(which, bytes):
            told = await self.ask("eth_getBlockByHash", to_hex(which), False)
        else:
            told = await self.ask("eth_getBlockByNumber", _tag(which), False)
        return None if told is None else _asked_for(parse_block(told), which)

    async def blocks(self, first: int, last: int) -> list[Block]:
        """Blocks first to last, checked to follow each other. Raises ChainError when they do not or one is missing."""
        numbers = range(first, last + 1)
        told = await self.ask_many([("eth_getBlockByNumber", (hex(number), False)) for number in numbers])
        if None in told:
            raise ChainError(f"{self.place} lacks blocks below its own head", fix=FIX)
        blocks = [_asked_for(parse_block(block), number) for block, number in zip(told, numbers, strict=True)]
        for parent, child in pairwise(blocks):
            if child.parent_hash != parent.hash or child.timestamp_s < parent.timestamp_s:
                raise ChainError(f"{self.place}: block {child.number} does not follow {parent.number}", fix=FIX)
        return blocks

    async def still_has(self, number: int, block_hash: bytes) -> bool:
        """Whether a remembered block is still on the chain; False after a reorganisation that left it behind."""
        block = await self.block(number)
        return block is not None and block.hash == block_hash

    # State.

    async def call(
        self, to: bytes, calldata: bytes, *, sender: bytes | None = None, value: int = 0, block: BlockTag = "latest"
    ) -> bytes:
        """What a call returns. Raises RevertedError with the contract's reason."""
        return (await self.calls([(to, calldata)], sender=sender, value=value, block=block))[0]

    async def calls(
        self,
        calls: Sequence[tuple[bytes, bytes]],
        *,
        sender: bytes | None = None,
        value: int = 0,
        block: BlockTag = "latest",
    ) -> list[bytes]:
        """What several calls (to, calldata) return, in few requests. Raises RevertedError for the first that fails."""
        at = _tag(block)
        asked = [("eth_call", (message(to, calldata, sender, value), at)) for to, calldata in calls]
        return [data(result, "a call's result") for result in await self.ask_many(asked)]

    async def balance(self, address: bytes, block: BlockTag = "latest") -> int:
        """An account's coins, in wei."""
        return quantity(await self.ask("eth_getBalance", to_hex(address), _tag(block)), "a balance")

    async def nonce(self, address: bytes, block: BlockTag = "latest") -> int:
        """How many transactions of an account the chain holds; with "pending", the ones that wait as well."""
        return quantity(await self.ask("eth_getTransactionCount", to_hex(address), _tag(block)), "a nonce", 64)

    async def code(self, address: bytes) -> bytes:
        """The code of the contract at an address; empty when there is none."""
        return data(await self.ask("eth_getCode", to_hex(address), "latest"), "a contract's code")

    # Events.

    async def logs(
        self, addresses: Sequence[bytes], topics: Sequence[Sequence[bytes] | None], first: int, last: int
    ) -> list[Log]:
        """The logs of these contracts in blocks first to last, in order; `topics[i]`: any of these, or None for all.

        Long spans are asked for in pieces, and a piece that the endpoint finds too much in halves.
        """
        found: list[Log] = []
        spans = [(at, min(at + LOG_BLOCKS_MAX - 1, last)) for at in range(first, last + 1, LOG_BLOCKS_MAX)]
        spans.reverse()
        while spans:
            start, end = spans.pop()
            try:
                found += await self._logs(addresses, topics, start, end)
            except RpcError:
                if start == end:
                    raise
                middle = (start + end) // 2
                spans += [(middle + 1, end), (start, middle)]
            if len(found) > LOGS_MAX:
                raise ChainError(f"{self.place} tells of more than {LOGS_MAX:,} logs", fix=FIX)
        return found

    async def _logs(
        self, addresses: Sequence[bytes], topics: Sequence[Sequence[bytes] | None], first: int, last: int
    ) -> list[Log]:
        asked = {
            "address": [to_hex(address) for address in addresses],
            "topics": [None if some is None else [to_hex(topic) for topic in some] for some in topics],
            "fromBlock": hex(first),
            "toBlock": hex(last),
        }
        told = await self.ask("eth_getLogs", asked)
        if not isinstance(told, list):
            raise ChainError(f"{self.place} gives no list of logs", fix=FIX)
        logs = [parse_log(log) for log in told]
        places = [(log.block_number, log.index) for log in logs]
        if places != sorted(set(places)) or any(
            not first <= log.block_number <= last or log.address not in addresses or not _matches(log, topics)
            for log in logs
        ):
            raise ChainError(f"{self.place} gives logs that it was not asked for", fix=FIX)
        return logs

    # Transactions.

    async def receipt(self, transaction_hash: bytes) -> Receipt | None:
        """What became of a transaction; None while it is in no block."""
        told = await self.ask("eth_getTransactionReceipt", to_hex(transaction_hash))
        receipt = None if told is None else parse_receipt(told)
        if receipt is not None and receipt.transaction_hash != transaction_hash:
            raise ChainError(f"{self.place} gives the receipt of another transaction", fix=FIX)
        return receipt

    async def transaction(self, transaction_hash: bytes) -> TransactionPlace | None:
        """Where a transaction is; None when the endpoint does not know it."""
        told = await self.ask("eth_getTransactionByHash", to_hex(transaction_hash))
        place = None if told is None else parse_place(told)
        if place is not None and place.hash != transaction_hash:
            raise ChainError(f"{self.place} gives another transaction", fix=FIX)
        return place

    async def estimate_gas(self, to: bytes, calldata: bytes, sender: bytes, value: int = 0) -> int:
        """The gas that a transaction takes now. Raises RevertedError with the contract's reason."""
        told = await self.ask("eth_estimateGas", message(to, calldata, sender, value))
        return quantity(told, "an estimate of gas", 63)

    async def tip_wei(self) -> int:
        """The priority fee per gas that the endpoint thinks fit; 0 where it has no opinion."""
        try:
            return quantity(await self.ask("eth_maxPriorityFeePerGas"), "a priority fee", 128)
        except RpcError:
            return 0

    async def send_raw(self, raw: bytes) -> bytes:
        """Hand over a signed transaction, once; its hash as the endpoint says it. Raises RpcError when refused."""
        told = _value((await self._once([("eth_sendRawTransaction", (to_hex(raw),))]))[0])
        return data(told, "a transaction's hash", 32)


def message(to: bytes, calldata: bytes, sender: bytes | None, value: int) -> dict[str, str]:
    """The object that eth_call and eth_estimateGas take."""
    told = {"to": to_hex(to), "data": to_hex(calldata)}
    if sender is not None:
        told["from"] = to_hex(sender)
    return told | ({"value": hex(value)} if value else {})


def _tag(which: BlockTag) -> str:
    return hex(which) if isinstance(which, int) else which


def _asked_for(block: Block, which: BlockTag | bytes) -> Block:
    if (isinstance(which, bytes) and block.hash != which) or (isinstance(which, int) and block.number != which):
        raise ChainError("the endpoint gives another block than the one it was asked for", fix=FIX)
    return block


def _matches(log: Log, topics: Sequence[Sequence[bytes] | None]) -> bool:
    if len(log.topics) < len(topics):
        return False
    return all(wanted is None or topic in wanted for topic, wanted in zip(log.topics, topics, strict=False))


def _value(result: Any) -> Any:
    """The result itself, or the error that stands for it: a contract's refusal as RevertedError."""
    if not isinstance(result, RpcError):
        return result
    reverted = _reverted(result)
    raise reverted if reverted is not None else result


def _reverted(error: RpcError) -> RevertedError | None:
    is_revert = error.code in _REVERTED_CODES or "revert" in error.message.lower()
    if not is_revert:
        return None
    told = error.data.get("data") if isinstance(error.data, dict) else error.data
    try:
        return revert_error(data(told, "a reason"))
    except ChainError:
        return revert_error(b"")

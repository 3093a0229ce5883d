"""The chain of a simulated world: the engine of `nearcast devchain`, asked in the process instead of over HTTP.

What nodes send and get is the same JSON as ever; only the socket is missing. A request takes LATENCY_S each way, and
nobody answers a node that is cut off from the chain. Who only prepares the world acts at once and without a fee's care.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from nearcast.chain.deployment import DEV
from nearcast.chain.devchain.addresses import ACCOUNTS
from nearcast.chain.devchain.cells import Account
from nearcast.chain.devchain.engine import Engine
from nearcast.chain.devchain.genesis import make_alloc
from nearcast.chain.devchain.node import DevChain
from nearcast.chain.devchain.protocol import answer
from nearcast.chain.rpc import TIMEOUT_S, JsonRpc
from nearcast.chain.rpc_wire import Wire
from nearcast.chain.signing import Signer
from nearcast.chain.transaction_signing import Call, Fees, sign_transaction
from nearcast.errors import NearcastError, UnavailableError
from nearcast.sim.whole.story import Story

LATENCY_S: Final = 0.03  # one way to an endpoint; guess: a provider on the same continent
BLOCK_S: Final = 12.0  # between empty blocks, so that the chain's time goes on; Ethereum's slot
GAS: Final = 5_000_000  # for what prepares the world; more than any of it takes
WALLET_WEI: Final = 10**18  # fees of years
URL: Final = "http://chain.simulated"

_alloc: dict[bytes, Account] = {}


class ChainFailedError(NearcastError):
    """A transaction that prepares the world was refused."""


class WorldChain:
    """One chain for everybody. `unix_s` tells virtual time; `wallets` have ether from the first block on."""

    def __init__(self, unix_s: Callable[[], float], wallets: Iterable[Signer], story: Story) -> None:
        if not _alloc:
            _alloc.update(make_alloc())  # the constructors of all contracts run for it: once in a process
        rich = {wallet.address: Account(balance=WALLET_WEI) for wallet in wallets}
        self.node = DevChain(Engine(_copied(_alloc) | rich, DEV.chain_id), unix_s, None, automine=True)
        self.treasury = [Signer(account.secret) for account in ACCOUNTS]
        self._story = story
        self.requests = 0
        self._told: dict[str, dict[str, Any]] = {}  # what calls returned on top of the block `_told_on`
        self._told_on = b""

    def rpc(self, is_cut_off: Callable[[], bool] = lambda: False) -> JsonRpc:
        """An endpoint for one node, which does not answer while `is_cut_off()`."""
        return JsonRpc(URL, DEV.chain_id, wire=_EngineWire(self, is_cut_off))

    def answer(self, body: bytes) -> bytes:
        """What an endpoint says to one request or batch."""
        self.requests += 1
        return answer(self.node, body)

    def ask(self, request: dict[str, Any]) -> bytes:
        """The same for one request. Everybody reads the blacklist at each poll: what one call returns on top of a block
        is computed once."""
        if request.get("method") != "eth_call":
            return self.answer(json.dumps(request).encode())
        head = self.node.engine.head.hash
        if head != self._told_on:
            self._told_on = head
            self._told.clear()
        key = json.dumps(request["params"])
        if key not in self._told:
            self._told[key] = json.loads(self.answer(json.dumps(request).encode()))
        return json.dumps(self._told[key] | {"id": request["id"]}).encode()

    def act(self, signer: Signer, call: Call) -> None:
        """Have it done in a block of its own, now. Raises ChainFailedError."""
        engine = self.node.engine
        fees = Fees(2 * engine.head.header.base_fee_wei + 10**9, 10**9)
        signed = sign_transaction(signer, DEV.chain_id, engine.nonce(signer.address), call, gas=GAS, fees=fees)
        if not engine.receipt(self.node.send(signed.raw)).status:
            raise ChainFailedError(f"the chain refused a call to 0x{call.to.hex()}")

    async def mine_for_ever(self) -> None:
        """A block now and then, until cancelled."""
        while True:
            await asyncio.sleep(BLOCK_S)
            block = self.node.mine()
            self._story.note("chain", f"block {block.number} {block.hash.hex()[:16]}")

    def travel(self, seconds: int) -> None:
        """Let the chain's time pass, and a block with it."""
        self.node.increase_time(seconds)
        self.node.mine()


class _EngineWire(Wire):
    """The wire of JsonRpc without HTTP."""

    def __init__(self, chain: WorldChain, is_cut_off: Callable[[], bool]) -> None:
        super().__init__(URL, timeout_s=TIMEOUT_S)
        self._chain = chain
        self._is_cut_off = is_cut_off

    async def _post(self, body: Any) -> bytes:
        await self._pass()
        chain = self._chain
        told = chain.ask(body) if isinstance(body, dict) else chain.answer(json.dumps(body).encode())
        await self._pass()
        return told

    async def _pass(self) -> None:
        if self._is_cut_off():
            await asyncio.sleep(TIMEOUT_S)
            raise UnavailableError(f"the endpoint {self.place} did not answer in {TIMEOUT_S:g} s")
        await asyncio.sleep(LATENCY_S)


def _copied(alloc: Mapping[bytes, Account]) -> dict[bytes, Account]:
    return {
        address: Account(account.balance, account.nonce, account.code, dict(account.storage))
        for address, account in alloc.items()
    }

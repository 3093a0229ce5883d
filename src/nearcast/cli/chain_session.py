"""One command's dealings with the chain: the endpoint, the contracts by name, and the wallet when it must sign."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nearcast.cli.chain_options import ChainCall
from nearcast.cli.money import usdc_text
from nearcast.cli.output import Output
from nearcast.errors import ChainError, FundsError, UnavailableError, UsageError

if TYPE_CHECKING:
    from nearcast.chain.deployment import Deployment
    from nearcast.chain.rpc import JsonRpc
    from nearcast.chain.rpc_types import Block, Log
    from nearcast.chain.signing import Signer

Result = TypeVar("Result")


@dataclass(frozen=True)
class Event:
    """A decoded event, and where it stands."""

    arguments: Any
    log: "Log"


@dataclass
class Session:
    """What a command works with. Reads are of the newest block; `now_s` is that block's time, not this machine's."""

    call: ChainCall
    deployment: "Deployment"
    rpc: "JsonRpc"
    head: "Block"
    untold: list[bytes] = field(default_factory=list)  # hashes of transactions that are done, not yet said to be
    _signer: "Signer | None" = field(default=None, repr=False)

    @property
    def output(self) -> Output:
        return self.call.output

    @property
    def chain_id(self) -> int:
        return self.deployment.chain_id

    @property
    def now_s(self) -> int:
        return self.head.timestamp_s

    @property
    def folder(self) -> Path:
        """Where this machine keeps what it knows of this chain."""
        return self.call.config.chain_folder(self.chain_id)

    @property
    def confirmations(self) -> int:
        """How many blocks must hold a transaction, its own counted."""
        return self.call.config.chain.confirmations or self.deployment.confirmations

    @property
    def wallet_address(self) -> bytes:
        """The wallet's address, for which no password is needed. WalletError when there is no wallet."""
        from nearcast.chain.keystore import keystore_address

        return keystore_address(self.call.config.wallet_file)

    def signer(self) -> "Signer":
        """The wallet's key; the password is asked for once."""
        if self._signer is None:
            from nearcast.cli.keyring import open_wallet

            self._signer = open_wallet(self.call)
        return self._signer

    def has(self, contract: str) -> bool:
        """Whether this chain has that contract of ours."""
        return contract in self.deployment.contracts

    def address_of(self, contract: str) -> bytes:
        """Where a contract stands. UsageError when this chain does not have it."""
        if contract not in self.deployment.contracts:
            raise UsageError(f"{self.deployment.name} has no {contract} of Nearcast yet", fix="use --chain dev")
        return self.deployment.contracts[contract]

    def contract_at(self, address: bytes) -> str | None:
        """The name of our contract at an address, or None."""
        return next((name for name, at in self.deployment.contracts.items() if at == address), None)

    async def read(self, contract: str, function: str, *arguments: Any) -> Any:
        """What a view function returns now. RevertedError, ChainError, UnavailableError."""
        from nearcast.chain.abi import contract as abi_of

        abi = abi_of(contract)
        data = await self.rpc.call(self.address_of(contract), abi.encode_call(function, arguments))
        return abi.decode_result(function, data)

    async def pages(self, contract: str, count: str, function: str, *arguments: Any, size: int) -> list[Any]:
        """All of an enumeration that is read page by page, `size` entries at a time."""
        total = await self.read(contract, count, *arguments)
        found: list[Any] = []
        while len(found) < total:
            page = await self.read(contract, function, *arguments, len(found), size)
            if not page or len(page) > size:
                raise ChainError(f"the endpoint breaks off after {len(found)} of {total} entries of {contract}")
            found += page
        return found

    async def events(self, contract: str, event: str, *topics: bytes) -> list[Event]:
        """All events of that name there ever were, in order; `topics` are what its first indexed arguments must be."""
        from nearcast.chain.abi import contract as abi_of

        abi = abi_of(contract)
        wanted = [[abi.topic(event)], *([topic.rjust(32, b"\0")] for topic in topics)]
        logs = await self.rpc.logs([self.address_of(contract)], wanted, self.deployment.first_block, self.head.number)
        decoded = [(abi.decode_log(log.topics, log.data), log) for log in logs]
        return [Event(each.arguments, log) for each, log in decoded if each is not None]

    async def refresh(self) -> None:
        """Take the newest block as now."""
        self.head = await _newest(self.rpc)

    async def check_token_balance(self, units: int) -> None:
        """FundsError when the wallet holds less of the token, or the token has frozen it."""
        wallet = self.wallet_address
        if await self.read("TestUSDC", "isBlacklisted", wallet):
            raise FundsError("the token has frozen the wallet: it can neither send nor get USDC")
        balance = await self.read("TestUSDC", "balanceOf", wallet)
        if balance < units:
            fix = "nearcast wallet faucet" if self.deployment.name == "dev" else "send USDC to nearcast wallet address"
            raise FundsError(f"the wallet holds {usdc_text(balance)}, and this takes {usdc_text(units)}", fix=fix)


@asynccontextmanager
async def chain_session(call: ChainCall) -> AsyncIterator[Session]:
    """A session on the configured chain. ChainError when the endpoint serves another; UnavailableError without one."""
    from nearcast.chain.deployment import deployment
    from nearcast.chain.rpc import JsonRpc

    settled = deployment(call.config.chain.network)
    async with JsonRpc(call.config.chain.rpc, settled.chain_id) as rpc:
        yield Session(call, settled, rpc, await _newest(rpc))


def run_session(call: ChainCall, work: Callable[[Session], Awaitable[Result]]) -> Result:
    """Run a command's work in a session of its own."""
    from nearcast.cli.transacting import tell

    async def running() -> Result:
        async with chain_session(call) as session:
            result = await work(session)
            tell(session)
            return result

    try:
        return asyncio.run(running())
    except UnavailableError as error:
        raise _with_fix(call, error) from error


async def _newest(rpc: "JsonRpc") -> "Block":
    block = await rpc.block("latest")
    if block is None:
        raise ChainError("the endpoint has no newest block")
    return block


def _with_fix(call: ChainCall, error: UnavailableError) -> UnavailableError:
    if call.config.chain.network != "dev":
        return error
    return UnavailableError(error.message, fix=error.fix or "start one: nearcast devchain, or name another with --rpc")

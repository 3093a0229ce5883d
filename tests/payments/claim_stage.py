"""A payee on a real development chain with real channels, and payers who promise, withdraw and lie."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chain.endpoint import Endpoint, endpoint, no_sleep

from nearcast.chain.abi import contract
from nearcast.chain.bindings.settlement import AllowanceCollector, ReceiverState, Settlement
from nearcast.chain.bindings.token import Token
from nearcast.chain.deployment import DEV
from nearcast.chain.devchain.addresses import ACCOUNTS, TestAccount
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.rpc_types import Receipt
from nearcast.chain.signing import Signer
from nearcast.chain.transaction_journal import TransactionJournal
from nearcast.chain.transaction_signing import Call
from nearcast.chain.transactions import Sender
from nearcast.chain.vouchers import ChannelConfig, Voucher, channel_id, settlement_domain, sign_voucher
from nearcast.clock import SystemClock
from nearcast.payments.claim_batches import ClaimRules
from nearcast.payments.claim_sending import LOCK_FILE, Tools
from nearcast.payments.earned import EarnedLedger
from nearcast.payments.earned_rows import EarnedChannel
from nearcast.payments.messages import Promise
from nearcast.payments.settling import Settler
from nearcast.payments.terms import terms_of
from nearcast.telemetry import Telemetry

USDC = 10**6
DAY_S = 86_400
PAYER, RECEIVER, HOT, WATCHER = ACCOUNTS[1], ACCOUNTS[2], ACCOUNTS[4], ACCOUNTS[6]
PAYER_HOT = Signer(ACCOUNTS[3].secret)  # signs the vouchers
TERMS = terms_of(DEV, RECEIVER.address, HOT.address)
DOMAIN = settlement_domain(DEV.chain_id)
START_UNITS = 10_000 * USDC
# Gas is cheap enough here that a dollar pays for it.
RULES = ClaimRules(threshold_units=USDC, usdc_per_eth_units=30 * USDC, poll_s=0.02)
DEADLINE_S = 30.0


def config_of(number: int, **changes: Any) -> ChannelConfig:
    """A channel from the payer to the payee."""
    fields: dict[str, Any] = {
        "payer": PAYER.address,
        "payer_authorizer": PAYER_HOT.address,
        "receiver": RECEIVER.address,
        "receiver_authorizer": HOT.address,
        "token": TERMS.token,
        "withdraw_delay_s": DAY_S,
        "salt": number.to_bytes(32),
    }
    return ChannelConfig(**(fields | changes))


def id_of(config: ChannelConfig) -> bytes:
    return channel_id(DOMAIN, config)


def held(config: ChannelConfig, units: int, *, signer: Signer = PAYER_HOT) -> EarnedChannel:
    """What the ledger holds of a channel after a voucher over so many units."""
    voucher = Voucher(id_of(config), units)
    signature = sign_voucher(DOMAIN, voucher, signer) if units else b""
    return EarnedChannel(voucher.channel_id, config, Promise(units, signature), 1_800_000_000, 10 * USDC, 1_800_000_000)


@dataclass
class Heard:
    """What telemetry said, and somebody who waits for it."""

    telemetry: Telemetry
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    _pulse: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.telemetry.listen(self._hear)

    def _hear(self, name: str, fields: dict[str, Any]) -> None:
        self.events.append((name, fields))
        self._pulse.set()

    def of(self, name: str) -> list[dict[str, Any]]:
        return [fields for each, fields in self.events if each == name]

    async def until(self, name: str, count: int = 1) -> dict[str, Any]:
        """The `count`-th event of that name, waited for."""
        async with asyncio.timeout(DEADLINE_S):
            while len(self.of(name)) < count:
                self._pulse.clear()
                await self._pulse.wait()
        return self.of(name)[count - 1]


@dataclass
class Stage:
    """The chain, and the payee's books. Everything that is sent by others is sent by `do`."""

    served: Endpoint
    rpc: JsonRpc
    ledger: EarnedLedger
    journal: TransactionJournal
    folder: Path
    others: TransactionJournal
    telemetry: Telemetry = field(default_factory=Telemetry)

    @property
    def settlement(self) -> Settlement:
        return Settlement(self.rpc, TERMS.settlement)

    async def do(self, who: TestAccount, call: Call) -> Receipt:
        return (await Sender(self.rpc, Signer(who.secret), self.others, sleep=no_sleep).send(call)).receipt

    async def open(self, *configs: ChannelConfig, units: int = 10 * USDC) -> None:
        """Open channels with so much in each."""
        collector = AllowanceCollector(self.rpc, DEV.contracts["AllowanceDepositCollector"])
        await self.do(PAYER, Token(self.rpc, TERMS.token).approve(collector.address, len(configs) * units))
        for config in configs:
            await self.do(PAYER, collector.deposit(config, units))

    def promise(self, config: ChannelConfig, units: int) -> None:
        """The payee gets a voucher."""
        self.ledger.record_vouchers([held(config, units)])

    def tools(self, *, account: TestAccount = HOT, rpc: JsonRpc | None = None) -> Tools:
        rpc = rpc or self.rpc
        sender = Sender(rpc, Signer(account.secret), self.journal, sleep=no_sleep)
        return Tools(rpc, Settlement(rpc, TERMS.settlement), sender, self.journal, self.folder / LOCK_FILE)

    def settler(self, rules: ClaimRules = RULES, *, tools: Tools | None = None, **more: Any) -> Settler:
        """A new one, as after a restart."""
        return Settler(
            TERMS, self.ledger, tools or self.tools(), rules, clock=SystemClock(), telemetry=self.telemetry, **more
        )

    @asynccontextmanager
    async def running(self, settler: Settler) -> AsyncIterator[Heard]:
        """The settler as a node runs it."""
        heard = Heard(self.telemetry)
        task = asyncio.create_task(settler.run())
        try:
            yield heard
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            raise task.exception() or AssertionError("a settler never ends by itself")

    async def withdraw(self, config: ChannelConfig, units: int) -> None:
        await self.do(PAYER, self.settlement.initiate_withdraw(config, units))

    def later(self, seconds: int) -> None:
        self.served.chain.increase_time(seconds)
        self.served.chain.mine()

    async def received_units(self) -> int:
        """What the receiver's wallet has got."""
        return await Token(self.rpc, TERMS.token).balance(RECEIVER.address) - START_UNITS

    async def claimed_units(self, config: ChannelConfig) -> int:
        return (await self.settlement.channel(id_of(config))).claimed_units

    async def receiver(self) -> ReceiverState:
        return await self.settlement.receiver(TERMS.receiver, TERMS.token)

    async def sent_by(self, account: TestAccount) -> int:
        """How many transactions of an account are on the chain."""
        return await self.rpc.nonce(account.address)


@contextmanager
def _books(folder: Path) -> Iterator[tuple[EarnedLedger, TransactionJournal, TransactionJournal]]:
    with (
        EarnedLedger.open(folder / "earned.sqlite3") as ledger,
        TransactionJournal.open(folder / "transactions.sqlite3") as journal,
        TransactionJournal.open(folder / "others.sqlite3") as others,
    ):
        yield ledger, journal, others


def on_stage(folder: Path, test: Callable[[Stage], Awaitable[None]]) -> None:
    """Run a test on a new chain with new books."""

    async def whole() -> None:
        async with endpoint() as served, JsonRpc(served.url, DEV.chain_id, timeout_s=5, sleep=no_sleep) as rpc:
            with _books(folder) as (ledger, journal, others):
                await test(Stage(served, rpc, ledger, journal, folder, others))

    asyncio.run(whole())


async def freeze(stage: Stage, address: bytes) -> None:
    """The token's blacklister freezes an account."""
    data = contract("TestUSDC").encode_call("blacklist", [address])
    await stage.do(ACCOUNTS[0], Call(TERMS.token, data))

"""A payer with a real purse on a development chain, and payees by hand who hear it over connections in memory."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearcast.chain.channels import ChannelBook
from nearcast.chain.deployment import DEV
from nearcast.chain.devchain.addresses import ACCOUNTS, COURT
from nearcast.chain.eip712 import keccak
from nearcast.chain.node_records import NodeRecord
from nearcast.chain.offers import Offer, court_domain, sign_offer
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import Voucher, channel_id, settlement_domain, verify_voucher
from nearcast.clock import SystemClock
from nearcast.content.cid import Cid, raw_cid
from nearcast.errors import NearcastError
from nearcast.keys import Identity, new_identity
from nearcast.payments.budget import Allowance, Budget, day_text
from nearcast.payments.channel_paying import ChannelPaying
from nearcast.payments.messages import (
    Hello,
    Promise,
    Stop,
    Unwelcome,
    Welcome,
    answer_fields,
    is_proven,
    parse_hello,
    parse_payers_word,
)
from nearcast.payments.payer_channel import PayerChannel
from nearcast.payments.purse import Purse
from nearcast.payments.spent import SpentLedger
from nearcast.tasks import Pulse
from nearcast.telemetry import Telemetry
from nearcast.transport.base import Connection, Stream
from nearcast.transport.memory import MemoryEndpoint, MemoryNetwork
from nearcast.wire import FrameReader, decode_message, encode_message

if TYPE_CHECKING:
    from tests.chain.endpoint import Endpoint

WALLET = Signer(ACCOUNTS[1].secret)
HOT = Signer(keccak(b"the payer's hot key"))
DOMAIN = settlement_domain(DEV.chain_id, DEV.contracts["BatchSettlement"])
COURT_DOMAIN = court_domain(DEV.chain_id, COURT)
BUDGET = Budget(max_price_units_per_gib=1 << 20, fetch_cap_units=1 << 20, day_cap_units=1 << 20, deposit_units=1 << 16)
PRICE = 1 << 20  # units per GiB: a KiB is a unit
ROOT = raw_cid(hashlib.sha256(b"an object").digest())
TEST_DEADLINE_S = 60.0


@dataclass
class Payee:
    """A node that takes whatever it is promised, and remembers it. `answer` says what it tells a greeting."""

    number: int = 2
    identity: Identity = field(default_factory=new_identity)
    hellos: list[Hello] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    stops: list[bytes] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    heard: Pulse = field(default_factory=Pulse)
    is_deaf: bool = False
    answer: Callable[["Payee", Hello], Welcome | Unwelcome | bytes] = lambda payee, hello: payee.welcome()

    @property
    def operator(self) -> bytes:
        return ACCOUNTS[self.number].address

    @property
    def hot(self) -> Signer:
        return Signer(keccak(f"hot key of {self.number}".encode()))

    @property
    def record(self) -> NodeRecord:
        return NodeRecord(self.operator, self.hot.address, self.identity.endpoint_id, 10, "DE", PRICE, (), True, 1)

    @property
    def newest(self) -> Promise:
        """The best promise it ever got."""
        said = [*self.promises, *(hello.promise for hello in self.hellos)]
        return max(said, key=lambda promise: promise.units, default=Promise(0, b""))

    def welcome(self) -> Welcome:
        return Welcome(self.newest, 1 << 40)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that it heard makes it true."""
        while not condition():
            await self.heard.wait()

    async def paid(self, units: int) -> None:
        await self.until(lambda: self.newest.units >= units)

    async def serve(self, stream: Stream) -> None:
        """One payment stream, by hand."""
        frames = FrameReader(stream.receive)
        hello = parse_hello(await frames.message())
        assert is_proven(DOMAIN, hello)
        self._check(hello, hello.promise)
        answer = self.answer(self, hello)
        self.hellos.append(hello)
        self.streams.append(stream)
        self.heard.beat()
        await stream.send.write(answer if isinstance(answer, bytes) else encode_message(answer_fields(answer)))
        while not self.is_deaf and (frame := await frames.next()) is not None:
            match parse_payers_word(decode_message(frame[1])):
                case Promise() as promise:
                    self._check(hello, promise)
                    self.promises.append(promise)
                case Stop(nonce):
                    self.stops.append(nonce)
            self.heard.beat()
        await stream.send.finish()

    def _check(self, hello: Hello, promise: Promise) -> None:
        voucher = Voucher(channel_id(DOMAIN, hello.config), promise.units)
        assert promise.units == 0 or verify_voucher(DOMAIN, voucher, promise.signature, HOT.address)


@dataclass
class Payers:
    """Everything that a test needs. `purse()` is a new one as after a restart, on the same data folder."""

    served: "Endpoint"
    rpc: JsonRpc
    folder: Path
    tasks: asyncio.TaskGroup
    network: MemoryNetwork = field(default_factory=MemoryNetwork)
    telemetry: Telemetry = field(default_factory=Telemetry)
    clock: SystemClock = field(default_factory=SystemClock)
    running: list[asyncio.Task[None]] = field(default_factory=list)
    _nodes: dict[int, MemoryEndpoint] = field(default_factory=dict)

    @property
    def chain_folder(self) -> Path:
        return self.folder / "chain" / str(DEV.chain_id)

    @property
    def evidence(self) -> Path:
        return self.folder / "evidence"

    def today(self) -> str:
        return day_text(self.clock.unix_s())

    @contextmanager
    def ledger(self) -> Iterator[SpentLedger]:
        with SpentLedger.open(self.chain_folder / "spent.sqlite3") as spent:
            yield spent

    @contextmanager
    def book(self) -> Iterator[ChannelBook]:
        with ChannelBook.open(self.chain_folder / "channels.sqlite3") as book:
            yield book

    @asynccontextmanager
    async def purse(
        self, budget: Budget = BUDGET, *, wallet: Callable[[], Signer] | None = lambda: WALLET, hot: Signer = HOT
    ) -> AsyncIterator[Purse]:
        with self.book() as book, self.ledger() as spent:
            async with Purse(
                deployment=DEV,
                rpc=self.rpc,
                book=book,
                spent=spent,
                hot=hot,
                wallet=wallet,
                journal=self.chain_folder / "transactions.sqlite3",
                evidence=self.evidence,
                budget=budget,
                clock=self.clock,
                telemetry=self.telemetry,
            ) as purse:
                yield purse

    async def connect(self, payee: Payee) -> Connection:
        """A new connection to this payee, who serves it."""
        if payee.number not in self._nodes:
            self._nodes[payee.number] = self.network.endpoint(payee.identity)
            self._start(self._accept(payee, self._nodes[payee.number]))
        mine = self.network.endpoint(new_identity())
        return await mine.connect(self._nodes[payee.number].address())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self.running.append(self.tasks.create_task(work))

    async def _accept(self, payee: Payee, node: MemoryEndpoint) -> None:
        while True:
            self._start(self._serve(payee, await node.accept()))

    async def _serve(self, payee: Payee, connection: Connection) -> None:
        while not connection.is_closed:
            try:
                stream = await connection.accept_stream()
            except NearcastError:
                return
            self._start(_quietly(payee.serve(stream)))


async def _quietly(serving: Awaitable[None]) -> None:
    """A payer that goes away is no failure of a test."""
    try:
        await serving
    except NearcastError:
        return


def offer_of(payee: Payee, price: int = PRICE, *, root: Cid = ROOT, **fields: Any) -> tuple[Offer, bytes]:
    """A signed offer to the payer."""
    block = fields.pop("block_number", 1), fields.pop("block_hash", bytes(32))
    offer = Offer(root.digest, fields.pop("client", WALLET.address), price, 1 << 30, *block)
    return offer, sign_offer(COURT_DOMAIN, offer, fields.pop("signer", payee.hot))


async def begin(
    world: "Payers", purse: Purse, payee: Payee, *, cap_units: int = BUDGET.fetch_cap_units, max_price: int = PRICE
) -> tuple[PayerChannel, ChannelPaying]:
    """A channel to the payee, and a download that has its offer."""
    channel = await purse.channel_for(payee.record, 10)
    paying = channel.paying(ROOT, max_price, Allowance(cap_units))
    block = await world.rpc.block("latest")
    assert block is not None
    offer = offer_of(payee, block_number=block.number, block_hash=block.hash)
    paying.check_offer(ROOT.digest, PRICE, *offer)
    return channel, paying


async def until_refused(world: Payers, paying: ChannelPaying, connection: Connection) -> None:
    """Make ready until that is an error."""
    while True:
        await paying.ready(connection)
        await world.rpc.head()


def run(test: Callable[[Payers], Awaitable[None]], folder: Path) -> None:
    """Run a test in a world of its own; a hang is a failure."""
    from tests.chain.endpoint import endpoint, no_sleep  # takes a second, which killed_payer.py has no use for

    async def whole() -> None:
        async with (
            asyncio.timeout(TEST_DEADLINE_S),
            endpoint() as served,
            JsonRpc(served.url, DEV.chain_id, timeout_s=5, sleep=no_sleep) as rpc,
            asyncio.TaskGroup() as tasks,
        ):
            world = Payers(served, rpc, folder, tasks)
            try:
                await test(world)
            finally:
                for task in world.running:
                    task.cancel()

    asyncio.run(whole())

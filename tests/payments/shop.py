"""A payee's till over connections in memory, and payers who speak to it by hand. The chain is a stand-in here; the
tests that are about the chain use a real one.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from nearcast.chain.bindings.settlement import ChannelState, Settlement
from nearcast.chain.eip712 import keccak
from nearcast.chain.rpc import BlockTag
from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import BATCH_SETTLEMENT, ChannelConfig, Voucher, channel_id, sign_voucher
from nearcast.clock import SystemClock
from nearcast.errors import UnavailableError
from nearcast.keys import Identity, new_identity
from nearcast.payments.earned import FILE_NAME, EarnedLedger
from nearcast.payments.messages import (
    Hello,
    Promise,
    Unwelcome,
    Welcome,
    hello_fields,
    is_hello,
    parse_answer,
    parse_hello,
    promise_fields,
    proof_of,
)
from nearcast.payments.terms import Terms
from nearcast.payments.till import Till
from nearcast.telemetry import Telemetry
from nearcast.transport.base import Connection, Stream
from nearcast.transport.memory import MemoryNetwork
from nearcast.wire import FrameReader, encode_message

CHAIN_ID = 31337
OPERATOR, HOT = Signer(keccak(b"operator")), Signer(keccak(b"hot"))
TOKEN = keccak(b"token")[:20]
TERMS = Terms(CHAIN_ID, BATCH_SETTLEMENT, TOKEN, OPERATOR.address, HOT.address)
DOMAIN = TERMS.domain
CAPACITY = 1_000_000
OPEN = ChannelState(CAPACITY, 0, 0, 0, 0)
NOTHING = Promise(0, b"")


@dataclass
class Chain:
    """What the chain says of channels; `is_down`: nobody answers."""

    states: dict[bytes, ChannelState] = field(default_factory=dict)
    confirmed: dict[bytes, ChannelState] = field(default_factory=dict)
    is_down: bool = False
    reads: int = 0

    @property
    def rpc(self) -> "Chain":
        return self

    async def confirmed_head(self, confirmations: int) -> int:
        return 100 - confirmations

    async def channel(self, channel: bytes, *, block: BlockTag = "latest") -> ChannelState:
        self.reads += 1
        states = self.states if block == "latest" else self.confirmed
        told = states.get(channel, ChannelState(0, 0, 0, 0, 0))
        for _ in range(3):  # the answer is on its way, and the world goes on
            await asyncio.sleep(0)
        if self.is_down:
            raise UnavailableError("nobody answers at secret-endpoint.example")
        return told


@dataclass
class Clock(SystemClock):
    """The machine's clock, and what is added to it."""

    ahead_s: float = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s

    def unix_s(self) -> float:
        return super().unix_s() + self.ahead_s


async def until(condition: Callable[[], bool]) -> None:
    """Until it is so, whatever the loop has to do before that; at most 10 s."""
    deadline_s = time.monotonic() + 10
    for turn in itertools.count():
        if condition():
            return
        assert time.monotonic() < deadline_s, f"not so after {turn} turns"
        await asyncio.sleep(0)


class Payer:
    """A key, a channel, and what it says."""

    def __init__(self, number: int, **changed: Any) -> None:
        self.wallet, self.hot = Signer(keccak(f"wallet {number}".encode())), Signer(keccak(f"hot {number}".encode()))
        fields: dict[str, Any] = {
            "payer": self.wallet.address,
            "payer_authorizer": self.hot.address,
            "receiver": OPERATOR.address,
            "receiver_authorizer": HOT.address,
            "token": TOKEN,
            "withdraw_delay_s": 86_400,
            "salt": keccak(b"salt"),
        }
        self.config = ChannelConfig(**{**fields, **changed})
        self.channel = channel_id(DOMAIN, self.config)

    def promise(self, units: int, *, signer: Signer | None = None, channel: bytes | None = None) -> Promise:
        voucher = Voucher(channel or self.channel, units)
        return Promise(units, sign_voucher(DOMAIN, voucher, signer or self.hot)) if units else NOTHING

    def hello(self, promise: Promise = NOTHING, *, chain_id: int = CHAIN_ID, proof: bytes | None = None) -> Hello:
        return Hello(chain_id, self.config, proof or proof_of(DOMAIN, self.config, self.hot), promise)


@dataclass(frozen=True)
class Visitor:
    """A connection to the shop, and the endpoint id that it is from."""

    peer: bytes
    connection: Connection


class PayEnd:
    """The payer's end of a payment stream."""

    def __init__(self, visitor: Visitor, stream: Stream) -> None:
        self.visitor = visitor
        self.peer = visitor.peer
        self.stream = stream
        self._frames = FrameReader(stream.receive)

    async def say(self, *fields: Any) -> None:
        await self.stream.send.write(b"".join(map(encode_message, fields)))

    async def pay(self, *promises: Promise) -> None:
        await self.say(*map(promise_fields, promises))

    async def answer(self) -> Welcome | Unwelcome:
        return parse_answer(await self._frames.message())

    async def is_over(self) -> bool:
        return await self._frames.next() is None


@dataclass
class Shop:
    """One node that is paid."""

    till: Till
    chain: Chain
    ledger: EarnedLedger
    telemetry: Telemetry
    clock: Clock
    network: MemoryNetwork
    address: Any
    group: asyncio.TaskGroup

    async def visit(self, identity: Identity | None = None) -> Visitor:
        """Connect, as somebody new or as this one."""
        identity = identity or new_identity()
        return Visitor(identity.endpoint_id, await self.network.endpoint(identity).connect(self.address))

    async def greet(self, payer: Payer, promise: Promise = NOTHING, *, visitor: Visitor | None = None) -> PayEnd:
        """Open a payment stream and say hello on it."""
        return await self.open_stream(hello_fields(payer.hello(promise)), visitor=visitor)

    async def open_stream(self, *fields: Any, visitor: Visitor | None = None) -> PayEnd:
        """Open a stream and say this on it."""
        visitor = visitor or await self.visit()
        end = PayEnd(visitor, await visitor.connection.open_stream())
        await end.say(*fields)
        return end

    def open_channel(self, payer: Payer, units: int = CAPACITY) -> Payer:
        self.chain.states[payer.channel] = self.chain.confirmed[payer.channel] = ChannelState(units, 0, 0, 0, 0)
        return payer

    async def counted(self, counter: str, count: int = 1) -> None:
        """Until something was counted so often."""
        await until(lambda: self.telemetry.counters[counter] >= count)


@asynccontextmanager
async def open_shop(
    folder: Path, *, confirmations: int = 1, terms: Terms = TERMS, settlement: Settlement | None = None
) -> AsyncIterator[Shop]:
    """A node that serves payment streams; its books are in `folder`. What a stream of it raises fails the test.

    `settlement`: a real one; without it `Shop.chain` says what the chain says.
    """
    network, telemetry, clock, chain = MemoryNetwork(), Telemetry(), Clock(), Chain()
    endpoint = network.endpoint(new_identity())
    with EarnedLedger.open(folder / FILE_NAME) as ledger:
        settlement = settlement or cast(Settlement, chain)
        till = Till(terms, ledger, settlement, confirmations=confirmations, clock=clock, telemetry=telemetry)

        async def serve_stream(stream: Stream, peer: bytes) -> None:
            frames = FrameReader(stream.receive)
            first = await frames.message()
            assert is_hello(first)
            await till.collect(stream, frames, parse_hello(first), peer)

        async def serve_connection(connection: Connection) -> None:
            async with asyncio.TaskGroup() as streams:
                while not connection.is_closed:
                    try:
                        stream = await connection.accept_stream()
                    except UnavailableError:
                        return
                    streams.create_task(serve_stream(stream, connection.remote_id))

        async def serve() -> None:
            async with asyncio.TaskGroup() as connections:
                while True:
                    connections.create_task(serve_connection(await endpoint.accept()))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(till.run()), group.create_task(serve())]
            yield Shop(till, chain, ledger, telemetry, clock, network, endpoint.address(), group)
            for task in tasks:
                task.cancel()

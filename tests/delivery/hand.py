"""A payer that is driven by hand: it asks, hears and pays when and what it is told."""

import os
from dataclasses import dataclass, field
from typing import Any

from tests.delivery.paid_world import MAX_PRICE, PayEnd, Seller
from tests.delivery.world import World
from tests.payments.shop import Payer

from nearcast.delivery.messages import NONCE_BYTES, FetchRequest, parse_answer, request_fields
from nearcast.payments.messages import Promise, Welcome, hello_fields
from nearcast.transport.base import Connection
from nearcast.wire import FrameReader, decode_message, encode_message

NOTHING = Promise(0, b"")


@dataclass
class Hand:
    """A connection, a channel, and nobody who pays by itself."""

    connection: Connection
    payer: Payer
    pay_end: PayEnd | None = None

    async def greet(self) -> None:
        self.pay_end = PayEnd(await self.connection.open_stream())
        await self.pay_end.say(hello_fields(self.payer.hello(NOTHING)))
        assert isinstance(await self.pay_end.answer(), Welcome)

    async def ask(self, **fields: Any) -> "Asking":
        usual: dict[str, Any] = {"path": "", "want": "leaves", "spans": (), "inline_bytes": 0}
        usual |= {"nonce": os.urandom(NONCE_BYTES), "channel": self.payer.channel, "max_price": MAX_PRICE}
        request = FetchRequest(**usual | fields)
        stream = await self.connection.open_stream()
        await stream.send.write(encode_message(request_fields(request)))
        await stream.send.finish()
        return Asking(request, FrameReader(stream.receive))


@dataclass
class Asking:
    request: FetchRequest
    frames: FrameReader
    heard: list[Any] = field(default_factory=list)

    async def next(self) -> Any:
        """A block's bytes, a message, or None at the end."""
        frame = await self.frames.next()
        if frame is not None:
            self.heard.append(frame[1] if frame[0] else parse_answer(decode_message(frame[1])))
        return None if frame is None else self.heard[-1]

    async def all(self) -> list[Any]:
        while await self.next() is not None:
            pass
        return self.heard

    @property
    def content_bytes(self) -> int:
        return sum(len(item) for item in self.heard if isinstance(item, bytes))


async def hand(place: World, node: Seller, number: int = 1) -> Hand:
    payer = Payer(number)
    node.open_channel(payer)
    return Hand(await place.endpoint().connect(node.peer.address), payer)

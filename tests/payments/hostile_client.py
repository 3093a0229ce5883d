"""A client that cheats: it speaks the real protocol from a process of its own, and pays as its manner says.

    python -m tests.payments.hostile_client MANNER PEER CID DATA_DIR RPC [BYTES]

It has a real wallet and a real channel to the node, which its data folder's book knows (`nearcast channel open`). What
it got and what it was told goes to stdout, as one JSON object: what a test holds against the node's own books.

    honest       a voucher for every block: the others are held against it
    slow         honest, and in no hurry: it takes the second half when the node has said something, or late
    silent       a greeting, and never a voucher
    stops        honest for BYTES bytes, then no voucher any more
    replays      the first voucher again and again
    lowers       honest, then vouchers over less and less
    elsewhere    vouchers of another channel
    forged       vouchers signed by somebody else
    beyond       vouchers over more than the channel holds
    many         as `silent`, over as many streams as it may open
    offers       request after request, nothing of the answers is read
    unproven     a greeting for a channel whose key it does not hold
    nameless     no greeting at all: a channel that the node was never shown
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nearcast.chain.channels import ChannelBook, OwnChannel
from nearcast.chain.deployment import DEV
from nearcast.chain.keystore import keystore_address, open_keystore
from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import Voucher, settlement_domain, sign_voucher
from nearcast.content.cid import Cid, parse_cid
from nearcast.delivery.messages import NONCE_BYTES, FetchRequest, request_fields
from nearcast.errors import NearcastError
from nearcast.keys import new_identity
from nearcast.overlay.peers import parse_peer
from nearcast.payments.messages import Hello, Promise, hello_fields, promise_fields, proof_of
from nearcast.transport.base import Connection, Stream
from nearcast.transport.iroh import IrohEndpoint
from nearcast.wire import FrameReader, decode_message, encode_message

PATIENCE_S = 20.0  # longer than a node waits for a voucher
SLOW_S = 15.0  # for a node to see that a channel is being emptied: its poll, and a busy machine
GOODBYE_S = 5.0
STREAMS = 16
OFFERS = 400
DOMAIN = settlement_domain(DEV.chain_id, DEV.contracts["BatchSettlement"])


@dataclass
class Told:
    """What this client saw."""

    bytes: int = 0
    price: int = 0
    offers: int = 0
    signed_units: int = 0
    vouchers: int = 0
    ends: list[str] = field(default_factory=list)
    pay_answers: list[Any] = field(default_factory=list)


class Cheat:
    """One connection, one channel, and a manner of paying."""

    def __init__(self, manner: str, connection: Connection, channel: OwnChannel, signer: Signer, enough: int) -> None:
        self.manner = manner
        self.connection = connection
        self.channel = channel
        self.signer = signer
        self.enough = enough
        self.told = Told(signed_units=channel.signed_units)
        self._pay: Callable[[bytes], Awaitable[None]] | None = None
        self._pay_stream: Stream | None = None
        self._refused = asyncio.Event()
        self._has_lingered = False
        self._streams: list[Stream] = []  # one that is dropped tells the node to stop

    async def run(self, root: Cid) -> None:
        async with asyncio.TaskGroup() as tasks:
            pay = None if self.manner == "nameless" else tasks.create_task(self._greet())
            await asyncio.sleep(0)
            if self.manner == "many":
                await asyncio.gather(*(self._fetch(root) for _ in range(STREAMS)))
            elif self.manner == "offers":
                for _ in range(OFFERS):
                    await self._ask(root)
                    self.told.offers += 1
            else:
                await self._fetch(root)
            if pay is not None:
                await self._say_goodbye(pay)

    async def _say_goodbye(self, pay: "asyncio.Task[None]") -> None:
        """As an honest client does: the last voucher arrives before the connection goes."""
        with suppress(NearcastError, TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                if self._pay_stream is not None:
                    await self._pay_stream.send.finish()
                await asyncio.wait([pay])
        pay.cancel()

    async def _greet(self) -> None:
        """Show the channel, then note what the node says until it is over."""
        stream = await self.connection.open_stream()
        config = self.channel.config
        signer = Signer(os.urandom(32)) if self.manner == "unproven" else self.signer
        hello = Hello(DEV.chain_id, config, proof_of(DOMAIN, config, signer), self._promise(self.channel.signed_units))
        await stream.send.write(encode_message(hello_fields(hello)))
        self._pay, self._pay_stream = stream.send.write, stream
        frames = FrameReader(stream.receive)
        try:
            while (frame := await frames.next()) is not None:
                answer = decode_message(frame[1])
                self.told.pay_answers.append({name: answer[name] for name in ("ok", "text") if name in answer})
                if answer.get("ok") is False:
                    self._refused.set()
        except NearcastError as error:
            self.told.pay_answers.append({"error": error.message})

    async def _ask(self, root: Cid) -> FrameReader:
        request = FetchRequest(root, "", "all", (), 0, os.urandom(NONCE_BYTES))
        fields = request_fields(request) | {"channel": self.channel.channel_id, "max_price": 1 << 40}
        stream = await self.connection.open_stream()
        await stream.send.write(encode_message(fields))
        await stream.send.finish()
        self._streams.append(stream)
        return FrameReader(stream.receive)

    async def _fetch(self, root: Cid) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._take(await self._ask(root))
        except (NearcastError, TimeoutError) as error:
            self.told.ends.append(type(error).__name__)

    async def _take(self, frames: FrameReader) -> None:
        parts = 0
        while (frame := await frames.next()) is not None:
            is_block, payload = frame
            if not is_block:
                said = decode_message(payload)
                if said.get("ok") is True:
                    self.told.offers += 1
                    self.told.price = said["price"]
                elif "end" in said or "reason" in said:
                    self.told.ends.append(said.get("end") or said["reason"])
                    return
                continue
            if self.manner == "slow":
                await self._linger()
            self.told.bytes += len(payload)
            parts += len(payload) * self.told.price
            await self._settle((self.channel.signed_units << 30) + parts)

    async def _linger(self) -> None:
        """After the first voucher, once: until the node refuses any more, but not for ever."""
        if self.told.vouchers and not self._has_lingered:
            self._has_lingered = True
            with suppress(TimeoutError):
                async with asyncio.timeout(SLOW_S):
                    await self._refused.wait()

    async def _settle(self, parts: int) -> None:
        due_units = parts >> 30
        units = due_units
        match self.manner:
            case "silent" | "many" | "offers" | "nameless" | "unproven":
                return
            case "stops" if self.told.bytes > self.enough:
                return
            case "replays" if self.told.vouchers:
                units = self.told.signed_units
            case "lowers" if self.told.bytes > self.enough:
                units = max(1, self.told.signed_units - self.told.vouchers)
            case "beyond":
                units = 1 << 50
        if units == 0 or self._pay is None:
            return
        self.told.vouchers += 1
        self.told.signed_units = max(units, self.told.signed_units)
        await self._pay(encode_message(promise_fields(self._promise(units))))

    def _promise(self, units: int) -> Promise:
        if units == 0:
            return Promise(0, b"")
        channel_id, signer = self.channel.channel_id, self.signer
        if self.manner == "elsewhere":
            channel_id = bytes(reversed(channel_id))
        if self.manner == "forged":
            signer = Signer(os.urandom(32))
        return Promise(units, sign_voucher(DOMAIN, Voucher(channel_id, units), signer))


def own_channel(data_dir: Path) -> tuple[OwnChannel, Signer]:
    """The newest channel of a data folder's wallet, and the key that signs for it."""
    wallet = data_dir / "wallet.json"
    with ChannelBook.open(data_dir / "chain" / str(DEV.chain_id) / "channels.sqlite3") as book:
        channel = book.of_payer(keystore_address(wallet))[-1]
    signer = open_keystore(wallet, "")
    if channel.config.voucher_signer != signer.address:
        signer = Signer(bytes.fromhex((data_dir / "hot.key").read_text().strip()))
    return channel, signer


async def main(manner: str, peer: str, cid: str, data_dir: str, enough: int) -> None:
    channel, signer = own_channel(Path(data_dir))
    endpoint = await IrohEndpoint.bind(new_identity(), listen="127.0.0.1:0")
    try:
        connection = await endpoint.connect(parse_peer(peer))
        cheat = Cheat(manner, connection, channel, signer, enough)
        await cheat.run(parse_cid(cid))
        print(json.dumps(vars(cheat.told)))
    finally:
        await endpoint.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]) if sys.argv[5:] else 0))

"""One channel that we pay from: its account, its payment streams, and the one task that signs for it.

A voucher is written down, then signed, then sent, one at a time: while one is on its way to the disk or into the
transport the account goes on counting, and the next one covers all of it. Whatever connection a block came by, the
voucher goes out on the newest stream that lives; the payee counts per channel and not per connection.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from nearcast.chain.channels import OwnChannel
from nearcast.chain.node_records import NodeRecord
from nearcast.content.cid import Cid
from nearcast.errors import NearcastError, RefusedError, StoreError
from nearcast.payments.budget import Allowance, Pot
from nearcast.payments.channel_paying import ChannelPaying, Witness
from nearcast.payments.credit import PART_BITS, PayerAccount, parts_of
from nearcast.payments.messages import Hello, Welcome, proof_of
from nearcast.payments.pace import signing_delay_s
from nearcast.payments.pay_stream import PayStream
from nearcast.payments.promising import Promising
from nearcast.payments.spent import UNKNOWN_ROOT, Line, Signing, split_parts
from nearcast.payments.verified_count import VerifiedCount
from nearcast.tasks import Pulse, in_thread
from nearcast.telemetry import Telemetry
from nearcast.transport.base import Connection

SETTLE_PATIENCE_S: Final = 5.0  # guess: for the last voucher of a download to be written down and handed over
STREAMS_MAX: Final = 8  # connections to one node at a time; guess

Spawn = Callable[[Coroutine[Any, Any, None]], object]


@dataclass(frozen=True)
class Desk:
    """What all channels of a purse share. `day`: the pot that all of them spend from; `spawn` starts a task of its;
    `doubt` is told of a channel that its payee does not take, and sees to it that the chain is asked why.
    """

    promising: Promising
    day: Pot
    witness: Witness
    telemetry: Telemetry
    spawn: Spawn
    doubt: Callable[["PayerChannel"], None]


class PayerChannel:
    """A channel to `node`. `run` is its task; everything else may be called from any task of the loop."""

    def __init__(
        self, own: OwnChannel, node: NodeRecord, capacity_units: int, desk: Desk, count: VerifiedCount
    ) -> None:
        """`own.signed_units`: the highest promise that either book knows. `capacity_units`: the balance on chain.

        `count`: what the process before this one had verified; what of it nobody signed for is signed for now.
        """
        self.channel_id = own.channel_id
        self.config = own.config
        self.node = node
        self.account = PayerAccount(capacity_units, own.signed_units)
        self.pot = Pot(lambda: (self.account.capacity_units << PART_BITS) - self.account.verified_parts)
        self.retired: str | None = None  # why no new download may begin on it
        self.refusal: RefusedError | None = None  # the payee's, to its newest stream: nothing begins on it meanwhile
        self._desk = desk
        self._promising = desk.promising
        self._promise = desk.promising.promise(own.channel_id, own.signed_units)
        self._streams: list[PayStream] = []
        self._opening = asyncio.Lock()
        self._signing = asyncio.Lock()
        self._work, self._progress = Pulse(), Pulse()
        self._lines: list[Line] = []  # verified and not signed for: their parts are the account's, to the part
        self._stops: list[bytes] = []
        self._price_units_per_gib = 0  # of what was verified last
        self._verified_at_s = 0.0
        self._settling = 0  # downloads that wait for their last voucher
        self._is_dozing = False  # the task waits for a pause, and looks again by itself
        self._capped_on: str | None = None  # a day whose cap the ledger refused to pass
        self._failure: NearcastError | None = None
        self._count = count
        self._known_units = own.signed_units  # what was promised before this process, as far as it knows
        self._take_over()

    def _take_over(self) -> None:
        counted_parts = min(self._count.read(), self.account.capacity_units << PART_BITS)
        self._owe(counted_parts - self.account.verified_parts)

    def _owe(self, parts: int) -> None:
        """So much more is due, for nobody remembers what."""
        if parts > 0:
            self.account.verified_parts += parts
            self._promising.day.unsigned_parts += parts
            self._lines.append(Line(UNKNOWN_ROOT, 0, parts))

    def paying(self, root: Cid, max_price_units_per_gib: int, allowance: Allowance) -> ChannelPaying:
        """Pay for one download from this node. `allowance`: of the whole fetch, which may ask other nodes as well."""
        return ChannelPaying(
            self, root, max_price_units_per_gib, allowance=allowance, day=self._desk.day, witness=self._desk.witness
        )

    # What downloads say.

    def check(self) -> None:
        """Raises why nothing more is paid here: RefusedError when the node was distrusted, StoreError of the books."""
        if self._failure is not None:
            raise self._failure

    @property
    def is_trusted(self) -> bool:
        return self._failure is None

    @property
    def is_usable(self) -> bool:
        """Whether a new download may begin on it, as far as anybody knows."""
        return self.retired is None and self.refusal is None and self.is_trusted

    def try_again(self) -> None:
        """Forget that the payee refused it: the next download asks it anew."""
        self.refusal = None
        self._streams = [stream for stream in self._streams if stream.lives]

    def left_units(self, holder: object = None) -> int:
        """What nobody was promised, has earned or has set aside; in whole units."""
        return self.pot.free_parts(holder) >> PART_BITS

    def verify(self, root: str, size_bytes: int, price_units_per_gib: int) -> None:
        """So many bytes of an object arrived and are right; they are paid for."""
        self.account.verify(size_bytes, price_units_per_gib)
        self._count.note(self.account.verified_parts)
        parts = parts_of(size_bytes, price_units_per_gib)
        self._promising.day.unsigned_parts += parts
        if self._lines and self._lines[-1].root == root:
            last = self._lines.pop()
            size_bytes, parts = size_bytes + last.size_bytes, parts + last.parts
        self._lines.append(Line(root, size_bytes, parts))
        self._price_units_per_gib = price_units_per_gib
        self._verified_at_s = self._promising.clock.monotonic_s()
        if not self._is_dozing or self.account.is_due(price_units_per_gib):
            self._work.beat()

    def stop(self, nonce: bytes) -> None:
        """The answer of this nonce is not wanted any more."""
        self._stops.append(nonce)
        self._work.beat()

    def distrust(self, reason: str) -> None:
        """The node lied: no voucher is signed or sent from now on."""
        if self._failure is None:
            self._count.note(self.account.signed_units << PART_BITS)  # nor by the process after this one
            self._fail(RefusedError(f"the node lied and is not paid any more: {reason}"))
            self._desk.telemetry.event("payee_distrusted", operator=self.node.operator, reason=reason)

    async def ready(self, connection: Connection) -> None:
        """See that a payment stream is open on this connection. RefusedError, UnavailableError."""
        self.check()
        if self.retired is not None:
            raise RefusedError(f"the channel is not paid from any more: {self.retired}")
        async with self._opening:
            self._streams = [stream for stream in self._streams if stream.lives or stream.is_refused]
            for stream in self._streams:
                if stream.connection is connection:
                    if stream.refusal is not None:
                        raise stream.refusal
                    return
            await self._greet(connection)

    async def settle(self) -> None:
        """What is due is written down, and handed over where a stream lives, or the patience is over. StoreError."""
        self._settling += 1
        self._work.beat()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_PATIENCE_S):
                    while not self._is_settled():
                        await self._progress.wait()
        finally:
            self._settling -= 1
        if isinstance(self._failure, StoreError):
            raise self._failure

    # The task.

    async def run(self) -> None:
        """Sign and send until cancelled."""
        while True:
            if not await self._step():
                delay_s = self._delay_s()
                self._is_dozing = delay_s is not None
                await self._work.wait(delay_s)
                self._is_dozing = False

    async def close(self, patience_s: float) -> None:
        """End the streams, giving the payee so long to have read them."""
        async with asyncio.TaskGroup() as closing:
            for stream in self._streams:
                if stream.lives:
                    closing.create_task(stream.close(patience_s))

    async def _step(self) -> bool:
        """Do the one thing that is to be done next; False: there is none."""
        stream = self._newest()
        if self._stops:
            nonce = self._stops.pop(0)
            if stream is not None:
                await stream.send_stop(nonce)
        elif self._is_to_write():
            await self._write()
        elif stream is not None and self.is_trusted and stream.sent_units < self._promise.units:
            await stream.send(self._promise)
            self._desk.telemetry.count("vouchers_sent")
        else:
            return False
        self._progress.beat()
        return True

    def _newest(self) -> PayStream | None:
        """Asked at every step, so the transport is not: who listens to a stream hears of its connection's end."""
        return next((stream for stream in reversed(self._streams) if not stream.is_over), None)

    def _delay_s(self) -> float | None:
        if self._failure is not None or self._capped_on == self._promising.today():
            return None
        since_s = self._promising.clock.monotonic_s() - self._verified_at_s
        is_last = self._settling > 0
        return signing_delay_s(self.account, self._price_units_per_gib, since_s, is_last=is_last)

    def _is_to_write(self) -> bool:
        if self._delay_s() == 0:
            return True
        return self._settling > 0 and self._failure is None and any(line.size_bytes for line in self._lines)

    def _is_settled(self) -> bool:
        if self._failure is not None:
            return True
        stream = self._newest()
        is_sent = stream is None or stream.sent_units >= self._promise.units
        return is_sent and self._delay_s() is None and not self._is_to_write()

    async def _write(self) -> None:
        """The next promise, on disk. One at a time, and none beside an adoption."""
        async with self._signing:
            lines, self._lines = self._lines, []
            signing = Signing(self.channel_id, self.config.receiver, self.account.due_units, lines)
            today = self._promising.today()
            try:
                signed = await in_thread(self._promising.write, signing)
            except NearcastError as error:
                self._lines = [*lines, *self._lines]
                self._fail(error)
                return
            more_parts = signed.units - self.account.signed_units << PART_BITS
            self._promising.day.note(today, signed.day_units)
            self._promising.day.unsigned_parts -= more_parts
            self._lines = [*split_parts(lines, more_parts)[1], *self._lines]
            if self._failure is not None:  # meanwhile
                self._forget_lines()
            self._capped_on = today if signed.units < signing.units else None
            self._promised(signed.units)

    def _promised(self, units: int) -> None:
        self.account.signed_units = units
        self._promise = self._promising.promise(self.channel_id, units)

    def _fail(self, error: NearcastError) -> None:
        self._failure = error
        self._forget_lines()
        self._progress.beat()

    def _forget_lines(self) -> None:
        """What is not signed for never will be."""
        self._promising.day.unsigned_parts -= sum(line.parts for line in self._lines)
        self._lines = []

    # The streams.

    async def _greet(self, connection: Connection) -> None:
        proof = proof_of(self._promising.domain, self.config, self._promising.hot)
        hello = Hello(self._promising.chain_id, self.config, proof, self._promise)
        stream = await PayStream.open(connection, hello)
        self._streams = [*self._streams[-(STREAMS_MAX - 1) :], stream]
        self._desk.spawn(stream.listen(self._welcomed, partial(self._refused, stream)))
        self._desk.telemetry.count("pay_streams_opened")
        self._work.beat()  # a promise made meanwhile goes out on the new stream

    async def _refused(self, stream: PayStream, refusal: RefusedError) -> None:
        """The payee takes no more on this stream. Where there is a newer one, that is all: it ends the older ones."""
        if self._streams[-1:] == [stream] and self.is_usable:
            self.refusal = refusal
            self._desk.doubt(self)
        with suppress(StoreError):  # every download is told
            await self.settle()

    async def _welcomed(self, welcome: Welcome) -> None:
        """The payee's newest voucher: one of ours, or it is a liar. RefusedError."""
        self.refusal = None
        if not self._promising.is_ours(self.channel_id, welcome.promise):
            self.distrust("it shows a voucher that we never signed")
            self.check()
        async with self._signing:
            more_units = welcome.promise.units - self.account.signed_units
            if more_units <= 0:
                return
            try:
                units = welcome.promise.units
                await in_thread(self._promising.adopt, self.channel_id, self.config.receiver, units)
            except StoreError as error:
                self._fail(error)
                return
            self.account.verified_parts += more_units << PART_BITS  # what it was for is not what is due now
            # What this process promised below that pays for nothing: it is due once more.
            self._owe(self.account.signed_units - self._known_units << PART_BITS)
            self._known_units = units
            self._promised(units)
            self._work.beat()  # the task may sleep: what it had signed for is due again
            self._desk.telemetry.count("promises_adopted")

"""A Nearcast peer as a source, free or paid: one stream per request over a pooled connection.

messages.py has what is said, asking.py how one request goes, purchase.py what is paid and for what.
"""

import os
from collections.abc import Sequence

from nearcast.content.blocks import BLOCK_BYTES_MAX
from nearcast.delivery.asking import Asked
from nearcast.delivery.messages import NONCE_BYTES, PRICE_FREE, FetchRequest, LeafSpan, MissingLeaf
from nearcast.delivery.patience import Patience
from nearcast.delivery.purchase import Purchase
from nearcast.delivery.source import REQUESTS_IN_FLIGHT, STALL_TIMEOUT_S, NodesWanted, Span, TakeLeaf, TakeNode
from nearcast.delivery.trail import NO_TRAIL, Trail
from nearcast.errors import RemoteError
from nearcast.payments.paying import Paying
from nearcast.transport.base import PeerAddress
from nearcast.transport.pool import ConnectionPool

NAME_DIGITS = 8  # of the endpoint id; enough to tell the few peers of a download apart


class PeerSource:
    """Source of delivery/source.py.

    `paying`: the channel that pays this peer, for one download; None: for free only. `trail`: with one, the peer may
    bring from others what it lacks.
    """

    gives_nodes = True
    requests_in_flight = REQUESTS_IN_FLIGHT

    def __init__(
        self,
        pool: ConnectionPool,
        address: PeerAddress,
        *,
        paying: Paying | None = None,
        trail: Trail = NO_TRAIL,
        stall_timeout_s: float = STALL_TIMEOUT_S,
    ) -> None:
        self._pool = pool
        self._address = address
        self._patience = Patience(stall_timeout_s)
        self._channel = None if paying is None else paying.channel_id
        self._max_price = PRICE_FREE if paying is None else paying.max_price_units_per_gib
        self._trail = trail
        self.name = address.endpoint_id.hex()[:NAME_DIGITS]
        self.purchase = None if paying is None else Purchase(paying, self.name)

    async def nodes(self, want: NodesWanted, take: TakeNode) -> None:
        inline_bytes = want.inline_bytes
        if self.purchase is not None and not self.purchase.may_ask(inline_bytes):
            inline_bytes = 0  # how many nodes there are nobody knows; leaves that nobody may pay are not asked for
        request = FetchRequest(
            root=want.root,
            path=want.path,
            want="nodes",
            spans=(),
            inline_bytes=inline_bytes,
            nonce=os.urandom(NONCE_BYTES),
            skip=want.skip,
            shallow=want.shallow,
            channel=self._channel,
            max_price=self._max_price,
            trail=self._trail,
        )
        asked = Asked(request, self._patience, self.purchase, inline_bytes)

        async def read() -> None:
            if self.purchase is not None:
                self.purchase.expect_inline(asked.price)
            while (frame := await asked.next()) is not None:
                if isinstance(frame, MissingLeaf):
                    raise RemoteError("it spoke of a leaf where nodes were asked for")
                if await take(frame):
                    asked.verified(len(frame))

        await asked.run(self._pool, self._address, read)

    async def leaves(self, spans: Sequence[Span], take: TakeLeaf) -> None:
        if self.purchase is not None:
            spans = await _affordable(spans, self.purchase)
        request = FetchRequest(
            root=spans[0].cid,
            path="",
            want="leaves",
            spans=tuple(LeafSpan(span.cid, span.first, span.count) for span in spans),
            inline_bytes=0,
            nonce=os.urandom(NONCE_BYTES),
            channel=self._channel,
            max_price=self._max_price,
            trail=self._trail,
        )
        awaited_bytes = 0 if self.purchase is None else sum(map(_size_bytes, spans))
        asked = Asked(request, self._patience, self.purchase, awaited_bytes)

        async def read() -> None:
            await _read_leaves(asked, spans, take)

        await asked.run(self._pool, self._address, read)


async def _affordable(spans: Sequence[Span], purchase: Purchase) -> Sequence[Span]:
    """As many of them as the caps allow at a time, the rest later: small files count as large as a block can be, and so
    many of them may be over a cap that all their bytes together are far below. One at least: whoever asks is told no.
    """
    while True:
        count = len(spans)
        while not purchase.may_ask(sum(map(_size_bytes, spans[:count]))):
            if count > 1:
                count //= 2
            elif purchase.awaits_any:
                break
            else:
                return spans[:1]
        else:
            return spans[:count]
        await purchase.awaited_less.wait()


async def _read_leaves(asked: Asked, spans: Sequence[Span], take: TakeLeaf) -> None:
    expected = ((span.cid, span.first + index) for span in spans for index in range(span.count))
    for position, (cid, index) in enumerate(expected):
        frame = await asked.next()
        if frame is None:
            if asked.is_given_up:
                return
            raise RemoteError("it ended before the last leaf")
        if isinstance(frame, MissingLeaf):
            if frame != MissingLeaf(cid, index):
                raise RemoteError("it spoke of a leaf that was not asked for")
            frame = None
        is_wanted = await take(position, frame)
        if frame is not None:
            asked.verified(len(frame))
        if not is_wanted and not asked.give_up():
            return
    if await asked.next() is not None:
        raise RemoteError("it sent more leaves than it was asked for")


def _size_bytes(span: Span) -> int:
    """Of a span's leaves; of a raw leaf whose size nobody has told, what it is at the most."""
    if span.leaves is None:
        return BLOCK_BYTES_MAX
    return sum(span.leaves.span(index)[1] for index in range(span.first, span.first + span.count))

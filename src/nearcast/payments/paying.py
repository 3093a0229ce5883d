"""Paying one node for one download: what whoever fetches must say and ask. The implementation is `ChannelPaying`.

A download may ask one node over several connections and several streams at a time; all of them share one `Paying`, and
all `Paying`s of a node share one channel. Nothing here waits for the payee but `ready` and `settle_up`; vouchers leave
by themselves, in a task of the purse, as soon as enough was verified.
"""

from typing import Protocol

from nearcast.chain.offers import Offer
from nearcast.transport.base import Connection


class Paying(Protocol):
    """One download from one node, paid for.

    `channel_id` (32 bytes) and `max_price_units_per_gib` go into every request. All methods that do not wait are cheap
    and may be called for every block; call them in the event loop's own thread.
    """

    @property
    def channel_id(self) -> bytes: ...

    @property
    def max_price_units_per_gib(self) -> int: ...

    async def ready(self, connection: Connection) -> None:
        """Before each request: see that this connection carries the payment stream, opened and greeted on first use.

        It does not wait for the payee's answer; when that is a refusal, later calls raise it. UnavailableError when
        the connection is gone, RefusedError when the payee will not, or not any more, deliver on this channel, or when
        it was distrusted.
        """

    def check_offer(self, root_digest: bytes, price_units_per_gib: int, offer: Offer, signature: bytes) -> None:
        """The node's answer to a request of ours, before anything of it is taken.

        `root_digest`: the 32-byte sha2-256 digest of what was asked for; the price as the answer states it.
        IntegrityError when the offer is not about that, not for us or not signed by the node; RefusedError when it
        asks more than `max_price_units_per_gib` or more than it asked first (both offers are then kept as evidence),
        or when the node was distrusted.
        """

    def may_ask(self, size_bytes: int) -> bool:
        """Before each request: whether the caps and the channel allow for `size_bytes` more of content.

        `size_bytes` counts everything that is asked of this node and not here yet, the new request included: it is
        set aside in place of what the call before set aside, until it is verified or `close` is called.
        """

    def verified(self, size_bytes: int, price_units_per_gib: int) -> None:
        """A block arrived and hashed to its name, at the price of its answer: it is paid for.

        RefusedError when a cap or the channel's money is used up: that block is not paid for and nothing more should
        be asked for (it cannot happen to what `may_ask` allowed, unless another process spends from the same day); and
        when the node was distrusted.
        """

    def give_up(self, nonce: bytes) -> None:
        """Tell the node that the answer to the request of this nonce is not wanted any more. It still says its end."""

    def distrust(self, reason: str) -> None:
        """The node lied. From now on nothing is signed for it, in this download or any other of this process."""

    async def settle_up(self) -> None:
        """Everything verified is signed for, and sent where a connection lives. Call it at the end of the download.

        Less than a unit stays for the next one. It does not raise for a payee that is gone: what was signed is on disk
        and is shown to it when it is met again. StoreError when the books cannot be written.
        """

    def close(self) -> None:
        """The download is over: what `may_ask` set aside is free again. Call it in any case; twice does no harm."""

"""What a node that serves asks of its other half, which brings what is not here from others: a relay.

Serving stays a reading of the store. Where something is missing, the answer waits for it: the other half fetches it
into the store, verified, and the answer reads on. Nothing is ever handed on that is not in the store.

`price` (units per GiB) is always what the requester pays this node: what it may cost upstream follows from it. Ask only
for a requester that pays, or that the operator named as one to be served for free (then `price` is 0); and only while
`trail.may_pass(own endpoint id)`: a request that came through here before is refused ("loop") by whoever serves.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from nearcast.content.cid import Cid
from nearcast.delivery.messages import FetchRequest, Holding
from nearcast.delivery.trail import Trail
from nearcast.payments.budget import Backer


class UpstreamSession(Protocol):
    """What is brought for one answer. Several answers about the same root share what is under way."""

    async def nodes(self) -> None:
        """Returns when the nodes that the request is about are in the store: along the path and below (for leaves: of
        the files in the spans), and some first leaves if the request takes them inline. At once when they are.

        Raises NotFoundError (nobody has it), RefusedError (nobody brings it at a price that is worth it),
        UnavailableError, IntegrityError or LimitError (the content itself is broken), StoreError.
        """

    async def leaf(self, cid: Cid, index: int) -> None:
        """Returns when leaf `index` of the file `cid` is in the store (index 0 of a file that is one raw leaf).

        What of the request comes after it is fetched along, FETCH_AHEAD_BYTES at most. Raises like `nodes`.
        """


class Upstream(Protocol):
    async def can_bring(self, root: Cid, trail: Trail, price: int, asker: bytes) -> Holding | None:
        """A holding of state "relay" when others give `root` at a price that is worth it; None when not, or when that
        cannot be told in time. Never raises for anything that others do. `asker`: the endpoint id of whoever asks, who
        gets no more than a share of what this node can ask others at a time."""

    def session(
        self, request: FetchRequest, trail: Trail, price: int, backer: Backer | None = None
    ) -> AbstractAsyncContextManager[UpstreamSession]:
        """Cheap to enter: nobody is asked before something is missing. Leaving it ends what nobody else waits for.

        `backer`: whoever pays for the answer, charged with what it costs; None for a friend, who pays nothing.
        """

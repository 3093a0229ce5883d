"""Where verified bytes come from: the one interface of everything that can be asked for nodes and leaves.

A source hands over bytes by calling back, block by block, in the order in which they were asked for; the callback
checks them, and whatever it raises ends the request. So a source needs no trust, keeps no queue, and cleans up after
itself (its stream, its HTTP response) in its own `finally`.

Errors a source raises: NotFoundError (it says that it does not have it), RefusedError (it will not), UnavailableError
(unreachable, gone, stalled, busy), RemoteError and LimitError (it breaks the protocol). LimitError and IntegrityError
make it a liar.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from nearcast.content.cid import Cid
from nearcast.content.leaves import LeafTable
from nearcast.delivery.messages import LeafSpan
from nearcast.delivery.purchase import Purchase

STALL_TIMEOUT_S = 4.0  # no byte for so long, and a source is given up; guess: a lossy mobile link recovers in 3 s
REQUESTS_IN_FLIGHT = 3  # per source, so that the next answer is under way while one is drained; measured in bench/


@dataclass(frozen=True, slots=True)
class NodesWanted:
    """The nodes along `path` from `root`, then its target's (session.py has the exact sequence)."""

    root: Cid
    path: str = ""
    shallow: bool = False
    skip: int = 0
    inline_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Span(LeafSpan):
    """A span, and the file's leaf table: digests to ask for single blocks, places to ask for byte ranges.

    `leaves` is None for a file of one raw leaf whose size nobody has told yet.
    """

    leaves: LeafTable | None


TakeNode: TypeAlias = Callable[[bytes], Awaitable[bool]]
"""Called with every block of the nodes' sequence, then with inline leaves. True: it was verified, and is to be paid
where money is due. False for an inline leaf, whose turn comes when the leaves are known, and for a block that nobody
can check any more because another source won the race."""

TakeLeaf: TypeAlias = Callable[[int, bytes | None], Awaitable[bool]]
"""Called with the number of the leaf among all that were asked for (0, 1, …) and its bytes, or None where the source
lacks it. Bytes are verified when it returns, whatever it returns, also those that came twice. False means: enough, the
rest of this request is not wanted any more."""


class Source(Protocol):
    """One peer or server. Safe to use by several requests at a time."""

    @property
    def name(self) -> str:
        """Short, for people: the beginning of an endpoint id, or a URL."""

    @property
    def gives_nodes(self) -> bool:
        """False for a plain web server: it has the target file's bytes and knows nothing of DAGs."""

    @property
    def requests_in_flight(self) -> int:
        """How many `leaves` requests it should be given at a time."""

    @property
    def purchase(self) -> Purchase | None:
        """What is bought from it; None: it is free."""

    async def nodes(self, want: NodesWanted, take: TakeNode) -> None:
        """Hand over the blocks of the sequence; returns after the last one."""

    async def leaves(self, spans: Sequence[Span], take: TakeLeaf) -> None:
        """Hand over every leaf of every span, in order, once; returns after the last one."""

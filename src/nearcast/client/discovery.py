"""Whoever has a root beyond the peers that are known anyway, as the finder sees it: the hash table, the registry.

The overlay is behind it in a node (node/meshing.py); a client without one has NOBODY_FAR.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nearcast.content.cid import Cid
from nearcast.transport.base import PeerAddress


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of a peer before it is asked. All of it is hearsay but `is_dead`, and that may be wrong as well.

    `rtt_s`: the round trip as measured, or estimated from coordinates; None: no idea. `price`: units per GiB that it
    announced. `load`: 0 to 1, announced.
    """

    is_dead: bool = False
    rtt_s: float | None = None
    price: int | None = None
    load: float | None = None


NO_OUTLOOK = Outlook()


@dataclass(frozen=True, slots=True)
class Far:
    """What looking further brought. `asked`: in words who was asked, "" when there was nobody to ask."""

    providers: Sequence[PeerAddress] = ()
    asked: str = ""


class Discovery(Protocol):
    """How to look further. Raises nothing for what others do."""

    async def providers(self, root: Cid, near: Sequence[PeerAddress], timeout_s: float) -> Far:
        """Who told others that it has `root`; `near`: peers that are known, as a way in. Within `timeout_s`."""

    def registered(self) -> Far:
        """Nodes of the registry that we know where to find: they may have anything."""

    def outlook(self, endpoint_id: bytes) -> Outlook:
        """What is known of this peer."""


class _NobodyFar:
    async def providers(self, root: Cid, near: Sequence[PeerAddress], timeout_s: float) -> Far:
        return Far()

    def registered(self) -> Far:
        return Far()

    def outlook(self, endpoint_id: bytes) -> Outlook:
        return NO_OUTLOOK


NOBODY_FAR: Discovery = _NobodyFar()

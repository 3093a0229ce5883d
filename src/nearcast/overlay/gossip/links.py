"""What the membership of a topic tells: who becomes a neighbour, and who is none any more."""

from typing import Protocol

from nearcast.overlay.machine import Effect
from nearcast.transport.base import PeerAddress


class Links(Protocol):
    """Who has to know of neighbours that come and go: the tree."""

    def link_up(self, peer: PeerAddress, *, is_listener: bool, is_new: bool, now_s: float, out: list[Effect]) -> None:
        """`is_new`: it has just come and knows nothing."""

    def link_down(self, endpoint_id: bytes, now_s: float, out: list[Effect], *, is_lost: bool) -> None:
        """`is_lost`: it cannot be reached; else one of us has parted from the other."""

    def is_shunned(self, endpoint_id: bytes, now_s: float) -> bool: ...

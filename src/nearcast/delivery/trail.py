"""The way of a request from relay to relay: how many may still be passed, and who was passed already.

A request that may be answered by a relay carries `hops`, how many relays may still be passed, and a trail: eight random
bytes that name it, then a mark of everybody it came through, whoever began it first. A mark is the beginning of
SHA-256(name ‖ endpoint id): a node recognises its own and that of any peer it knows, and learns nothing of the others.

Invariants: a node never passes a request on that carries its own mark, and every passing takes one from `hops`; so a
request travels at most HOPS_MAX times and never in a circle, whatever the nodes are connected like.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

HOPS_MAX: Final = 3  # guess: a cache of a region, one of a continent, one beside the origin
MARK_BYTES: Final = 8  # a stranger's mark is mine once in 2^64 requests
MARKS_MAX: Final = 8  # the name, whoever began, and more relays than HOPS_MAX allows


@dataclass(frozen=True, slots=True)
class Trail:
    """`marks` is empty where no trail was begun: such a request is answered from what is here."""

    hops: int = 0
    marks: tuple[bytes, ...] = ()

    def has_passed(self, endpoint_id: bytes) -> bool:
        """Whether the request came through this node."""
        return len(self.marks) > 1 and mark_of(self.marks[0], endpoint_id) in self.marks[1:]

    def may_pass(self, endpoint_id: bytes) -> bool:
        """Whether this node may ask others on the request's behalf."""
        return bool(self.hops and self.marks) and len(self.marks) < MARKS_MAX and not self.has_passed(endpoint_id)

    def passed(self, endpoint_id: bytes) -> "Trail":
        """What this node, which `may_pass`, sends on."""
        return Trail(self.hops - 1, (*self.marks, mark_of(self.marks[0], endpoint_id)))


NO_TRAIL: Final = Trail()


def begin(endpoint_id: bytes, random_bytes: Callable[[int], bytes], hops: int = HOPS_MAX) -> Trail:
    """The trail of a request of one's own; `random_bytes(n)` gives n of them (`os.urandom`)."""
    name = random_bytes(MARK_BYTES)
    return Trail(hops, (name, mark_of(name, endpoint_id)))


def mark_of(name: bytes, endpoint_id: bytes) -> bytes:
    """A node's mark on the trail of that name."""
    return sha256(name + endpoint_id).digest()[:MARK_BYTES]

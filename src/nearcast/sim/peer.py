"""One peer of a simulation: a machine, where it stands in the network, and what it has sent and received.

A peer that comes back after a crash is another Peer with the same address: timers and messages of its former life find
the former one, which is no longer alive.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nearcast.overlay.machine import Machine
    from nearcast.sim.latency import Delays
    from nearcast.transport.base import PeerAddress

OPEN, CONE, SYMMETRIC = 0, 1, 2  # kinds of NAT, see dialling.py


class Peer:
    """Everything the simulation knows of one peer. `index` counts from 0 in the order of arrival."""

    __slots__ = (
        "access_s",
        "address",
        "clock_offset_s",
        "clock_rate",
        "delays",
        "down_free_s",
        "failing",
        "index",
        "is_alive",
        "joined_s",
        "keepers",
        "kept",
        "left_s",
        "machine",
        "nat",
        "pause_every_s",
        "pause_s",
        "pause_shift_s",
        "position",
        "received_bytes",
        "received_messages",
        "sent_bytes",
        "sent_messages",
        "side",
        "site",
        "up_free_s",
    )

    def __init__(self, index: int, address: "PeerAddress", machine: "Machine", site: int, delays: "Delays") -> None:
        self.index = index
        self.address = address
        self.machine = machine
        self.site = site  # where it stands; which row of the latency matrix is its own
        self.delays = delays  # one-way seconds to each site
        self.access_s = 0.0  # one-way seconds of its own last mile
        self.is_alive = True
        self.joined_s = 0.0
        self.left_s = 0.0
        self.position = 0  # in the simulation's list of living peers
        self.clock_rate = 1.0  # its clock's seconds per true second
        self.clock_offset_s = 0.0
        self.pause_s = 0.0  # a slow member stands still for so long
        self.pause_every_s = 0.0  # and then runs for so long
        self.pause_shift_s = 0.0
        self.side = 0  # of a partition
        self.nat = OPEN
        self.up_free_s = self.down_free_s = 0.0  # until when its line is busy with what is under way
        self.kept: dict[bytes, None] = {}  # whom it holds a connection to
        self.keepers: dict[Peer, None] = {}  # who holds one to it
        self.failing: dict[bytes, None] = {}  # dials under way that will fail: one failure is told once
        self.sent_messages = self.received_messages = 0
        self.sent_bytes = self.received_bytes = 0

    @property
    def endpoint_id(self) -> bytes:
        return self.address.endpoint_id

    def clock_s(self, now_s: float) -> float:
        """What this peer's own clock shows."""
        return now_s * self.clock_rate + self.clock_offset_s

    def stands_still_s(self, now_s: float) -> float:
        """For how much longer a slow member does nothing; 0 when it runs."""
        if not self.pause_s:
            return 0.0
        into_s = (now_s + self.pause_shift_s) % (self.pause_s + self.pause_every_s)
        return max(self.pause_s - into_s, 0.0)

    def __repr__(self) -> str:
        return f"peer {self.index} ({self.address.endpoint_id[:4].hex()})"

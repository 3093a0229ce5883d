"""What the network does to a message: it takes time, and it may lose, repeat, hold back or block it.

- Time: the matrix's one-way delay plus both access lines, times one plus jitter (exponential: queues on the way).
- Loss: an unreliable message is gone; a reliable one is sent again after a probe timeout that doubles (RFC 9002,
  section 6.2), and given up after RESENT_FOR_S.
- Reordering: a share of messages is held back by an exponential time. Jitter alone also lets a later message overtake
  an earlier one: machines may not count on order, although a QUIC stream keeps it.
- Duplication: of unreliable messages only; QUIC delivers the others once.
- Bandwidth: each peer's line sends and takes one byte after the other; a message waits until the line is free. The
  receiver's line is asked at the time of sending, in the order of sending.
- Partition: see partition.py. Reliable messages across it fail after GIVE_UP_S; those under way when it begins arrive.
  Connections that are kept across it end after SILENCE_S (simulation.py).

All numbers can be changed while a simulation runs (`change`); the dice are the network's own.
"""

from math import log
from typing import TYPE_CHECKING, Final

from nearcast.errors import UsageError
from nearcast.sim.partition import Partition

if TYPE_CHECKING:
    import random

    from nearcast.sim.dialling import Dialling
    from nearcast.sim.latency import Latency
    from nearcast.sim.peer import Peer
    from nearcast.transport.base import PeerAddress

LOST: Final = -1.0  # nobody will ever know
FAILED: Final = -2.0  # the sender is told after GIVE_UP_S
RESENT_FOR_S = 30.0  # QUIC's usual max_idle_timeout: a packet that was repeated for so long ends the connection
GIVE_UP_S = 5.0  # transport/pool.py DIAL_TIMEOUT_S: who does not answer for so long is unreachable
PROBE_TIMEOUT_RTTS = 1.5  # RFC 9002 6.2.1: smoothed RTT + 4 times its variation, which is an eighth here
PROBE_TIMEOUT_EXTRA_S = 0.025  # RFC 9000 18.2: the receiver's max_ack_delay
_KNOBS = ("jitter", "loss", "duplication", "reordering", "reorder_s", "up_bytes_per_s", "down_bytes_per_s")


def leads_to(contact: "PeerAddress", true: "PeerAddress") -> bool:
    """Whether a dial to this contact finds that peer; without addresses it is taken to be known from elsewhere."""
    if not contact.addresses or contact.addresses == true.addresses:
        return True
    return any(address in true.addresses for address in contact.addresses)


class Network:
    """Decides how long a message takes. Bandwidth 0 means lines without limit."""

    __slots__ = (*_KNOBS, "_is_plain", "_partition", "_random", "_rng", "dialling", "failed", "latency", "lost")

    def __init__(
        self,
        latency: "Latency",
        rng: "random.Random",
        *,
        dialling: "Dialling | None" = None,
        jitter: float = 0.0,
        loss: float = 0.0,
        duplication: float = 0.0,
        reordering: float = 0.0,
        reorder_s: float = 0.1,
        up_bytes_per_s: float = 0.0,
        down_bytes_per_s: float = 0.0,
    ) -> None:
        self.latency = latency
        self.dialling = dialling
        self._rng = rng
        self._random = rng.random
        self._partition: Partition | None = None
        self.lost = 0  # packets, those that were sent again too
        self.failed = 0  # messages that were given up
        self.jitter, self.loss, self.duplication = jitter, loss, duplication
        self.reordering, self.reorder_s = reordering, reorder_s
        self.up_bytes_per_s, self.down_bytes_per_s = up_bytes_per_s, down_bytes_per_s
        self.change()

    def change(self, **knobs: float) -> None:
        """Set any of jitter, loss, duplication, reordering (shares), reorder_s, up_/down_bytes_per_s from now on.

        Raises UsageError for a share that is not between 0 and 1, and for a name that is none.
        """
        for name, value in knobs.items():
            if name not in _KNOBS:
                raise UsageError(f"the network has no {name}; it has {', '.join(_KNOBS)}")
            setattr(self, name, value)
        for name in ("loss", "duplication", "reordering"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"network: {name} is a share between 0 and 1, not {getattr(self, name)}")
        self._is_plain = not (self.loss or self.reordering or self.up_bytes_per_s or self.down_bytes_per_s)
        self._is_plain = self._is_plain and self._partition is None and self.dialling is None

    @property
    def partition(self) -> Partition | None:
        return self._partition

    @partition.setter
    def partition(self, partition: Partition | None) -> None:
        self._partition = partition
        self.change()

    def delay_s(
        self,
        sender: "Peer",
        target: "Peer",
        is_reliable: bool,
        size_bytes: int,
        now_s: float,
        knows_way: bool = True,
    ) -> float:
        """Seconds until the message arrives; LOST or FAILED when it never will.

        `knows_way` False: the sender was given addresses that are not the target's; only an open connection helps it.
        """
        delay_s = sender.delays[target.site] + sender.access_s + target.access_s
        if self.jitter:
            delay_s -= delay_s * self.jitter * log(1.0 - self._random())
        if self._is_plain:
            return delay_s
        if self._partition is not None and self._partition.blocks(sender, target):
            return self._gone(is_reliable)
        if self.dialling is not None:
            dial_s = self.dialling.dial_s(sender, target, delay_s, now_s, knows_way)
            if dial_s < 0:
                return self._gone(True)
            delay_s += dial_s
        if self.loss and self._random() < self.loss:
            delay_s = self._resent_s(delay_s) if is_reliable else self._gone(False)
            if delay_s < 0:
                return delay_s
        if self.reordering and self._random() < self.reordering:
            delay_s += self._rng.expovariate(1.0 / self.reorder_s)
        if size_bytes and (self.up_bytes_per_s or self.down_bytes_per_s):
            delay_s = self._queued_s(sender, target, size_bytes, delay_s, now_s)
        return delay_s

    def repeats(self, is_reliable: bool) -> bool:
        """Whether this message arrives a second time."""
        return not is_reliable and self.duplication > 0 and self._random() < self.duplication

    def _gone(self, is_reliable: bool) -> float:
        if is_reliable:
            self.failed += 1
            return FAILED
        self.lost += 1
        return LOST

    def _resent_s(self, delay_s: float) -> float:
        """The first packet was lost: after how long one of its successors arrives."""
        timeout_s = 2 * delay_s * PROBE_TIMEOUT_RTTS + PROBE_TIMEOUT_EXTRA_S
        waited_s = timeout_s
        self.lost += 1
        while self._random() < self.loss:
            self.lost += 1
            timeout_s *= 2
            waited_s += timeout_s
            if waited_s > RESENT_FOR_S:
                return self._gone(True)
        return waited_s + delay_s

    def _queued_s(self, sender: "Peer", target: "Peer", size_bytes: int, delay_s: float, now_s: float) -> float:
        leaves_s = now_s
        if self.up_bytes_per_s:
            leaves_s = max(now_s, sender.up_free_s) + size_bytes / self.up_bytes_per_s
            sender.up_free_s = leaves_s
        arrives_s = leaves_s + delay_s
        if self.down_bytes_per_s:
            arrives_s = max(arrives_s, target.down_free_s) + size_bytes / self.down_bytes_per_s
            target.down_free_s = arrives_s
        return arrives_s - now_s

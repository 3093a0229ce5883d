"""What every protocol of the overlay is: a state machine without a clock, a socket or dice of its own.

A message, a timer or a failure goes in, effects come out; what time it is and whence chance comes are arguments. So one
and the same object runs on QUIC (service.py) and in a simulation of ten thousand peers (sim/).

Timers are never cancelled: a machine that no longer cares ignores the one that rings. A peer is named by its 32-byte
endpoint id; the transport has proven whose message it is. `Send` to a peer with no address known goes over a
connection that exists, or to an address that this node knows from elsewhere.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from nearcast.transport.base import PeerAddress


@dataclass(frozen=True, slots=True)
class Send:
    """Give `message` to a peer. Best effort: `on_unreachable` tells when it is known to have failed; one that the node
    had no room to send is lost without a word, so whoever waits for an answer sets a timer.

    `is_reliable` False: a lost one is not sent again (a failure detector wants to know); QUIC streams repeat it anyway.
    """

    to: PeerAddress
    message: Any
    is_reliable: bool = True


@dataclass(frozen=True, slots=True)
class Arm:
    """Ring `timer` in `after_s` seconds."""

    after_s: float
    timer: Hashable


@dataclass(frozen=True, slots=True)
class Keep:
    """Hold a connection to this peer open until `Drop`: it is a neighbour, and its end is news."""

    peer: PeerAddress


@dataclass(frozen=True, slots=True)
class Drop:
    """No need to hold the connection to this peer any more."""

    endpoint_id: bytes


@dataclass(frozen=True, slots=True)
class Tell:
    """Something that whoever runs the machine wants to know: an event of the protocol, a frozen dataclass."""

    event: Any


Effect: TypeAlias = Send | Arm | Keep | Drop | Tell


class Machine(Protocol):
    """One protocol of one peer, or several of them composed."""

    def start(self, now_s: float) -> Iterable[Effect]:
        """Once, before anything else."""

    def on_message(self, sender: PeerAddress, message: Any, now_s: float) -> Iterable[Effect]:
        """`sender`'s id is proven; its addresses, if any, are only where the connection came from."""

    def on_timer(self, timer: Hashable, now_s: float) -> Iterable[Effect]: ...

    def on_unreachable(self, endpoint_id: bytes, now_s: float) -> Iterable[Effect]:
        """A peer could not be reached, or the connection to one that was kept has ended."""

"""Who may shake hands with us when many want to: the handshakes under way, and where each comes from. No IO.

A stranger's first packet costs it nothing, may carry any source address, and takes a place for as long as its sender
stays silent. So:

- Beyond ASK_BACK_FROM places, only who answers at its address gets one (QUIC's Retry, RFC 9000 section 8.1.2, asks that
  without keeping anything). Whoever invents addresses takes no more than those.
- When all places are taken, the network that holds the most gives up its oldest for one that holds at least two less.
  No network is bounded while there is room: behind one address there may be a house full of nodes.

What stays open: who really holds HANDSHAKES_MAX networks can keep all the places.
"""

import ipaddress
from collections import Counter
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

HANDSHAKES_MAX: Final = 64  # in progress at once; more are refused. Guess: a handshake is about 1 ms of CPU
# A quarter, guess: a node that many join through at once sees fewer. Being asked back takes a dialler 30 ms longer on
# the loopback (measured: 0.04-0.07 s instead of 0.015).
ASK_BACK_FROM: Final = HANDSHAKES_MAX // 4
IPV6_PREFIX_BITS: Final = 48  # what one customer of a provider usually has, as in kademlia/address_groups.py

H = TypeVar("H", bound=Hashable)


class Handshakes(Generic[H]):
    """Those under way, oldest first, each with the network that it comes from."""

    def __init__(self) -> None:
        self._networks: dict[H, str] = {}

    def __len__(self) -> int:
        return len(self._networks)

    @property
    def asks_back(self) -> bool:
        """Whether a newcomer has to prove its address first."""
        return len(self) >= ASK_BACK_FROM

    def has_place(self, network: str) -> bool:
        """Whether one from there may begin; if so and all places are taken, `one_to_end` makes room."""
        return len(self) < HANDSHAKES_MAX or self._largest(network) is not None

    def one_to_end(self, network: str) -> H | None:
        """The one that has to go for one from there; None: there is room, or no place for it."""
        largest = self._largest(network) if len(self) >= HANDSHAKES_MAX else None
        return next((one for one, whose in self._networks.items() if whose == largest), None)

    def begin(self, handshake: H, network: str) -> None:
        self._networks[handshake] = network

    def end(self, handshake: H) -> None:
        """It is over, however it went."""
        self._networks.pop(handshake, None)

    def _largest(self, network: str) -> str | None:
        """The network with the most, if it still has as many as this one afterwards; else they would only swap."""
        held = Counter(self._networks.values())
        ((largest, count),) = held.most_common(1)
        return largest if count >= held[network] + 2 else None


def network_of(address: str) -> str:
    """Which network an `ip:port` is of: an IPv4 address by itself, an IPv6 one with its customer's."""
    ip = ipaddress.ip_address(address.rpartition(":")[0].strip("[]").partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(ip), IPV6_PREFIX_BITS), strict=False))
        ip = ip.ipv4_mapped
    return str(ip)

"""Who is known: peers from links, from the LAN and from the configuration, and how they behaved lately.

Bounded: PEERS_MAX entries; when full, the one that was heard of longest ago makes room (configured ones stay). A peer
that could not be reached is left alone for a back-off that doubles with each failure. Pure: `now_s` is an argument.

As text a peer is `ENDPOINT-ID@host:port,host:port`, the endpoint id in 64 hexadecimal digits; a relay's URL follows
after another `@`.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from nearcast.config import parse_host_port
from nearcast.errors import UsageError
from nearcast.transport.base import PeerAddress

ENDPOINT_ID_BYTES = 32
PEERS_MAX = 1024  # guess: every node of a large office; about 1 KB each
ADDRESSES_MAX = 16  # of one peer; more is noise or an attempt to make us dial around
BACK_OFF_S = 2.0  # after the first failure; guess: a restart takes about as long
BACK_OFF_S_MAX = 120.0  # a node that is back is found again after two minutes at the latest
# The operator's own may be all there is: one that restarts is found sooner. A search waits 0.8 s for one that is dead.
BACK_OFF_CONFIGURED_S_MAX = 5.0

_ENDPOINT_ID = re.compile(rf"[0-9A-Fa-f]{{{2 * ENDPOINT_ID_BYTES}}}")  # bytes.fromhex alone would skip spaces
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):[0-9]{1,5}")

Origin = Literal["link", "lan", "config"]
# Only so many are asked: announcements on the LAN, which anybody can make by the hundred, must not crowd out those that
# the operator named. Among those who are asked the order makes no difference.
_ORDER: dict[Origin, int] = {"config": 0, "lan": 1, "link": 2}


@dataclass(slots=True)
class KnownPeer:
    """A peer, where we know it from, and its recent failures in a row."""

    address: PeerAddress
    origins: set[Origin] = field(default_factory=set)
    heard_s: float = 0.0
    failures: int = 0
    retry_s: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """For `nearcast status`."""
        return {
            "endpoint_id": self.address.endpoint_id.hex(),
            "addresses": list(self.address.addresses),
            "known_from": sorted(self.origins),
            "failures": self.failures,
        }


class PeerBook:
    """All known peers."""

    def __init__(self) -> None:
        self._peers: dict[bytes, KnownPeer] = {}

    def __contains__(self, endpoint_id: bytes) -> bool:
        return endpoint_id in self._peers

    def add(self, address: PeerAddress, origin: Origin, now_s: float) -> None:
        """Heard of a peer: its addresses join those already known, the newest first; it may be tried again at once."""
        peer = self._peers.get(address.endpoint_id)
        if peer is None:
            self._make_room()
            peer = self._peers[address.endpoint_id] = KnownPeer(address)
        peer.address = _merged(address, peer.address)
        peer.origins.add(origin)
        peer.heard_s = now_s
        peer.failures, peer.retry_s = 0, 0.0

    def gone(self, endpoint_id: bytes, origin: Origin) -> None:
        """This origin knows the peer no more; it is forgotten when no other does."""
        peer = self._peers.get(endpoint_id)
        if peer is not None:
            peer.origins.discard(origin)
            if not peer.origins:
                del self._peers[endpoint_id]

    def failed(self, endpoint_id: bytes, now_s: float) -> None:
        """It could not be reached, or did not answer."""
        peer = self._peers.get(endpoint_id)
        if peer is not None:
            most_s = BACK_OFF_CONFIGURED_S_MAX if "config" in peer.origins else BACK_OFF_S_MAX
            peer.retry_s = now_s + min(BACK_OFF_S * 2**peer.failures, most_s)
            peer.failures = min(peer.failures + 1, 16)

    def answered(self, endpoint_id: bytes) -> None:
        """It could be reached: what it failed to do before is forgotten."""
        peer = self._peers.get(endpoint_id)
        if peer is not None:
            peer.failures, peer.retry_s = 0, 0.0

    def candidates(self, now_s: float) -> list[PeerAddress]:
        """Those worth asking now: the operator's own first, then the LAN's, then by how recently they were heard of."""
        ready = [peer for peer in self._peers.values() if peer.retry_s <= now_s]
        ready.sort(key=lambda peer: (min(_ORDER[origin] for origin in peer.origins), -peer.heard_s))
        return [peer.address for peer in ready]

    def next_retry_s(self, now_s: float) -> float:
        """When the first of those who are left alone now is worth asking again; infinity: nobody is left alone."""
        return min((peer.retry_s for peer in self._peers.values() if peer.retry_s > now_s), default=float("inf"))

    def configured(self) -> list[PeerAddress]:
        """The operator's own."""
        return [peer.address for peer in self._peers.values() if "config" in peer.origins]

    def known(self) -> list[KnownPeer]:
        """All of them, for people to look at."""
        return list(self._peers.values())

    def _make_room(self) -> None:
        if len(self._peers) >= PEERS_MAX:
            spare = [peer for peer in self._peers.values() if "config" not in peer.origins] or list(
                self._peers.values()
            )
            del self._peers[min(spare, key=lambda peer: peer.heard_s).address.endpoint_id]


def parse_peer(text: str) -> PeerAddress:
    """A peer from its text. Raises UsageError, saying what is wrong with it."""
    endpoint_id, at, rest = text.strip().partition("@")
    places, _, relay_url = rest.partition("@")
    if not _ENDPOINT_ID.fullmatch(endpoint_id) or not at:
        raise UsageError(f"not a peer: {text[:40]!r}", fix="a peer looks like ENDPOINT-ID@host:port; see `nearcast id`")
    addresses = [place for place in places.split(",") if place]
    if len(addresses) > ADDRESSES_MAX:
        raise UsageError(f"not a peer: {len(addresses)} addresses, the limit is {ADDRESSES_MAX}")
    try:
        checked = tuple(parse_place(address) for address in addresses)
    except ValueError as error:
        raise UsageError(f"not a peer: {text[:80]!r}: {error}") from error
    if relay_url and not relay_url.startswith("https://"):
        raise UsageError("not a peer: a relay is given by its https:// address")
    if not checked and not relay_url:
        raise UsageError(f"not a peer: {text[:40]!r} has no address", fix="a peer looks like ENDPOINT-ID@host:port")
    return PeerAddress(bytes.fromhex(endpoint_id), checked, relay_url or None)


def parse_place(text: str) -> str:
    """`host:port`, stricter than the configuration's: a link comes from strangers. Raises ValueError."""
    if not _PLACE.fullmatch(text):
        raise ValueError("an address is host:port, an IPv6 one [host]:port")
    return parse_host_port(text)


def format_peer(address: PeerAddress) -> str:
    """The text that `parse_peer` reads."""
    relay = f"@{address.relay_url}" if address.relay_url else ""
    return f"{address.endpoint_id.hex()}@{','.join(address.addresses)}{relay}"


def _merged(new: PeerAddress, old: PeerAddress) -> PeerAddress:
    addresses = tuple(dict.fromkeys([*new.addresses, *old.addresses]))[:ADDRESSES_MAX]
    return PeerAddress(new.endpoint_id, addresses, new.relay_url or old.relay_url)

"""Whom to ask, and whom to pay. Pure: answers to a probe in, an order out.

Who gives something for free is asked first, all of them together; those who would have to bring it from others only
where nobody has it. Who asks for money comes when nobody free is left, one after the other: nodes with which a channel
is open already first, because opening one costs more gas than a small download costs money; then by expected cost, the
price times the time that the download is expected to take. So a node twice as fast may be twice as dear.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nearcast.client.discovery import NO_OUTLOOK, Outlook
from nearcast.delivery.messages import Holding
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    from nearcast.chain.node_records import NodeRecord

ROUND_TRIPS: Final = 2  # before the first leaf: the payment stream and the nodes go out together, then the leaves
MEGABIT_BYTES: Final = 125_000
# What a node declares is bonded for, not measured: nobody is expected to be faster than a gigabit before he was.
DECLARED_MBPS_MAX: Final = 1_000
SIZE_BYTES_UNKNOWN: Final = 16 << 20  # of what nobody told the size; guess: a page with its pictures, an app
RTT_S_UNKNOWN: Final = 0.15  # of a peer that nothing is known of; guess: half way round the world
_SERVING: Final = ("all", "some")


@dataclass(frozen=True, slots=True)
class Prospect:
    """A peer that may be asked, and what is known of it before."""

    address: PeerAddress
    outlook: Outlook = NO_OUTLOOK


def promising(prospects: Iterable[Prospect]) -> list[Prospect]:
    """Whom to ask first: those that nobody takes for dead, the nearest first, of equals the one with less to do; other
    equals stay in the order in which they came, which says who was named first."""

    def rank(prospect: Prospect) -> tuple[bool, float, float]:
        outlook = prospect.outlook
        rtt_s = RTT_S_UNKNOWN if outlook.rtt_s is None else outlook.rtt_s
        return outlook.is_dead, rtt_s, outlook.load or 0.0

    return sorted(prospects, key=rank)


@dataclass(frozen=True, slots=True)
class Offering:
    """A peer's answer to a probe for one root, that came after `answered_s`; None: nobody measured it.

    `rtt_s`: the round trip to it, measured by the transport or estimated from coordinates, where one is known.
    """

    address: PeerAddress
    holding: Holding
    answered_s: float | None
    rtt_s: float | None = None

    @property
    def is_free(self) -> bool:
        return not self.holding.price

    @property
    def has_it(self) -> bool:
        """Whether it holds some itself; else it would bring it from others."""
        return self.holding.state in _SERVING


@dataclass(frozen=True, slots=True)
class Payee:
    """A registered node that offers the root for money. `rate_bytes_per_s`: measured; None before the first time."""

    offering: Offering
    node: "NodeRecord"
    rate_bytes_per_s: float | None
    has_channel: bool


def free_of_charge(offerings: Iterable[Offering]) -> list[list[Offering]]:
    """Those to ask for free, one group after the other: who holds it, then who brings it; as they answered."""
    free = [offering for offering in offerings if offering.is_free]
    groups = [offering for offering in free if offering.has_it], [offering for offering in free if not offering.has_it]
    return [group for group in groups if group]


def affordable(offerings: Iterable[Offering], max_price_units_per_gib: int) -> list[Offering]:
    """Those who ask for money, and not too much."""
    return [offering for offering in offerings if 0 < offering.holding.price <= max_price_units_per_gib]


def in_order(payees: Sequence[Payee]) -> list[Payee]:
    """Whom to pay first, second, …; equals stay in the order in which they answered. Inactive nodes are left out."""
    return sorted(
        (payee for payee in payees if payee.node.active),
        key=lambda payee: (not payee.has_channel, expected_cost(payee)),
    )


def expected_cost(payee: Payee) -> float:
    """Units per GiB times seconds: only to compare with others for the same root."""
    return payee.offering.holding.price * expected_s(payee)


def expected_s(payee: Payee) -> float:
    """How long the download is expected to take, in seconds."""
    rate_bytes_per_s = payee.rate_bytes_per_s or min(payee.node.mbps, DECLARED_MBPS_MAX) * MEGABIT_BYTES
    return ROUND_TRIPS * round_trip_s(payee.offering) + size_bytes_of(payee.offering) / max(rate_bytes_per_s, 1)


def round_trip_s(offering: Offering) -> float:
    """As measured when it answered; else as estimated: a coordinate is what a stranger says of itself."""
    if offering.answered_s is not None:
        return offering.answered_s
    return RTT_S_UNKNOWN if offering.rtt_s is None else offering.rtt_s


def size_bytes_of(offering: Offering) -> int:
    """How much there is to fetch, as far as this peer says."""
    size_bytes = offering.holding.size_bytes
    return SIZE_BYTES_UNKNOWN if size_bytes is None else size_bytes

"""Whose money a fetch may spend, and how much of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from nearcast.content.cid import Cid
from nearcast.payments.budget import Allowance
from nearcast.payments.paying import Paying

if TYPE_CHECKING:
    from nearcast.chain.node_records import NodeRecord
    from nearcast.payments.known_nodes import KnownNodes


class Channel(Protocol):
    """An open channel to one node: payments/purse.py has the real one."""

    def paying(self, root: Cid, max_price: int, allowance: Allowance) -> Paying:
        """One download of `root`, paid at most `max_price` units per GiB, out of `allowance`."""


class Purse(Protocol):
    """The channels that a payer pays from: payments/purse.py has the real one."""

    @property
    def left_today_units(self) -> int:
        """What the cap on a day still allows, as far as this process knows."""

    def has_channel(self, node: "NodeRecord") -> bool:
        """Whether a channel to it with money left is open."""

    async def channel_for(
        self, node: "NodeRecord", expected_units: int, on_deposit: Callable[[int, bool], None]
    ) -> Channel:
        """That channel, or a new one. `on_deposit(units, opens)`: before money leaves the wallet.

        Raises FundsError, WalletError, ChainError, UnavailableError, RefusedError.
        """


@dataclass(frozen=True, slots=True)
class Spend:
    """What one payer may pay: nodes of this registry, at this price, so much per fetch."""

    purse: Purse
    nodes: "KnownNodes"
    max_price_units_per_gib: int
    fetch_cap_units: int

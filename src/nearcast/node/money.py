"""The money of a node: what of the chain runs beside it while it earns or pays.

A node that has no price and no wallet has none of this, and never asks a chain anything. What is kept, lies in
`<data-dir>/chain/<chain id>/`; the keys lie in the data folder itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearcast.config import Config

if TYPE_CHECKING:
    from nearcast.chain.deployment import Deployment
    from nearcast.chain.signing import Signer
    from nearcast.payments.terms import Terms


@dataclass(frozen=True, slots=True)
class MoneyWish:
    """Whose money it is: the configuration whose data folder has the keys and the books, and how to open the wallet.

    `wallet` is called when the first transaction has to be signed; None: nobody can open it now. `pays` False: never.
    """

    config: Config
    wallet: "Callable[[], Signer] | None" = None
    pays: bool = True


@dataclass(frozen=True, slots=True)
class Earning:
    """The parts of a node that is paid."""

    terms: "Terms"
    price_units_per_gib: int


@dataclass(frozen=True, slots=True)
class Money:
    """What a node has of the chain. `earning`: None for a node that asks for nothing."""

    deployment: "Deployment"
    earning: Earning | None

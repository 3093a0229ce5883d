"""What whoever starts a node says about its money."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearcast.config import Config

if TYPE_CHECKING:
    from nearcast.chain.signing import Signer


@dataclass(frozen=True, slots=True)
class MoneyWish:
    """Whose money it is: the configuration whose data folder has the keys and the books, and how to open the wallet.

    `wallet` is called when the first transaction has to be signed; None: nobody can open it now. `pays` False: never.
    """

    config: Config
    wallet: "Callable[[], Signer] | None" = None
    pays: bool = True

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do with money: no price is asked, and there is nothing to pay with."""
        return self.config.payments.price is None and not (self.pays and self.config.wallet_file.exists())

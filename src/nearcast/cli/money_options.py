"""What commands that earn or pay while they move content can be told: prices, caps, and whose money it is.

Nothing here touches a chain. The wallet is opened when the first channel has to be paid into, and not before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearcast.cli.chain_options import Chain, ChainCall, PasswordFile, Rpc, WalletFile
from nearcast.cli.options import Call
from nearcast.cli.output import Output

if TYPE_CHECKING:
    from nearcast.chain.signing import Signer
    from nearcast.config import Config

MONEY = "Money"  # where --help lists these

Price = Annotated[
    str | None,
    typer.Option("--price", metavar="USDC", help="Ask so much per GiB, like 0.01; else it serves for free."),
]
FreePeers = Annotated[
    list[str] | None, typer.Option("--free-peer", metavar="ID", help="A node that pays nothing; may be repeated.")
]
HttpPrice = Annotated[bool, typer.Option("--http-price", help="Ask over HTTP too (402), except on this machine.")]
MaxPrice = Annotated[
    str | None, typer.Option("--max-price", metavar="USDC", help="Pay at most so much per GiB, like 0.05.")
]
Cap = Annotated[str | None, typer.Option("--cap", metavar="USDC", help="Pay at most so much for this fetch.")]
Free = Annotated[bool, typer.Option("--free", help="Never pay.")]


@dataclass(frozen=True)
class MoneyCall:
    """A command that may earn or pay. `config` takes the command's own settings on top."""

    call: Call
    flags: Mapping[str, Any]
    password_file: Path | None = None
    pays: bool = True

    @property
    def output(self) -> Output:
        return self.call.output

    def config(self, flags: Mapping[str, Any]) -> "Config":
        """The configuration with the options of both kinds."""
        return self.call.config({**self.flags, **flags})

    def wallet(self, config: "Config", *, may_ask: bool) -> "Callable[[], Signer] | None":
        """How to open the wallet; None when there is none, or nobody who could be asked for its password.

        Raises WalletError when one was named that is not there.
        """
        from nearcast.cli.keyring import has_no_password, open_wallet
        from nearcast.cli.passwords import given_password

        chain_call = ChainCall(self.call, config, self.password_file)
        if not config.wallet_file.exists():
            if config.chain.wallet is not None:
                from nearcast.chain.keystore import keystore_address

                keystore_address(config.wallet_file)  # it was named, so that it is not there is said
            return None
        if not may_ask and given_password(chain_call) is None and not has_no_password(config.wallet_file):
            return None
        return lambda: open_wallet(chain_call)


def earning(
    call: Call,
    *,
    price: Price = None,
    free_peers: FreePeers = None,
    http_price: HttpPrice = False,
    chain: Chain = None,
    rpc: Rpc = None,
    wallet: WalletFile = None,
    password_file: PasswordFile = None,
) -> MoneyCall:
    """For a command that serves."""
    flags = {
        "payments.price": price,
        "payments.free_peers": tuple(free_peers) if free_peers else None,
        "payments.http": True if http_price else None,
        "chain.network": chain,
        "chain.rpc": rpc,
        "chain.wallet": wallet,
    }
    return MoneyCall(call, flags, password_file)


def paying(
    call: Call,
    *,
    max_price: MaxPrice = None,
    cap: Cap = None,
    free: Free = False,
    chain: Chain = None,
    rpc: Rpc = None,
    wallet: WalletFile = None,
    password_file: PasswordFile = None,
) -> MoneyCall:
    """For a command that fetches."""
    flags = {
        "payments.max_price": max_price,
        "payments.fetch_cap": cap,
        "chain.network": chain,
        "chain.rpc": rpc,
        "chain.wallet": wallet,
    }
    return MoneyCall(call, flags, password_file, pays=not free)

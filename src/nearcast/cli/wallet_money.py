"""`nearcast wallet balance` and `wallet faucet`: what the wallet has, and play money for it on the dev chain."""

from typing import TYPE_CHECKING

import typer

from nearcast.cli.chain_options import ChainCall, looking, sending
from nearcast.cli.hexwords import address_text
from nearcast.cli.money import ether_text, usdc_text
from nearcast.cli.options import command

if TYPE_CHECKING:
    from nearcast.cli.chain_session import Session


def register(wallets: typer.Typer) -> None:
    @command(wallets, "balance", preparing=looking)
    def balance(call: ChainCall) -> None:
        """Show the wallet's USDC, and the ether that pays fees."""
        from nearcast.cli.chain_session import run_session

        run_session(call, _show_balance)

    @command(wallets, "faucet", preparing=sending)
    def faucet(call: ChainCall) -> None:
        """Get play money on the dev chain: 1,000 USDC once a day, and ether for fees."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.faucet import fill

        run_session(call, fill)


async def _show_balance(session: "Session") -> None:
    wallet = session.wallet_address
    units = await session.read("TestUSDC", "balanceOf", wallet)
    frozen = await session.read("TestUSDC", "isBlacklisted", wallet)
    wei = await session.rpc.balance(wallet)
    value = {
        "address": address_text(wallet),
        "chain": session.deployment.name,
        "usdc_units": units,
        "wei": wei,
        "frozen": frozen,
    }
    rows = [("Wallet", address_text(wallet)), ("Chain", f"{session.deployment.name} ({session.chain_id})")]
    rows += [("USDC", usdc_text(units)), ("For fees", ether_text(wei))]
    if frozen:
        rows.append(("Frozen", "by the token: this address can neither send nor get USDC"))
    lines = [f"  {name:<8}  {text}" for name, text in rows]
    session.output.result(value, lines=lines, essential=[usdc_text(units)])

"""Play money on the dev chain. The token's own faucet gives USDC; ether for fees comes from the first test account,
whose key everybody knows.
"""

from typing import TYPE_CHECKING

from nearcast.cli.dry_run import Plan
from nearcast.cli.hexwords import address_text
from nearcast.cli.keyring import DEV_NETWORK
from nearcast.cli.moments import duration_text
from nearcast.cli.money import ether_text, usdc_text
from nearcast.cli.transacting import lend_ether, resume, transact
from nearcast.errors import FundsError, UsageError

if TYPE_CHECKING:
    from nearcast.cli.chain_session import Session

ETHER_WEI = 10**18  # what a wallet is given at once: fees of years
ETHER_LOW_WEI = 10**17  # below it, it is given more


async def fill(session: "Session") -> None:
    """Ether if there is little, then the token's daily USDC."""
    if session.deployment.name != DEV_NETWORK:
        raise UsageError(f"{session.deployment.name} has no faucet of ours", fix="it is for --chain dev")
    wallet = session.wallet_address
    sent = await resume(session)
    if sent is None:
        available_s = await session.read("TestUSDC", "faucetAvailableAt", wallet)
        if available_s > session.now_s:
            raise FundsError(
                f"the faucet gives this wallet USDC again in {duration_text(available_s - session.now_s)}",
                fix="nearcast wallet balance shows what it has",
            )
        if await session.rpc.balance(wallet) < ETHER_LOW_WEI:
            if session.call.dry_run:
                _show_both(session)
                return
            await lend_ether(session, wallet, ETHER_WEI)
        sent = await transact(session, await _drawing(session))
    if sent is None:
        return
    units, wei = await session.read("TestUSDC", "balanceOf", wallet), await session.rpc.balance(wallet)
    value = {"address": address_text(wallet), "usdc_units": units, "wei": wei}
    lines = [f"{address_text(wallet)} has {usdc_text(units)}, and {ether_text(wei)} for fees", *sent.lines()]
    session.output.result(value | sent.value(), lines=lines, essential=[usdc_text(units)])


async def _drawing(session: "Session") -> Plan:
    units = await session.read("TestUSDC", "FAUCET_UNITS")
    return Plan("TestUSDC", "faucet", (), (f"the wallet gets {usdc_text(units)}; again in a day",))


def _show_both(session: "Session") -> None:
    """A wallet that cannot pay a fee yet can only be told what would happen: its transaction cannot be tried."""
    changes = [
        f"the first test account gives the wallet {ether_text(ETHER_WEI)} for fees",
        "then the token's faucet gives it its USDC of the day",
    ]
    value = {"dry_run": True, "transaction": None, "changes": changes}
    lines = ["dry run: nothing is sent", *(f"  {change}" for change in changes)]
    session.output.result(value, lines=lines, essential=changes)

"""Whether money was conserved in a simulated world: everybody's books and the chain, held against each other."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from nearcast.chain.bindings.settlement import Settlement
from nearcast.chain.bindings.token import Token
from nearcast.chain.deployment import DEV
from nearcast.payments.book_reading import payees_book, payers_book
from nearcast.payments.conservation import ChainFigures, chain_figures, discrepancies
from nearcast.sim.whole.chain import WorldChain
from nearcast.sim.whole.invariants import BrokenError

if TYPE_CHECKING:
    from nearcast.sim.whole.member import Member

LOOK_S: Final = 30.0  # between two looks; each opens all books
TOLD_MAX: Final = 5  # sentences


async def figures_of(chain: WorldChain) -> ChainFigures:
    """All channels as the chain has them now."""
    rpc = chain.rpc()
    settlement = Settlement(rpc, DEV.contracts["BatchSettlement"])
    token = Token(rpc, DEV.contracts["TestUSDC"])
    return await chain_figures(settlement, token, 0, chain.node.engine.head.number)


async def check_money(chain: WorldChain, members: Iterable["Member"], *, is_settled: bool = False) -> None:
    """Books are read where each node's newest life has them. Raises BrokenError with what does not add up."""
    figures = await figures_of(chain)  # first: what a book says later can only be more
    folders = {each.name: each.folder / "chain" / str(DEV.chain_id) for each in members if each.wallet is not None}
    payees = [payees_book(f"{name} earns", folder) for name, folder in folders.items()]
    payers = [payers_book(f"{name} pays", folder) for name, folder in folders.items()]
    found = discrepancies(figures, payers, payees, is_settled=is_settled)
    if found:
        raise BrokenError(f"conservation: {'; '.join(found[:TOLD_MAX])}")


async def watch_money(chain: WorldChain, members: Sequence["Member"]) -> None:
    """Look again and again, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_S)
        await check_money(chain, members)

"""The money of a node: what of the chain runs beside it while it earns or pays.

A node that has no price and no wallet has none of this, and never asks a chain anything. What is kept, lies in
`<data-dir>/chain/<chain id>/`; the keys lie in the data folder itself.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from nearcast.chain.channels import CHANNELS_FILE, ChannelBook
from nearcast.chain.deployment import Deployment, deployment
from nearcast.chain.hot_key import HOT_KEY_FILE, load_or_create_hot_key
from nearcast.chain.node_directory import NODES_FILE, NodeDirectory
from nearcast.chain.registration import registry_domain
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.transaction_journal import JOURNAL_FILE
from nearcast.client.spending import Spend
from nearcast.clock import Clock
from nearcast.config import PaymentsConfig
from nearcast.errors import UsageError
from nearcast.keys import Identity
from nearcast.node.background import cancelled_at_end
from nearcast.node.earning import Chain, Earning, earning
from nearcast.node.money_wish import MoneyWish
from nearcast.payments.budget import Budget
from nearcast.payments.known_nodes import KnownNodes
from nearcast.payments.purse import Purse
from nearcast.payments.spent import FILE_NAME as SPENT_FILE
from nearcast.payments.spent import SpentLedger
from nearcast.telemetry import Telemetry

EVIDENCE_FOLDER: Final = "evidence"


@dataclass(frozen=True, slots=True)
class Money:
    """What a node has of the chain. `earning`: None for a node that asks for nothing; `spend`: None for one that does
    not pay."""

    deployment: Deployment
    nodes: KnownNodes
    earning: Earning | None
    spend: Spend | None


@asynccontextmanager
async def running_money(
    wish: MoneyWish,
    identity: Identity,
    clock: Clock,
    telemetry: Telemetry,
    connect: Callable[[str, int], JsonRpc] = JsonRpc,
) -> AsyncIterator[Money | None]:
    """Earning and paying as wished, while the block runs; at its end what is due is paid. None on a chain without a
    registry: nobody there can be paid, and what is free can be fetched all the same.

    `connect(url, chain_id)`: who answers for the chain. Raises as `earning` does; a payer's chain is asked only when
    there is something to pay.
    """
    config = wish.config
    settled = deployment(config.chain.network)
    if "Registry" not in settled.contracts:
        if config.payments.price is not None:
            raise UsageError(
                f"{settled.name} has no registry of Nearcast yet, so nobody can be paid", fix="use --chain dev"
            )
        yield None
        return
    async with AsyncExitStack() as stack:
        rpc = await stack.enter_async_context(connect(config.chain.rpc, settled.chain_id))
        folder = config.chain_folder(settled.chain_id)
        confirmations = config.chain.confirmations or settled.confirmations
        directory = stack.enter_context(
            NodeDirectory.open(
                folder / NODES_FILE,
                rpc,
                registry_domain(settled.chain_id, settled.contracts["Registry"]),
                from_block=settled.first_block,
                confirmations=confirmations,
            )
        )
        chain = Chain(settled, rpc, directory, folder, confirmations)
        nodes = KnownNodes(directory, clock, telemetry, await stack.enter_async_context(cancelled_at_end()))
        paid = None
        if config.payments.price is not None:
            paid = await stack.enter_async_context(earning(wish, chain, identity, clock, telemetry))
        spend = None
        if wish.pays:
            purse = await stack.enter_async_context(_purse(wish, chain, clock, telemetry))
            spend = Spend(purse, nodes, config.payments.max_price, config.payments.fetch_cap)
        yield Money(settled, nodes, paid, spend)


@asynccontextmanager
async def _purse(wish: MoneyWish, chain: Chain, clock: Clock, telemetry: Telemetry) -> AsyncIterator[Purse]:
    """The channels that we pay from, their books open."""
    data_dir = wish.config.data_dir
    async with AsyncExitStack() as stack:
        book = stack.enter_context(ChannelBook.open(chain.folder / CHANNELS_FILE))
        spent = stack.enter_context(SpentLedger.open(chain.folder / SPENT_FILE))
        purse = Purse(
            deployment=chain.deployment,
            rpc=chain.rpc,
            book=book,
            spent=spent,
            hot=await asyncio.to_thread(load_or_create_hot_key, data_dir / HOT_KEY_FILE),
            wallet=wish.wallet,
            journal=chain.folder / JOURNAL_FILE,
            evidence=data_dir / EVIDENCE_FOLDER,
            budget=budget_of(wish.config.payments),
            clock=clock,
            telemetry=telemetry,
            confirmations=chain.confirmations,
        )
        yield await stack.enter_async_context(purse)


def budget_of(payments: PaymentsConfig) -> Budget:
    """The payer's bounds as configured."""
    return Budget(payments.max_price, payments.fetch_cap, payments.day_cap, payments.deposit)

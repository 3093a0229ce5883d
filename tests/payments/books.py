"""The books of a paid world, read beside the processes that write them, and held against the chain."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tests.payments.world import Member, PaidNode, World

from nearcast.chain.bindings.settlement import Settlement
from nearcast.chain.bindings.token import Token
from nearcast.chain.deployment import DEV
from nearcast.chain.rpc import JsonRpc
from nearcast.payments.book_reading import payees_book, payers_book
from nearcast.payments.conservation import Book, ChainFigures, chain_figures, discrepancies
from nearcast.payments.credit import PART_BITS, WINDOW_BYTES_MIN, window_bytes
from nearcast.payments.earned import FILE_NAME, EarnedLedger
from nearcast.payments.earned_rows import EarnedChannel


def spent_book(member: Member) -> Book:
    """What somebody promised, and for which objects."""
    return payers_book(f"{member.name} pays", member.books)


def earned_book(node: PaidNode) -> Book:
    """The vouchers that a node holds, and what was paid for which objects."""
    return payees_book(f"{node.name} earns", node.books)


def earned_channels(node: PaidNode) -> list[EarnedChannel]:
    """Every channel of a node's ledger."""
    path = node.books / FILE_NAME
    if not path.exists():
        return []
    with EarnedLedger.open(path) as ledger:
        return ledger.channels()


@dataclass(frozen=True)
class Loss:
    """What a payee delivered on a channel and was not paid for, and the most that it may be at any instant."""

    node: str
    unpaid_parts: int
    forgiven_parts: int
    window_parts: int


def losses(node: PaidNode, price_units_per_gib: int) -> list[Loss]:
    """Of every channel of a node."""
    found = []
    for channel in earned_channels(node):
        window = max(WINDOW_BYTES_MIN, window_bytes(channel.promise.units, price_units_per_gib))
        unpaid_parts = sum(lot.parts for lot in channel.owed)
        found.append(Loss(node.name, unpaid_parts, channel.forgiven_parts, window * price_units_per_gib))
    return found


def on_chain(world: World) -> ChainFigures:
    """All channels of the chain now."""

    async def read() -> ChainFigures:
        async with JsonRpc(world.chain.url, DEV.chain_id) as rpc:
            settlement = Settlement(rpc, DEV.contracts["BatchSettlement"])
            return await chain_figures(settlement, Token(rpc, DEV.contracts["TestUSDC"]), 0, await rpc.head())

    return asyncio.run(read())


def audit(world: World, others: Sequence[Book] = (), *, is_settled: bool = False) -> list[str]:
    """What does not add up over everybody in the world; `others`: payers whose books are not in it."""
    nodes = [member for member in world.members if isinstance(member, PaidNode)]
    payers = [*map(spent_book, world.members), *others]
    return discrepancies(on_chain(world), payers, [earned_book(node) for node in nodes], is_settled=is_settled)


def units(parts: int) -> int:
    """Whole ones, rounded down."""
    return parts >> PART_BITS

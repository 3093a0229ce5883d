"""The table at the end of the demo: who delivered what, who was paid for it, and whether all of it adds up.

Every figure is read from where it counts: bytes and vouchers from each one's own ledger, claims and payments from the
chain. One unit is 0.000001 USDC.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from demo_world import Chain, Party
from rich.table import Table

from nearcast.chain.bindings.settlement import Settlement
from nearcast.chain.bindings.token import Token
from nearcast.chain.deployment import DEV
from nearcast.chain.rpc import JsonRpc
from nearcast.payments.book_reading import payees_book, payers_book
from nearcast.payments.conservation import Book, ChainFigures, chain_figures, discrepancies


@dataclass(frozen=True)
class Line:
    """What one party did. Bytes are those of verified blocks; money is in units."""

    party: Party
    delivered_bytes: int
    bought_bytes: int
    held_units: int
    settled_units: int
    paid_units: int

    @property
    def net_units(self) -> int:
        return self.settled_units - self.paid_units


@dataclass(frozen=True)
class Sums:
    """The whole demo."""

    lines: Sequence[Line]
    chain: ChainFigures
    wrong: Sequence[str]

    @property
    def client_units(self) -> int:
        """What came from outside: who only pays."""
        return sum(line.paid_units for line in self.lines if not line.party.price_usdc)

    @property
    def earned_units(self) -> int:
        """What all nodes have earned together, what they paid to each other taken off."""
        return sum(line.net_units for line in self.lines if line.party.price_usdc)


def add_up(chain: Chain, parties: Sequence[Party]) -> Sums:
    """Read everything and hold it against each other; everybody must have been paid by now."""
    figures = asyncio.run(_on_chain(chain.url))
    spent = {party.role: payers_book(party.role, party.books) for party in parties}
    earned = {party.role: payees_book(party.role, party.books) for party in parties}
    wrong = discrepancies(figures, list(spent.values()), list(earned.values()), is_settled=True)
    lines = [_line(party, figures, spent[party.role], earned[party.role]) for party in parties]
    bought, sold = sum(line.bought_bytes for line in lines), sum(line.delivered_bytes for line in lines)
    sums = Sums(lines, figures, wrong)
    liars = [line for line in lines if line.party.role == "liar" and (line.held_units or line.settled_units)]
    checks = (
        (bought == sold, f"{bought} bytes were paid for and {sold} delivered"),
        (sums.client_units == sums.earned_units, f"{sums.client_units} paid, {sums.earned_units} earned"),
        (not liars, "the liar was paid"),
        (not figures.held_units, f"{figures.held_units} units are left in the contract"),
    )
    return Sums(lines, figures, [*wrong, *(said for holds, said in checks if not holds)])


def unclaimed_units(chain: Chain, payers: Sequence[Party]) -> int:
    """What these have promised and nobody has claimed yet."""
    channels = asyncio.run(_on_chain(chain.url)).channels
    promised = [units for payer in payers for units in payers_book(payer.role, payer.books).units.items()]
    return sum(max(0, units - channels[name].claimed_units) for name, units in promised)


def _line(party: Party, figures: ChainFigures, spent: Book, earned: Book) -> Line:
    receiver = bytes.fromhex(party.address.removeprefix("0x"))
    return Line(
        party,
        delivered_bytes=0 if party.role == "liar" else earned.size_bytes,
        bought_bytes=spent.size_bytes,
        held_units=earned.total_units,
        settled_units=figures.settled_units.get(receiver, 0),
        paid_units=sum(each.claimed_units for each in figures.channels.values() if each.payer == receiver),
    )


async def _on_chain(url: str) -> ChainFigures:
    async with JsonRpc(url, DEV.chain_id) as rpc:
        settlement = Settlement(rpc, DEV.contracts["BatchSettlement"])
        return await chain_figures(settlement, Token(rpc, DEV.contracts["TestUSDC"]), 0, await rpc.head())


def table(sums: Sums) -> Table:
    """For people."""
    title = "\nWho delivered, who paid, who earned (money in units of 0.000001 USDC)"
    made = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 2))
    made.add_column("")
    for heading in ("asks per GiB", "delivered", "bought", "in vouchers", "settled", "paid", "earned"):
        made.add_column(heading, justify="right")
    for line in sums.lines:
        price = f"{line.party.price_usdc} USDC" if line.party.price_usdc else ""
        money = (line.held_units, line.settled_units, line.paid_units)
        net = f"[bold]{line.net_units:,}[/]" if line.net_units else "0"
        cells = (_bytes(line.delivered_bytes), _bytes(line.bought_bytes), *(f"{units:,}" for units in money), net)
        made.add_row(line.party.role, price, *cells)
    return made


def sentences(sums: Sums) -> list[str]:
    """What the table comes to."""
    chain = sums.chain
    if sums.wrong:
        return ["[bold red]The sums do not agree:[/]", *sums.wrong]
    return [
        f"{chain.deposited_units:,} units were paid into {len(chain.channels)} channels on the chain:"
        f" {chain.claimed_units:,} were claimed by nodes, {chain.refunded_units:,} went back.",
        f"The client paid {sums.client_units:,}, the nodes earned {sums.earned_units:,}. [bold green]The sums agree[/],"
        " to the unit.",
    ]


def _bytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes else ""

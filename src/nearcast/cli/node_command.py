"""`nearcast node`: stand in the registry of nodes with a bond, change what is declared, and leave again."""

from typing import Annotated

import typer

from nearcast.cli.chain_options import ChainCall, group, looking, sending
from nearcast.cli.hexwords import parse_address
from nearcast.cli.money import parse_usdc_units
from nearcast.cli.options import command
from nearcast.errors import UsageError

Mbps = Annotated[
    int, typer.Option("--mbps", metavar="N", help="The capacity it declares, in Mbit/s: more needs a larger bond.")
]
Region = Annotated[str, typer.Option("--region", metavar="XX", help="The country it stands in: DE, US, … (ISO 3166).")]
Price = Annotated[str, typer.Option("--price", metavar="USDC", help="What it asks for a GiB: 0.01.")]
Urls = Annotated[
    list[str] | None, typer.Option("--url", metavar="URL", help="Where its HTTP answers; up to four, repeat it.")
]
NewMbps = Annotated[int | None, typer.Option("--mbps", metavar="N", help="Another capacity, in Mbit/s.")]
NewRegion = Annotated[str | None, typer.Option("--region", metavar="XX", help="Another country.")]
NewPrice = Annotated[str | None, typer.Option("--price", metavar="USDC", help="Another price for a GiB.")]
NoUrls = Annotated[bool, typer.Option("--no-urls", help="Declare no URL any more.")]
Amount = Annotated[str, typer.Argument(metavar="AMOUNT", help="How much, in USDC: 5, 0.25.")]
Part = Annotated[str | None, typer.Argument(metavar="[AMOUNT]", help="How much of the bond, in USDC.")]
All = Annotated[bool, typer.Option("--all", help="All of it: the node leaves the registry.")]
Receiver = Annotated[str | None, typer.Option("--to", metavar="ADDRESS", help="Who gets the money; else the wallet.")]
Operator = Annotated[str | None, typer.Argument(metavar="[OPERATOR]", help="Another node's operator; else the wallet.")]
OperatorOption = Annotated[
    str | None, typer.Option("--operator", metavar="ADDRESS", help="Another node's; else the wallet's.")
]
Active = Annotated[bool, typer.Option("--active", help="Only those whose bond is whole.")]


def register(app: typer.Typer) -> None:
    nodes = group(app, "node", "Run a node for pay: register it with a bond, see how it stands, leave again.")
    _register_records(nodes)
    _register_bonds(nodes)
    _register_views(nodes)


def _register_records(nodes: typer.Typer) -> None:
    @command(nodes, "register", preparing=sending)
    def enter(call: ChainCall, mbps: Mbps, region: Region, price: Price, url: Urls = None) -> None:
        """Enter this node into the registry, with a bond for the capacity that it declares.

        The wallet is its operator and pays the bond; the node's own keys sign that they belong to it.
        """
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.node_records import register_node

        units = parse_usdc_units(price, "--price", free=True)
        run_session(call, lambda session: register_node(session, mbps, region.upper(), units, tuple(url or ())))

    @command(nodes, "update", preparing=sending)
    def update(
        call: ChainCall,
        mbps: NewMbps = None,
        region: NewRegion = None,
        price: NewPrice = None,
        url: Urls = None,
        no_urls: NoUrls = False,
    ) -> None:
        """Change what the node declares; a larger capacity takes a larger bond, a smaller one frees a part of it.

        What is not named stays. It also puts this machine's keys into the record, if they are others.
        """
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.node_records import update_node

        if url and no_urls:
            raise UsageError("--url and --no-urls exclude each other")
        units = None if price is None else parse_usdc_units(price, "--price", free=True)
        urls = () if no_urls else tuple(url) if url else None
        code = region.upper() if region else None
        run_session(call, lambda session: update_node(session, mbps, code, units, urls))


def _register_bonds(nodes: typer.Typer) -> None:
    @command(nodes, "bond", preparing=sending)
    def bond(call: ChainCall, amount: Amount, operator: OperatorOption = None) -> None:
        """Add AMOUNT to the bond; after it was slashed, for example."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.node_bonds import add_to_bond

        units = parse_usdc_units(amount)
        address = parse_address(operator, "--operator") if operator else None
        run_session(call, lambda session: add_to_bond(session, address, units))

    @command(nodes, "unbond", preparing=sending)
    def unbond(call: ChainCall, amount: Part = None, everything: All = False) -> None:
        """Free AMOUNT of the bond, if more than needed, or --all of it; withdraw it after the unbonding time.

        Until then it can still be slashed for what the node did before.
        """
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.node_bonds import unbond

        if (amount is None) == (not everything):
            raise UsageError("either an AMOUNT or --all", fix="nearcast node unbond --all leaves the registry")
        units = None if amount is None else parse_usdc_units(amount)
        run_session(call, lambda session: unbond(session, units))

    @command(nodes, "withdraw", preparing=sending)
    def withdraw(call: ChainCall, to: Receiver = None) -> None:
        """Take back what was unbonded and has waited long enough."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.node_bonds import withdraw_bond

        address = parse_address(to, "--to") if to else None
        run_session(call, lambda session: withdraw_bond(session, address))


def _register_views(nodes: typer.Typer) -> None:
    @command(nodes, "status", preparing=looking)
    def status(call: ChainCall, operator: Operator = None) -> None:
        """Show how a node stands in the registry: its bond, what it declares, what is unbonding."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.node_views import show_status

        address = parse_address(operator, "OPERATOR") if operator else None
        run_session(call, lambda session: show_status(session, address))

    @command(nodes, "list", preparing=looking)
    def list_nodes(call: ChainCall, active: Active = False) -> None:
        """List the nodes of the registry whose records are signed by the keys that they name."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.node_views import show_list

        run_session(call, lambda session: show_list(session, only_active=active))

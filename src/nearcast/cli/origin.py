"""`nearcast origin`: which nodes are origins of a publisher's content. It proposes, governance decides."""

from typing import Annotated

import typer

from nearcast.cli.chain_options import ChainCall, group, looking, sending
from nearcast.cli.hexwords import parse_address
from nearcast.cli.options import command

Label = Annotated[str, typer.Argument(metavar="LABEL", help="The namespace's name, chosen by its publisher.")]
Operator = Annotated[str, typer.Argument(metavar="OPERATOR", help="The node's operator.")]
Publisher = Annotated[
    str | None, typer.Option("--publisher", metavar="ADDRESS", help="Whose namespace; else the wallet's.")
]
Text = Annotated[str, typer.Option("--text", metavar="TEXT", help="Why, for those who vote.")]
OptionalLabel = Annotated[str | None, typer.Argument(metavar="[LABEL]", help="Only this namespace.")]


def register(app: typer.Typer) -> None:
    origins = group(app, "origin", "Name the origin nodes of your content, and see who is recognised as one.")
    _register_publishing(origins)
    _register_views(origins)
    _register_governance(origins)


def _register_publishing(origins: typer.Typer) -> None:
    @command(origins, "propose", preparing=sending)
    def propose(call: ChainCall, label: Label, operator: Operator) -> None:
        """Propose a node as an origin of the wallet's namespace LABEL; governance recognises it or not."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.origin_acts import publish

        address = parse_address(operator, "OPERATOR")
        run_session(call, lambda session: publish(session, "propose", label, address))

    @command(origins, "withdraw", preparing=sending)
    def withdraw(call: ChainCall, label: Label, operator: Operator) -> None:
        """Take a proposal back that nobody has decided on."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.origin_acts import publish

        address = parse_address(operator, "OPERATOR")
        run_session(call, lambda session: publish(session, "withdrawProposal", label, address))

    @command(origins, "renounce", preparing=sending)
    def renounce(call: ChainCall, label: Label, operator: Operator) -> None:
        """Give up a recognised origin of the wallet's namespace, without a vote."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.origin_acts import publish

        address = parse_address(operator, "OPERATOR")
        run_session(call, lambda session: publish(session, "renounce", label, address))


def _register_views(origins: typer.Typer) -> None:
    @command(origins, "list", preparing=looking)
    def list_origins(call: ChainCall, label: OptionalLabel = None, publisher: Publisher = None) -> None:
        """List the origins of a publisher's namespaces, or of all there are with --publisher any."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.origin_views import show_list

        everyone = publisher == "any"
        address = parse_address(publisher, "--publisher") if publisher and not everyone else None
        run_session(call, lambda session: show_list(session, label, address, everyone=everyone))

    @command(origins, "status", preparing=looking)
    def status(call: ChainCall, label: Label, operator: Operator, publisher: Publisher = None) -> None:
        """Show whether a node is recognised as an origin of a namespace."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.origin_views import show_status

        node = parse_address(operator, "OPERATOR")
        address = parse_address(publisher, "--publisher") if publisher else None
        run_session(call, lambda session: show_status(session, label, node, address))


def _register_governance(origins: typer.Typer) -> None:
    @command(origins, "recognise", preparing=sending)
    def recognise(
        call: ChainCall, label: Label, operator: Operator, publisher: Publisher = None, text: Text = ""
    ) -> None:
        """Put it to the vote to recognise a proposed origin."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.origin_acts import decide

        node = parse_address(operator, "OPERATOR")
        address = parse_address(publisher, "--publisher") if publisher else None
        run_session(call, lambda session: decide(session, "recognise", label, node, address, text))

    @command(origins, "revoke", preparing=sending)
    def revoke(call: ChainCall, label: Label, operator: Operator, publisher: Publisher = None, text: Text = "") -> None:
        """Put it to the vote to recognise an origin no longer."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.origin_acts import decide

        node = parse_address(operator, "OPERATOR")
        address = parse_address(publisher, "--publisher") if publisher else None
        run_session(call, lambda session: decide(session, "revoke", label, node, address, text))

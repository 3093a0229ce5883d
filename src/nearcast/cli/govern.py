"""`nearcast govern`: change the rules. Whoever bonds a node votes, and a change waits before it takes effect."""

from typing import TYPE_CHECKING, Annotated

import typer

from nearcast.cli.chain_options import ChainCall, group, looking, sending
from nearcast.cli.dry_run import ProposedCall
from nearcast.cli.hexwords import parse_address, parse_region
from nearcast.cli.options import command
from nearcast.errors import UsageError

if TYPE_CHECKING:
    from nearcast.cli.chain_session import Session
    from nearcast.cli.governable import Parameter

CHOICES = ("against", "for", "abstain")  # GovernorCountingSimple.VoteType, in its order

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Another value for a number of `govern params`; repeat it."),
]
Guardian = Annotated[
    str | None, typer.Option("--guardian", metavar="ADDRESS", help="Who may list content in an emergency.")
]
Body = Annotated[
    str | None,
    typer.Option("--regional-body", metavar="XX=ADDRESS", help="Who may list content in one region."),
]
Eject = Annotated[list[str] | None, typer.Option("--eject", metavar="OPERATOR", help="Put a node out of the registry.")]
UnEject = Annotated[list[str] | None, typer.Option("--un-eject", metavar="OPERATOR", help="Let it in again.")]
Text = Annotated[str, typer.Option("--text", metavar="TEXT", help="Why, for those who vote.")]
ProposalName = Annotated[
    str, typer.Argument(metavar="PROPOSAL", help="Its id, or as much of its beginning as tells it from others.")
]
Choice = Annotated[str, typer.Argument(metavar="CHOICE", help="for, against or abstain.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for others to read.")]


def register(app: typer.Typer) -> None:
    rules = group(app, "govern", "Change the rules together: see them, propose, vote, queue, execute.")
    _register_views(rules)
    _register_proposing(rules)
    _register_acts(rules)


def _register_views(rules: typer.Typer) -> None:
    @command(rules, "params", preparing=looking)
    def params(call: ChainCall) -> None:
        """List every number that governance may change, with the bounds that it cannot leave."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.govern_views import show_parameters

        run_session(call, show_parameters)

    @command(rules, "list", preparing=looking)
    def list_proposals(call: ChainCall) -> None:
        """List the proposals, newest first."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.govern_views import show_proposals

        run_session(call, show_proposals)

    @command(rules, "show", preparing=looking)
    def show(call: ChainCall, proposal: ProposalName) -> None:
        """Show a proposal: what it would do, how the vote stands, what comes next."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.govern_views import show_proposal

        run_session(call, lambda session: show_proposal(session, proposal))


def _register_proposing(rules: typer.Typer) -> None:
    @command(rules, "propose", preparing=sending)
    def propose(
        call: ChainCall,
        settings: Settings = None,
        guardian: Guardian = None,
        regional_body: Body = None,
        eject: Eject = None,
        un_eject: UnEject = None,
        text: Text = "",
    ) -> None:
        """Put changes to the vote, all of them or none.

        What else is voted on has its own commands: `blacklist add`, `blacklist ratify`, `origin recognise`.
        """
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.governable import check_bounds
        from nearcast.cli.proposals import propose

        chosen = [_setting(each) for each in settings or ()]
        calls = [parameter.call(value) for parameter, value in chosen]
        calls += [ProposedCall("Registry", "eject", (parse_address(each, "--eject"),)) for each in eject or ()]
        calls += [ProposedCall("Registry", "unEject", (parse_address(each, "--un-eject"),)) for each in un_eject or ()]
        if guardian:
            calls.append(ProposedCall("Blacklist", "setGuardian", (parse_address(guardian, "--guardian"),)))
        if regional_body:
            calls.append(_regional_body(regional_body))
        if not calls:
            raise UsageError(
                "there is nothing to propose", fix="nearcast govern propose --help shows what there may be"
            )

        async def proposing(session: "Session") -> None:
            for parameter, value in chosen:
                await check_bounds(session, parameter, value)
            await propose(session, calls, text)

        run_session(call, proposing)


def _register_acts(rules: typer.Typer) -> None:
    @command(rules, "vote", preparing=sending)
    def vote(call: ChainCall, proposal: ProposalName, choice: Choice, reason: Reason = "") -> None:
        """Vote with the stake of the wallet's own node; its weight grows with its age."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.votes import cast_vote

        if choice not in CHOICES:
            raise UsageError(f"a vote is for, against or abstain, not {choice!r}")
        run_session(call, lambda session: cast_vote(session, proposal, choice, reason))

    @command(rules, "queue", preparing=sending)
    def queue(call: ChainCall, proposal: ProposalName) -> None:
        """Start the waiting time of a proposal that was accepted; anybody may."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.proposals import act

        effects = ("the waiting time of the timelock begins",)
        run_session(call, lambda session: act(session, proposal, "queue", "queued", effects))

    @command(rules, "execute", preparing=sending)
    def execute(call: ChainCall, proposal: ProposalName) -> None:
        """Carry out a proposal whose waiting time is over; anybody may."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.proposals import act

        effects = ("what was voted on takes effect",)
        run_session(call, lambda session: act(session, proposal, "execute", "executed", effects))


def _setting(text: str) -> tuple["Parameter", int]:
    from nearcast.cli.governable import find_parameter

    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set: it is NAME=VALUE, not {text!r}", fix="nearcast govern params lists the names")
    parameter = find_parameter(name.strip())
    return parameter, parameter.parse(value.strip())


def _regional_body(text: str) -> ProposedCall:
    region, equals, address = text.partition("=")
    if not equals:
        raise UsageError(f"--regional-body: it is XX=ADDRESS, not {text!r}")
    arguments = (parse_region(region), parse_address(address, "--regional-body"))
    return ProposedCall("Blacklist", "setRegionalBody", arguments)

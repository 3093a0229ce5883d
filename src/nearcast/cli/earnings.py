"""`nearcast earnings`: what this node delivered, what it was paid, and what of that is money already."""

from typing import TYPE_CHECKING, Annotated

import typer

from nearcast.cli.chain_options import ChainCall, looking, sending
from nearcast.cli.default_command import DEFAULT, group_with_default
from nearcast.cli.ledger_tables import By, Csv, Days, Since
from nearcast.cli.options import command

if TYPE_CHECKING:
    from nearcast.payments.earned_views import Earnings

HotKey = Annotated[
    bool, typer.Option("--hot-key", help="Let the node's hot key send it and pay the gas, without a password.")
]


def register(app: typer.Typer) -> None:
    commands = group_with_default(app, "earnings", "Show what this node earned; claim it now.")

    @command(commands, DEFAULT, preparing=looking)
    def show(call: ChainCall, by: By = "day", since: Since = None, days: Days = None, csv: Csv = False) -> None:
        """Show what was delivered and earned, by day, peer or object; what is pending, claimed and settled."""
        from nearcast.cli.earnings_views import show_earnings
        from nearcast.cli.ledger_tables import check_forms, since_day

        check_forms(call, csv)
        show_earnings(call, _table(call, by, since_day(since, days)), as_csv=csv)

    @command(commands, "claim", preparing=sending)
    def claim(call: ChainCall, hot_key: HotKey = False) -> None:
        """Claim everything that is pending now, and have it paid out, whatever the gas."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.earnings_claim import claim_everything

        run_session(call, lambda session: claim_everything(session, by_hot_key=hot_key))


def _table(call: ChainCall, by: str, since: str) -> "Earnings":
    """What the ledger says, also while a node writes it."""
    from nearcast.cli.earnings_views import parse_by
    from nearcast.cli.ledger_tables import ledger_path
    from nearcast.payments.earned import FILE_NAME, EarnedLedger
    from nearcast.payments.earned_views import earnings

    kind = parse_by(by)
    path = ledger_path(call, FILE_NAME)
    if not path.exists():
        return earnings(kind, [], [], [], since_day=since)
    with EarnedLedger.open(path) as ledger:
        claims = ledger.claims()  # first: what is claimed between two reads then counts as pending, not as nothing
        return earnings(kind, ledger.sales(since), ledger.channels(), claims, since_day=since)

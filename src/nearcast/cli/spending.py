"""`nearcast spending`: what was paid for content, to whom and for what."""

import typer

from nearcast.cli.chain_options import PANEL, ChainCall, looking
from nearcast.cli.ledger_tables import By, Csv, Days, Since
from nearcast.cli.options import command


def register(app: typer.Typer) -> None:
    @command(app, "spending", preparing=looking, panel=PANEL)
    def spending(call: ChainCall, by: By = "day", since: Since = None, days: Days = None, csv: Csv = False) -> None:
        """Show what was paid for content, by day, peer or object; and what went into channels."""
        from nearcast.cli.earnings_views import parse_by
        from nearcast.cli.ledger_tables import check_forms, ledger_path, since_day, today
        from nearcast.cli.spending_views import show_spending
        from nearcast.payments.spent import FILE_NAME, SpentLedger
        from nearcast.payments.spent_views import spendings

        check_forms(call, csv)
        kind, first_day = parse_by(by), since_day(since, days)
        path = ledger_path(call, FILE_NAME)
        if not path.exists():
            show_spending(call, spendings(kind, [], [], since_day=first_day), 0, as_csv=csv)
            return
        with SpentLedger.open(path) as ledger:
            table = spendings(kind, ledger.spendings(), ledger.deposits(), since_day=first_day)
            show_spending(call, table, ledger.signed_on(today().isoformat()), as_csv=csv)

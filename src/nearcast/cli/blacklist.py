"""`nearcast blacklist`: content that no node may offer, and who may say so."""

from typing import Annotated

import typer

from nearcast.cli.chain_options import ChainCall, group, looking, sending
from nearcast.cli.hexwords import parse_digest, parse_region
from nearcast.cli.options import command
from nearcast.errors import UsageError

# IBlacklist.Entry.reason; others are given by number.
REASONS = {"court-order": 1, "copyright": 2, "malware": 3, "privacy": 4, "child-abuse": 128, "terrorism": 129}
EVERYWHERE = bytes(2)

Content = Annotated[str, typer.Argument(metavar="CID", help="The file or folder: its CID, or its SHA-256 in digits.")]
RegionOption = Annotated[
    str | None, typer.Option("--region", metavar="XX", help="Only in this region; else everywhere.")
]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="WHY", help=f"{', '.join(REASONS)}, or another reason's number.")
]
Text = Annotated[str, typer.Option("--text", metavar="TEXT", help="Why, for those who vote, where a vote decides.")]


def register(app: typer.Typer) -> None:
    entries = group(app, "blacklist", "What no node may offer: see it, check content, add and remove by your role.")
    _register_views(entries)
    _register_acts(entries)


def _register_views(entries: typer.Typer) -> None:
    @command(entries, "list", preparing=looking)
    def list_entries(call: ChainCall, region: RegionOption = None) -> None:
        """List what is on the blacklist, held against the root that the contract keeps."""
        from nearcast.cli.blacklist_views import show_list
        from nearcast.cli.chain_session import run_session

        scope = parse_region(region) if region else None
        run_session(call, lambda session: show_list(session, scope))

    @command(entries, "check", preparing=looking)
    def check(call: ChainCall, content: Content, region: RegionOption = None) -> None:
        """Say whether content is listed, since when and why."""
        from nearcast.cli.blacklist_views import show_check
        from nearcast.cli.chain_session import run_session

        digest, scope = parse_digest(content), parse_region(region) if region else EVERYWHERE
        run_session(call, lambda session: show_check(session, digest, scope))


def _register_acts(entries: typer.Typer) -> None:
    @command(entries, "add", preparing=sending)
    def add(
        call: ChainCall, content: Content, reason: ReasonOption, region: RegionOption = None, text: Text = ""
    ) -> None:
        """List content: at once as the guardian (it lapses) or as a region's body, else by putting it to the vote."""
        from nearcast.cli.blacklist_acts import add_entry
        from nearcast.cli.chain_session import run_session

        digest, scope, code = parse_digest(content), parse_region(region) if region else EVERYWHERE, _reason(reason)
        run_session(call, lambda session: add_entry(session, digest, scope, code, text))

    @command(entries, "remove", preparing=sending)
    def remove(call: ChainCall, content: Content, region: RegionOption = None, text: Text = "") -> None:
        """Take content off the list: a region's body its own entries at once, else by putting it to the vote."""
        from nearcast.cli.blacklist_acts import remove_entry
        from nearcast.cli.chain_session import run_session

        digest, scope = parse_digest(content), parse_region(region) if region else EVERYWHERE
        run_session(call, lambda session: remove_entry(session, digest, scope, text))

    @command(entries, "ratify", preparing=sending)
    def ratify(call: ChainCall, content: Content, region: RegionOption = None, text: Text = "") -> None:
        """Put it to the vote that an emergency entry stays and does not lapse."""
        from nearcast.cli.blacklist_acts import ratify_entry
        from nearcast.cli.chain_session import run_session

        digest, scope = parse_digest(content), parse_region(region) if region else EVERYWHERE
        run_session(call, lambda session: ratify_entry(session, digest, scope, text))


def _reason(text: str) -> int:
    if text in REASONS:
        return REASONS[text]
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:4]) <= 255:
        raise UsageError(f"--reason: it is {', '.join(REASONS)} or a number from 1 to 255, not {text!r}")
    return int(text)

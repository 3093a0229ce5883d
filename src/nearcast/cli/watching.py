"""Showing a fetch: from its events to bars or plain lines while it runs, and one paragraph at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nearcast.cli.amounts import bytes_text, percent_text, rate_text, seconds_text
from nearcast.cli.money import usdc_text
from nearcast.cli.output import Output, printable
from nearcast.cli.tally import Tally
from nearcast.delivery.events import (
    Depositing,
    FetchEvent,
    FetchReport,
    Hiring,
    LeafVerified,
    Paying,
    Planned,
    SourceFailed,
    SourceJoined,
)
from nearcast.payments.credit import whole_units

NAME_COLUMNS = 28  # of a source in the summary: an address, or the beginning of a URL


@contextmanager
def watched(output: Output) -> Iterator[Callable[[FetchEvent], None]]:
    """What to hand to a fetch as `on_event`: bars on a terminal; else only trouble is told, as plain lines."""
    tally = Tally()
    if not output.shows_bars:
        yield lambda event: take(tally, event, output.note)
        return
    from nearcast.cli.bars import FetchBars

    with FetchBars(output, tally) as bars:
        yield lambda event: take(tally, event, bars.say)


def take(tally: Tally, event: FetchEvent, say: Callable[[str], None]) -> None:
    """Enter one event into the tally; whoever fails or lies is said by name at once."""
    match event:
        case Planned():
            tally.total_bytes, tally.reused_bytes = event.total_bytes, event.have_bytes
            tally.planned_at_bytes = tally.verified_bytes
        case SourceJoined():
            tally.of(event.source)
        case LeafVerified():
            tally.add(event.source, event.size_bytes)
        case Hiring():
            price, whole = usdc_text(event.price_units_per_gib), "it does not say how much that is"
            if event.expected_units is not None:
                whole = f"about {usdc_text(event.expected_units)} for all of it"
            say(f"  nobody gives it for free: {printable(event.source)} is paid {price} per GiB of verified bytes,")
            say(f"  {whole}")
            price_max, cap, today = event.max_price_units_per_gib, event.fetch_cap_units, event.left_today_units
            limits = f"{usdc_text(price_max)} per GiB (--max-price), {usdc_text(cap)} for this fetch (--cap)"
            say(f"  limits: {limits}, {usdc_text(today)} left today")
        case Depositing():
            does = "open a channel to it first" if event.opens else "go into the channel to it first"
            say(f"  {usdc_text(event.units)} of the wallet {does}; what is not spent can be taken back")
        case Paying():
            pass  # as it was said
        case SourceFailed():
            tally.lost(event.source, event.reason, lied=event.liar)
            verdict = "lied and is not asked again" if event.liar else "gave up"
            say(f"  {printable(event.source)} {verdict}: {printable(event.reason)}")


def summary_lines(report: FetchReport, where: str) -> Iterator[str]:
    """What was got, how fast, from whom."""
    yield f"  {where}   {_amount(report)}"
    sources = sorted(report.bytes_by_source.items(), key=lambda item: -item[1])
    for name, size_bytes in sources:
        trouble = f"   {printable(report.failed[name])}" if name in report.failed else ""
        share = percent_text(size_bytes, report.bytes_verified)
        parts = report.paid_parts_by_source.get(name)
        paid = "" if parts is None else f"   paid {usdc_text(whole_units(parts))}"
        yield f"    {_column(name)}  {bytes_text(size_bytes):>8}  {share:>5}{paid}{trouble}"
    for name in report.liars:
        yield f"    {_column(name)}  lied: {printable(report.failed.get(name, 'wrong bytes'))}"


def report_fields(report: FetchReport) -> dict[str, Any]:
    """The report as JSON."""
    return {
        "cid": str(report.target),
        "verified": report.bytes_verified,
        "reused": report.reused_bytes,
        "duplicate": report.duplicate_bytes,
        "seconds": round(report.duration_s, 6),
        "sources": dict(report.bytes_by_source),
        "paid_units": whole_units(sum(report.paid_parts_by_source.values())),
        "paid_bytes": dict(report.paid_bytes_by_source),
        "failed": dict(report.failed),
        "liars": list(report.liars),
    }


def _amount(report: FetchReport) -> str:
    if not report.bytes_verified:
        return "everything was here already"
    reused = f", {bytes_text(report.reused_bytes)} were here already" if report.reused_bytes else ""
    rate = rate_text(report.bytes_verified, report.duration_s)
    return f"{bytes_text(report.bytes_verified)} verified in {seconds_text(report.duration_s)}, {rate}{reused}"


def _column(name: str) -> str:
    text = printable(name)
    return f"{text if len(text) <= NAME_COLUMNS else text[: NAME_COLUMNS - 1] + '…':<{NAME_COLUMNS}}"

"""What `nearcast blacklist list` and `check` show."""

from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from nearcast.cli.blacklist import EVERYWHERE, REASONS
from nearcast.cli.hexwords import hash_text, region_text
from nearcast.cli.moments import due_text, moment_text

if TYPE_CHECKING:
    from nearcast.cli.chain_session import Session

SOURCES = ("governance", "guardian", "region")  # IBlacklist.Source, in its order


def reason_text(reason: int) -> str:
    """The word for a reason, or its number."""
    names = [name for name, number in REASONS.items() if number == reason]
    return names[0] if names else f"reason {reason}"


async def show_list(session: "Session", region: bytes | None) -> None:
    """The live entries, of one region or all."""
    from nearcast.chain.bindings.blacklist import Blacklist

    snapshot, found = await Blacklist(session.rpc, session.address_of("Blacklist")).sync(session.head.number)
    wanted = [entry for entry in found or [] if region is None or entry.scope in (region, EVERYWHERE)]
    rows = [_row(*astuple(entry)) for entry in wanted]
    value = {"version": snapshot.version, "root": hash_text(snapshot.root), "count": snapshot.count, "entries": rows}
    lines = [_line(session, row) for row in rows] or ["nothing is listed"]
    session.output.result(value, lines=lines, essential=[row["digest"] for row in rows])


async def show_check(session: "Session", digest: bytes, scope: bytes) -> None:
    """One digest, in one region or everywhere."""
    listed = await session.read("Blacklist", "listedAt", digest, scope, session.now_s)
    entries = []
    for each in dict.fromkeys((EVERYWHERE, scope)):
        effective, lapses, removed, reason, source, _ = await session.read("Blacklist", "entry", digest, each)
        if effective and not removed:
            entries.append(_row(digest, each, effective, lapses, reason, source))
    value = {"digest": hash_text(digest), "region": region_text(scope), "listed": listed, "entries": entries}
    lines = ["listed: nodes must not offer it" if listed else "not listed"]
    lines += [f"  {_line(session, row)}" for row in entries]
    session.output.result(value, lines=lines, essential=["listed" if listed else "not listed"])


def _row(digest: bytes, scope: bytes, effective_s: int, lapses_s: int, reason: int, source: int) -> dict[str, Any]:
    return {
        "digest": hash_text(digest),
        "region": region_text(scope),
        "reason": reason,
        "effective_at": effective_s,
        "lapses_at": lapses_s or None,
        "source": SOURCES[source] if source < len(SOURCES) else str(source),
    }


def _line(session: "Session", row: dict[str, Any]) -> str:
    force = due_text(row["effective_at"], session.now_s)
    lapse = f", lapses {moment_text(row['lapses_at'])}" if row["lapses_at"] else ""
    words = f"{row['region']}, {reason_text(row['reason'])}, by {row['source']}"
    since = f"since {moment_text(row['effective_at'])}" if force == "now" else f"in force {force}"
    return f"{row['digest']}  {words}, {since}{lapse}"

"""Changing the blacklist, each by the way that the wallet's role allows: guardian, body of a region, or a vote."""

from typing import TYPE_CHECKING, Any

from nearcast.cli.blacklist_views import reason_text
from nearcast.cli.dry_run import Plan, ProposedCall
from nearcast.cli.hexwords import address_text, hash_text, region_text
from nearcast.cli.moments import due_text, moment_text
from nearcast.cli.proposals import propose
from nearcast.cli.transacting import Sent, resume, transact
from nearcast.errors import ChainError

if TYPE_CHECKING:
    from nearcast.cli.chain_session import Session


async def add_entry(session: "Session", digest: bytes, scope: bytes, reason: int, text: str) -> None:
    """As the guardian or the region's body if the wallet is that, else by a proposal."""
    function = await _own_function(session, scope, guardian="addEmergency", body="addRegional")
    if function is None:
        await _propose(session, ProposedCall("Blacklist", "add", (digest, scope, reason)), text)
        return
    effects = [f"{_words(digest, scope)} is listed for {reason_text(reason)}"]
    effects.append("it takes effect after the contract's window" + (", and lapses" if "Emer" in function else ""))
    sent = await resume(session)
    if sent is None:
        sent = await transact(session, Plan("Blacklist", function, (digest, scope, reason), tuple(effects)))
    if sent is None:
        return
    added = sent.event("Added")
    if added is None:
        raise ChainError("the endpoint says that the entry was added and shows no event of it")
    value = {
        "digest": hash_text(digest),
        "region": region_text(scope),
        "reason": reason,
        "effective_at": added["effectiveAt"],
        "lapses_at": added["lapsesAt"] or None,
    }
    lapse = f", lapses on {moment_text(added['lapsesAt'])} unless ratified" if added["lapsesAt"] else ""
    due = due_text(added["effectiveAt"], session.now_s)
    lines = [f"listed {_words(digest, scope)}", f"  in force {due}{lapse}", *sent.lines()]
    session.output.result(value | sent.value(), lines=lines, essential=[hash_text(digest)])


async def remove_entry(session: "Session", digest: bytes, scope: bytes, text: str) -> None:
    """As the region's body if the wallet is that, else by a proposal."""
    function = await _own_function(session, scope, guardian=None, body="removeRegional")
    if function is None:
        await _propose(session, ProposedCall("Blacklist", "remove", (digest, scope)), text)
        return
    effects = (f"{_words(digest, scope)} is listed no longer, and as if it had never been",)
    sent = await resume(session)
    if sent is None:
        sent = await transact(session, Plan("Blacklist", function, (digest, scope), effects))
    if sent is not None:
        _tell_removed(session, digest, scope, sent)


async def ratify_entry(session: "Session", digest: bytes, scope: bytes, text: str) -> None:
    """Only governance may."""
    await _propose(session, ProposedCall("Blacklist", "ratify", (digest, scope)), text)


def _tell_removed(session: "Session", digest: bytes, scope: bytes, sent: Sent) -> None:
    value: dict[str, Any] = {"digest": hash_text(digest), "region": region_text(scope)}
    lines = [f"removed {_words(digest, scope)}", *sent.lines()]
    session.output.result(value | sent.value(), lines=lines, essential=[hash_text(digest)])


async def _propose(session: "Session", call: ProposedCall, text: str) -> None:
    session.output.note("  the wallet has no role that decides this alone, so it is put to the vote")
    await propose(session, [call], text)


async def _own_function(session: "Session", scope: bytes, *, guardian: str | None, body: str) -> str | None:
    """The function that the wallet may call by itself, or None."""
    wallet = session.wallet_address
    if any(scope) and await session.read("Blacklist", "regionalBody", scope) == wallet:
        return body
    if guardian and await session.read("Blacklist", "guardian") == wallet:
        session.output.note(f"  {address_text(wallet)} is the guardian: an emergency entry")
        return guardian
    return None


def _words(digest: bytes, scope: bytes) -> str:
    return f"{hash_text(digest)} ({region_text(scope)})"

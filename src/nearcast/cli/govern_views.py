"""What `nearcast govern params`, `list` and `show` show."""

from typing import TYPE_CHECKING, Any

from nearcast.cli.governable import bounds_of, parameters
from nearcast.cli.hexwords import address_text
from nearcast.cli.moments import due_text
from nearcast.cli.money import usdc_text
from nearcast.cli.output import printable
from nearcast.cli.proposals import all_proposals, find_proposal, state_of_proposal, words_of

if TYPE_CHECKING:
    from nearcast.cli.chain_session import Session

_TEXT_CHARACTERS_MAX = 60  # of a description in a list


async def show_parameters(session: "Session") -> None:
    """Every number with its bounds."""
    rows: list[dict[str, Any]] = []
    lines: list[str] = []
    for parameter in parameters():
        value = await session.read(parameter.contract, parameter.getter)
        low, high = await bounds_of(session, parameter)
        name = f"{parameter.contract}.{parameter.name}"
        rows.append({"name": name, "value": value, "min": low, "max": high})
        lines.append(f"{name:<42} {parameter.text(value):>14}   {parameter.text(low)} to {parameter.text(high)}")
    essential = [f"{row['name']}={row['value']}" for row in rows]
    session.output.result({"parameters": rows}, lines=lines, essential=essential)


async def show_proposals(session: "Session") -> None:
    """All of them, newest first."""
    proposals = list(reversed(await all_proposals(session)))
    states = [await state_of_proposal(session, each) for each in proposals]
    rows = [
        {"proposal": each.name, "state": state, "description": each.description}
        for each, state in zip(proposals, states, strict=True)
    ]
    lines = [
        f"{each.name[:14]}…  {state:<9}  {_cut(printable(each.description))}"
        for each, state in zip(proposals, states, strict=True)
    ]
    essential = [each.name for each in proposals]
    session.output.result({"proposals": rows}, lines=lines or ["no proposals yet"], essential=essential)


async def show_proposal(session: "Session", name: str) -> None:
    """One, with its calls and its votes."""
    proposal = await find_proposal(session, name)
    state = await state_of_proposal(session, proposal)
    reads = ("proposalSnapshot", "proposalDeadline", "proposalEta", "proposalVotes")
    begins, ends, eta, votes = [await session.read("NearcastGovernor", each, proposal.identifier) for each in reads]
    against, favour, abstain = votes
    quorum = await session.read("NearcastGovernor", "quorum", begins) if begins < session.now_s else None
    calls = words_of(session, proposal.targets, proposal.calldatas)
    value = {
        "proposal": proposal.name,
        "state": state,
        "proposer": address_text(proposal.proposer),
        "description": proposal.description,
        "calls": calls,
        "vote_starts_at": begins,
        "vote_ends_at": ends,
        "executable_at": eta or None,
        "for_units": favour,
        "against_units": against,
        "abstain_units": abstain,
        "quorum_units": quorum,
    }
    rows = [
        ("Proposal", proposal.name),
        ("Text", printable(proposal.description)),
        ("Would do", calls[0] if calls else "nothing"),
        *(("", each) for each in calls[1:]),
        ("State", f"{state}{_next(session, state, begins, ends, eta)}"),
        ("Votes", f"{usdc_text(favour)} for, {usdc_text(against)} against, {usdc_text(abstain)} abstain"),
    ]
    if quorum is not None:
        rows.append(("Quorum", f"{usdc_text(quorum)} for or abstain"))
    lines = [f"  {title:<8}  {text}" for title, text in rows]
    session.output.result(value, lines=lines, essential=[state])


def _next(session: "Session", state: str, begins_s: int, ends_s: int, eta_s: int) -> str:
    match state:
        case "pending":
            return f": the vote begins {due_text(begins_s, session.now_s)}"
        case "active":
            return f": the vote ends {due_text(ends_s, session.now_s)}"
        case "succeeded":
            return ": nearcast govern queue is next"
        case "queued":
            return f": nearcast govern execute is next, {due_text(eta_s, session.now_s)}"
        case _:
            return ""


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_CHARACTERS_MAX else text[: _TEXT_CHARACTERS_MAX - 1] + "…"

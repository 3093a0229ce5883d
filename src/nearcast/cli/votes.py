"""Casting a vote on a proposal."""

from typing import TYPE_CHECKING

from nearcast.cli.dry_run import Plan
from nearcast.cli.govern import CHOICES
from nearcast.cli.money import usdc_text
from nearcast.cli.proposals import Proposal, find_proposal, state_of_proposal
from nearcast.cli.transacting import resume, transact
from nearcast.errors import ChainError, FundsError, RevertedError

if TYPE_CHECKING:
    from nearcast.cli.chain_session import Session


async def cast_vote(session: "Session", name: str, choice: str, reason: str) -> None:
    """Vote once; a second vote is refused."""
    proposal = await find_proposal(session, name)
    sent = await resume(session) or await transact(session, await _voting(session, proposal, choice, reason))
    if sent is None:
        return
    event = sent.event("VoteCast")
    if event is None:
        raise ChainError("the endpoint says that the vote was cast and shows no event of it")
    weight = event["weight"]
    value = {"proposal": proposal.name, "choice": CHOICES[event["support"]], "weight_units": weight}
    lines = [f"voted {choice} {proposal.name} with {usdc_text(weight)} of aged stake", *sent.lines()]
    session.output.result(value | sent.value(), lines=lines, essential=[choice])


async def _voting(session: "Session", proposal: Proposal, choice: str, reason: str) -> Plan:
    state = await state_of_proposal(session, proposal)
    if state != "active":
        raise RevertedError(f"the vote on {proposal.name[:10]} is not open: it is {state}", fix="nearcast govern show")
    if await session.read("NearcastGovernor", "hasVoted", proposal.identifier, session.wallet_address):
        raise RevertedError("the wallet has voted on this already", fix=f"nearcast govern show {proposal.name[:10]}")
    snapshot_s = await session.read("NearcastGovernor", "proposalSnapshot", proposal.identifier)
    weight = await session.read("Registry", "getPastVotes", session.wallet_address, snapshot_s)
    if not weight:
        raise FundsError(
            "the wallet had no aged stake when the vote began", fix="votes come with a bond and grow with its age"
        )
    effects = (f"{usdc_text(weight)} of aged stake {choice} it; a vote cannot be changed",)
    arguments = (proposal.identifier, CHOICES.index(choice), reason)
    return Plan("NearcastGovernor", "castVoteWithReason", arguments, effects)

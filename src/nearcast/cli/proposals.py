"""Proposals of the governor: making one, finding one by the beginning of its id, and how it stands.

A proposal is known to the chain by a hash; what it would do stands only in the event that announced it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nearcast.cli.dry_run import Plan, ProposedCall, named_arguments
from nearcast.cli.hexwords import address_text
from nearcast.cli.moments import due_text, duration_text
from nearcast.cli.transacting import Sent, resume, transact
from nearcast.errors import ChainError, NotFoundError, UsageError

if TYPE_CHECKING:
    from nearcast.cli.chain_session import Session

# IGovernor.ProposalState, in its order.
STATES = ("pending", "active", "canceled", "defeated", "succeeded", "queued", "expired", "executed")
PREFIX_DIGITS_MIN = 4  # as for channels


@dataclass(frozen=True)
class Proposal:
    """What ProposalCreated announced. `targets` are 20-byte addresses."""

    identifier: int
    proposer: bytes
    targets: tuple[bytes, ...]
    values: tuple[int, ...]
    calldatas: tuple[bytes, ...]
    description: str

    @property
    def name(self) -> str:
        """Its id in hexadecimal, as commands take and print it."""
        return f"0x{self.identifier:064x}"

    def arguments(self) -> tuple[Any, ...]:
        """What Governor.queue and Governor.execute take."""
        from nearcast.chain.eip712 import keccak

        return (self.targets, self.values, self.calldatas, keccak(self.description.encode()))


async def propose(session: "Session", calls: Sequence[ProposedCall], text: str) -> None:
    """Put `calls` to the vote, and say when the vote begins."""
    sent = await resume(session) or await transact(session, await _proposing(session, calls, text))
    if sent is None:
        return
    created = sent.event("ProposalCreated")
    if created is None:
        raise ChainError("the endpoint says that the proposal was made and shows no event of it")
    await session.refresh()
    proposal = _proposal(created)
    start, end = created["voteStart"], created["voteEnd"]
    value = {
        "proposal": proposal.name,
        "description": proposal.description,
        "vote_starts_at": start,
        "vote_ends_at": end,
    }
    lines = [
        f"proposed {proposal.name}",
        f"  the vote begins {due_text(start, session.now_s)}, and lasts {duration_text(end - start)}",
        f"  nearcast govern vote {proposal.name[:10]} for",
        *sent.lines(),
    ]
    session.output.result(value | sent.value(), lines=lines, essential=[proposal.name])


async def _proposing(session: "Session", calls: Sequence[ProposedCall], text: str) -> Plan:
    from nearcast.chain.abi import contract

    targets = tuple(session.address_of(call.contract) for call in calls)
    datas = tuple(contract(call.contract).encode_call(call.function, call.arguments) for call in calls)
    # The suffix keeps anybody else from proposing the same first and cancelling it (Governor, "front-running").
    description = (
        f"{text or '; '.join(words_of(session, targets, datas))} #proposer={address_text(session.wallet_address)}"
    )
    delay_s = await session.read("NearcastGovernor", "votingDelay")
    period_s = await session.read("NearcastGovernor", "votingPeriod")
    effects = (
        *(f"to be voted on: {words}" for words in words_of(session, targets, datas)),
        f"the vote begins in {duration_text(delay_s)} and lasts {duration_text(period_s)}",
    )
    return Plan("NearcastGovernor", "propose", (targets, (0,) * len(calls), datas, description), effects)


async def all_proposals(session: "Session") -> list[Proposal]:
    """Every proposal there was, oldest first."""
    return [_proposal(event.arguments) for event in await session.events("NearcastGovernor", "ProposalCreated")]


async def find_proposal(session: "Session", name: str) -> Proposal:
    """The one whose id begins so. NotFoundError or UsageError when it is none or several."""
    digits = name.lower().removeprefix("0x").removesuffix("…")
    if len(digits) < PREFIX_DIGITS_MIN or not all(digit in "0123456789abcdef" for digit in digits):
        raise UsageError(
            f"a proposal is named by its id, or its first digits, not {name!r}", fix="nearcast govern list"
        )
    found = [each for each in await all_proposals(session) if each.name[2:].startswith(digits)]
    if not found:
        raise NotFoundError(f"there is no proposal {name}", fix="nearcast govern list")
    if len(found) > 1:
        raise UsageError(f"{len(found)} proposals begin with {name}", fix="give more digits of the id")
    return found[0]


async def state_of_proposal(session: "Session", proposal: Proposal) -> str:
    """One of STATES."""
    number = await session.read("NearcastGovernor", "state", proposal.identifier)
    if number >= len(STATES):
        raise ChainError(f"the endpoint says {number} for the state of a proposal")
    return STATES[number]


def words_of(session: "Session", targets: Sequence[bytes], calldatas: Sequence[bytes]) -> list[str]:
    """Each call in words: `Registry.setBondFactor(value = 300000)`."""
    return [_words(session, target, calldata) for target, calldata in zip(targets, calldatas, strict=True)]


def _words(session: "Session", target: bytes, calldata: bytes) -> str:
    from nearcast.chain.abi import contract

    name = session.contract_at(target)
    if name is None:
        return f"a call of {address_text(target)}, which is none of ours"
    call = named_arguments(contract(name), calldata)
    if call["function"] is None:
        return f"{name}: a call that it does not have"
    arguments = ", ".join(f"{key} = {value}" for key, value in call["arguments"].items())
    return f"{name}.{call['function']}({arguments})"


def _proposal(arguments: Any) -> Proposal:
    return Proposal(
        arguments["proposalId"],
        arguments["proposer"],
        arguments["targets"],
        arguments["values"],
        arguments["calldatas"],
        arguments["description"],
    )


async def act(session: "Session", name: str, function: str, done: str, effects: tuple[str, ...]) -> None:
    """`queue` or `execute` a proposal."""
    proposal = await find_proposal(session, name)
    sent: Sent | None = await resume(session)
    if sent is None:
        sent = await transact(session, Plan("NearcastGovernor", function, proposal.arguments(), effects))
    if sent is None:
        return
    await session.refresh()
    state = await state_of_proposal(session, proposal)
    eta_s = await session.read("NearcastGovernor", "proposalEta", proposal.identifier)
    value = {"proposal": proposal.name, "state": state, "executable_at": eta_s or None}
    when = [f"  it can be executed {due_text(eta_s, session.now_s)}"] if state == "queued" else []
    lines = [f"{done} {proposal.name}", *when, *sent.lines()]
    session.output.result(value | sent.value(), lines=lines, essential=[state])

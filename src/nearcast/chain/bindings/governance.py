"""Governance: proposals are voted on with aged stake, wait in the timelock, and are then executed by anybody."""

from dataclasses import dataclass
from enum import IntEnum

from nearcast.chain.bindings.bound import Bound
from nearcast.chain.eip712 import keccak
from nearcast.chain.transaction_signing import Call


class ProposalState(IntEnum):
    """IGovernor.ProposalState of OpenZeppelin 5."""

    PENDING = 0
    ACTIVE = 1
    CANCELED = 2
    DEFEATED = 3
    SUCCEEDED = 4
    QUEUED = 5
    EXPIRED = 6
    EXECUTED = 7


class Vote(IntEnum):
    """GovernorCountingSimple.VoteType."""

    AGAINST = 0
    FOR = 1
    ABSTAIN = 2


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed: these calls, sent by the timelock, for the reason in the text. It is named by its hash."""

    calls: tuple[Call, ...]
    text: str

    def arguments(self) -> tuple[list[bytes], list[int], list[bytes]]:
        """Targets, values and calldata."""
        return (
            [call.to for call in self.calls],
            [call.value for call in self.calls],
            [call.data for call in self.calls],
        )

    @property
    def text_hash(self) -> bytes:
        return keccak(self.text.encode())


@dataclass(frozen=True, slots=True)
class Tally:
    """Votes so far, in units of stake."""

    against: int
    in_favour: int
    abstain: int


@dataclass(frozen=True, slots=True)
class ProposalTimes:
    """Unix times: votes count as of `snapshot_at`, are taken until `deadline_at`; 0 in `executable_at`: not queued."""

    snapshot_at: int
    deadline_at: int
    executable_at: int


class Governor(Bound):
    """NearcastGovernor."""

    artifact_name = "NearcastGovernor"

    async def proposal_id(self, proposal: Proposal) -> int:
        """The number that a proposal has, made or not."""
        return int(await self.read("hashProposal", *proposal.arguments(), proposal.text_hash))

    async def state(self, proposal_id: int) -> ProposalState:
        """Where a proposal is. RevertedError when there is none of that number."""
        return ProposalState(await self.read("state", proposal_id))

    async def tally(self, proposal_id: int) -> Tally:
        """The votes so far."""
        return Tally(*await self.read("proposalVotes", proposal_id))

    async def times(self, proposal_id: int) -> ProposalTimes:
        """When a proposal is voted on and executed."""
        names = ("proposalSnapshot", "proposalDeadline", "proposalEta")
        return ProposalTimes(*await self.read_many([(name, (proposal_id,)) for name in names]))

    async def threshold(self) -> int:
        """Votes that a proposer needs."""
        return int(await self.read("proposalThreshold"))

    async def quorum(self, at: int) -> int:
        """Votes that a proposal with this snapshot needs, for and abstaining."""
        return int(await self.read("quorum", at))

    async def has_voted(self, proposal_id: int, voter: bytes) -> bool:
        """Whether an operator has voted."""
        return bool(await self.read("hasVoted", proposal_id, voter))

    def propose(self, proposal: Proposal, *, intent: str = "") -> Call:
        """Put a proposal to the vote."""
        return self.write("propose", *proposal.arguments(), proposal.text, intent=intent)

    def vote(self, proposal_id: int, vote: Vote, *, reason: str = "", intent: str = "") -> Call:
        """Vote once, with a reason for the record."""
        if reason:
            return self.write("castVoteWithReason", proposal_id, int(vote), reason, intent=intent)
        return self.write("castVote", proposal_id, int(vote), intent=intent)

    def queue(self, proposal: Proposal, *, intent: str = "") -> Call:
        """Hand an accepted proposal to the timelock; anybody may."""
        return self.write("queue", *proposal.arguments(), proposal.text_hash, intent=intent)

    def execute(self, proposal: Proposal, *, intent: str = "") -> Call:
        """Do it, once the timelock's delay has passed; anybody may."""
        return self.write("execute", *proposal.arguments(), proposal.text_hash, intent=intent)

    def cancel(self, proposal: Proposal, *, intent: str = "") -> Call:
        """The proposer takes it back before the vote begins."""
        return self.write("cancel", *proposal.arguments(), proposal.text_hash, intent=intent)


class Timelock(Bound):
    """NearcastTimelock: what all governable contracts call governance."""

    artifact_name = "NearcastTimelock"

    async def delay(self) -> int:
        """Seconds between queueing and executing."""
        return int(await self.read("getMinDelay"))

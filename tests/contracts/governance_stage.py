"""Operators with aged stake and proposals of theirs, for tests of what votes can do and cannot."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from eth_hash.auto import keccak
from tests.contracts.registrations import Node, join
from tests.contracts.world import DAY_S, DOLLAR, Contract, Done, World

AGAINST, FOR, ABSTAIN = 0, 1, 2
VOTING_DELAY_S, VOTING_PERIOD_S, TIMELOCK_DELAY_S = DAY_S, 7 * DAY_S, 2 * DAY_S
RAMP_S = 180 * DAY_S


class State(IntEnum):
    """IGovernor.ProposalState, in its order."""

    PENDING = 0
    ACTIVE = 1
    CANCELED = 2
    DEFEATED = 3
    SUCCEEDED = 4
    QUEUED = 5
    EXPIRED = 6
    EXECUTED = 7


@dataclass(frozen=True)
class Act:
    """One call that the timelock shall make."""

    target: bytes
    data: bytes
    value: int = 0


def act(contract: Contract, function: str, *args: Any) -> Act:
    """The call of a contract's function."""
    return Act(contract.address, contract.encode(function, *args))


@dataclass(frozen=True)
class Proposal:
    """Acts and words; what the governor calls it follows from both."""

    world: World
    acts: Sequence[Act]
    words: str

    @property
    def id(self) -> int:
        return int(self.world.governor.call("hashProposal", *self.hashed))

    @property
    def lists(self) -> tuple[list[Any], ...]:
        return [a.target for a in self.acts], [a.value for a in self.acts], [a.data for a in self.acts]

    @property
    def hashed(self) -> tuple[Any, ...]:
        return (*self.lists, keccak(self.words.encode()))

    def state(self) -> State:
        return State(self.world.governor.call("state", self.id))

    def propose(self, sender: Any) -> Done:
        return self.world.governor.transact("propose", *self.lists, self.words, sender=sender)

    def vote(self, voter: Any, support: int = FOR) -> Done:
        return self.world.governor.transact("castVote", self.id, support, sender=voter)

    def queue(self, sender: Any) -> Done:
        return self.world.governor.transact("queue", *self.hashed, sender=sender)

    def execute(self, sender: Any) -> Done:
        return self.world.governor.transact("execute", *self.hashed, sender=sender)

    def open(self, proposer: Any) -> "Proposal":
        """Proposed, and the vote has begun."""
        self.propose(proposer)
        self.world.travel(VOTING_DELAY_S + 1)
        return self

    def close(self) -> "Proposal":
        """The vote is over."""
        self.world.travel_to(self.world.governor.call("proposalDeadline", self.id) + 1)
        return self

    def carry(self, voters: Sequence[Node]) -> "Proposal":
        """All the way to where anyone may execute it."""
        self.open(voters[0])
        for voter in voters:
            self.vote(voter)
        self.close()
        self.queue(voters[0])
        self.world.travel(self.world.timelock.call("getMinDelay"))
        return self


def electorate(world: World, count: int = 4) -> list[Node]:
    """Operators of 9,000 dollars each whose stake has its full age; each votes up to the cap of 5 %."""
    nodes = [join(world, index, mbps=1_000) for index in range(1, count + 1)]
    for node in nodes:
        units = 9_000 * DOLLAR - world.registry.call("stakeOf", node).bonded
        world.registry.transact("topUp", node, units, sender=node)
    world.travel(RAMP_S)
    world.mine()
    return nodes

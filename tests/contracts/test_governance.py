"""Governance end to end: aged stake proposes, votes, queues and executes, and nothing else can."""

import pytest
from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak
from tests.contracts.accounts import high_s, key_of
from tests.contracts.codec import Reverted
from tests.contracts.governance_stage import (
    ABSTAIN,
    AGAINST,
    FOR,
    TIMELOCK_DELAY_S,
    VOTING_DELAY_S,
    VOTING_PERIOD_S,
    Act,
    Proposal,
    State,
    act,
    electorate,
)
from tests.contracts.registrations import Node, join
from tests.contracts.world import DAY_S, DOLLAR, World


@pytest.fixture
def voters(world: World) -> list[Node]:
    return electorate(world)


@pytest.fixture
def proposal(world: World, voters: list[Node]) -> Proposal:
    """To ask half as much again for a bond."""
    return Proposal(world, [act(world.registry, "setBondFactor", 375_000)], "Raise the bond")


def test_a_parameter_changes_by_vote_and_no_sooner(world: World, voters: list[Node], proposal: Proposal) -> None:
    proposed_s = proposal.propose(voters[0]).timestamp_s
    assert proposal.state() == State.PENDING
    with pytest.raises(Reverted, match="GovernorUnexpectedProposalState"):
        proposal.vote(voters[0])
    world.travel_to(proposed_s + VOTING_DELAY_S + 1)
    assert proposal.state() == State.ACTIVE
    weight = proposal.vote(voters[0]).event("VoteCast").weight
    assert weight == 4 * 9_000 * DOLLAR * 500 // 10_000  # the cap, not its 9,000
    with pytest.raises(Reverted, match="GovernorAlreadyCastVote"):
        proposal.vote(voters[0])
    with pytest.raises(Reverted, match="GovernorUnexpectedProposalState"):
        proposal.queue(voters[0])
    world.travel_to(proposed_s + VOTING_DELAY_S + VOTING_PERIOD_S + 1)
    assert proposal.state() == State.SUCCEEDED
    with pytest.raises(Reverted, match="GovernorUnexpectedProposalState"):
        proposal.execute(voters[0])
    queued_s = proposal.queue(key_of("anyone")).timestamp_s
    world.travel_to(queued_s + TIMELOCK_DELAY_S - 1)
    with pytest.raises(Reverted, match="TimelockUnexpectedOperationState"):
        proposal.execute(voters[0])
    assert world.registry.call("bondFactor") == 250_000
    world.travel_to(queued_s + TIMELOCK_DELAY_S)
    done = proposal.execute(key_of("anyone"))
    assert done.event("BondFactorSet").value == 375_000
    assert (world.registry.call("bondFactor"), proposal.state()) == (375_000, State.EXECUTED)
    with pytest.raises(Reverted, match="GovernorUnexpectedProposalState"):
        proposal.execute(voters[0])


def test_what_is_out_of_bounds_stays_so_for_a_majority(world: World, voters: list[Node]) -> None:
    """The vote is carried, the timelock calls, the contract refuses."""
    wild = Proposal(world, [act(world.registry, "setBondFactor", 2_500_001)], "Ten times and one").carry(voters)
    with pytest.raises(Reverted) as problem:
        wild.execute(voters[0])
    assert (problem.value.name, problem.value.values) == ("OutOfBounds", (2_500_001, 50_000, 2_500_000))
    assert wild.state() == State.QUEUED


def test_a_batch_is_all_or_nothing(world: World, voters: list[Node]) -> None:
    acts = [act(world.registry, "setBondFactor", 300_000), act(world.registry, "setVoteCapBps", 99)]
    mixed = Proposal(world, acts, "One good, one bad").carry(voters)
    with pytest.raises(Reverted, match="OutOfBounds"):
        mixed.execute(voters[0])
    assert world.registry.call("bondFactor") == 250_000


def test_the_governor_governs_itself(world: World, voters: list[Node]) -> None:
    acts = [act(world.governor, "setQuorumBps", 800), act(world.timelock, "updateDelay", 5 * DAY_S)]
    Proposal(world, acts, "Slower, and by more").carry(voters).execute(voters[0])
    assert (world.governor.call("quorumBps"), world.timelock.call("getMinDelay")) == (800, 5 * DAY_S)


def test_a_new_quorum_does_not_decide_an_old_vote(world: World, voters: list[Node], proposal: Proposal) -> None:
    change = Proposal(world, [act(world.governor, "setQuorumBps", 2_000)], "A fifth").carry(voters)
    proposal.open(voters[0])
    snapshot_s = world.governor.call("proposalSnapshot", proposal.id)
    before = world.governor.call("quorum", snapshot_s)
    change.execute(voters[0])
    world.travel(1)
    world.mine()
    assert world.governor.call("quorum", snapshot_s) == before == 4 * 9_000 * DOLLAR * 400 // 10_000
    assert world.governor.call("quorum", world.now_s - 1) == 5 * before


@pytest.mark.parametrize(
    ("ballots", "carried"),
    [
        ([], False),
        ([FOR], True),
        ([ABSTAIN], False),
        ([FOR, AGAINST], False),  # a tie
        ([FOR, AGAINST, FOR], True),
        ([AGAINST, ABSTAIN, ABSTAIN], False),
    ],
)
def test_more_for_than_against(
    world: World, voters: list[Node], proposal: Proposal, ballots: list[int], carried: bool
) -> None:
    proposal.open(voters[0])
    for voter, support in zip(voters, ballots, strict=False):
        proposal.vote(voter, support)
    assert proposal.close().state() == (State.SUCCEEDED if carried else State.DEFEATED)


def test_a_vote_without_a_quorum_is_lost(world: World, voters: list[Node], proposal: Proposal) -> None:
    young = join(world, 8, mbps=1_000)
    world.travel(20 * DAY_S)  # 20 of 180 days of 995 dollars are far from 4 % of 37,000
    proposal.open(voters[0]).vote(young)
    assert proposal.close().state() == State.DEFEATED


def test_stake_that_comes_after_the_snapshot_does_not_vote(
    world: World, voters: list[Node], proposal: Proposal
) -> None:
    proposal.open(voters[0])
    late = join(world, 8, mbps=1_000)
    world.travel(5 * DAY_S)
    assert proposal.vote(late).event("VoteCast").weight == 0


def test_stake_that_left_before_the_snapshot_does_not_vote(
    world: World, voters: list[Node], proposal: Proposal
) -> None:
    proposal.propose(voters[0])
    world.registry.transact("deregister", sender=voters[1])
    world.travel(VOTING_DELAY_S + 1)
    assert proposal.vote(voters[1]).event("VoteCast").weight == 0


def test_stake_cannot_vote_twice_through_another_operator(world: World, voters: list[Node], proposal: Proposal) -> None:
    """Leaving takes longer than a vote, and what comes back has no age at the snapshot."""
    proposal.open(voters[0]).vote(voters[1])
    world.registry.transact("deregister", sender=voters[1])
    with pytest.raises(Reverted, match="NothingToWithdraw"):
        world.registry.transact("withdraw", world.accounts[8], sender=voters[1])
    assert world.registry.call("unbondingPeriod") > VOTING_PERIOD_S


@pytest.mark.parametrize("who", ["stranger", "young"])
def test_proposing_takes_a_share_of_the_stake(world: World, voters: list[Node], proposal: Proposal, who: str) -> None:
    proposer = world.accounts[0] if who == "stranger" else join(world, 8, mbps=1_000)
    with pytest.raises(Reverted, match="GovernorInsufficientProposerVotes"):
        proposal.propose(proposer)
    proposal.propose(voters[3])


def test_a_late_quorum_leaves_time_to_answer(world: World, voters: list[Node], proposal: Proposal) -> None:
    proposal.open(voters[0])
    world.travel_to(world.governor.call("proposalDeadline", proposal.id) - 60)
    done = proposal.vote(voters[0])
    assert done.event("ProposalExtended").extendedDeadline == done.timestamp_s + DAY_S
    world.travel(DAY_S - 60)
    for voter in voters[1:3]:
        proposal.vote(voter, AGAINST)
    assert proposal.close().state() == State.DEFEATED


def test_only_the_proposer_withdraws_and_only_before_the_vote(
    world: World, voters: list[Node], proposal: Proposal
) -> None:
    proposal.propose(voters[0])
    with pytest.raises(Reverted, match="GovernorUnableToCancel"):
        world.governor.transact("cancel", *proposal.hashed, sender=voters[1])
    with world.fork():
        world.governor.transact("cancel", *proposal.hashed, sender=voters[0])
        assert proposal.state() == State.CANCELED
    world.travel(VOTING_DELAY_S + 1)
    with pytest.raises(Reverted, match="GovernorUnableToCancel"):
        world.governor.transact("cancel", *proposal.hashed, sender=voters[0])


def test_ballots_by_signature_count_once(world: World, voters: list[Node], proposal: Proposal) -> None:
    proposal.open(voters[0])
    fields = {"proposalId": "uint256", "support": "uint8", "voter": "address", "nonce": "uint256"}
    types = {"Ballot": [{"name": name, "type": kind} for name, kind in fields.items()]}
    domain = {"name": "Nearcast Governor", "version": "1", "chainId": 31337}
    domain |= {"verifyingContract": "0x" + world.governor.address.hex()}
    ballot = {"proposalId": proposal.id, "support": FOR, "voter": voters[1].address, "nonce": 0}
    signable = encode_typed_data(domain, types, ballot)
    signature = voters[1].operator.sign(keccak(b"\x19\x01" + signable.header + signable.body))
    args = (proposal.id, FOR, voters[1], signature)
    with pytest.raises(Reverted, match="GovernorInvalidSignature"):
        world.governor.transact("castVoteBySig", *args[:3], high_s(signature), sender=voters[2])
    with pytest.raises(Reverted, match="GovernorInvalidSignature"):
        world.governor.transact("castVoteBySig", proposal.id, AGAINST, *args[2:], sender=voters[2])
    world.governor.transact("castVoteBySig", *args, sender=voters[2])
    with pytest.raises(Reverted, match="GovernorInvalidSignature"):
        world.governor.transact("castVoteBySig", *args, sender=voters[2])


def test_nobody_has_a_key_to_the_timelock(world: World) -> None:
    timelock, governor = world.timelock, world.governor
    roles = {name: timelock.call(name) for name in ("PROPOSER_ROLE", "CANCELLER_ROLE", "EXECUTOR_ROLE")}
    admin = timelock.call("DEFAULT_ADMIN_ROLE")
    for holder in (*world.accounts, world.registry, world.court, bytes(20)):
        assert not timelock.call("hasRole", admin, holder)
        assert not timelock.call("hasRole", roles["PROPOSER_ROLE"], holder)
        assert not timelock.call("hasRole", roles["CANCELLER_ROLE"], holder)
    assert timelock.call("hasRole", admin, timelock)
    assert timelock.call("hasRole", roles["PROPOSER_ROLE"], governor)
    assert timelock.call("hasRole", roles["EXECUTOR_ROLE"], bytes(20))  # anyone
    for person in world.accounts[:2]:
        with pytest.raises(Reverted, match="AccessControlUnauthorizedAccount"):
            timelock.transact("schedule", person, 0, b"", bytes(32), bytes(32), 2 * DAY_S, sender=person)
        with pytest.raises(Reverted, match="AccessControlUnauthorizedAccount"):
            timelock.transact("grantRole", roles["PROPOSER_ROLE"], person, sender=person)
        with pytest.raises(Reverted, match="TimelockUnauthorizedCaller"):
            timelock.transact("updateDelay", DAY_S, sender=person)


def test_the_governor_keeps_its_timelock(world: World, voters: list[Node]) -> None:
    moved = Proposal(world, [act(world.governor, "updateTimelock", world.accounts[1])], "Another").carry(voters)
    with pytest.raises(Reverted, match="TimelockIsFixed"):
        moved.execute(voters[0])


def test_the_treasury_is_spent_by_vote_only(world: World, voters: list[Node]) -> None:
    world.token.transact("transfer", world.timelock, 50 * DOLLAR, sender=world.accounts[9])
    taker = key_of("a grant")
    grant = Proposal(world, [act(world.token, "transfer", taker, 20 * DOLLAR)], "A grant").carry(voters)
    grant.execute(voters[0])
    assert world.token.call("balanceOf", taker) == 20 * DOLLAR
    assert world.token.call("balanceOf", world.timelock) == 30 * DOLLAR


def test_no_vote_reaches_anybodys_stake(world: World, voters: list[Node]) -> None:
    """The whole registry, called by governance: nothing it may call moves a token."""
    held = world.token.call("balanceOf", world.registry)
    acts = [act(world.registry, "slash", voters[3], 5_000, world.timelock)]
    stolen = Proposal(world, acts, "Take it").carry(voters)
    with pytest.raises(Reverted, match="OnlyCourt"):
        stolen.execute(voters[0])
    for function, args in {"withdraw": (world.timelock,), "unbond": (1,), "deregister": ()}.items():
        with pytest.raises(Reverted):
            world.registry.transact(function, *args, sender=world.timelock)
    ejected = Proposal(world, [act(world.registry, "eject", voters[3])], "Eject").carry(voters)
    ejected.execute(voters[0])
    assert world.token.call("balanceOf", world.registry) == held
    assert not world.registry.call("isActive", voters[3])


def test_the_governor_holds_no_ether(world: World, voters: list[Node]) -> None:
    with pytest.raises(Reverted, match="GovernorDisabledDeposit"):
        world.send(world.governor.address, b"", voters[0], value=1)
    world.send(world.timelock.address, b"", voters[0], value=5)
    paid = Proposal(world, [Act(key_of("payee").address, b"", 5)], "Pay").carry(voters)
    paid.execute(voters[0])
    assert world.engine.balance(key_of("payee").address) == 5


def test_a_young_network_is_not_its_first_nodes(world: World) -> None:
    """With a floor, one operator who is all of the stake decides nothing; its constructor keeps the floor in bounds."""
    alone = electorate(world, 1)[0]
    floor = 10_000 * DOLLAR
    governor = world.deploy("NearcastGovernor", world.registry, world.timelock, floor)
    args = [world.registry.address], [0], [world.registry.encode("setBondFactor", 50_000)]
    governor.transact("propose", *args, "Mine alone", sender=alone)
    world.travel(VOTING_DELAY_S + 1)
    proposal_id = governor.call("hashProposal", *args, keccak(b"Mine alone"))
    governor.transact("castVote", proposal_id, FOR, sender=alone)
    assert governor.call("quorum", governor.call("proposalSnapshot", proposal_id)) == floor
    world.travel(VOTING_PERIOD_S + 1)
    assert State(governor.call("state", proposal_id)) == State.DEFEATED
    with pytest.raises(Reverted, match="OutOfBounds"):
        world.deploy("NearcastGovernor", world.registry, world.timelock, 10**12 + 1)


def test_an_empty_registry_decides_nothing(world: World) -> None:
    nobody = world.accounts[5]
    empty = Proposal(world, [act(world.registry, "setBondFactor", 50_000)], "Nobody is here")
    world.mine()
    empty.open(nobody).vote(nobody)
    assert empty.close().state() == State.DEFEATED

"""Every setter of every contract keeps its parameter within hard bounds, whoever governs.

By convention a parameter `x` has `x()`, `setX(uint)` and the constants `X_MIN` and `X_MAX`. The walk reads the ABIs
of all packaged contracts: a setter that comes later is tried without a word here, and one without bounds fails.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contracts.codec import Reverted, codec_of
from tests.contracts.governance_stage import Proposal, act, electorate
from tests.contracts.world import DAY_S, Contract, World, shared
from tests.depth import is_nightly

from nearcast.chain.artifacts import artifact_names

SETTER = re.compile(r"set[A-Z]\w*|update[A-Z]\w*")
# The library's names for one parameter; it is bounded all the same.
NAMES = {"updateDelay": ("getMinDelay", "MIN_DELAY")}
# Not numbers, so without bounds; contracts/README.md says what each means.
NOT_NUMBERS = {
    ("Blacklist", "setGuardian"),
    ("Blacklist", "setRegionalBody"),
    ("NearcastGovernor", "updateTimelock"),
    ("TestUSDC", "updateBlacklister"),
}
# A bound of one can be reached only when another parameter makes room: call this first.
ROOM = {("Court", "setMaxEvidenceAge"): ("Registry", "setUnbondingPeriod", 60 * DAY_S)}
UINT256_MAX = 2**256 - 1


@dataclass(frozen=True)
class Parameter:
    """One governable number of one contract."""

    contract: str
    setter: str
    bits: int

    def __str__(self) -> str:
        return f"{self.contract}.{self.setter}"

    @property
    def getter(self) -> str:
        return NAMES[self.setter][0] if self.setter in NAMES else self.setter[3].lower() + self.setter[4:]

    @property
    def constant(self) -> str:
        return NAMES[self.setter][1] if self.setter in NAMES else re.sub(r"(?<!^)([A-Z])", r"_\1", self.getter).upper()

    def of(self, world: World) -> Contract:
        return world.contract(self.contract)

    def bounds(self, world: World) -> tuple[int, int]:
        """Raises AssertionError when the contract declares none."""
        names = {function["name"] for function in self.of(world).codec.functions}
        for name in (f"{self.constant}_MIN", f"{self.constant}_MAX", self.getter):
            assert name in names, f"{self} has no {name}"
        return tuple(self.of(world).call(f"{self.constant}_{end}") for end in ("MIN", "MAX"))

    def value(self, world: World) -> int:
        return int(self.of(world).call(self.getter))

    def outside(self, world: World) -> list[int]:
        """Just outside, and as far as the type goes."""
        low, high = self.bounds(world)
        values = {low - 1, 0, high + 1, 2**self.bits - 1} - {low}
        return sorted(value for value in values if not low <= value <= high and 0 <= value < 2**self.bits)


def parameters_of(name: str, functions: Any) -> Iterator[Parameter]:
    """The setters in an ABI. What looks like one and takes no single number must be in NOT_NUMBERS."""
    for function in functions:
        if not SETTER.fullmatch(function["name"]) or function["stateMutability"] in ("view", "pure"):
            continue
        if (name, function["name"]) in NOT_NUMBERS:
            continue
        kinds = [part["type"] for part in function["inputs"]]
        assert len(kinds) == 1, f"{name}.{function['name']} takes {kinds}: a setter takes one number"
        assert re.fullmatch(r"uint\d+", kinds[0]), f"{name}.{function['name']} takes {kinds}: a setter takes one number"
        yield Parameter(name, function["name"], int(kinds[0].removeprefix("uint")))


PARAMETERS = [found for name in artifact_names() for found in parameters_of(name, codec_of(name).functions)]
OF_THE_GOVERNOR = [p for p in PARAMETERS if p.contract == "NearcastGovernor"]
OF_THE_OTHERS = [p for p in PARAMETERS if p.contract != "NearcastGovernor"]
SLOW = settings(max_examples=2_000 if is_nightly() else 15)


def by_timelock(world: World, parameter: Parameter, value: int) -> None:
    """As the timelock's own call, after its whole delay. Raises Reverted with the contract's own error."""
    call = (parameter.of(world), 0, parameter.of(world).encode(parameter.setter, value), bytes(32), bytes(32))
    delay_s = world.timelock.call("getMinDelay")
    world.timelock.transact("schedule", *call, delay_s, sender=world.governor)
    world.travel(delay_s)
    world.timelock.transact("execute", *call, sender=world.accounts[0])


def make_room(world: World, parameter: Parameter) -> None:
    if (parameter.contract, parameter.setter) in ROOM:
        name, setter, value = ROOM[parameter.contract, parameter.setter]
        world.contract(name).transact(setter, value, sender=world.timelock)


def test_the_walk_sees_all_of_them() -> None:
    """As of this writing; more is fine."""
    assert {str(p) for p in PARAMETERS} >= {
        "Registry.setBondFactor",
        "Registry.setBondExponentFifths",
        "Registry.setUnbondingPeriod",
        "Registry.setVoteAgeRamp",
        "Registry.setVoteCapBps",
        "Blacklist.setComplianceWindow",
        "Blacklist.setEmergencyWindow",
        "Blacklist.setEmergencyLapse",
        "Blacklist.setSevereLapse",
        "Court.setChallengeBond",
        "Court.setRevealDelay",
        "Court.setRevealWindow",
        "Court.setMaxEvidenceAge",
        "Court.setRateWindowBlocks",
        "Court.setRewardBps",
        "NearcastGovernor.setVotingDelay",
        "NearcastGovernor.setVotingPeriod",
        "NearcastGovernor.setProposalThresholdBps",
        "NearcastGovernor.setQuorumBps",
        "NearcastGovernor.setLateQuorumVoteExtension",
        "NearcastTimelock.updateDelay",
    }


@pytest.mark.parametrize("parameter", PARAMETERS, ids=str)
def test_the_first_value_is_within_bounds(world: World, parameter: Parameter) -> None:
    low, high = parameter.bounds(world)
    assert low < high
    assert low <= parameter.value(world) <= high


@pytest.mark.parametrize("parameter", OF_THE_OTHERS, ids=str)
def test_values_within_bounds_are_taken(world: World, parameter: Parameter) -> None:
    make_room(world, parameter)
    low, high = parameter.bounds(world)
    for value in (low, low + 1, (low + high) // 2, high - 1, high):
        with world.fork():
            by_timelock(world, parameter, value)
            assert parameter.value(world) == value


@pytest.mark.parametrize("parameter", OF_THE_OTHERS, ids=str)
def test_values_outside_bounds_are_refused(world: World, parameter: Parameter) -> None:
    make_room(world, parameter)
    low, high = parameter.bounds(world)
    before = parameter.value(world)
    assert parameter.outside(world)
    for value in parameter.outside(world):
        with world.fork(), pytest.raises(Reverted) as problem:
            by_timelock(world, parameter, value)
        assert (problem.value.name, problem.value.values) == ("OutOfBounds", (value, low, high))
    assert parameter.value(world) == before


def test_the_governors_own_by_vote(world: World) -> None:
    """Its setters can be called by an executed proposal only, so each value here is one."""
    voters = electorate(world, 2)
    assert OF_THE_GOVERNOR
    for parameter in OF_THE_GOVERNOR:
        low, high = parameter.bounds(world)
        for value in (low, high):
            with world.fork():
                by_vote(world, parameter, value, voters)
                assert parameter.value(world) == value
        for value in parameter.outside(world):
            with world.fork(), pytest.raises(Reverted) as problem:
                by_vote(world, parameter, value, voters)
            assert (problem.value.name, problem.value.values) == ("OutOfBounds", (value, low, high))


def by_vote(world: World, parameter: Parameter, value: int, voters: Any) -> None:
    acts = [act(parameter.of(world), parameter.setter, value)]
    Proposal(world, acts, f"{parameter} to {value}").carry(voters).execute(voters[0])


@pytest.mark.parametrize("parameter", PARAMETERS, ids=str)
def test_nobody_else_sets_anything(world: World, parameter: Parameter) -> None:
    value = parameter.value(world)
    senders = [*world.accounts[:3], world.governor, world.registry, world.court, parameter.of(world), bytes(20)]
    for sender in senders:
        if parameter.setter == "updateDelay" and sender == parameter.of(world):
            continue  # the timelock administers itself
        with pytest.raises(Reverted) as problem:
            parameter.of(world).call(parameter.setter, value, sender=sender)
        assert problem.value.name in {"OnlyGovernance", "GovernorOnlyExecutor", "TimelockUnauthorizedCaller"}


def test_evidence_never_outlives_the_unbonding(world: World) -> None:
    """Checked by both setters: stake cannot leave before the last moment at which it can be slashed."""
    registry, court, timelock = world.registry, world.court, world.timelock
    with pytest.raises(Reverted, match="EvidenceOutlivesUnbonding"):
        court.transact("setMaxEvidenceAge", 14 * DAY_S, sender=timelock)
    court.transact("setMaxEvidenceAge", 14 * DAY_S - 1, sender=timelock)
    for value in (7 * DAY_S, 14 * DAY_S - 1):
        with pytest.raises(Reverted, match="EvidenceOutlivesUnbonding"):
            registry.transact("setUnbondingPeriod", value, sender=timelock)
    registry.transact("setUnbondingPeriod", 14 * DAY_S, sender=timelock)
    assert court.call("maxEvidenceAge") < registry.call("unbondingPeriod")


ANY_VALUE = st.one_of(st.integers(0, 10_000), st.integers(0, 100 * DAY_S), st.integers(0, 2**256 - 1))


@pytest.mark.timeout(3_600)  # at night
@SLOW
@given(st.lists(st.tuples(st.sampled_from(OF_THE_OTHERS), ANY_VALUE, st.floats(0, 1)), max_size=25))
def test_all_is_in_bounds_after_any_sequence(changes: list[tuple[Parameter, int, float]]) -> None:
    with shared().fork() as world:
        for parameter, value, part in changes:
            low, high = parameter.bounds(world)
            value = value if value % 2 else int(low - 2 + (high - low + 4) * part) % 2**256
            try:
                sender = parameter.of(world) if parameter.setter == "updateDelay" else world.timelock
                parameter.of(world).transact(parameter.setter, value, sender=sender)
            except Reverted as problem:
                is_refusal = problem.name in {"OutOfBounds", "EvidenceOutlivesUnbonding"}
                assert is_refusal, f"{parameter} {value}: {problem}"  # noqa: PT017 - either way of ending is right
        for parameter in PARAMETERS:
            low, high = parameter.bounds(world)
            assert low <= parameter.value(world) <= high, parameter
        assert world.court.call("maxEvidenceAge") < world.registry.call("unbondingPeriod")


def test_what_is_no_number_is_explained() -> None:
    words = (Path(__file__).parents[2] / "contracts" / "README.md").read_text()
    for contract, setter in NOT_NUMBERS:
        assert f"`{contract}.{setter}`" in words


def test_the_walk_can_fail(world: World) -> None:
    unbounded = Parameter("Registry", "setFee", 256)
    with pytest.raises(AssertionError, match="FEE_MIN"):
        unbounded.bounds(world)
    odd = {"name": "setFees", "stateMutability": "nonpayable", "inputs": [{"type": "uint256"}, {"type": "uint256"}]}
    with pytest.raises(AssertionError, match="one number"):
        list(parameters_of("Registry", [odd]))

"""Votes: bonded stake × age, capped, as it was at any past moment; compared with the model over generated histories."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.contracts.codec import Reverted
from tests.contracts.registrations import Node, allow, join, node_of
from tests.contracts.stake_model import Refused, StakeModel
from tests.contracts.world import DAY_S, DOLLAR, World, shared
from tests.depth import is_nightly

RAMP_S = 180 * DAY_S
OPERATORS = (1, 2, 3)
CROWD = (6, 7, 8, 9)  # whose stake is so large that the cap does not hide what the operators' is worth


def votes(world: World, node: Any) -> int:
    return int(world.registry.call("getVotes", node))


def past_votes(world: World, node: Any, at_s: int) -> int:
    return int(world.registry.call("getPastVotes", node, at_s))


@pytest.fixture
def crowded(world: World) -> World:
    """Enough stake of others that the cap binds nobody who is tested."""
    for index in (7, 8, 9):
        other = join(world, index, mbps=1_000)
        world.registry.transact("topUp", other, 8_000 * DOLLAR, sender=other)
    world.registry.transact("setVoteCapBps", 2_500, sender=world.timelock)
    return world


def test_votes_ripen_over_the_ramp(crowded: World) -> None:
    node = join(crowded, 1, mbps=1_000)
    found = crowded.registry.call("node", node)
    bonded, since = found.bonded, found.voteSince
    for age_s in (0, 1, DAY_S, RAMP_S // 2, RAMP_S - 1, RAMP_S, RAMP_S + 1, 3 * RAMP_S):
        crowded.travel_to(since + age_s)
        assert votes(crowded, node) == bonded * min(age_s, RAMP_S) // RAMP_S


def test_stake_of_a_moment_has_no_votes(crowded: World) -> None:
    """However much is lent for one transaction, block or day: it has no age, and it cannot leave before the period."""
    node = join(crowded, 1)
    crowded.registry.transact("topUp", node, 9_000 * DOLLAR, sender=node)
    assert votes(crowded, node) <= 9_100 * DOLLAR * 2 // RAMP_S
    with pytest.raises(Reverted, match="NothingToWithdraw"):
        crowded.registry.transact("withdraw", node, sender=node)


def test_a_top_up_brings_no_age_of_its_own(crowded: World) -> None:
    node = join(crowded, 1)
    crowded.travel(RAMP_S // 2)
    before = votes(crowded, node)
    done = crowded.registry.transact("topUp", node, 5_000 * DOLLAR, sender=node)
    crowded.travel_to(done.timestamp_s)
    assert before <= votes(crowded, node) <= before + 5_000 * DOLLAR // RAMP_S + 10  # a second of rounding at most


def test_very_old_stake_carries_nothing_over_the_ramp(crowded: World) -> None:
    """Ten years of a small stake, averaged with a large new one, would be more than the ramp if they counted."""
    node = join(crowded, 1)
    crowded.travel(20 * RAMP_S)
    before = votes(crowded, node)
    done = crowded.registry.transact("topUp", node, 5_000 * DOLLAR, sender=node)
    crowded.travel_to(done.timestamp_s)
    assert votes(crowded, node) - before <= 5_000 * DOLLAR // RAMP_S + 10


def test_dust_from_strangers_does_not_keep_stake_young(crowded: World) -> None:
    node = join(crowded, 1, mbps=1_000)
    crowded.travel(RAMP_S // 2)
    stranger = crowded.accounts[5]
    allow(crowded, stranger)
    before, since = votes(crowded, node), crowded.registry.call("node", node).voteSince
    for _ in range(20):
        crowded.registry.transact("topUp", node, 1, sender=stranger)
    assert crowded.registry.call("node", node).voteSince == since
    assert votes(crowded, node) >= before


def test_nobody_passes_the_cap(world: World) -> None:
    nodes = [join(world, index, mbps=1_000) for index in (1, 2, 3)]
    world.registry.transact("topUp", nodes[0], 8_000 * DOLLAR, sender=nodes[0])
    world.travel(2 * RAMP_S)
    total = world.registry.call("totalBonded")
    for node in nodes:
        assert votes(world, node) == total * 500 // 10_000
    world.registry.transact("setVoteCapBps", 2_500, sender=world.timelock)
    assert votes(world, nodes[0]) == total * 2_500 // 10_000
    assert votes(world, nodes[1]) == world.registry.call("stakeOf", nodes[1]).bonded


def test_unbonding_stake_neither_votes_nor_counts(world: World) -> None:
    first, second = join(world, 1, mbps=1_000), join(world, 2, mbps=1_000)
    world.travel(RAMP_S)
    before_s = world.registry.transact("deregister", sender=first).timestamp_s - 1
    assert votes(world, first) == 0
    bond = world.registry.call("stakeOf", second).bonded
    assert world.registry.call("totalBonded") == bond
    world.mine()
    assert past_votes(world, first, before_s) == 2 * bond * 500 // 10_000
    assert past_votes(world, first, before_s + 1) == 0
    assert world.registry.call("getPastTotalSupply", before_s) == 2 * bond
    assert world.registry.call("getPastTotalSupply", before_s + 1) == bond


def test_a_slash_ends_the_votes_and_they_ripen_anew(crowded: World) -> None:
    node = join(crowded, 1, mbps=1_000)
    crowded.travel(RAMP_S)
    done = crowded.registry.transact("slash", node, 500, crowded.accounts[0], sender=crowded.registry.call("court"))
    crowded.mine()
    assert past_votes(crowded, node, done.timestamp_s - 1) > 0
    assert past_votes(crowded, node, done.timestamp_s) == 0
    crowded.travel_to(done.timestamp_s + RAMP_S // 2)
    assert votes(crowded, node) == crowded.registry.call("stakeOf", node).bonded // 2


def test_new_rules_move_no_past_vote(world: World) -> None:
    node = join(world, 1, mbps=1_000)
    join(world, 2, mbps=1_000)
    world.travel(RAMP_S // 4)
    world.mine()
    at_s = world.now_s - 1
    before = past_votes(world, node, at_s), world.registry.call("getPastTotalSupply", at_s)
    world.registry.transact("setVoteAgeRamp", 30 * DAY_S, sender=world.timelock)
    world.registry.transact("setVoteCapBps", 100, sender=world.timelock)
    world.travel(DAY_S)
    assert (past_votes(world, node, at_s), world.registry.call("getPastTotalSupply", at_s)) == before
    assert votes(world, node) < before[0]


def test_only_the_past_can_be_asked(world: World) -> None:
    node = join(world, 1)
    for function, args in {"getPastVotes": (node,), "getPastTotalSupply": ()}.items():
        with pytest.raises(Reverted) as problem:
            world.registry.transact(function, *args, world.now_s, sender=node)
        assert problem.value.name == "ERC5805FutureLookup"
    assert world.registry.call("CLOCK_MODE") == "mode=timestamp"


# --- against the model -----------------------------------------------------------------------------------------------

WHO = st.sampled_from(OPERATORS)
MBPS = st.sampled_from([1, 2, 50, 100, 101, 500, 1_000, 5_000])
UNITS = st.one_of(st.integers(0, 2), st.integers(1, 4_000 * DOLLAR))
STEPS = st.one_of(
    st.tuples(st.just("register"), WHO, MBPS),
    st.tuples(st.just("update"), WHO, MBPS),
    st.tuples(st.just("top_up"), WHO, UNITS),
    st.tuples(st.just("unbond"), WHO, UNITS),
    st.tuples(st.sampled_from(["deregister", "withdraw", "eject", "un_eject"]), WHO, st.just(0)),
    st.tuples(st.just("slash"), WHO, st.sampled_from([0, 1, 500, 1_500, 5_000, 5_000])),
    st.tuples(st.just("ramp"), st.just(0), st.integers(30 * DAY_S, 720 * DAY_S)),
    st.tuples(st.just("cap"), st.just(0), st.integers(100, 2_500)),
    st.tuples(st.just("factor"), st.just(0), st.integers(50_000, 500_000)),
)
# Same second (two blocks may share one), a second, days, beyond the ramp.
WAITS = st.one_of(st.integers(0, 1), st.integers(1, 20 * DAY_S), st.sampled_from([14 * DAY_S, 200 * DAY_S]))


class Pair:
    """A world and its model, told the same."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.model = StakeModel()
        self.nodes: dict[int, Node] = {who: node_of(world, who) for who in (*OPERATORS, *CROWD)}
        self.slashed = 0
        for node in self.nodes.values():
            allow(world, node)
        self.started_s = self.now_s = world.engine.head.timestamp_s

    def set_the_scene(self) -> None:
        self.step("cap", 0, 2_500, 0)
        for who in (*OPERATORS[:2], *CROWD):
            self.step("register", who, 1_000, 0)
        for who in CROWD:
            self.step("top_up", who, 9_000 * DOLLAR, 0)

    def step(self, action: str, who: int, value: int, wait_s: int) -> None:
        self.now_s += wait_s
        wanted, refused = None, None
        try:
            wanted = self._of_model(action, who, value)
        except Refused as problem:
            refused = problem.args[0]
        self.world.travel_to(self.now_s)
        try:
            self._of_world(action, who, value)
            answer = None
        except Reverted as problem:
            answer = problem.name
        assert answer == refused, f"{action} {who} {value}"
        self.slashed += wanted or 0

    def _of_model(self, action: str, who: int, value: int) -> int | None:
        model, now = self.model, self.now_s
        if action in ("ramp", "cap"):
            {"ramp": model.ramps, "cap": model.caps}[action].append((now, value))
        elif action == "factor":
            model.factor = value
        elif action == "un_eject":
            model.un_eject(who)
        elif action in ("deregister", "withdraw", "eject"):
            getattr(model, action)(who, now)
        else:
            result: int | None = getattr(model, action)(who, value, now)
            return result
        return None

    def _of_world(self, action: str, who: int, value: int) -> None:
        registry, timelock = self.world.registry, self.world.timelock
        setters = {"ramp": "setVoteAgeRamp", "cap": "setVoteCapBps", "factor": "setBondFactor"}
        if action in setters:
            registry.transact(setters[action], value, sender=timelock)
            return
        node = self.nodes[who]
        if action in ("register", "update"):
            digest = registry.call("hotKeyDigest", node, node.hot_key, registry.call("nonces", node))
            signatures = (b"", node.hot_key.sign(digest), bytes(64))  # true where the contract looks, and quick
            registry.transact(action, node.but(mbps=value).record, *signatures, sender=node)
            return
        calls: dict[str, tuple[str, tuple[Any, ...], Any]] = {
            "top_up": ("topUp", (node, value), node),
            "unbond": ("unbond", (value,), node),
            "deregister": ("deregister", (), node),
            "withdraw": ("withdraw", (node,), node),
            "eject": ("eject", (node,), timelock),
            "un_eject": ("unEject", (node,), timelock),
            "slash": ("slash", (node, value, self.world.accounts[0]), registry.call("court")),
        }
        function, args, sender = calls[action]
        registry.transact(function, *args, sender=sender)

    def compare(self, moments: list[int]) -> None:
        registry = self.world.registry
        for who in OPERATORS:
            node = self.nodes[who]
            operator, found = self.model.of(who), registry.call("node", node)
            assert (found.registered, found.ejected, found.active) == (
                operator.registered,
                operator.ejected,
                operator.active,
            )
            assert (found.bonded, found.unbonding) == (operator.bonded, operator.unbonding)
            amounts, times = registry.call("unbondings", node)
            assert list(zip(amounts, times, strict=True)) == [(t.amount, t.available_at) for t in operator.tranches]
        everyone = self.model.operators.values()
        assert registry.call("totalBonded") == sum(operator.bonded for operator in everyone)
        held = self.world.token.call("balanceOf", registry)
        assert held == sum(operator.bonded + operator.unbonding for operator in everyone)
        for at_s in moments:
            assert registry.call("getPastTotalSupply", at_s) == self.model.total(at_s)
            for who in OPERATORS:
                found_votes = past_votes(self.world, self.nodes[who], at_s)
                assert found_votes == self.model.votes(who, at_s), (who, at_s)
                assert found_votes <= self.model.total(at_s) * 2_500 // 10_000


OLD_STAKE_GROWS = [(("ramp", 0, 30 * DAY_S), 0), (("top_up", 1, 4_000 * DOLLAR), 200 * DAY_S)]
RIPE_TO_THE_SECOND = [(("deregister", 1, 0), 5), (("withdraw", 1, 0), 14 * DAY_S)]
A_CHEAPER_CURVE = [(("factor", 0, 50_000), 1), (("unbond", 1, 1), 1)]
EXACTLY_HALF_IS_LEFT = [(("slash", 1, 5_000), 1)]
PARTS_ARE_SLASHED = [
    (("top_up", 1, 300 * DOLLAR), 1),
    (("unbond", 1, 200 * DOLLAR), 1),
    (("unbond", 1, 100 * DOLLAR), DAY_S),
    (("slash", 1, 5_000), 1),
    (("slash", 1, 5_000), 1),
    (("slash", 1, 500), 1),
]


@pytest.mark.timeout(3_600)  # at night
@settings(max_examples=2_000 if is_nightly() else 20)
@example(steps=OLD_STAKE_GROWS, fractions=[1])
@example(steps=RIPE_TO_THE_SECOND, fractions=[0.5])
@example(steps=A_CHEAPER_CURVE, fractions=[0.5])
@example(steps=EXACTLY_HALF_IS_LEFT, fractions=[0.5])
@example(steps=PARTS_ARE_SLASHED, fractions=[0.5])
@given(
    steps=st.lists(st.tuples(STEPS, WAITS), min_size=1, max_size=40),
    fractions=st.lists(st.floats(0, 1), min_size=1, max_size=6),
)
def test_the_registry_follows_the_model(steps: list[tuple[tuple[str, int, int], int]], fractions: list[float]) -> None:
    with shared().fork() as world:
        pair = Pair(world)
        pair.set_the_scene()
        changes_s = []
        for (action, who, value), wait_s in steps:
            pair.step(action, who, value, wait_s)
            changes_s.append(pair.now_s)
        end_s = pair.now_s + 1
        world.travel_to(end_s)
        moments = [int(pair.started_s + (pair.now_s - pair.started_s) * part) for part in fractions]
        newest_s = changes_s[-6:]
        pair.compare([*moments, *newest_s, *(at_s - 1 for at_s in newest_s)])

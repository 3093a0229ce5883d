"""The properties of stake, blacklist, court and parameters by name, each shown on bytecode with drawn amounts.

The machine in test_machine_court.py asks the same after every act of anybody; inv_honest_trace_never_slashable has a
file of its own (test_honest_transcripts.py). inv_params_in_bounds_after_any_governance_sequence: here in short, and for
every parameter of every ABI in test_bounds.py.
"""

import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contracts.codec import Reverted
from tests.contracts.court_stage import CLIENT, COPYRIGHT, ROOT, SEVERE, courtroom
from tests.contracts.registrations import join, node_of, send, sign
from tests.contracts.stake_model import StakeModel
from tests.contracts.world import DAY_S, DOLLAR, shared
from tests.depth import is_nightly

from nearcast.chain.evidence import EVERYWHERE

QUICK = settings(max_examples=500 if is_nightly() else 8)
MBPS = st.integers(1, 5_000)


@QUICK
@given(MBPS, MBPS, st.integers(0, 10**9), st.integers(1, 5_000))
def test_inv_active_implies_bond_ge_curve(first: int, second: int, taken: int, bps: int) -> None:
    """As the curve was at the last declaration, through updates, unbonding, slashes and a dearer curve."""
    with shared().fork() as world:
        node = join(world, 1, mbps=first)
        curve = StakeModel()

        def check(mbps: int) -> None:
            seen = world.registry.call("node", node)
            assert not seen.active or seen.bonded >= curve.bond_for(mbps)

        check(first)
        send(world, sign(world, node.but(mbps=second)), "update")
        check(second)
        world.registry.transact("setBondFactor", 2_500_000, sender=world.timelock)
        check(second)
        for act in (("unbond", taken), ("topUp", node, 3)):
            try:
                world.registry.transact(*act, sender=node)
            except Reverted as refused:
                assert refused.name in ("BondTooLow", "ZeroAmount")  # noqa: PT017 - either way of ending is right
            check(second)
        world.registry.transact("slash", node, bps, world.court, sender=world.court)
        check(second)


@QUICK
@given(st.integers(0, 14 * DAY_S - 1), st.integers(0, 6 * 3_600))
def test_inv_unbonding_slashable(gone_s: int, late_s: int) -> None:
    """From leaving until the money is taken out, all of it can be reached; the offer was made before."""
    with shared().fork() as world:
        room = courtroom(world)
        room.list_and_wait()
        offer = room.blacklisted()
        stake = room.stake()
        world.travel(late_s)
        world.registry.transact("deregister", sender=room.node)
        age_s = world.court.call("maxEvidenceAge")
        world.travel(min(gone_s, age_s - late_s - 120))
        with pytest.raises(Reverted, match="NothingToWithdraw"):
            world.registry.transact("withdraw", room.node, sender=room.node)
        assert room.challenge(offer).event("Convicted").amount == stake * 500 // 10_000
        assert room.stake() == stake - stake * 500 // 10_000


@QUICK
@given(st.lists(st.tuples(st.booleans(), st.integers(DAY_S, 60 * DAY_S)), max_size=8))
def test_inv_evidence_age_lt_unbonding(changes: list[tuple[bool, int]]) -> None:
    """Whatever governance sets in whatever order."""
    with shared().fork() as world:
        for is_age, value in changes:
            contract, setter = (world.court, "setMaxEvidenceAge") if is_age else (world.registry, "setUnbondingPeriod")
            try:
                contract.transact(setter, value, sender=world.timelock)
            except Reverted as refused:
                assert refused.name in ("EvidenceOutlivesUnbonding", "OutOfBounds")  # noqa: PT017
            assert world.court.call("maxEvidenceAge") < world.registry.call("unbondingPeriod")


@QUICK
@given(st.lists(st.integers(0, 2**256 - 1) | st.integers(0, 6_000), max_size=8))
def test_inv_params_in_bounds_after_any_governance_sequence(values: list[int]) -> None:
    with shared().fork() as world:
        for value in values:
            before = world.court.call("rewardBps")
            try:
                world.court.transact("setRewardBps", value, sender=world.timelock)
            except Reverted as refused:
                assert refused.name == "OutOfBounds"  # noqa: PT017 - either way of ending is right
                assert world.court.call("rewardBps") == before
            assert world.court.call("rewardBps") <= world.court.call("REWARD_BPS_MAX") == 5_000


@QUICK
@given(st.integers(0, 3), st.booleans(), st.integers(0, 2**64 - 1))
def test_inv_no_double_slash(again: int, by_another: bool, size: int) -> None:
    """The same content on the same day is one offence: not by the same offer, another one, or another challenger."""
    with shared().fork() as world:
        room = courtroom(world)
        room.list_and_wait()
        start = world.engine.head.timestamp_s // DAY_S * DAY_S + DAY_S
        world.travel_to(start)
        world.mine(1 + again)
        first = room.blacklisted()
        second = room.blacklisted(room.offer(size_bytes=size, client=CLIENT[::-1]))
        room.challenge(first)
        stake = room.stake()
        for evidence in (first, second):
            done = room.challenge(evidence, who=world.accounts[3] if by_another else None)
            assert done.event("AlreadyPunished")
        assert room.stake() == stake
        assert world.court.call("convictions", room.node) == 1


@QUICK
@given(st.integers(0, 5_000), st.integers(1, 3))
def test_inv_reward_le_half(reward_bps: int, offences: int) -> None:
    """Whatever is set: who slashes himself loses at least half, and nothing is lost on the way."""
    with shared().fork() as world:
        room = courtroom(world)
        room.set("rewardBps", reward_bps)
        for number in range(offences):
            root = keccak(b"%d" % number)
            room.list_and_wait(root)
            convicted = room.challenge(room.blacklisted(room.offer(root=root))).event("Convicted")
            assert convicted.reward == convicted.amount * reward_bps // 10_000 <= convicted.amount // 2
        docket = room.docket()
        held = docket.units + docket.bond + world.court.call("treasuryUnits")
        assert room.balance(world.court) == held


@QUICK
@given(st.sampled_from(["add", "addEmergency"]), st.integers(3_600, 7 * DAY_S), st.integers(3_600, 7 * DAY_S))
def test_inv_effective_at_immutable(how: str, at_first: int, later: int) -> None:
    """Stamped when added, at least an hour ahead; windows that change, ratifying, pruning others: nothing moves it."""
    with shared().fork() as world:
        window = "setComplianceWindow" if how == "add" else "setEmergencyWindow"
        world.blacklist.transact(window, at_first, sender=world.timelock)
        who = world.timelock if how == "add" else world.accounts[0]
        done = world.blacklist.transact(how, ROOT, EVERYWHERE, COPYRIGHT, sender=who)
        effective_s = done.timestamp_s + at_first
        world.blacklist.transact(window, later, sender=world.timelock)
        for act, digest, reason in (("ratify", ROOT, []), (how, ROOT, [SEVERE]), (how, keccak(ROOT), [SEVERE])):
            try:
                sender = who if act == how else world.timelock
                world.blacklist.transact(act, digest, EVERYWHERE, *reason, sender=sender)
            except Reverted as refused:
                assert refused.name in ("NeverLapses", "AlreadyListed")  # noqa: PT017 - it is not a lapsing one, or there
            assert world.blacklist.call("entry", ROOT, EVERYWHERE).effectiveAt == effective_s
        assert not world.blacklist.call("countsAt", ROOT, EVERYWHERE, effective_s - 1)
        assert world.blacklist.call("countsAt", ROOT, EVERYWHERE, effective_s)


@QUICK
@given(st.sampled_from(["challenger", "operator", "treasury"]), st.integers(1, 2_000))
def test_inv_blacklisted_party_blocks_no_slash(frozen: str, mbps: int) -> None:
    """An account that the dollar has frozen stops neither the slash nor another's way out."""
    with shared().fork() as world:
        room = courtroom(world)
        other = node_of(world, 5, mbps=1)
        room.pay_in(20 * DOLLAR)
        room.list_and_wait()
        evidence = room.blacklisted()
        room.commit(evidence)
        parties = {"challenger": room.challenger, "operator": room.node, "treasury": world.timelock}
        world.token.transact("blacklist", parties[frozen], sender=world.accounts[0])
        room.wait()
        assert room.reveal(evidence).event("Convicted")
        join(world, 6, mbps=mbps)
        world.registry.transact("deregister", sender=world.accounts[6])
        world.travel(14 * DAY_S)
        assert world.registry.transact("withdraw", other, sender=world.accounts[6]).event("Withdrawn")

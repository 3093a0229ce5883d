"""Nodes, the blacklist and the court against their models: any order, true and false evidence, terms that change.

After every step everything that the three contracts say is compared with the models, and the properties ask the
contracts alone.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from tests.contracts.accounts import high_s, key_of
from tests.contracts.court_play import (
    BODY,
    CHALLENGERS,
    CLIENTS,
    GUARDIAN,
    OPERATORS,
    REGIONS,
    ROOTS,
    SCOPES,
    STRANGER,
    CourtPlay,
    root_of,
)
from tests.contracts.digests import offer_digest
from tests.contracts.effort import machine_settings
from tests.contracts.model_court import EVERYWHERE, SignedOffer
from tests.contracts.registrations import UNLIMITED, allow
from tests.contracts.world import DAY_S, DOLLAR, World

ANY_OPERATOR, ANY_CHALLENGER = st.sampled_from(OPERATORS), st.sampled_from(CHALLENGERS)
ANY_ROOT, ANY_SCOPE = st.sampled_from(ROOTS), st.sampled_from(SCOPES)
WHO = st.sampled_from([None, None, None, GUARDIAN, BODY, STRANGER])  # None: whoever may
STAKING = ["deregister", "withdraw", "topUp", "unbond"]
TERMS = {
    "challengeBond": ("bond_units", [DOLLAR, 10 * DOLLAR, 20 * DOLLAR]),
    "revealDelay": ("delay_s", [30, 60, 3_600]),
    "revealWindow": ("window_s", [3_600, DAY_S, 7 * DAY_S]),
    "maxEvidenceAge": ("age_s", [DAY_S, 5 * DAY_S, 6 * DAY_S]),
    "rateWindowBlocks": ("rate_window", [1, 15, 300]),
    "rewardBps": ("reward_bps", [0, 2_500, 5_000]),
}
WINDOWS = {
    "complianceWindow": ("compliance_s", [3_600, DAY_S, 7 * DAY_S]),
    "emergencyWindow": ("emergency_s", [3_600, 7_200]),
    "emergencyLapse": ("emergency_lapse_s", [DAY_S, 14 * DAY_S]),
    "severeLapse": ("severe_lapse_s", [14 * DAY_S, 90 * DAY_S]),
}


class CourtMachine(CourtPlay):
    """The rules, and what must always hold."""

    @initialize()
    def begin(self) -> None:
        world = self.world
        self.govern(world.blacklist, "setRegionalBody", b"FR", world.accounts[BODY])
        for n in OPERATORS:
            allow(world, self.nodes[n])
            self.record(n, self.nodes[n], "register")
        for n in CHALLENGERS:
            world.token.transact("approve", world.court, UNLIMITED, sender=world.accounts[n])

    # --- nodes ---

    @rule(n=ANY_OPERATOR, mbps=st.sampled_from([50, 100, 200]), region=st.sampled_from(REGIONS), key=st.integers(0, 2))
    def update(self, n: int, mbps: int, region: bytes, key: int) -> None:
        node = self.nodes[n].but(mbps=mbps, region=region, hot_key=key_of(f"hot key {n} {key}"))
        self.record(n, node, "update")

    @rule(n=ANY_OPERATOR, what=st.sampled_from([*STAKING, "register"]), units=st.integers(0, 99))
    def stake(self, n: int, what: str, units: int) -> None:
        if what == "register":
            return self.record(n, self.nodes[n], what)
        node, now_s, registry = self.nodes[n], self.now_s, self.world.registry
        acts: dict[str, tuple[Callable[[], Any], tuple[Any, ...]]] = {
            "deregister": (lambda: self.model.stakes.deregister(n, now_s), ()),
            "withdraw": (lambda: self.model.stakes.withdraw(n, now_s), (node.address,)),
            "topUp": (lambda: self.model.stakes.top_up(n, units * DOLLAR, now_s), (node.address, units * DOLLAR)),
            "unbond": (lambda: self.model.stakes.unbond(n, units * DOLLAR, now_s), (units * DOLLAR,)),
        }
        expected, args = acts[what]
        self.both(expected, lambda: registry.transact(what, *args, sender=node.operator))
        self.model.retire_of_the_gone(now_s)
        return None

    # --- the blacklist ---

    @rule(root=ANY_ROOT, scope=ANY_SCOPE, who=WHO)
    def add(self, root: bytes, scope: bytes, who: int | None) -> None:
        now_s = self.now_s
        self.list_as(
            who,
            self.world.timelock,
            "OnlyGovernance",
            lambda: self.model.blacklist.add(root, scope, 2, now_s),
            "add",
            root,
            scope,
            2,
        )

    @rule(root=ANY_ROOT, scope=ANY_SCOPE, reason=st.sampled_from([1, 128]), who=WHO)
    def add_emergency(self, root: bytes, scope: bytes, reason: int, who: int | None) -> None:
        now_s, guardian = self.now_s, self.world.accounts[GUARDIAN]
        self.list_as(
            who,
            guardian,
            "OnlyGuardian",
            lambda: self.model.blacklist.add_emergency(root, scope, reason, now_s),
            "addEmergency",
            root,
            scope,
            reason,
        )

    @rule(root=ANY_ROOT, scope=ANY_SCOPE, days=st.sampled_from([1, 14, 15]), what=st.sampled_from(["ratify", "prune"]))
    def emergency_and_after(self, root: bytes, scope: bytes, days: int, what: str) -> None:
        """Ratified in time or too late, pruned or not yet, and perhaps listed by the guardian again."""
        self.add_emergency(root=root, scope=scope, reason=1, who=None)
        self.time_passes(seconds=days * DAY_S)
        self.change(root=root, scope=scope, what=what, who=None)
        self.add_emergency(root=root, scope=scope, reason=128, who=None)

    @rule(root=ANY_ROOT, what=st.sampled_from(["addRegional", "addRegional", "removeRegional"]), who=WHO)
    def regional(self, root: bytes, what: str, who: int | None) -> None:
        now_s, body = self.now_s, self.world.accounts[BODY]

        def expected() -> None:
            if what == "addRegional":
                self.model.blacklist.add_regional(root, b"FR", 3, now_s)
            else:
                self.model.blacklist.remove_regional(root, b"FR", now_s)

        reason = (3,) if what == "addRegional" else ()
        self.list_as(who, body, "OnlyRegionalBody", expected, what, root, b"FR", *reason)

    @rule(root=ANY_ROOT, scope=ANY_SCOPE, what=st.sampled_from(["remove", "ratify", "ratify", "prune"]), who=WHO)
    def change(self, root: bytes, scope: bytes, what: str, who: int | None) -> None:
        now_s = self.now_s
        right = self.world.timelock if what != "prune" else self.world.accounts[STRANGER]
        self.list_as(
            None if what == "prune" else who,
            right,
            "OnlyGovernance",
            lambda: getattr(self.model.blacklist, what)(root, scope, now_s),
            what,
            root,
            scope,
        )

    # --- offers ---

    @rule(
        n=ANY_OPERATOR,
        root=ANY_ROOT,
        client=st.sampled_from(CLIENTS),
        price=st.sampled_from([100, 200]),
        back=st.sampled_from([0, 0, 1, 3]),
        kind=st.sampled_from(["hot key"] * 6 + ["stranger", "other court", "high s"]),
    )
    def offer(self, n: int, root: bytes, client: bytes, price: int, back: int, kind: str) -> None:
        """Signed, or as good as: on one of the last blocks."""
        engine, court = self.world.engine, self.world.court.address
        header = engine.block(max(0, engine.head.number - back)).header
        made = (root, client, price, 1 << 30, header.number, header.hash)
        key = self.nodes[n].hot_key if kind != "stranger" else key_of("stranger")
        domain_of = court if kind != "other court" else self.world.registry.address
        signature = key.sign(offer_digest(domain_of, made))
        signer: bytes | None = key.address if kind != "other court" else bytes(20)  # who that would be, nobody knows
        if kind == "high s":
            signature, signer = high_s(signature), None
        seen = SignedOffer(signer, root, client, price, header.number, header.timestamp_s)
        self.offers.append((made, signature, header.encoded, seen))

    # --- the court ---

    @precondition(lambda self: self.offers)
    @rule(
        n=ANY_CHALLENGER,
        one=st.integers(0, 40),
        other=st.integers(0, 40),
        scope=ANY_SCOPE,
        is_pair=st.booleans(),
        wait=st.sampled_from([60, 61, 3_600, 0, DAY_S + 1]),
        by=st.none() | ANY_CHALLENGER,
    )
    def challenge(self, n: int, one: int, other: int, scope: bytes, is_pair: bool, wait: int, by: int | None) -> None:
        """Commit, wait, reveal: perhaps too early, too late, or what another has committed to."""
        evidence = self.evidence(one, other, scope, is_pair)
        if self.model.of(n).bond:
            self.forfeit(n=n, by=n)
        self.commit_to(n, evidence)
        self.world.travel(wait)
        self.reveal_to(by or n, evidence)

    @precondition(lambda self: self.offers)
    @rule(n=ANY_CHALLENGER, root=ANY_ROOT, scope=ANY_SCOPE, of=ANY_OPERATOR, late=st.sampled_from([0, 1, -1]))
    def offer_what_is_listed(self, n: int, root: bytes, scope: bytes, of: int, late: int) -> None:
        """A node that offers around the second from which an entry counts, and who takes it to court at once."""
        entry = self.blacklist.entries.get((root, scope))
        if entry is None or entry.effective_s + late < self.now_s:
            return
        self.world.travel_to(entry.effective_s + late)
        self.world.mine()
        self.offer(n=of, root=root, client=CLIENTS[0], price=100, back=0, kind="hot key")
        self.challenge(n=n, one=len(self.offers) - 1, other=0, scope=scope, is_pair=False, wait=3_600, by=None)

    @rule(
        n=ANY_CHALLENGER,
        of=ANY_OPERATOR,
        blocks=st.sampled_from([0, 1, 14, 15, 16]),
        price=st.sampled_from([200, 200, 100]),
        leaves=st.booleans(),
    )
    def ask_twice(self, n: int, of: int, blocks: int, price: int, leaves: bool) -> None:
        """Two offers some blocks apart, and who takes both to court at once; the node may be leaving by then."""
        self.offer(n=of, root=ROOTS[0], client=CLIENTS[0], price=100, back=0, kind="hot key")
        self.world.mine(blocks)
        self.offer(n=of, root=ROOTS[0], client=CLIENTS[0], price=price, back=0, kind="hot key")
        if leaves:
            self.stake(n=of, what="deregister", units=0)
        last = len(self.offers) - 1
        self.challenge(n=n, one=last - 1, other=last, scope=EVERYWHERE, is_pair=True, wait=3_600, by=None)

    @rule(n=ANY_CHALLENGER, by=st.sampled_from([*CHALLENGERS, STRANGER]), then_withdraws=st.booleans())
    def forfeit(self, n: int, by: int, then_withdraws: bool = False) -> None:
        challenger, now_s = self.world.accounts[n], self.now_s
        sender = self.world.accounts[by]
        self.both(
            lambda: self.model.forfeit(n, by, now_s),
            lambda: self.world.court.transact("forfeit", challenger, sender=sender),
        )
        if then_withdraws:
            self.both(
                lambda: self.model.withdraw(n),
                lambda: self.world.court.transact("withdraw", challenger, sender=challenger),
            )

    # --- terms and time ---

    @rule(name=st.sampled_from([*TERMS, *WINDOWS]), which=st.integers(0, 2))
    def set_terms(self, name: str, which: int) -> None:
        setter = f"set{name[0].upper()}{name[1:]}"
        contract, model = (self.world.court, self.model) if name in TERMS else (self.world.blacklist, self.blacklist)
        field, values = (TERMS | WINDOWS)[name]
        value = values[which % len(values)]
        self.govern(contract, setter, value)
        setattr(model, field, value)

    @rule(seconds=st.sampled_from([1, 60, 3_600, DAY_S, 6 * DAY_S, 15 * DAY_S, 31 * DAY_S]))
    def time_passes(self, seconds: int) -> None:
        self.world.travel(seconds)
        self.world.mine()

    # --- what must always hold ---

    @invariant()
    def everything_is_as_in_the_models(self) -> None:
        world, model = self.world, self.model
        assert world.court.call("treasuryUnits") == model.treasury
        held = model.treasury
        for n in CHALLENGERS:
            docket, account = world.court.call("docketOf", world.accounts[n]), model.of(n)
            assert docket[:4] == (account.units, account.bond, account.from_s, account.until_s)
            held += account.units + account.bond
        assert world.token.call("balanceOf", world.court) == held  # inv_solvency
        for n in OPERATORS:
            node, stake = world.registry.call("node", self.nodes[n]), model.stakes.of(n)
            assert (node.registered, node.active) == (stake.registered, stake.active)
            assert (node.bonded, node.required, node.unbonding) == (stake.bonded, stake.required, stake.unbonding)
            assert not node.active or node.bonded >= node.required  # inv_active_implies_bond_ge_curve
            assert world.court.call("convictions", self.nodes[n]) == len(model.offences.get(n, []))

    @invariant()
    def the_list_is_as_in_the_model(self) -> None:
        """And no entry's effectiveAt ever moves: inv_effectiveAt_immutable."""
        world = self.world
        version, root, count = world.blacklist.call("snapshot")
        rows = world.blacklist.call("entries", 0, 100)
        assert {tuple(row) for row in rows} == self.blacklist.listed
        assert (version, count) == (self.blacklist.version, len(rows))
        assert root == root_of([tuple(row) for row in rows])
        born = {entry.args[:2]: entry.effectiveAt for entry in self.added()}
        assert all(row.effectiveAt == born[row.digest, row.scope] for row in rows)


@cache
def packaged_world() -> World:
    """The packaged contracts, in a world of their own."""
    return World()


CourtMachine.set_world = packaged_world
TestCourt = CourtMachine.TestCase
TestCourt.settings = machine_settings()

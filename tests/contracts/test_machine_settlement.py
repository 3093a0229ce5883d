"""Payment channels against their model: any order of acts, by anyone, with true and false signatures.

After every step the whole of what can be seen is compared with the model; the invariants ask the bytecode alone.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.contracts.accounts import TestAccount
from tests.contracts.digests import refund_digest
from tests.contracts.effort import machine_settings
from tests.contracts.model_settlement import LARGEST, Happened
from tests.contracts.settlement_stage import FORGERIES, HONEST, Stage
from tests.contracts.world import World

CHANNELS = st.sampled_from([0, 0, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8])
SMALL = st.integers(0, 400)
AMOUNTS = st.one_of(SMALL, SMALL, st.sampled_from([LARGEST, 10**11]))
KINDS = st.one_of(st.just(HONEST), st.just(HONEST), st.just(HONEST), st.sampled_from(FORGERIES))
MORE = st.one_of(st.integers(1, 150), st.integers(1, 150), st.integers(-60, 0), st.integers(151, 400))
ABOVE = st.one_of(st.integers(0, 60), st.integers(0, 60), st.integers(-3, -1))
# a channel, how much more than is claimed, how much more than that is signed, and how
ROWS = st.lists(st.tuples(CHANNELS, MORE, ABOVE, KINDS), min_size=0, max_size=4)
PEOPLE = st.integers(1, 7)
BY = st.one_of(st.none(), st.none(), st.none(), PEOPLE)  # None: whoever may


class SettlementMachine(RuleBasedStateMachine):
    """`set_stage` is asked for the stage, with the contract under test on it."""

    set_stage: ClassVar[Callable[[], Stage]]

    def __init__(self) -> None:
        super().__init__()
        self.undo = ExitStack()
        self.stage = type(self).set_stage().again()
        self.world: World = self.undo.enter_context(self.stage.world.fork())
        self.claimed: list[int] = [0] * len(self.stage.ids)

    def teardown(self) -> None:
        try:
            self.stage.compare()
        finally:
            self.undo.close()

    @initialize()
    def open_some(self) -> None:
        """Most rules say little of empty channels."""
        for at, units in ((0, 500), (2, 300), (3, 400), (4, 200)):
            self.stage.pay_in_by_allowance(at, units)

    def person(self, who: int | None, right: bytes) -> TestAccount:
        """One of the people, or the right one."""
        return self.world.accounts[who] if who is not None else self.stage.keys[right]

    # --- paying in ---

    @rule(at=CHANNELS, units=AMOUNTS)
    def pay_in(self, at: int, units: int) -> None:
        self.stage.pay_in_by_allowance(at, units)

    @rule(at=CHANNELS, units=SMALL, who=PEOPLE)
    def pay_in_with_anothers_allowance(self, at: int, units: int, who: int) -> None:
        self.stage.pay_in_by_allowance(at, units, self.world.accounts[who])

    @rule(at=CHANNELS, units=SMALL, salt=st.integers(0, 2), meant=st.none() | CHANNELS)
    def pay_in_by_signature(self, at: int, units: int, salt: int, meant: int | None) -> None:
        self.stage.pay_in_by_signature(at, units, salt, signed_for=meant)

    @rule(token=st.integers(0, 1), units=SMALL)
    def give_away(self, token: int, units: int) -> None:
        self.stage.give_away(token, units)

    # --- claim and settle ---

    def rows_of(self, drawn: list[tuple[int, int, int, str]]) -> tuple[list[Any], list[Any]]:
        sent, modelled = [], []
        for at, more, above, kind in drawn:
            wanted = max(0, self.stage.model.of(self.stage.ids[at]).claimed + more)
            row, twin = self.stage.row(at, max(0, wanted + above), wanted, kind)
            sent.append(row)
            modelled.append(twin)
        return sent, modelled

    @rule(drawn=ROWS, who=BY)
    def claim(self, drawn: list[tuple[int, int, int, str]], who: int | None) -> None:
        sent, rows = self.rows_of(drawn)
        sender = self.person(who, rows[0].config.receiver if rows else self.stage.stranger.address)
        self.stage.both(
            lambda: self.stage.model.claim(sender.address, rows),
            lambda: self.stage.settlement.transact("claim", sent, sender=sender),
        )

    @rule(at=st.integers(0, 5), more=st.integers(-40, 80), kind=st.sampled_from([HONEST, *FORGERIES]))
    def claim_one(self, at: int, more: int, kind: str) -> None:
        """By who may: what is left to be wrong is the word of the payer."""
        self.claim(drawn=[(at, more, 0, kind)], who=None)

    @rule(drawn=ROWS, signer=BY, tampered=st.sampled_from([False, False, True]))
    def claim_with_signature(self, drawn: list[tuple[int, int, int, str]], signer: int | None, tampered: bool) -> None:
        sent, rows = self.rows_of(drawn)
        sender = self.stage.stranger
        author = self.person(signer, rows[0].config.receiver_authorizer if rows else sender.address)
        signature = author.sign(self.stage.batch_digest(rows[:-1] if tampered else rows))
        signed_by = None if tampered and rows else author.address
        self.stage.both(
            lambda: self.stage.model.claim_with_signature(sender.address, rows, signed_by),
            lambda: self.stage.settlement.transact("claimWithSignature", sent, signature, sender=sender),
        )

    @rule(drawn=ROWS)
    def claim_and_settle(self, drawn: list[tuple[int, int, int, str]]) -> None:
        """One multicall: all of it or nothing."""
        sent, rows = self.rows_of(drawn)
        stage, sender = self.stage, self.stage.receivers[0]
        token = stage.tokens[0]

        def expected() -> Happened:
            happened = stage.model.claim(sender.address, rows)
            return happened + stage.model.settle(sender.address, sender.address, token.address)

        calls = [stage.settlement.encode("claim", sent), stage.settlement.encode("settle", sender, token)]
        stage.both(expected, lambda: stage.settlement.transact("multicall", calls, sender=sender))

    @rule(receiver=PEOPLE, token=st.integers(0, 1), who=PEOPLE)
    def settle(self, receiver: int, token: int, who: int) -> None:
        taker, sender, dollar = self.world.accounts[receiver], self.world.accounts[who], self.stage.tokens[token]
        self.stage.both(
            lambda: self.stage.model.settle(sender.address, taker.address, dollar.address),
            lambda: self.stage.settlement.transact("settle", taker, dollar, sender=sender),
        )

    # --- leaving ---

    @rule(at=CHANNELS, units=AMOUNTS, who=BY)
    def initiate_withdraw(self, at: int, units: int, who: int | None) -> None:
        stage, config = self.stage, self.stage.configs[at]
        sender = self.person(who, config.payer)
        now_s = self.world.now_s
        stage.both(
            lambda: stage.model.initiate_withdraw(sender.address, stage.ids[at], config, units, now_s),
            lambda: stage.settlement.transact("initiateWithdraw", config, units, sender=sender),
        )

    @rule(at=CHANNELS, who=BY)
    def finalize_withdraw(self, at: int, who: int | None) -> None:
        stage, config = self.stage, self.stage.configs[at]
        sender = self.person(who, config.payer)
        now_s = self.world.now_s
        stage.both(
            lambda: stage.model.finalize_withdraw(sender.address, stage.ids[at], config, now_s),
            lambda: stage.settlement.transact("finalizeWithdraw", config, sender=sender),
        )

    @rule(at=CHANNELS, units=st.integers(1, 400), claims=st.booleans(), wait=st.sampled_from([86_400, 900, 898, 0]))
    def leave(self, at: int, units: int, claims: bool, wait: int) -> None:
        """The whole way out, which single rules rarely walk: notice, perhaps a claim, a wait, and out."""
        self.initiate_withdraw(at=at, units=units, who=None)
        if claims:
            self.claim(drawn=[(at, units, 5, HONEST)], who=None)
        self.world.travel(wait)
        self.finalize_withdraw(at=at, who=None)

    @rule(at=CHANNELS, units=AMOUNTS, who=BY)
    def refund(self, at: int, units: int, who: int | None) -> None:
        stage, config = self.stage, self.stage.configs[at]
        sender = self.person(who, config.receiver)
        stage.both(
            lambda: stage.model.refund(sender.address, stage.ids[at], config, units),
            lambda: stage.settlement.transact("refund", config, units, sender=sender),
        )

    @rule(at=CHANNELS, units=AMOUNTS, later=st.sampled_from([0, 0, 0, -1, 1]), signer=BY, other=BY)
    def refund_with_signature(self, at: int, units: int, later: int, signer: int | None, other: int | None) -> None:
        """The signature may be of another nonce, another channel, another person."""
        stage, config, sender = self.stage, self.stage.configs[at], self.stage.stranger
        author = self.person(signer, config.receiver_authorizer)
        nonce = max(0, stage.model.of(stage.ids[at]).refund_nonce + later)
        meant = stage.ids[at if other is None else other]
        signature = author.sign(refund_digest(stage.domain, meant, nonce, units))
        signed_by = author.address if meant == stage.ids[at] else None
        stage.both(
            lambda: stage.model.refund_with_signature(sender.address, stage.ids[at], config, units, nonce, signed_by),
            lambda: stage.settlement.transact("refundWithSignature", config, units, nonce, signature, sender=sender),
        )

    # --- the world around ---

    @rule(seconds=st.sampled_from([1, 600, 900, 3_600, 86_400, 30 * 86_400]))
    def time_passes(self, seconds: int) -> None:
        self.world.travel(seconds)

    @rule(token=st.integers(0, 1), who=st.integers(1, 12), frozen=st.booleans())
    def freeze(self, token: int, who: int, frozen: bool) -> None:
        """People, the settlement itself, and the collectors."""
        self.stage.freeze(token, self.stage.watched[who], frozen)

    # --- what must always hold ---

    @invariant()
    def everything_is_as_in_the_model_and_the_properties_hold(self) -> None:
        """The state is read once, then asked for each property; none of these asks the model."""
        stored = self.stage.stored()
        assert stored == self.stage.foreseen()
        people, count = 2 * len(self.stage.watched), len(self.stage.ids)
        channels, receivers, balances = stored[0 : 3 * count : 3], stored[3 * count : -people], stored[-people:]
        self.inv_claimed_monotone(channels)
        self.inv_payer_loss_le_signed(channels)
        self.inv_solvency(channels, receivers, balances)

    def inv_claimed_monotone(self, channels: list[tuple[int, int]]) -> None:
        claimed = [row[1] for row in channels]
        assert all(before <= now for before, now in zip(self.claimed, claimed, strict=True))
        self.claimed = claimed

    def inv_payer_loss_le_signed(self, channels: list[tuple[int, int]]) -> None:
        for channel, (balance, claimed) in zip(self.stage.ids, channels, strict=True):
            assert claimed <= min(balance, self.stage.signed.get(channel, 0))

    def inv_solvency(
        self, channels: list[tuple[int, int]], receivers: list[tuple[int, int]], balances: list[int]
    ) -> None:
        """Of each token there is at least what is unclaimed in channels and claimed but not paid out."""
        stage = self.stage
        here = stage.watched.index(stage.settlement.address)
        for number, token in enumerate(stage.tokens):
            rows = zip(stage.configs, channels, strict=True)
            owed = sum(row[0] - row[1] for config, row in rows if config.token == token.address)
            owed += sum(claimed - settled for claimed, settled in receivers[number::2])
            assert balances[number * len(stage.watched) + here] >= owed


@cache
def packaged_stage() -> Stage:
    """The packaged contract, in a world of its own."""
    return Stage(World())


SettlementMachine.set_stage = packaged_stage
TestSettlement = SettlementMachine.TestCase
TestSettlement.settings = machine_settings(examples=30, steps=25)

"""When a claim is sent, and with which rows: the decision alone, without a chain."""

from hypothesis import given
from hypothesis import strategies as some

from nearcast.chain.vouchers import ChannelConfig
from nearcast.payments.channel_reads import Escrow
from nearcast.payments.claim_batches import (
    ANSWERS_ANYWAY,
    GAS_ROW,
    GAS_SHARE,
    GAS_TRANSACTION,
    Answer,
    ClaimRules,
    Row,
    all_of,
    decide,
    expected_gas,
    must_claim,
)
from nearcast.payments.withdrawals import Withdrawals

USDC = 10**6
GWEI = 10**9
DELAY_S = 86_400
NOW_S = 1_800_000_000
RULES = ClaimRules(threshold_units=USDC, usdc_per_eth_units=3_000 * USDC)
CHEAP_WEI = GWEI // 100  # a rollup's
DEAR_WEI = 50 * GWEI


def row(number: int, units: int, *, claimed: int = 0, balance: int = 100 * USDC, begun_at: int = 0) -> Row:
    config = ChannelConfig(
        b"\x01" * 20, b"\x02" * 20, b"\x03" * 20, b"\x04" * 20, b"\x05" * 20, DELAY_S, number.to_bytes(32)
    )
    pending_units = balance - claimed if begun_at else 0
    state = Escrow(balance, claimed, pending_units, begun_at)
    return Row(number.to_bytes(32), config, units, b"s" * 65, state)


def chosen(*rows: Row, gas_price_wei: int = CHEAP_WEI, unsettled_units: int = 0) -> list[int]:
    """The numbers of the rows that are sent."""
    decided = decide(rows, RULES, gas_price_wei=gas_price_wei, now_s=NOW_S, answers={}, unsettled_units=unsettled_units)
    return [int.from_bytes(each.channel_id) for each in decided.rows]


def test_nothing_is_sent_below_the_threshold_and_all_of_it_above() -> None:
    assert chosen(row(1, USDC // 2), row(2, USDC // 2 - 1)) == []
    assert chosen(row(1, USDC // 2), row(2, USDC // 2)) == [1, 2]


def test_what_the_chain_has_claimed_is_not_pending() -> None:
    assert chosen(row(1, 5 * USDC, claimed=4 * USDC + 1)) == []
    assert chosen(row(1, 5 * USDC, claimed=4 * USDC)) == [1]
    assert chosen(row(1, 5 * USDC, claimed=6 * USDC)) == []


def test_a_voucher_over_more_than_the_channel_holds_counts_for_what_there_is() -> None:
    over = row(1, 5 * USDC, balance=2 * USDC)
    assert (over.claimable_units, over.claim().total_units, over.claim().voucher.max_claimable_units) == (
        2 * USDC,
        2 * USDC,
        5 * USDC,
    )


def test_it_waits_while_the_gas_is_more_than_a_tenth() -> None:
    cost_units = RULES.cost_units(GAS_TRANSACTION + GAS_ROW, DEAR_WEI)
    assert cost_units == 13_350_000  # 89,000 gas at 50 gwei and 3,000 USDC an ETH
    assert chosen(row(1, GAS_SHARE * cost_units - 1, balance=10**12), gas_price_wei=DEAR_WEI) == []
    assert chosen(row(1, GAS_SHARE * cost_units, balance=10**12), gas_price_wei=DEAR_WEI) == [1]


def test_a_row_that_does_not_pay_for_its_own_gas_waits_for_more() -> None:
    row_cost_units = RULES.cost_units(GAS_ROW, DEAR_WEI)
    rich = row(1, 1_000 * USDC, balance=10**12)
    just = row(2, GAS_SHARE * row_cost_units, balance=10**12)
    poor = row(3, GAS_SHARE * row_cost_units - 1, balance=10**12)
    assert chosen(poor, just, rich, gas_price_wei=DEAR_WEI) == [1, 2]


def test_a_withdrawal_is_answered_whatever_the_gas_and_others_come_along_when_they_pay() -> None:
    leaving = row(1, 1, begun_at=NOW_S)
    assert chosen(leaving, row(2, 5), gas_price_wei=DEAR_WEI) == [1]
    assert chosen(leaving, row(2, USDC // 2)) == [1, 2]
    assert chosen(row(1, 5, claimed=5, begun_at=NOW_S), gas_price_wei=0) == []


def test_an_answered_withdrawal_is_answered_again_when_half_of_its_time_is_over() -> None:
    leaving = row(1, 7, begun_at=NOW_S - 1_000)
    left_s = DELAY_S - 1_000
    assert leaving.left_s(NOW_S) == left_s
    begun_at = leaving.state.withdraw_begun_at
    assert must_claim(leaving, NOW_S, None, 100)
    assert not must_claim(leaving, NOW_S, Answer(begun_at, 2 * left_s), 100)
    assert must_claim(leaving, NOW_S, Answer(begun_at, 2 * left_s + 1), 100)
    assert must_claim(leaving, NOW_S, Answer(begun_at - 1, left_s), 100)  # of a withdrawal before this one


def test_a_payer_who_goes_on_promising_units_does_not_have_us_claim_at_each() -> None:
    def claims_of(units: int) -> int:
        """How often a payer is answered who promises so much more whenever it was."""
        known, claims = Withdrawals(), 0
        for now_s in range(NOW_S, NOW_S + 2 * DELAY_S, 10):
            leaving = row(1, (claims + 1) * units, claimed=claims * units, begun_at=NOW_S)
            if must_claim(leaving, now_s, known.answers.get(leaving.channel_id), cost_units=100):
                known.answered([leaving], now_s)
                claims += 1
        return claims

    assert claims_of(99) == ANSWERS_ANYWAY
    assert claims_of(100) == 14  # log2 of the day's 8,640 polls, and the first


def test_what_somebody_else_claimed_for_us_is_settled_when_it_pays() -> None:
    def settles(unsettled_units: int) -> bool:
        decided = decide([], RULES, gas_price_wei=CHEAP_WEI, now_s=NOW_S, answers={}, unsettled_units=unsettled_units)
        return decided.settles

    assert not settles(USDC - 1)
    assert settles(USDC)
    assert chosen(row(1, USDC // 2), unsettled_units=USDC // 2) == [1]


def test_batches_are_bounded() -> None:
    rows = [row(number, USDC) for number in range(250)]
    decided = decide(rows, RULES, gas_price_wei=CHEAP_WEI, now_s=NOW_S, answers={})
    assert [len(batch) for batch in decided.batches] == [100, 100, 50]
    assert decided.cost_units == RULES.cost_units(3 * GAS_TRANSACTION + 250 * GAS_ROW, CHEAP_WEI)
    assert decided.pending_units == 250 * USDC


def test_claiming_now_takes_everything_that_there_is() -> None:
    rows = [row(1, 1), row(2, 5, claimed=5), row(3, 2)]
    decided = all_of(rows, RULES, gas_price_wei=DEAR_WEI)
    assert [int.from_bytes(each.channel_id) for each in decided.rows] == [3, 1]
    assert decided.settles
    assert all_of([], RULES, gas_price_wei=0).is_empty
    assert not all_of([], RULES, gas_price_wei=0, unsettled_units=1).is_empty


amounts = some.integers(0, 50 * USDC)
any_row = some.tuples(amounts, amounts, amounts, some.booleans())


@given(some.lists(any_row, max_size=30), some.integers(0, 100 * GWEI), some.integers(0, 5 * USDC))
def test_whatever_is_sent_pays_or_is_forced(
    parts: list[tuple[int, int, int, bool]], gas_price_wei: int, unsettled_units: int
) -> None:
    rows = [
        row(number, units, claimed=min(claimed, balance), balance=balance, begun_at=NOW_S if leaving else 0)
        for number, (units, claimed, balance, leaving) in enumerate(parts)
    ]
    decided = decide(rows, RULES, gas_price_wei=gas_price_wei, now_s=NOW_S, answers={}, unsettled_units=unsettled_units)
    sent = decided.rows
    assert all(each.claimable_units > 0 for each in sent)
    assert len({each.channel_id for each in sent}) == len(sent)
    forced = {each.channel_id for each in rows if each.is_leaving and each.claimable_units}
    assert forced <= {each.channel_id for each in sent}
    if sent and not forced:
        brought_units = unsettled_units + sum(each.claimable_units for each in sent)
        assert brought_units >= RULES.threshold_units
        cost_units = RULES.cost_units(expected_gas(len(sent), RULES), gas_price_wei)
        assert GAS_SHARE * cost_units <= brought_units

"""The check of conservation finds each kind of loss, by one unit or one part, and nothing in books that are right."""

from dataclasses import replace

import pytest

from nearcast.payments.conservation import Book, ChainFigures, ChannelFigures, Row, discrepancies
from nearcast.payments.credit import PART_BITS

PAYER, RECEIVER = b"p" * 20, b"r" * 20
FIRST, SECOND = b"\x01" * 32, b"\x02" * 32
CHAIN = ChainFigures(
    {
        FIRST: ChannelFigures(PAYER, RECEIVER, deposited_units=1_000, refunded_units=100, claimed_units=300),
        SECOND: ChannelFigures(PAYER, RECEIVER, deposited_units=500, claimed_units=200),
    },
    {RECEIVER: 450},
    held_units=600 + 300 + 50,
)
PAYING = Book("payer", {FIRST: 320, SECOND: 200}, [Row(RECEIVER, "a", 1 << 30, 520 << PART_BITS)])
EARNING = Book(
    "payee", {FIRST: 310, SECOND: 200}, [Row(PAYER, "a", 1, 500 << PART_BITS), Row(PAYER, "b", 1, 10 << PART_BITS)]
)


def test_books_that_are_right_have_no_discrepancy() -> None:
    assert discrepancies(CHAIN, [PAYING], [EARNING]) == []


def test_what_is_under_way_is_not_settled() -> None:
    found = discrepancies(CHAIN, [PAYING], [EARNING], is_settled=True)
    assert found == [
        "channel 0x01010101 is not settled: 300 claimed, 310 held, 320 promised",
        f"0x{RECEIVER.hex()} was paid 450 of 500 claimed units",
    ]


@pytest.mark.parametrize(
    ("chain", "paying", "earning", "said"),
    [
        (replace(CHAIN, held_units=951), PAYING, EARNING, "the contract holds 951 units"),
        (replace(CHAIN, settled_units={RECEIVER: 449}), PAYING, EARNING, "the contract holds 950 units"),
        (CHAIN, replace(PAYING, rows=[Row(RECEIVER, "a", 1, (520 << PART_BITS) + 1)]), EARNING, "payer: what stands"),
        (CHAIN, PAYING, replace(EARNING, rows=EARNING.rows[:1]), "payee: what stands beside its objects is -"),
        (CHAIN, PAYING, replace(EARNING, units={FIRST: 321, SECOND: 189}), "300 units claimed, 321 held"),
        (CHAIN, PAYING, replace(EARNING, units={FIRST: 299, SECOND: 211}), "300 units claimed, 299 held"),
        (CHAIN, replace(PAYING, units={FIRST: 20, SECOND: 500}), EARNING, "310 held in vouchers, 20 promised"),
        (replace(CHAIN, channels={SECOND: CHAIN.channels[SECOND]}), PAYING, EARNING, "is not on the chain"),
    ],
)
def test_each_loss_is_found(chain: ChainFigures, paying: Book, earning: Book, said: str) -> None:
    found = discrepancies(chain, [paying], [earning])
    assert any(said in each for each in found), found


def test_a_channel_that_paid_more_than_it_had() -> None:
    channels = {FIRST: ChannelFigures(PAYER, RECEIVER, 100, 60, 50), SECOND: CHAIN.channels[SECOND]}
    found = discrepancies(replace(CHAIN, channels=channels), [PAYING], [EARNING])
    assert "channel 0x01010101 has paid 10 units more than it had" in found
    assert "channel 0x01010101: 320 units promised out of 100" in found

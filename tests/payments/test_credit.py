"""What may run ahead of payment, and by how much: the rules of one account, one by one."""

import pytest

from nearcast.payments.credit import (
    FORGIVEN_BYTES,
    PART_BITS,
    RESTS_UNITS,
    WINDOW_BYTES_MAX,
    WINDOW_BYTES_MIN,
    PayeeAccount,
    PayerAccount,
    bytes_for,
    cost_units,
    parts_of,
    step_bytes,
    whole_units,
    window_bytes,
)

PRICE = 10_000  # a MiB costs 9.77 units
MIB = 1 << 20
CAPACITY = 1_000_000


def test_amounts_are_exact_and_rounded_once() -> None:
    thirds = parts_of(MIB, PRICE) * 3
    assert whole_units(thirds) == 29  # three times 9.77 is 29.3, three times 9 would be 27
    assert cost_units(1, 1) == 1
    assert cost_units(1 << PART_BITS, PRICE) == PRICE
    assert bytes_for(PRICE, PRICE) == 1 << PART_BITS


def test_the_window_follows_what_was_paid() -> None:
    assert window_bytes(0, PRICE) == WINDOW_BYTES_MIN
    assert window_bytes(cost_units(20 * MIB, PRICE), PRICE) == pytest.approx(10 * MIB, rel=0.01)
    assert window_bytes(cost_units(64 * MIB, PRICE), PRICE) == pytest.approx(18 * MIB, rel=0.01)  # half of 32 + 64 / 16
    assert window_bytes(CAPACITY, PRICE) == WINDOW_BYTES_MAX
    assert window_bytes(0, 0) == WINDOW_BYTES_MAX
    assert step_bytes(0, PRICE) == WINDOW_BYTES_MIN // 4


def test_a_stranger_gets_one_window_and_no_more() -> None:
    account = PayeeAccount(CAPACITY)
    sent_bytes = 0
    while account.may_send(16_384, PRICE):
        account.deliver(16_384, PRICE)
        sent_bytes += 16_384
    assert sent_bytes == WINDOW_BYTES_MIN


def test_a_block_larger_than_the_window_leaves_when_everything_is_paid() -> None:
    account = PayeeAccount(CAPACITY)
    assert account.may_send(2 * MIB, PRICE)
    account.deliver(2 * MIB, PRICE)
    assert not account.may_send(1, PRICE)
    account.pay(whole_units(account.delivered_parts))
    assert account.may_send(2 * MIB, PRICE)


def test_nothing_leaves_that_the_channel_cannot_pay() -> None:
    account = PayeeAccount(2)
    account.deliver(bytes_for(2, PRICE) + 1, PRICE)
    account.pay(2)
    assert account.is_exhausted()
    assert not account.may_send(1, PRICE)
    account.capacity_units = 100
    assert account.may_send(1, PRICE)


def test_an_older_voucher_changes_nothing() -> None:
    account = PayeeAccount(CAPACITY, paid_units=7)
    assert account.pay(7) == account.pay(3) == 0
    assert account.pay(9) == 2
    assert account.paid_units == 9


def test_what_was_lost_is_forgiven_within_a_bound() -> None:
    account = PayeeAccount(CAPACITY)
    forgiven_bytes = 0
    while True:
        while account.may_send(MIB, PRICE):
            account.deliver(MIB, PRICE)
        unpaid_bytes = account.unpaid_parts // PRICE
        if not account.reconcile(PRICE):
            break
        forgiven_bytes += unpaid_bytes
    assert forgiven_bytes == FORGIVEN_BYTES


def test_who_loses_window_after_window_gets_smaller_ones_and_not_the_end_of_its_credit() -> None:
    """A payer that is killed with all of a window on its way, whenever it has paid for 20 MiB more."""
    account = PayeeAccount(CAPACITY, paid_units=cost_units(256 * MIB, PRICE))
    windows = []
    for _ in range(100):
        windows.append(account.room_bytes(PRICE))
        account.deliver(windows[-1], PRICE)
        assert account.reconcile(PRICE)
        account.deliver(20 * MIB, PRICE)
        account.pay(whole_units(account.delivered_parts))
    assert windows[0] == pytest.approx(24 * MIB, rel=0.01)
    assert windows[4] < 4 * MIB
    assert min(windows) < 2 * MIB
    assert step_bytes(account.paid_units, PRICE, account.forgiven_parts) < step_bytes(account.paid_units, PRICE) // 4


def test_what_was_forgiven_too_early_is_no_longer_forgiven_once_it_is_paid() -> None:
    account = PayeeAccount(CAPACITY)
    account.deliver(MIB, PRICE)
    owed_units = whole_units(account.unpaid_parts)
    assert account.reconcile(PRICE)
    assert account.forgiven_parts == parts_of(MIB, PRICE)
    account.pay(owed_units)
    assert account.forgiven_parts < 1 << PART_BITS
    assert account.unpaid_parts == 0


def test_nothing_is_forgiven_while_it_may_still_arrive() -> None:
    account = PayeeAccount(CAPACITY, open_streams=1)
    account.deliver(MIB, PRICE)
    account.reconcile(PRICE)
    assert account.unpaid_parts == parts_of(MIB, PRICE)


def test_a_payer_signs_for_what_it_verified_and_not_for_more_than_there_is() -> None:
    account = PayerAccount(capacity_units=12)
    account.verify(MIB, PRICE)
    assert account.due_units == 9
    assert account.sign() == 9
    account.verify(MIB, PRICE)
    assert account.sign() == 12


def test_a_payer_signs_again_after_a_step() -> None:
    account = PayerAccount(CAPACITY)
    account.verify(step_bytes(0, PRICE) - 1, PRICE)
    assert not account.is_due(PRICE)
    account.verify(1, PRICE)
    assert account.is_due(PRICE)
    account.sign()
    assert not account.is_due(PRICE)


def test_less_than_a_unit_is_never_due_and_never_in_the_way() -> None:
    payer, payee = PayerAccount(CAPACITY), PayeeAccount(CAPACITY)
    for _ in range(1_000):
        assert payee.may_send(MIB, 1)
        payee.deliver(MIB, 1)
        payer.verify(MIB, 1)
        assert not payer.is_due(1)
    assert payer.due_units == payee.paid_units == 0


def test_a_rest_below_a_unit_is_forgotten_when_the_payer_greets_anew_and_not_for_ever() -> None:
    price = 10_000
    node = PayeeAccount(capacity_units=1 << 40)
    forgotten = 0
    for _ in range(1_000):  # never a unit paid: what it gets for nothing ends at the bound
        node.deliver(100_000, price)
        forgotten += node.forget_rest()
    assert 0 < forgotten < 1_000
    assert node.forgiven_parts <= RESTS_UNITS << PART_BITS


def test_a_payer_that_starts_again_can_always_go_on() -> None:
    """A leaf at a time, a new process each time: what both round off never blocks a window of one leaf."""
    price, leaf_bytes, signed_units = 10_000, 1 << 20, 0
    node = PayeeAccount(capacity_units=1 << 40)
    for _ in range(200):
        payer = PayerAccount(1 << 40, signed_units)
        node.forget_rest()
        for size_bytes in (25_615, leaf_bytes):
            assert node.may_send(size_bytes, price)
            node.deliver(size_bytes, price)
            payer.verify(size_bytes, price)
            signed_units = payer.sign()
            node.pay(signed_units)

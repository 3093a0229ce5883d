"""What a node that asks for money says of it when it starts."""

from types import SimpleNamespace
from typing import Any, cast

from nearcast.cli.earning_lines import earning_fields, earning_lines

RECEIVER = bytes.fromhex("70997970c51812dc3a010c7d01b50e0d17dc79c8")


def money(next_price: tuple[int, int] | None) -> Any:
    earning = SimpleNamespace(
        price_units_per_gib=10_000, next_price=next_price, terms=SimpleNamespace(receiver=RECEIVER)
    )
    return cast(Any, SimpleNamespace(earning=earning, deployment=SimpleNamespace(name="dev")))


def test_a_new_price_that_has_to_wait_is_told_with_its_block() -> None:
    now = "  Price         0.01 USDC per GiB, paid to 0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    assert earning_lines(money(None)) == [now]
    later = "                0.02 USDC from block 1,312 on: two prices at once would cost the bond"
    assert earning_lines(money((20_000, 1_312))) == [now, later]
    fields = earning_fields(money((20_000, 1_312)))
    assert (fields["price_units_per_gib"], fields["next_price_units_per_gib"]) == (10_000, 20_000)
    assert fields["next_price_block"] == 1_312
    assert earning_fields(money(None))["next_price_block"] is None


def test_that_it_is_asked_over_http_too_is_told() -> None:
    assert earning_lines(money(None), over_http=True)[1:] == [
        "  Over HTTP     the same price (402), except from this machine"
    ]
    assert earning_fields(money(None), over_http=True)["http_price"] is True
    assert earning_fields(money(None))["http_price"] is False
    assert earning_lines(None, over_http=True) == ["  Over HTTP     free: without --price there is none to ask"]


def test_a_free_node_says_nothing_of_money() -> None:
    assert earning_lines(None) == []
    assert earning_fields(None) == {}

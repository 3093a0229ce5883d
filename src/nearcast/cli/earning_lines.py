"""What a node that asks for money says of it when it starts."""

from typing import TYPE_CHECKING, Any

from nearcast.cli.hexwords import address_text
from nearcast.cli.money import usdc_text

if TYPE_CHECKING:
    from nearcast.node.money import Money


def earning_lines(money: "Money | None", *, over_http: bool = False) -> list[str]:
    """For people: the price, what it will be if it changes, who is paid, and whether it is asked `over_http`, too."""
    if money is None or money.earning is None:
        return ["  Over HTTP     free: without --price there is none to ask"] if over_http else []
    price, receiver = usdc_text(money.earning.price_units_per_gib), address_text(money.earning.terms.receiver)
    lines = [f"  Price         {price} per GiB, paid to {receiver}"]
    if money.earning.next_price is not None:
        units, block = money.earning.next_price
        lines += [f"                {usdc_text(units)} from block {block:,} on: two prices at once would cost the bond"]
    if over_http:
        lines += ["  Over HTTP     the same price (402), except from this machine"]
    return lines


def earning_fields(money: "Money | None", *, over_http: bool = False) -> dict[str, Any]:
    """The same for programs."""
    if money is None or money.earning is None:
        return {}
    earning = money.earning
    next_units, next_block = earning.next_price or (None, None)
    return {
        "price_units_per_gib": earning.price_units_per_gib,
        "next_price_units_per_gib": next_units,
        "next_price_block": next_block,
        "operator": address_text(earning.terms.receiver),
        "chain": money.deployment.name,
        "http_price": over_http,
    }

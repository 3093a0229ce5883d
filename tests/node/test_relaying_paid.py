"""Every byte paid on every hop: real processes, real channels, on a chain of their own."""

from pathlib import Path

import pytest
from tests.delivery.world import noise
from tests.payments.books import audit, earned_channels
from tests.payments.world import PaidNode, World, paid_world

from nearcast.payments.credit import PART_BITS

FILM = noise(6 << 20)
UNITS_PER_USDC = 1_000_000
DUPLICATES = 1.35  # a late leaf is asked for twice, and what came twice is paid twice; here each of six counts much


def line_of(world: World, prices: tuple[float, ...]) -> tuple[list[PaidNode], str]:
    """An origin with the film, and relays that know each other in a row, the origin first; the film's CID."""
    nodes: list[PaidNode] = []
    cid = ""
    for number, price in enumerate(prices):
        node = world.operator(f"node-{number}", price=str(price))
        if nodes:
            node.options += ["--peer", nodes[-1].peer]
        else:
            (node.home / "film").write_bytes(FILM)
            cid = node.add(node.home / "film")
        node.up()
        nodes.append(node)
    return nodes, cid


def earned_units(node: PaidNode) -> int:
    """On the vouchers that it holds."""
    return sum(channel.promise.units for channel in earned_channels(node))


@pytest.mark.parametrize("prices", [(0.5, 1.0), (0.25, 0.5, 0.75)])
def test_a_film_is_paid_on_each_hop_and_no_relay_loses(tmp_path: Path, prices: tuple[float, ...]) -> None:
    with paid_world(tmp_path) as world:
        nodes, cid = line_of(world, prices)
        client = world.client("client")
        report = client.json("get", nodes[-1].holds_of(cid), client.home / "film")
        assert (client.home / "film").read_bytes() == FILM
        for node in nodes:
            assert node.stop() == 0, "what is due is signed at the latest now"
        for node, price in zip(nodes, prices, strict=True):
            exact_units = report["verified"] * int(price * UNITS_PER_USDC) >> PART_BITS
            assert exact_units <= earned_units(node) <= exact_units * DUPLICATES + 1, node.name
        assert earned_units(nodes[-1]) == report["paid_units"]
        assert audit(world) == []
        again = client.json("get", nodes[-1].holds_of(cid), client.home / "copy")
        assert again["verified"] == 0, "nobody is needed for what is here, and nobody runs any more"


@pytest.mark.parametrize("asks", [1.0, 0.45])
def test_a_relay_does_not_bring_what_costs_more_than_is_left_of_its_price(tmp_path: Path, asks: float) -> None:
    with paid_world(tmp_path) as world:
        nodes, cid = line_of(world, (asks, 0.5))
        client = world.client("client")
        client.run("get", nodes[-1].holds_of(cid), client.home / "film", code=3)
        assert not earned_channels(nodes[0])
        nodes[-1].stop()
        nodes[-1].environment["NEARCAST_PAYMENTS_RELAY_AT_LOSS"] = "true"
        nodes[-1].up()
        client.run("get", nodes[-1].holds_of(cid), client.home / "film")
        nodes[0].stop()
        nodes[-1].stop()
        if asks > 0.5:
            assert earned_units(nodes[0]) > earned_units(nodes[-1]), "as it was told"
        assert audit(world) == []


def test_free_holders_are_asked_before_anybody_is_paid(tmp_path: Path) -> None:
    with paid_world(tmp_path) as world:
        (paid,), cid = line_of(world, (0.5,))
        friend = world.operator("friend", price="0.5")
        (friend.home / "film").write_bytes(FILM)
        assert friend.add(friend.home / "film") == cid
        client = world.client("client")
        friend.options += ["--free-peer", client.run("id", "--quiet").strip()]
        friend.up()
        report = client.json("get", paid.holds_of(cid), client.home / "film", "--peer", friend.peer)
        assert report["paid_units"] == 0
        assert list(report["sources"]) == [friend.peer[:8]]
        friend.stop()
        client.run("rm", cid, code=None)
        paid_now = client.json("get", paid.holds_of(cid), client.home / "copy", "--peer", friend.peer)
        assert paid_now["paid_units"] > 0

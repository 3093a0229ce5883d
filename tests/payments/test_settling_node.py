"""A real node that is paid by a real client, whose owner then takes the rest back: all processes, one kill -9."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.payments.world import Member, PaidNode, World, paid_world

DEADLINE_S = 60.0
DEPOSIT_UNITS = 1_000_000  # payments.deposit
DAY_S = 86_400
SIZE_BYTES = 3_000_000
SEED = 7


def until(node: PaidNode, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The totals of `nearcast earnings`, once they are so."""
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        total: dict[str, Any] = node.json("earnings")["total"]
        if done(total):
            return total
        assert time.monotonic() < deadline_s, total


def paid_fetch(world: World, folder: Path) -> tuple[PaidNode, Member, int]:
    """A node, a client that has fetched from it, and what it earned."""
    node = world.operator("node")
    node.environment["NEARCAST_PAYMENTS_POLL_S"] = "1"
    client = world.client("client")
    file = folder / "file"
    file.write_bytes(random.Random(SEED).randbytes(SIZE_BYTES))
    node.up()
    cid = node.add(file)
    client.run("get", node.holds_of(cid), folder / "got")
    assert (folder / "got").read_bytes() == file.read_bytes()
    total = until(node, lambda each: bool(each["pending_units"]))
    spent = client.json("spending")["total"]
    assert (total["earned_units"], total["delivered_bytes"]) == (spent["spent_units"], spent["size_bytes"])
    assert total["earned_units"] == total["pending_units"]
    return node, client, total["earned_units"]


def usdc_units(member: Member) -> int:
    return int(member.json("wallet", "balance")["usdc_units"])


def wei(member: Member) -> int:
    return int(member.json("wallet", "balance")["wei"])


@pytest.mark.slow
@pytest.mark.parametrize("killed_after_s", [None, 0.3, 0.9])  # somewhere in its poll, its claim, its booking
def test_a_payer_who_leaves_gets_the_rest_and_the_node_what_it_earned(
    tmp_path: Path, killed_after_s: float | None
) -> None:
    with paid_world(tmp_path / "world") as world:
        node, client, earned_units = paid_fetch(world, tmp_path)
        (channel,) = client.json("channel", "list")["channels"]
        usdc_before, wei_before = usdc_units(node), wei(node)
        client.run("channel", "withdraw", channel["channel"])
        if killed_after_s is not None:
            time.sleep(killed_after_s)
            node.kill()
            node.up()
        total = until(node, lambda each: each["claimed_units"] == earned_units)
        assert (total["pending_units"], total["settled_units"]) == (0, earned_units)
        assert usdc_units(node) - usdc_before == earned_units
        assert wei_before - wei(node) == total["fee_wei"]
        world.chain.travel(DAY_S + 1)
        paid = client.json("channel", "withdraw", channel["channel"])
        assert (paid["state"], paid["amount_units"]) == ("paid", DEPOSIT_UNITS - earned_units)

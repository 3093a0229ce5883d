"""Nodes that cheat, registered and bonded, each a process of its own: what an honest client paid them, and what it got.

The client is the real command. Beside each cheat stands an honest node that asks more, so the cheat is asked first.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.payments.books import spent_book
from tests.payments.world import Member, PaidNode, World, paid_world, together

from nearcast.payments.credit import PART_BITS, parts_of
from nearcast.payments.evidence_files import load_raised_price

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SIZE_BYTES = 4 << 20
CHEAP_USDC, PRICE_USDC = "0.5", "1"
CHEAP, PRICE = 500_000, 1_000_000
MANNERS = ("wrong_bytes", "other_object", "dearer", "unsigned", "for_another", "no_window", "endless", "stalls")
UNPAID = ("wrong_bytes", "other_object", "unsigned", "for_another", "endless", "stalls")
HOSTILE = str(Path(__file__).with_name("hostile_node.py"))
NODES_BYTES_MAX = 64 << 10  # of an object of 4 MiB: one node, far smaller than this


@dataclass
class Stage:
    world: World
    honest: PaidNode
    cheats: dict[str, PaidNode]
    path: Path
    cid: str

    def paid_parts(self, payer: Member, node: PaidNode) -> int:
        """What somebody has promised to a node, or is about to."""
        operator = bytes.fromhex(node.operator[2:])
        return sum(row.parts for row in spent_book(payer).rows if row.other == operator)

    def paid_bytes(self, payer: Member, node: PaidNode) -> int:
        """For how many bytes."""
        operator = bytes.fromhex(node.operator[2:])
        return sum(row.size_bytes for row in spent_book(payer).rows if row.other == operator)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("hostile-nodes")
    path, other = folder / "object", folder / "other"
    for salt, file in enumerate((path, other)):
        file.write_bytes(b"".join((salt * SIZE_BYTES + index).to_bytes(8) * 128 for index in range(SIZE_BYTES // 1024)))
    with paid_world(folder / "world") as world:

        def cheat(manner: str) -> PaidNode:
            program = (sys.executable, HOSTILE, manner)
            return world.operator(manner, price=CHEAP_USDC, program=program)

        honest, *cheats = together(
            lambda: world.operator("honest", price=PRICE_USDC), *(lambda name=each: cheat(name) for each in MANNERS)
        )
        cids = together(*(lambda node=each: node.add(path) for each in (honest, *cheats)))
        cheats[MANNERS.index("other_object")].environment["NEARCAST_TEST_OTHER"] = cheats[1].add(other)
        together(*(lambda node=each: node.up() for each in (honest, *cheats)))
        yield Stage(world, honest, dict(zip(MANNERS, cheats, strict=True)), path, cids[0])


@pytest.mark.parametrize("manner", MANNERS)
def test_the_copy_is_right_and_a_lie_is_not_paid_for(stage: Stage, manner: str) -> None:
    cheat, client = stage.cheats[manner], stage.world.client(f"client-of-{manner}")
    link = f"nearcast://{cheat.peer}+{stage.honest.peer}/{stage.cid}"
    report = client.json("get", link, "copy")
    assert (client.home / "copy").read_bytes() == stage.path.read_bytes()
    to_cheat, to_honest = stage.paid_parts(client, cheat), stage.paid_parts(client, stage.honest)
    if manner in UNPAID:
        assert to_cheat <= parts_of(NODES_BYTES_MAX, CHEAP)
        assert to_honest >> PART_BITS >= parts_of(SIZE_BYTES, PRICE) >> PART_BITS
    elif manner == "no_window":
        assert to_cheat >> PART_BITS == parts_of(report["verified"], CHEAP) >> PART_BITS
    assert to_cheat <= parts_of(stage.paid_bytes(client, cheat), CHEAP), "never more than the first offer's price"


@pytest.mark.parametrize("manner", ["wrong_bytes", "other_object"])
def test_who_sends_something_else_is_named(stage: Stage, manner: str) -> None:
    cheat, client = stage.cheats[manner], stage.world.client(f"judge-of-{manner}")
    said = json.loads(client.run("get", cheat.holds_of(stage.cid), "copy", "--json", code=None))
    assert said["error"]["exit_code"] in (5, 6), said
    assert cheat.peer[:8] in said["error"]["message"]
    assert not (client.home / "copy").exists()


def test_two_signed_prices_are_kept_as_evidence(stage: Stage) -> None:
    client = stage.world.client("witness")
    client.run("get", stage.cheats["dearer"].holds_of(stage.cid), "copy", "--json", code=None)
    (found,) = (client.data_dir / "evidence").glob("*.json")
    raised = load_raised_price(found)
    assert raised.operator.hex() == stage.cheats["dearer"].operator[2:].lower()
    assert [each.offer.price_units_per_gib for each in raised.offers] == [CHEAP, 2 * CHEAP]


def test_who_is_not_registered_cannot_ask_for_money(stage: Stage) -> None:
    stranger = stage.world.operator("stranger", price=CHEAP_USDC, is_registered=False)
    said = stranger.run("up", "--quic", "127.0.0.1:0", "--http", "127.0.0.1:0", "--price", "1", "--json", code=2)
    assert "nearcast node register" in said

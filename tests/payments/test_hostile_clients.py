"""Clients that cheat, each a process of its own with a real channel: what they got, held against what they paid.

All of them ask one honest node for the same object, at the same time.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.payments.books import earned_book, on_chain, spent_book
from tests.payments.world import DEADLINE_S, Member, PaidNode, World, paid_world, together

from nearcast.payments.conservation import discrepancies
from nearcast.payments.credit import WINDOW_BYTES_MIN, cost_units

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SIZE_BYTES = 6 << 20
ENOUGH_BYTES = 3 << 20  # after which some stop paying
BLOCK_BYTES = 1 << 20
PRICE = 1_000_000
MANNERS = (
    "honest", "silent", "stops", "replays", "lowers", "elsewhere", "forged", "beyond", "many", "offers", "unproven",
    "nameless",
)  # fmt: skip
PROGRAM = (sys.executable, "-m", "tests.payments.hostile_client")
ROOT = Path(__file__).parents[2]


@dataclass
class Stage:
    """The honest node, and what each cheat said at its end."""

    world: World
    node: PaidNode
    cheats: dict[str, Member]
    told: dict[str, dict[str, Any]]
    path: Path
    cid: str

    def held_units(self, manner: str) -> int:
        """The newest voucher that the node has of this one's channel."""
        (channel,) = self.cheats[manner].json("channel", "list")["channels"]
        return earned_book(self.node).units.get(bytes.fromhex(channel["channel"][2:]), 0)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("hostile-clients")
    with paid_world(folder / "world") as world:
        node = world.operator("node")
        node.up()
        path = folder / "object"
        path.write_bytes(b"".join(index.to_bytes(4) * 256 for index in range(SIZE_BYTES // 1024)))
        cid = node.add(path)
        members = together(*(lambda name=manner: world.client(name) for manner in MANNERS))
        cheats = dict(zip(MANNERS, members, strict=True))
        together(*(lambda each=each: each.run("channel", "open", node.operator, "1") for each in members))
        for manner, cheat in cheats.items():
            cheat.environment["PYTHONPATH"] = str(ROOT)
            cheat.start(manner, node.peer, cid, cheat.data_dir, str(ENOUGH_BYTES), program=PROGRAM)
        told = {manner: _told(cheat) for manner, cheat in cheats.items()}
        yield Stage(world, node, cheats, told, path, cid)


def _told(cheat: Member) -> dict[str, Any]:
    assert cheat.ended(DEADLINE_S) == 0, cheat.errors.read_text()
    told: dict[str, Any] = json.loads(cheat.log.read_text())
    return told


def test_who_pays_gets_everything(stage: Stage) -> None:
    told = stage.told["honest"]
    assert told["bytes"] > SIZE_BYTES
    assert told["ends"] == ["done"]
    assert cost_units(told["bytes"], PRICE) - 1 <= told["signed_units"] <= cost_units(told["bytes"], PRICE)
    assert stage.held_units("honest") == told["signed_units"]


@pytest.mark.parametrize("manner", ["silent", "many", "elsewhere", "forged", "beyond"])
def test_who_never_pays_gets_one_window_however_many_streams_it_opens(stage: Stage, manner: str) -> None:
    told = stage.told[manner]
    assert 0 < told["bytes"] <= WINDOW_BYTES_MIN + BLOCK_BYTES
    assert "done" not in told["ends"]
    assert stage.held_units(manner) == 0


@pytest.mark.parametrize("manner", ["stops", "lowers"])
def test_who_stops_paying_gets_one_window_more(stage: Stage, manner: str) -> None:
    told = stage.told[manner]
    paid_bytes = (told["signed_units"] << 30) // PRICE
    window_bytes = max(WINDOW_BYTES_MIN, paid_bytes // 2)
    assert ENOUGH_BYTES <= told["bytes"] <= paid_bytes + window_bytes + BLOCK_BYTES
    assert told["bytes"] < SIZE_BYTES
    assert stage.held_units(manner) == told["signed_units"]


def test_a_voucher_counts_once(stage: Stage) -> None:
    told = stage.told["replays"]
    assert told["vouchers"] > 1
    assert told["bytes"] <= 2 * WINDOW_BYTES_MIN + BLOCK_BYTES
    assert stage.held_units("replays") == told["signed_units"] <= cost_units(WINDOW_BYTES_MIN + BLOCK_BYTES, PRICE)


@pytest.mark.parametrize("manner", ["elsewhere", "forged", "beyond"])
def test_a_false_voucher_ends_the_credit(stage: Stage, manner: str) -> None:
    assert stage.told[manner]["pay_answers"][-1].get("ok") is not True


@pytest.mark.parametrize("manner", ["unproven", "nameless"])
def test_whose_channel_it_is_must_be_shown_before_a_byte_leaves(stage: Stage, manner: str) -> None:
    told = stage.told[manner]
    assert (told["bytes"], told["offers"]) == (0, 0)


def test_the_node_outlived_them_and_serves_who_pays(stage: Stage) -> None:
    assert stage.told["offers"]["offers"] > 0
    reader = stage.world.client("reader")
    report = reader.json("get", stage.node.holds_of(stage.cid), "copy")
    assert (reader.home / "copy").read_bytes() == stage.path.read_bytes()
    assert report["verified"] > SIZE_BYTES
    assert cost_units(report["verified"], PRICE) - 1 <= spent_book(reader).total_units
    found = discrepancies(on_chain(stage.world), [spent_book(reader)], [])
    assert found == []

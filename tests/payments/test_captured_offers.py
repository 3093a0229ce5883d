"""What the Court makes of offers that a client was really made: over QUIC, by nodes that are processes of their own.

Two nodes are dishonest: one raises its price during a download, one offers what the chain's blacklist forbids. The
client is the real command and keeps the evidence itself. Whatever an honest node offers convicts nobody.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.cli.chain_world import FIRST_SECRET
from tests.payments.courthouse import Courthouse
from tests.payments.world import Member, PaidNode, World, paid_world

from nearcast.chain.bindings.blacklist import EVERYWHERE
from nearcast.chain.evidence import BlacklistedOffer, RateEquivocation, equivocation
from nearcast.chain.offers import Offer, parse_offer
from nearcast.chain.prices import RATE_WINDOW_BLOCKS_MAX
from nearcast.content.cid import parse_cid
from nearcast.errors import RevertedError
from nearcast.payments.evidence_files import ListedOffer, RaisedPrice, load_evidence

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

HOSTILE, CAPTURING = (str(Path(__file__).with_name(f"{name}.py")) for name in ("hostile_node", "capturing_client"))
SIZE_BYTES = 8 << 20
PARTS = [f"{at << 20}-{(at << 20) + 99_999}" for at in (0, 2, 4, 6)]  # each in a leaf of its own
FIRST_SLASH_BPS = 500  # Court: of everything at stake
HOURS_S = 3 * 3_600  # longer than an emergency's window
Captured = tuple[Offer, bytes]


@dataclass
class Stage:
    world: World
    court: Courthouse
    guardian: Member

    def object(self, name: str) -> Path:
        path = self.world.folder / f"object-{name}"
        path.write_bytes(b"".join(f"{name} {index:8}".encode().ljust(1024) for index in range(SIZE_BYTES // 1024)))
        return path

    def cheat(self, manner: str) -> tuple[PaidNode, str]:
        """A node that cheats, not running yet, and what it holds."""
        node = self.world.operator(manner, program=(sys.executable, HOSTILE, manner))
        return node, node.add(self.object(manner))

    def forbid(self, cid: str) -> None:
        """Lists content; it is in force when this returns."""
        self.guardian.run("blacklist", "add", cid, "--reason", "malware")
        self.world.chain.travel(HOURS_S)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("captured")
    with paid_world(folder / "world") as world:
        guardian = Member("guardian", folder, {"NEARCAST_CHAIN_RPC": world.chain.url})
        secret = folder / "secret"
        secret.write_text(FIRST_SECRET)
        guardian.run("wallet", "import", secret, "--no-password")
        yield Stage(world, Courthouse(world.chain, folder / "transactions.sqlite3"), guardian)


def evidence_of(client: Member) -> list[Path]:
    return sorted((client.data_dir / "evidence").glob("*"))


def captured(client: Member, *arguments: str) -> list[Captured]:
    """The offers that `nearcast get` accepted, as they came."""
    file = client.home / f"offers-{client.starts}"
    client.environment["NEARCAST_TEST_OFFERS"] = str(file)
    client.start("get", *arguments, "--json", program=(sys.executable, CAPTURING))
    assert client.ended() == 0, client.log.read_text()
    return [offer_of(json.loads(line)) for line in file.read_text().splitlines()]


def offer_of(line: dict[str, Any]) -> Captured:
    told = {name: bytes.fromhex(value) if isinstance(value, str) else value for name, value in line.items()}
    return parse_offer(told), told["signature"]


def check_slashed(stage: Stage, node: PaidNode, evidence: BlacklistedOffer | RateEquivocation) -> None:
    stake_units, free_units = stage.court.stake_units(node), stage.court.free_units()
    stage.court.judge(evidence)
    assert stage.court.convictions(node) == 1
    slashed_units = stake_units - stage.court.stake_units(node)
    assert slashed_units == stake_units * FIRST_SLASH_BPS // 10_000
    assert stage.court.free_units() > free_units
    stage.court.judge(evidence)  # a second time it is not punished, and costs the challenger nothing
    assert stage.court.convictions(node) == 1
    assert stake_units - stage.court.stake_units(node) == slashed_units


def test_two_prices_in_one_download_cost_the_node_a_part_of_its_bond(stage: Stage) -> None:
    node, cid = stage.cheat("dearer")
    node.up()
    client = stage.world.client("who-was-asked-twice")
    client.run("get", node.holds_of(cid), "copy", code=None)
    (found,) = evidence_of(client)
    kept = load_evidence(found)
    assert isinstance(kept, RaisedPrice)
    assert f"0x{kept.operator.hex()}" == node.operator.lower()
    assert found.stat().st_mode & 0o777 == 0o600
    check_slashed(stage, node, kept.proof())


def test_an_offer_of_what_is_forbidden_costs_the_node_a_part_of_its_bond(stage: Stage) -> None:
    node, cid = stage.cheat("deaf")
    stage.forbid(cid)
    node.up()
    client = stage.world.client("who-was-offered-it")
    client.run("get", node.holds_of(cid), "copy")
    (found,) = evidence_of(client)
    kept = load_evidence(found)
    assert isinstance(kept, ListedOffer)
    assert (f"0x{kept.operator.hex()}", kept.scope) == (node.operator.lower(), EVERYWHERE)
    assert kept.signed.offer.root == parse_cid(cid).digest
    assert found.stat().st_mode & 0o777 == 0o600
    check_slashed(stage, node, kept.proof())


def test_nothing_that_an_honest_node_offers_convicts_it(stage: Stage) -> None:
    """A new price, and content that is forbidden afterwards: the worst that happens to an honest node."""
    node = stage.world.operator("honest", price="1")
    cid = node.add(stage.object("honest"))
    node.up()
    client = stage.world.client("who-buys-twice")
    link = node.holds_of(cid)
    before = captured(client, link, "first", "--range", PARTS[0])
    node.stop()
    node.options = ["--price", "2"]
    stage.world.chain.ask("anvil_mine", hex(2 * RATE_WINDOW_BLOCKS_MAX))
    node.up()
    meanwhile = captured(client, link, "second", "--range", PARTS[1])
    stage.world.chain.ask("anvil_mine", hex(2 * RATE_WINDOW_BLOCKS_MAX))
    node.stop()
    node.up()
    after = captured(client, link, "third", "--range", PARTS[2])
    stage.forbid(cid)
    client.run("get", link, "fourth", "--range", PARTS[3], code=None)
    assert evidence_of(client) == []

    offers = [*before, *meanwhile, *after]
    assert {offer.price_units_per_gib for offer, _ in offers} == {1_000_000, 2_000_000}
    first, last = before[-1], next(each for each in offers if each[0].price_units_per_gib == 2_000_000)
    assert last[0].client == first[0].client
    with pytest.raises(RevertedError, match="blocks apart"):
        stage.court.judge(equivocation(first, last, stage.court.header(last[0].block_number)))
    for each in (first, after[-1]):
        with pytest.raises(RevertedError, match="was not on the list"):
            stage.court.judge(BlacklistedOffer(*each, stage.court.header(each[0].block_number)))
    assert stage.court.convictions(node) == 0

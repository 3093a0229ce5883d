"""What payer and payee do to a channel in use behind each other's back: withdraw, share its key, claim more."""

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.payments.books import audit, earned_book, earned_channels, on_chain, spent_book
from tests.payments.world import DEADLINE_S, Member, PaidNode, World, paid_world, together

from nearcast.chain.bindings.settlement import Claim, Settlement
from nearcast.chain.deployment import DEV
from nearcast.chain.keystore import open_keystore
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.transaction_journal import TransactionJournal
from nearcast.chain.transactions import Sender
from nearcast.chain.vouchers import Voucher
from nearcast.payments.conservation import Book, Row
from nearcast.payments.credit import PART_BITS, WINDOW_BYTES_MIN, bytes_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SIZE_BYTES = 8 << 20
BLOCK_BYTES = 1 << 20
PRICE = 1_000_000
DAY_S = 86_400
ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "tests.payments.hostile_client")


@dataclass
class Stage:
    world: World
    node: PaidNode
    path: Path
    cid: str

    def payer(self, name: str) -> Member:
        """Somebody with a channel to the node that the command opened."""
        member = self.world.client(name)
        member.run("channel", "open", self.node.operator, "1")
        member.environment["PYTHONPATH"] = str(ROOT)
        return member

    def play(self, member: Member, manner: str, data_dir: Path | None = None) -> None:
        member.start(manner, self.node.peer, self.cid, data_dir or member.data_dir, program=PROGRAM)

    def channel(self, member: Member) -> bytes:
        (channel,) = member.json("channel", "list")["channels"]
        return bytes.fromhex(channel["channel"][2:])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("hostile-channels")
    path = folder / "object"
    path.write_bytes(b"".join(index.to_bytes(8) * 128 for index in range(SIZE_BYTES // 1024)))
    with paid_world(folder / "world") as world:
        node = world.operator("node")
        node.environment["NEARCAST_PAYMENTS_POLL_S"] = "1"
        cid = node.add(path)
        node.up()
        yield Stage(world, node, path, cid)


def test_a_channel_that_is_emptied_during_a_fetch_pays_for_all_but_a_window(stage: Stage) -> None:
    payer = stage.payer("leaver")
    channel = stage.channel(payer)
    stage.play(payer, "slow")
    _wait(lambda: earned_book(stage.node).units.get(channel, 0) > 0)
    payer.run("channel", "withdraw", channel.hex())
    assert payer.ended(DEADLINE_S) == 0, payer.errors.read_text()
    told = json.loads(payer.log.read_text())
    assert "done" not in told["ends"], "the node went on delivering on a channel that is being emptied"
    held_units = earned_book(stage.node).units[channel]
    assert 0 < held_units <= told["signed_units"]
    stage.world.chain.travel(DAY_S * 3 // 4)  # what came after the first answer is claimed before the delay is over
    _wait(lambda: on_chain(stage.world).channels[channel].claimed_units == held_units)
    stage.world.chain.travel(DAY_S // 4 + 60)
    payer.run("channel", "withdraw", channel.hex())
    after = on_chain(stage.world).channels[channel]
    assert (after.claimed_units, after.refundable_units) == (held_units, 0)
    window_bytes = max(WINDOW_BYTES_MIN, bytes_for(held_units, PRICE) // 2)
    assert told["bytes"] <= bytes_for(held_units, PRICE) + window_bytes + BLOCK_BYTES


def test_two_with_one_channel_key_together_get_what_one_would(stage: Stage) -> None:
    first = stage.payer("first-twin")
    second = stage.world.client("second-twin", is_funded=False)
    second.environment["PYTHONPATH"] = str(ROOT)
    shutil.copytree(first.data_dir, second.home / "copied")
    channel = stage.channel(first)
    stage.play(first, "honest")
    stage.play(second, "honest", second.home / "copied")
    told = []
    for twin in (first, second):
        assert twin.ended(DEADLINE_S) == 0, twin.errors.read_text()
        told.append(json.loads(twin.log.read_text()))
    held_units = earned_book(stage.node).units[channel]
    assert held_units == max(each["signed_units"] for each in told)
    most = bytes_for(held_units, PRICE) + max(WINDOW_BYTES_MIN, bytes_for(held_units, PRICE) // 2) + 2 * BLOCK_BYTES
    assert sum(each["bytes"] for each in told) <= most


def test_two_commands_of_one_client_at_once_pay_once_for_each_byte(stage: Stage) -> None:
    other = stage.path.with_name("other")
    other.write_bytes(b"".join((1 << 40 | index).to_bytes(8) * 128 for index in range(SIZE_BYTES // 1024)))
    cids, reader = (stage.cid, stage.node.add(other)), stage.world.client("hurried")
    first, second = map(stage.node.holds_of, cids)
    reports = together(lambda: reader.json("get", first, "a"), lambda: reader.json("get", second, "b"))
    assert [(reader.home / name).read_bytes() for name in "ab"] == [stage.path.read_bytes(), other.read_bytes()]
    paid_bytes = sum(row.size_bytes for row in spent_book(reader).rows)
    assert paid_bytes == sum(report["verified"] for report in reports)
    assert audit(stage.world, [_promises_of_cheats(stage)]) == []


def test_a_payee_cannot_claim_more_than_the_voucher_says(stage: Stage) -> None:
    reader = stage.world.client("honest-reader")
    reader.json("get", stage.node.holds_of(stage.cid), "copy")
    (name,) = spent_book(reader).units
    (held,) = (each for each in earned_channels(stage.node) if each.channel_id == name)

    async def claim(units: int, total_units: int) -> None:
        async with JsonRpc(stage.world.chain.url, DEV.chain_id) as rpc:
            with TransactionJournal.open(stage.node.home / f"cheat-{units}-{total_units}") as journal:
                wallet = open_keystore(stage.node.data_dir / "wallet.json", "")
                settlement = Settlement(rpc, DEV.contracts["BatchSettlement"])
                row = Claim(held.config, Voucher(name, units), held.promise.signature, total_units)
                await Sender(rpc, wallet, journal).send(settlement.claim([row]))

    before_units = on_chain(stage.world).channels[name].claimed_units
    for units, total_units in ((held.promise.units, held.promise.units + 1), (held.promise.units + 1,) * 2):
        asyncio.run(claim(units, total_units))
        assert on_chain(stage.world).channels[name].claimed_units == before_units


def _promises_of_cheats(stage: Stage) -> Book:
    """Payers that keep no ledger: what the node holds of them was signed by them, or it would not hold it."""
    known = {name for member in stage.world.members for name in spent_book(member).units}
    units = {name: units for name, units in earned_book(stage.node).units.items() if name not in known}
    return Book("cheats", units, [Row(b"", "", 0, sum(units.values()) << PART_BITS)])


def _wait(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline_s, "it did not come to pass"
        time.sleep(0.1)

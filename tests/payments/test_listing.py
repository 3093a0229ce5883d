"""A node follows the list on a real chain: it refuses what it has seen there, after a restart without a chain too."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.chain.endpoint import Endpoint, HangUpError
from tests.chain.senders import WaitedTime
from tests.chain.test_bindings import Do, later, on_chain

from nearcast.chain.bindings.blacklist import EVERYWHERE, Blacklist
from nearcast.chain.deployment import DEV
from nearcast.chain.head import ChainHead
from nearcast.chain.offers import LIST_AGE_MAX_S
from nearcast.chain.rpc import RETRIES_MAX, JsonRpc
from nearcast.chain.rpc_types import to_hex
from nearcast.content.cid import DAG_PB, RAW, SHA2_256, Cid
from nearcast.errors import ChainError, StoreError
from nearcast.payments.listing import BlacklistFollower, reason_text

GUARDIAN = 0  # of the test accounts
MALWARE = 3
DIGEST, OTHER = b"d" * 32, b"e" * 32
CID = Cid(1, RAW, SHA2_256, DIGEST)
ASKED_PER_FAILURE = 1 + RETRIES_MAX
EMERGENCY_LAPSE_S = 16 * 86_400  # more than an entry of the guardian lasts: two weeks after its two hours


class Following:
    """A follower with its head and its clock; made again by `restarted`."""

    def __init__(self, rpc: JsonRpc, folder: Path) -> None:
        self.rpc = rpc
        self.path = folder / "chain" / "31337" / "blacklist.json"
        self.time = WaitedTime()
        self.blacklist = Blacklist(rpc, DEV.contracts["Blacklist"])
        self.head = ChainHead(rpc, self.time, 10)

    async def restarted(self, *regions: bytes, confirmations: int = 1) -> BlacklistFollower:
        return await BlacklistFollower.open(
            self.blacklist, self.head, self.path, clock=self.time, confirmations=confirmations, regions=regions
        )

    async def poll(self, follower: BlacklistFollower) -> None:
        await self.head.poll()
        await follower.sync()


def following(tmp_path: Path, test: Callable[[Endpoint, Following, Do], Awaitable[None]]) -> None:
    async def whole(served: Endpoint, rpc: JsonRpc, do: Do) -> None:
        await test(served, Following(rpc, tmp_path), do)

    on_chain(tmp_path, whole)


def test_an_entry_counts_from_when_it_is_seen_and_survives_a_restart_without_the_chain(tmp_path: Path) -> None:
    async def test(served: Endpoint, world: Following, do: Do) -> None:
        follower = await world.restarted()
        await world.poll(follower)
        assert follower.listed(DIGEST) is None
        assert follower.may_offer(DIGEST, served.chain.engine.head.timestamp_s)
        told: list[int] = []
        follower.watch(lambda: told.append(follower.count))
        await do(GUARDIAN, world.blacklist.add_emergency(DIGEST, EVERYWHERE, MALWARE))
        await world.poll(follower)
        entry = follower.listed(DIGEST)
        assert entry is not None
        assert entry.effective_at > served.chain.now_s()  # the contract still allows it
        assert reason_text(entry) == "malware"
        assert told == [1]
        assert not follower.may_offer(DIGEST, served.chain.now_s())
        assert follower.may_offer(OTHER, served.chain.now_s())
        assert follower.is_listed(CID) == follower.is_listed(Cid(0, DAG_PB, SHA2_256, DIGEST)) == entry
        assert follower.is_listed(Cid(1, RAW, 0, DIGEST)) is None  # an identity: these are bytes, and no hash

        again = await world.restarted()
        assert again.listed(DIGEST) == entry
        assert not again.is_fresh()  # it has not read the list since its start
        assert not again.may_offer(OTHER, served.chain.now_s())
        assert world.path.stat().st_mode & 0o777 == 0o600

    following(tmp_path, test)


def test_one_question_per_poll_while_nothing_changes(tmp_path: Path) -> None:
    async def test(served: Endpoint, world: Following, do: Do) -> None:
        await do(GUARDIAN, world.blacklist.add_emergency(DIGEST, EVERYWHERE, MALWARE))
        follower = await world.restarted()
        await world.poll(follower)
        served.asked.clear()
        await world.poll(follower)
        assert served.asked == ["eth_getBlockByNumber", "eth_call"]

    following(tmp_path, test)


def test_only_confirmed_blocks_are_read(tmp_path: Path) -> None:
    async def test(served: Endpoint, world: Following, do: Do) -> None:
        follower = await world.restarted(confirmations=3)
        await do(GUARDIAN, world.blacklist.add_emergency(DIGEST, EVERYWHERE, MALWARE))
        await world.poll(follower)
        assert follower.listed(DIGEST) is None
        later(served, 2)
        later(served, 2)
        await world.poll(follower)
        assert follower.listed(DIGEST) is not None

    following(tmp_path, test)


def test_an_entry_of_another_region_concerns_nobody_here_until_the_node_moves_there(tmp_path: Path) -> None:
    async def test(served: Endpoint, world: Following, do: Do) -> None:
        await do(GUARDIAN, world.blacklist.add_emergency(DIGEST, b"FR", MALWARE))
        german, french = await world.restarted(b"DE"), await world.restarted(b"FR")
        await world.poll(german)
        await world.poll(french)
        assert german.listed(DIGEST) is None
        assert german.count == 1
        assert french.listed(DIGEST) is not None
        german.add_region(b"FR")
        assert german.listed(DIGEST) is not None
        assert not german.may_offer(DIGEST, served.chain.now_s())

    following(tmp_path, test)


def test_an_entry_ends_when_it_lapsed_before_the_list_was_read(tmp_path: Path) -> None:
    async def test(served: Endpoint, world: Following, do: Do) -> None:
        await do(GUARDIAN, world.blacklist.add_emergency(DIGEST, EVERYWHERE, MALWARE))
        follower = await world.restarted()
        await world.poll(follower)
        later(served, EMERGENCY_LAPSE_S)
        assert follower.listed(DIGEST) is not None  # it may have been ratified since
        await world.poll(follower)
        assert follower.listed(DIGEST) is None
        assert follower.may_offer(DIGEST, served.chain.now_s())

    following(tmp_path, test)


def test_a_list_that_is_too_old_stops_offers_by_either_clock(tmp_path: Path) -> None:
    async def test(served: Endpoint, world: Following, do: Do) -> None:
        follower = await world.restarted()
        await world.poll(follower)
        block_s = served.chain.engine.head.timestamp_s
        assert follower.may_offer(DIGEST, block_s + LIST_AGE_MAX_S - 1)
        assert not follower.may_offer(DIGEST, block_s + LIST_AGE_MAX_S)
        world.time.now_s += LIST_AGE_MAX_S
        assert not follower.is_fresh()
        assert not follower.may_offer(DIGEST, block_s)
        await world.poll(follower)
        assert follower.may_offer(DIGEST, block_s)

    following(tmp_path, test)


def test_a_list_that_leaves_something_out_is_not_taken(tmp_path: Path) -> None:
    """The entries must hash to the contract's root; what was known stays."""

    async def test(served: Endpoint, world: Following, do: Do) -> None:
        await do(GUARDIAN, world.blacklist.add_emergency(DIGEST, EVERYWHERE, MALWARE))
        follower = await world.restarted()
        await world.poll(follower)
        await do(GUARDIAN, world.blacklist.add_emergency(OTHER, EVERYWHERE, MALWARE))
        shorter = {"calls": 0}

        def twist(parameters: list[object], honest: Callable[[], str]) -> str:
            shorter["calls"] += 1
            told = honest()
            return told.replace(OTHER.hex(), "11" * 32)

        served.twists["eth_call"] = twist
        await world.head.poll()
        with pytest.raises(ChainError, match="root"):
            await follower.sync()
        assert shorter["calls"] > 0
        assert follower.listed(DIGEST) is not None
        served.twists.clear()
        await follower.sync()
        assert follower.listed(OTHER) is not None

    following(tmp_path, test)


def test_an_older_list_is_not_taken_back(tmp_path: Path) -> None:
    async def test(served: Endpoint, world: Following, do: Do) -> None:
        follower = await world.restarted()
        empty = served.chain.snapshot()
        await do(GUARDIAN, world.blacklist.add_emergency(DIGEST, EVERYWHERE, MALWARE))
        await world.poll(follower)
        served.chain.revert(empty)
        await world.head.poll()
        with pytest.raises(ChainError, match="older than the one known") as caught:
            await follower.sync()
        assert str(world.path) in str(caught.value.fix)
        assert follower.listed(DIGEST) is not None

    following(tmp_path, test)


@pytest.mark.parametrize("damage", ["cut", "entry", "words", "shape", "other contract"])
def test_a_damaged_file_is_no_list_and_is_made_again(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(served: Endpoint, world: Following, do: Do) -> None:
        await do(GUARDIAN, world.blacklist.add_emergency(DIGEST, EVERYWHERE, MALWARE))
        await world.poll(await world.restarted())
        whole = world.path.read_text()
        changed = json.loads(whole)
        if damage == "entry":
            changed["entries"][0][2] += 1
        elif damage == "shape":
            changed["entries"] = [["00"]]
        elif damage == "other contract":
            changed["blacklist"] = to_hex(bytes(20))
        text = {"cut": whole[:-9], "words": "hello"}.get(damage, json.dumps(changed))
        world.path.write_text(text)
        follower = await world.restarted()
        assert follower.listed(DIGEST) is None
        assert len(caplog.records) == (0 if damage == "other contract" else 1)
        await world.poll(follower)
        assert (await world.restarted()).listed(DIGEST) is not None

    following(tmp_path, test)


def test_a_disk_that_cannot_be_written_does_not_keep_it_serving(tmp_path: Path) -> None:
    """The entry is in force at once, and is written as soon as that is possible."""

    async def test(served: Endpoint, world: Following, do: Do) -> None:
        follower = await world.restarted()
        await world.poll(follower)
        await do(GUARDIAN, world.blacklist.add_emergency(DIGEST, EVERYWHERE, MALWARE))
        world.path.unlink()
        world.path.mkdir()  # in the way: the file cannot be put in its place
        with pytest.raises(StoreError, match="cannot be written"):
            await world.poll(follower)
        assert follower.listed(DIGEST) is not None
        world.path.rmdir()
        await world.poll(follower)
        assert (await world.restarted()).listed(DIGEST) is not None

    following(tmp_path, test)


def test_it_goes_on_after_failures_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def test(served: Endpoint, world: Following, do: Do) -> None:
        def hang_up(*_: object) -> None:
            raise HangUpError

        follower = await world.restarted()
        await world.head.poll()
        served.twists["eth_call"] = hang_up
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(follower.run())
            async with asyncio.timeout(30):
                await until(lambda: bool(caplog.records))
                await world.head.poll()
                await until(lambda: served.asked.count("eth_call") == 2 * ASKED_PER_FAILURE)
                served.twists.clear()
                await do(GUARDIAN, world.blacklist.add_emergency(DIGEST, EVERYWHERE, MALWARE))
                changed = asyncio.Event()
                follower.watch(changed.set)
                await world.head.poll()
                await changed.wait()
            running.cancel()
        assert len(caplog.records) == 1
        assert follower.listed(DIGEST) is not None

    following(tmp_path, test)


async def until(is_so: Callable[[], bool]) -> None:
    """Lets the loop run until something in it has happened."""
    while not is_so():  # noqa: ASYNC110 - what is waited for rings no bell
        await asyncio.sleep(0)

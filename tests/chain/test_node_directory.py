"""Reading the registry over RPC: what is new, what a reorganisation took back, and endpoints that do not help."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.chain.devchains import Rpc, engine, running
from tests.chain.nodes import DOMAIN, Fleet

from nearcast.chain.devchain.addresses import ACCOUNTS
from nearcast.chain.devchain.node import DevChain
from nearcast.chain.node_directory import NodeDirectory
from nearcast.chain.node_records import NodeRecord
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.rpc_types import Log
from nearcast.errors import ChainError, UnavailableError

CHAIN_ID = 31337


@pytest.fixture
def rpc(devchain: DevChain) -> Iterator[Rpc]:
    with running(devchain) as rpc:
        yield rpc


@pytest.fixture
def fleet(rpc: Rpc) -> Fleet:
    fleet = Fleet(rpc)
    fleet.allow(1, 2, 3)
    return fleet


async def no_sleep(delay_s: float) -> None:
    """An endpoint's pause, without the pause."""


class Watched(JsonRpc):
    """A client that remembers which logs it asked for, and can be told what happens meanwhile."""

    def __init__(self, url: str) -> None:
        super().__init__(url, CHAIN_ID, sleep=no_sleep)
        self.asked: list[tuple[int, int]] = []
        self.blocks_max = 1 << 60
        self.meanwhile: Callable[[], object] = lambda: None

    async def logs(
        self, addresses: Sequence[bytes], topics: Sequence[Sequence[bytes] | None], first: int, last: int
    ) -> list[Log]:
        self.asked.append((first, last))
        if last - first + 1 > self.blocks_max:
            raise ChainError("the endpoint answers more than it should")
        found = await super().logs(addresses, topics, first, last)
        await asyncio.to_thread(self.meanwhile)
        return found


def with_client(url: str, act: Callable[[Watched], Awaitable[list[NodeRecord]]]) -> list[NodeRecord]:
    async def run() -> list[NodeRecord]:
        async with Watched(url) as client:
            return await act(client)

    return asyncio.run(run())


def load(url: str, path: Path, *, confirmations: int = 1, from_block: int = 0) -> list[NodeRecord]:
    async def act(client: Watched) -> list[NodeRecord]:
        with NodeDirectory.open(
            path / "nodes.sqlite", client, DOMAIN, confirmations=confirmations, from_block=from_block
        ) as directory:
            records = await directory.load()
            assert directory.cached() == records
            return records

    return with_client(url, act)


def operators(records: list[NodeRecord]) -> list[int]:
    known = [account.address for account in ACCOUNTS]
    return [known.index(record.operator) for record in records]


def test_an_empty_registry(rpc: Rpc, tmp_path: Path) -> None:
    assert load(rpc.url, tmp_path) == []


def test_nodes_are_read_in_the_order_they_came_and_go(rpc: Rpc, fleet: Fleet, tmp_path: Path) -> None:
    fleet.declare(2)
    fleet.declare(1, urls=("https://one.example/", "ftp://one.example/"))
    fleet.declare(3, region="FR")
    records = load(rpc.url, tmp_path)
    assert operators(records) == [2, 1, 3]
    assert [record.urls for record in records] == [("http://a/",), ("https://one.example/",), ("http://a/",)]
    assert all(record.active for record in records)
    fleet.leave(2)
    fleet.declare(1, "update", price_units_per_gib=2**64 - 1, mbps=20)
    records = load(rpc.url, tmp_path)
    assert operators(records) == [1, 3]
    assert (records[0].price_units_per_gib, records[0].mbps, records[1].region) == (2**64 - 1, 20, "FR")


def test_the_same_is_read_in_one_go_as_step_by_step(rpc: Rpc, fleet: Fleet, tmp_path: Path) -> None:
    for index in (1, 2, 3):
        fleet.declare(index)
        load(rpc.url, tmp_path / "steps")
    fleet.leave(1)
    assert load(rpc.url, tmp_path / "steps") == load(rpc.url, tmp_path / "once")


def test_only_what_is_new_is_asked_for(rpc: Rpc, fleet: Fleet, tmp_path: Path) -> None:
    fleet.declare(1)
    load(rpc.url, tmp_path)
    done = int(rpc("eth_blockNumber"), 16)
    fleet.declare(2)

    async def twice(client: Watched) -> list[NodeRecord]:
        with NodeDirectory.open(tmp_path / "nodes.sqlite", client, DOMAIN) as directory:
            records = await directory.load()
            assert await directory.load() == records
        assert client.asked == [(done + 1, done + 1)]
        return records

    assert operators(with_client(rpc.url, twice)) == [1, 2]


def test_blocks_before_the_registry_are_not_asked_for(rpc: Rpc, fleet: Fleet, tmp_path: Path) -> None:
    fleet.declare(1)
    assert load(rpc.url, tmp_path, from_block=1_000_000) == []
    assert operators(load(rpc.url, tmp_path, from_block=int(rpc("eth_blockNumber"), 16))) == [1]


def test_unconfirmed_blocks_do_not_count_yet(rpc: Rpc, fleet: Fleet, tmp_path: Path) -> None:
    fleet.declare(1)
    assert load(rpc.url, tmp_path, confirmations=3) == []
    rpc("evm_mine")
    rpc("evm_mine")
    assert operators(load(rpc.url, tmp_path, confirmations=3)) == [1]


def test_of_two_with_one_endpoint_the_first_counts_until_it_leaves(rpc: Rpc, fleet: Fleet, tmp_path: Path) -> None:
    fleet.declare(1, endpoint=7)
    fleet.declare(2, endpoint=7)
    fleet.declare(1, "update", endpoint=7, price_units_per_gib=5)
    assert operators(load(rpc.url, tmp_path)) == [1]
    fleet.leave(1)
    assert operators(load(rpc.url, tmp_path)) == [2]
    fleet.declare(1, endpoint=7)
    assert operators(load(rpc.url, tmp_path)) == [2]


def test_what_a_reorganisation_takes_back_is_forgotten(rpc: Rpc, fleet: Fleet, tmp_path: Path) -> None:
    fleet.declare(1)
    load(rpc.url, tmp_path)
    snapshot = rpc("evm_snapshot")
    fleet.leave(1)
    load(rpc.url, tmp_path)
    fleet.declare(2)
    assert operators(load(rpc.url, tmp_path)) == [2]
    rpc("evm_revert", snapshot)
    assert operators(load(rpc.url, tmp_path)) == [1], "the chain is shorter than what was read"
    snapshot = rpc("evm_snapshot")
    fleet.declare(2)
    load(rpc.url, tmp_path)
    rpc("evm_revert", snapshot)
    fleet.declare(3)
    fleet.declare(1, "update", mbps=20)
    records = load(rpc.url, tmp_path)
    assert operators(records) == [1, 3], "the chain is longer, and another"
    assert records == load(rpc.url, tmp_path / "anew")


def test_another_chain_with_the_same_id_is_read_from_the_beginning(rpc: Rpc, fleet: Fleet, tmp_path: Path) -> None:
    fleet.declare(1)
    assert operators(load(rpc.url, tmp_path)) == [1]
    other = DevChain(engine(), lambda: 2_000_000_000.0, None, automine=True)
    with running(other) as second:
        second("evm_mine")
        assert load(second.url, tmp_path) == []


def test_a_chain_that_changes_while_it_is_read_is_read_again(rpc: Rpc, fleet: Fleet, tmp_path: Path) -> None:
    snapshot = rpc("evm_snapshot")
    fleet.declare(1)

    async def act(client: Watched) -> list[NodeRecord]:
        def change() -> None:
            client.meanwhile = lambda: None
            rpc("evm_revert", snapshot)
            fleet.declare(2)

        client.meanwhile = change
        with NodeDirectory.open(tmp_path / "nodes.sqlite", client, DOMAIN) as directory:
            return await directory.load()

    assert operators(with_client(rpc.url, act)) == [2]


def test_a_chain_that_never_holds_still_ends_the_reading(rpc: Rpc, fleet: Fleet, tmp_path: Path) -> None:
    async def act(client: Watched) -> list[NodeRecord]:
        def change() -> None:
            rpc("evm_revert", snapshots.pop())
            snapshots.append(rpc("evm_snapshot"))
            changes.append(1_000)
            rpc("evm_increaseTime", sum(changes))
            rpc("evm_mine")

        snapshots, changes = [rpc("evm_snapshot")], list[int]()
        rpc("evm_mine")
        client.meanwhile = change
        with NodeDirectory.open(tmp_path / "nodes.sqlite", client, DOMAIN) as directory:
            return await directory.load()

    with pytest.raises(UnavailableError, match="faster than it can be read"):
        with_client(rpc.url, act)


def test_ranges_shrink_until_the_endpoint_answers(rpc: Rpc, fleet: Fleet, tmp_path: Path) -> None:
    for index in (1, 2, 3):
        fleet.declare(index)

    async def act(client: Watched) -> list[NodeRecord]:
        client.blocks_max = 2
        with NodeDirectory.open(tmp_path / "nodes.sqlite", client, DOMAIN) as directory:
            records = await directory.load()
        client.blocks_max = 0
        with (
            NodeDirectory.open(tmp_path / "other.sqlite", client, DOMAIN) as directory,
            pytest.raises(ChainError, match="more than it should"),
        ):
            await directory.load()
        return records

    assert operators(with_client(rpc.url, act)) == [1, 2, 3]


def test_without_an_endpoint_what_was_read_is_still_there(devchain: DevChain, tmp_path: Path) -> None:
    with running(devchain) as rpc:
        fleet = Fleet(rpc)
        fleet.allow(1)
        fleet.declare(1)
        records = load(rpc.url, tmp_path)
        url = rpc.url

    async def act(client: Watched) -> list[NodeRecord]:
        with NodeDirectory.open(tmp_path / "nodes.sqlite", client, DOMAIN) as directory:
            with pytest.raises(UnavailableError, match="nobody answers"):
                await directory.load()
            return directory.cached()

    assert with_client(url, act) == records
    assert operators(records) == [1]

"""A reader that pays and a node that is paid: every verified byte is paid, once, and both ends count the same."""

import asyncio
from pathlib import Path

import pytest
from tests.delivery.paid_world import CAPACITY, MAX_PRICE, PRICE, Buyer, Seller, buyer, seller
from tests.delivery.world import STALL_S, file_dag, keep_file, keep_tree, noise, run, world
from tests.payments.shop import until

from nearcast.content.blocks import BLOCK_BYTES_MAX
from nearcast.content.cid import Cid
from nearcast.content.dag import FileDag
from nearcast.content.leaves import LEAF_BYTES
from nearcast.delivery.events import LeafVerified, Paying, SourceFailed, Wanted
from nearcast.delivery.probe import probe
from nearcast.delivery.source import Span
from nearcast.errors import NearcastError, RemoteError, UnavailableError
from nearcast.keys import new_identity
from nearcast.payments.credit import FORGIVEN_BYTES, PART_BITS, WINDOW_BYTES_MIN, PayeeAccount, parts_of, whole_units
from nearcast.transport.iroh import IrohEndpoint

CONTENT = noise(12 * LEAF_BYTES + 777)


def all_bytes(*dags: FileDag) -> int:
    """What a fetch of these files moves: nodes and leaves."""
    return sum(dag.leaves.size_bytes + sum(len(data) for _, data in dag.nodes) for dag in dags)


def delivered_parts(account: PayeeAccount) -> int:
    """All that left, also what was forgiven because its voucher was late (less than a unit of it stays forgiven)."""
    return account.delivered_parts + account.forgiven_parts


async def paid_up(node: Seller, who: Buyer, size_bytes: int, price: int = PRICE) -> None:
    """Both ends count exactly so many bytes, and the voucher for them is in both books."""
    parts = parts_of(size_bytes, price)
    account = node.account(who.payer)
    await until(lambda: account.paid_units == whole_units(parts))
    assert who.channel.account.verified_parts == parts
    assert delivered_parts(account) == parts
    assert who.spent.signed_units(who.payer.channel) == whole_units(parts)
    held = node.ledger.newest(who.payer.channel)
    assert held is not None
    assert held.promise.units == whole_units(parts)


@pytest.mark.parametrize("transport", ["memory", "iroh"])
def test_every_verified_byte_is_paid_and_both_ends_count_the_same(tmp_path: Path, transport: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            ends = [await IrohEndpoint.bind(new_identity()) if transport == "iroh" else None for _ in range(2)]
            node, who = seller(place, "node", endpoint=ends[0]), buyer(place, endpoint=ends[1])
            node.open_channel(who.payer)
            dag = keep_file(node.peer.store, CONTENT)
            source = who.source(node, dag.root)
            report = await who.reader.fetcher.fetch(Wanted(dag.root), [source], who.reader.events.append)
            assert who.reader.store.read_file(dag.root, 0, len(CONTENT)) == CONTENT
            await who.channel.settle()
            await paid_up(node, who, all_bytes(dag))
            assert report.paid_bytes_by_source == {source.name: all_bytes(dag)} == report.bytes_by_source
            assert report.paid_parts_by_source == {source.name: parts_of(all_bytes(dag), PRICE)}
            assert who.reader.told(Paying) == [Paying(source.name, PRICE, who.payer.channel)]
            assert who.reader.told(SourceFailed) == []
            assert {offer.root for offer in node.offers.made} == {dag.root.digest}
            assert node.account(who.payer).forgiven_parts < 1 << PART_BITS
            for end in ends:
                if end is not None:
                    await end.close()

    run(main())


def test_a_directory_of_small_files_is_paid_to_the_byte(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node, who = seller(place, "node"), buyer(place)
            node.open_channel(who.payer)
            tree = {f"{number:03}": noise(3000, number) for number in range(600)} | {"film": CONTENT}
            root = keep_tree(node.peer.store, tree)
            report = await who.reader.fetcher.fetch(Wanted(root), [who.source(node, root)], lambda _: None)
            await who.channel.settle()
            assert report.bytes_verified > len(CONTENT) + 600 * 3000
            await paid_up(node, who, report.bytes_verified)

    run(main())


def test_parallel_fetches_share_one_channel_and_count_exactly(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node, who = seller(place, "node"), buyer(place)
            node.open_channel(who.payer)
            dags = [keep_file(node.peer.store, noise(5 * LEAF_BYTES + number, number)) for number in range(6)]

            async def fetch(root: Cid) -> int:
                source = who.source(node, root)
                report = await who.reader.fetcher.fetch(Wanted(root), [source], lambda _: None)
                return report.paid_bytes_by_source[source.name]

            async with asyncio.TaskGroup() as group:
                fetches = [group.create_task(fetch(dag.root)) for dag in dags]
            assert [task.result() for task in fetches] == [all_bytes(dag) for dag in dags]
            await who.channel.settle()
            await paid_up(node, who, all_bytes(*dags))

    run(main())


def test_a_free_peer_of_a_node_with_a_price_pays_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            friend, stranger = place.reader(place.store("friend")), place.reader(place.store("stranger"))
            friends: set[bytes] = set()
            node = seller(place, "node", is_free=friends.__contains__)
            dag = keep_file(node.peer.store, CONTENT)
            await friend.pool.get(node.peer.address)
            await until(lambda: bool(node.peer.connections))
            friends.add(node.peer.connections[0].remote_id)
            await friend.fetcher.fetch(Wanted(dag.root), [friend.source(node.peer)], friend.events.append)
            assert friend.store.read_file(dag.root, 0, len(CONTENT)) == CONTENT
            assert node.offers.made == []
            with pytest.raises(RemoteError, match="10000 units"):
                await stranger.fetcher.fetch(Wanted(dag.root), [stranger.source(node.peer)], stranger.events.append)
            holdings = [
                await probe(await reader.pool.get(node.peer.address), [dag.root]) for reader in (friend, stranger)
            ]
            assert [[holding.price for holding in answer] for answer in holdings] == [[0], [PRICE]]

    run(main())


def test_a_price_above_the_readers_limit_is_not_paid(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node, who = seller(place, "node"), buyer(place)
            node.open_channel(who.payer)
            dag = keep_file(node.peer.store, CONTENT)
            source = who.source(node, dag.root, max_price=PRICE - 1)
            with pytest.raises(RemoteError, match="it asks for more money: a GiB costs 10000 units"):
                await who.reader.fetcher.fetch(Wanted(dag.root), [source], lambda _: None)
            assert who.channel.account.verified_parts == 0
            assert node.offers.made == []

    run(main())


def test_the_cap_of_a_fetch_is_never_passed(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node, who = seller(place, "node"), buyer(place)
            node.open_channel(who.payer)
            dag = keep_file(node.peer.store, CONTENT)
            cap_units = whole_units(parts_of(5 * LEAF_BYTES, MAX_PRICE))
            source = who.source(node, dag.root, cap_units=cap_units)
            with pytest.raises(NearcastError, match="more than may be spent") as caught:
                await who.reader.fetcher.fetch(Wanted(dag.root), [source], who.reader.events.append)
            assert "--cap" in (caught.value.fix or ""), "nobody else is any cheaper"
            await who.channel.settle()
            assert who.reader.told(LeafVerified)
            assert 0 < who.channel.account.signed_units <= cap_units
            await paid_up(node, who, who.channel.account.verified_parts // PRICE)

    run(main())


def test_many_small_files_come_within_a_cap_that_covers_their_bytes(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node, who = seller(place, "node"), buyer(place)
            node.open_channel(who.payer)
            site = keep_tree(node.peer.store, {f"{number}": noise(20_000, number) for number in range(100)})
            cap_units = whole_units(parts_of(5 * BLOCK_BYTES_MAX, MAX_PRICE))  # of blocks as large as can be: five
            source = who.source(node, site, cap_units=cap_units)
            report = await who.reader.fetcher.fetch(Wanted(site), [source], who.reader.events.append)
            assert report.bytes_verified >= 100 * 20_000, "far more than comes along with the names"
            await who.channel.settle()
            assert 0 < who.channel.account.signed_units <= cap_units
            await paid_up(node, who, report.bytes_verified)

    run(main())


def test_a_channel_that_nobody_opened_gets_no_credit(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node, who = seller(place, "node"), buyer(place)
            dag = keep_file(node.peer.store, CONTENT)
            with pytest.raises((RemoteError, UnavailableError), match=r"no deposit|no credit"):
                await who.reader.fetcher.fetch(Wanted(dag.root), [who.source(node, dag.root)], lambda _: None)
            assert node.offers.made == []

    run(main())


def test_a_channel_whose_money_is_spent_ends_the_fetch_and_nothing_is_lost(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node, who = seller(place, "node"), buyer(place, capacity_units=50)  # five leaves
            node.open_channel(who.payer, units=50)
            dag = keep_file(node.peer.store, CONTENT)
            with pytest.raises(NearcastError, match="more than may be spent"):
                await who.reader.fetcher.fetch(Wanted(dag.root), [who.source(node, dag.root)], lambda _: None)
            await who.channel.settle()
            assert 0 < node.account(who.payer).paid_units <= 50
            await paid_up(node, who, who.channel.account.verified_parts // PRICE)

    run(main())


def test_a_payer_that_promises_more_than_its_channel_holds_is_not_believed(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node, who = seller(place, "node"), buyer(place)
            node.open_channel(who.payer, units=50)
            dag = keep_file(node.peer.store, noise(40 * LEAF_BYTES))
            with pytest.raises(NearcastError, match=r"more than the channel holds|in vain|it stopped, and nobody"):
                await who.reader.fetcher.fetch(Wanted(dag.root), [who.source(node, dag.root)], lambda _: None)
            account = node.account(who.payer)
            assert account.paid_units <= 50
            most = (50 << PART_BITS) + parts_of(FORGIVEN_BYTES + 3 * WINDOW_BYTES_MIN, PRICE)
            assert delivered_parts(account) <= most

    run(main())


@pytest.mark.parametrize("leaves_wanted", [1, 3])
def test_a_request_that_is_not_wanted_any_more_is_drained_and_paid_to_the_byte(
    tmp_path: Path, leaves_wanted: int
) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node, who = seller(place, "node"), buyer(place)
            node.open_channel(who.payer)
            dag = keep_file(node.peer.store, noise(64 * LEAF_BYTES))
            source, taken = who.source(node, dag.root), 0

            async def take(_position: int, data: bytes | None) -> bool:
                nonlocal taken
                taken += len(data or b"")
                return taken < leaves_wanted * LEAF_BYTES

            await source.leaves([Span(dag.root, 0, 64, dag.leaves)], take)
            assert leaves_wanted * LEAF_BYTES <= taken < 64 * LEAF_BYTES
            await who.channel.settle()
            await paid_up(node, who, taken)
            await until(lambda: bool(node.peer.served))
            assert node.peer.served[-1]["end"] == "stopped"

    run(main())


def test_a_fetch_that_is_cancelled_pays_for_what_was_on_its_way(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node, who = seller(place, "node"), buyer(place)
            node.open_channel(who.payer)
            dag = keep_file(node.peer.store, noise(40 * LEAF_BYTES))
            fetching = place.spawn(fetch_quietly(who, who.source(node, dag.root), dag.root))
            await until(lambda: len(who.reader.told(LeafVerified)) > 7)
            fetching.cancel()
            await asyncio.wait([fetching])
            assert fetching.cancelled()
            await who.channel.settle()
            await paid_up(node, who, delivered_parts(node.account(who.payer)) // PRICE)
            assert who.channel.account.verified_parts < parts_of(all_bytes(dag), PRICE)
            # The channel is as good as before: the rest comes, and all of it is paid.
            await fetch_quietly(who, who.source(node, dag.root), dag.root)
            await who.channel.settle()
            await paid_up(node, who, who.channel.account.verified_parts // PRICE)

    run(main())


async def fetch_quietly(who: Buyer, source: object, root: Cid) -> None:
    await who.reader.fetcher.fetch(Wanted(root), [source], who.reader.events.append)  # type: ignore[list-item]


def test_a_second_source_that_lost_the_race_is_paid_for_what_it_sent(tmp_path: Path) -> None:
    """Two ways to one node, asked for the same: what came twice is verified twice and paid twice."""

    async def main() -> None:
        async with world(tmp_path) as place:
            node, who = seller(place, "node"), buyer(place)
            node.open_channel(who.payer)
            dag = keep_file(node.peer.store, CONTENT)
            first, second = who.source(node, dag.root), who.source(node, dag.root)
            second.name = "another"
            report = await who.reader.fetcher.fetch(Wanted(dag.root), [first, second], who.reader.events.append)
            await who.channel.settle()
            paid_bytes = sum(report.paid_bytes_by_source.values())
            assert paid_bytes >= all_bytes(dag)
            await paid_up(node, who, paid_bytes)

    run(main())


def test_who_never_pays_gets_a_window_and_what_is_forgiven_a_channel(tmp_path: Path) -> None:
    """A payer that greets, asks, and never pays."""

    async def main() -> None:
        async with world(tmp_path) as place:
            node, who = seller(place, "node", unpaid_patience_s=STALL_S), buyer(place)
            node.open_channel(who.payer)
            dag = keep_file(node.peer.store, noise(40 * LEAF_BYTES))
            source = who.source(node, dag.root)
            who.channel.verify = lambda *_: None  # type: ignore[method-assign]
            with pytest.raises(UnavailableError, match="in vain"):
                await who.reader.fetcher.fetch(Wanted(dag.root), [source], who.reader.events.append)
            account = node.account(who.payer)
            assert 0 < delivered_parts(account) <= parts_of(WINDOW_BYTES_MIN + FORGIVEN_BYTES + LEAF_BYTES, PRICE)
            assert "unpaid" in [each["end"] for each in node.peer.served], "the others may be stopped because of it"
            assert account.paid_units == 0

    run(main())


def test_credit_that_ends_during_a_fetch_ends_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node, who = seller(place, "node"), buyer(place)
            node.open_channel(who.payer)
            dag = keep_file(node.peer.store, noise(40 * LEAF_BYTES))
            fetching = place.spawn(failing(who, node, dag.root))
            await until(lambda: len(who.reader.told(LeafVerified)) > 5)
            customer = node.till.find(who.payer.channel)
            assert customer is not None
            customer.close_credit("its payer is taking the channel's money back")
            async with asyncio.timeout(10 * STALL_S):
                await fetching
            await who.channel.settle()
            unpaid_parts = customer.account.delivered_parts - (customer.account.paid_units << PART_BITS)
            assert unpaid_parts <= parts_of(WINDOW_BYTES_MIN * 8, PRICE)
            assert customer.account.paid_units <= CAPACITY

    run(main())


async def failing(who: Buyer, node: Seller, root: Cid) -> None:
    with pytest.raises(NearcastError):
        await fetch_quietly(who, who.source(node, root), root)


def test_what_is_already_here_is_neither_fetched_nor_paid(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node, who = seller(place, "node"), buyer(place)
            node.open_channel(who.payer)
            dag = keep_file(node.peer.store, CONTENT)
            with who.reader.store.open_partial(file_dag(CONTENT)) as partial:
                for index in range(2, 9):
                    partial.put_leaf(index, CONTENT[index * LEAF_BYTES : (index + 1) * LEAF_BYTES])
            await fetch_quietly(who, who.source(node, dag.root), dag.root)
            await who.channel.settle()
            await paid_up(node, who, len(CONTENT) - 7 * LEAF_BYTES)

    run(main())

"""Several sources at once, late ones, dying ones, none at all; and downloads that go on where they stopped."""

import asyncio
from pathlib import Path

import pytest
from tests.delivery.world import file_dag, keep_file, noise, run, world

from nearcast.content.leaves import LEAF_BYTES
from nearcast.delivery.events import FetchEvent, LeafVerified, SourceJoined, Wanted
from nearcast.errors import NotFoundError, UnavailableError

CONTENT = noise(5 * LEAF_BYTES + 777)


def test_several_sources_give_different_leaves(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            content = noise(24 * LEAF_BYTES)
            peers = [place.peer(name) for name in ("one", "two", "three")]
            for peer in peers:
                dag = keep_file(peer.store, content)
            reader = place.reader()
            report = await reader.fetcher.fetch(
                Wanted(dag.root), [reader.source(peer) for peer in peers], reader.events.append
            )
            assert reader.store.read_file(dag.root, 0, len(content)) == content
            assert len([event for event in reader.told(LeafVerified) if event.source == peers[1].name]) > 0
            assert len(report.bytes_by_source) == 3
            assert sorted(event.index for event in reader.told(LeafVerified)) == list(range(24))
            assert report.duplicate_bytes <= 3 * LEAF_BYTES

    run(main())


def test_a_source_killed_in_the_middle_is_replaced_and_nothing_is_lost(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            content = noise(20 * LEAF_BYTES)
            dying, living = place.peer("dying"), place.peer("living")
            dag = keep_file(dying.store, content)
            keep_file(living.store, content)
            reader = place.reader()
            killing: list[asyncio.Task[None]] = []

            def watch(event: FetchEvent) -> None:
                reader.events.append(event)
                if isinstance(event, LeafVerified) and event.source == dying.name and not killing:
                    killing.append(asyncio.get_running_loop().create_task(dying.die()))

            sources = [reader.source(dying), reader.source(living)]
            report = await reader.fetcher.fetch(Wanted(dag.root), sources, watch)
            await asyncio.gather(*killing)
            assert killing
            assert reader.store.read_file(dag.root, 0, len(content)) == content
            assert report.bytes_by_source[living.name] > 0
            assert report.liars == ()
            assert sorted(event.index for event in reader.told(LeafVerified)) == list(range(20))

    run(main())


def test_partial_holders_complete_each_other(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            content = noise(6 * LEAF_BYTES)
            dag = file_dag(content)
            halves = [place.peer("first half"), place.peer("second half")]
            for number, peer in enumerate(halves):
                with peer.store.open_partial(dag) as partial:
                    for index in range(3 * number, 3 * number + 3):
                        partial.put_leaf(index, content[index * LEAF_BYTES : (index + 1) * LEAF_BYTES])
            reader = place.reader()
            await reader.fetcher.fetch(Wanted(dag.root), [reader.source(peer) for peer in halves], reader.events.append)
            assert reader.store.read_file(dag.root, 0, len(content)) == content

    run(main())


def test_leaves_that_nobody_has_end_the_fetch_and_the_rest_is_kept(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            dag = file_dag(CONTENT)
            peer, reader = place.peer("half"), place.reader()
            with peer.store.open_partial(dag) as partial:
                partial.put_leaf(0, CONTENT[:LEAF_BYTES])
            with pytest.raises(NotFoundError, match=peer.name):
                await reader.fetcher.fetch(Wanted(dag.root), [reader.source(peer)], reader.events.append)
            assert reader.store.available_leaves(dag.root) == [(0, 1)]

    run(main())


def test_a_source_that_is_found_late_takes_part(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            late = place.peer("late")
            dag = keep_file(late.store, CONTENT)
            reader = place.reader()
            asked = asyncio.Event()

            async def silent(_stream: object, _request: object) -> None:
                asked.set()
                await asyncio.Event().wait()

            silence = place.hostile(silent)
            async with asyncio.TaskGroup() as group:
                task = group.create_task(
                    reader.fetcher.fetch(Wanted(dag.root), [reader.source(silence)], reader.events.append)
                )
                await asked.wait()
                reader.fetcher.add_source(reader.source(late))
            assert task.result().bytes_by_source == {late.name: task.result().bytes_verified}
            assert reader.told(SourceJoined)[-1] == SourceJoined(late.name)

    run(main())


def test_nobody_to_ask_is_said_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            reader = place.reader()
            with pytest.raises(UnavailableError, match="nobody to ask"):
                await reader.fetcher.fetch(Wanted(file_dag(CONTENT).root), [], reader.events.append)

    run(main())


def test_ten_peers_without_it_say_so_within_a_second(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peers = [place.peer(f"peer-{number}") for number in range(10)]
            reader = place.reader()
            sources = [reader.source(peer) for peer in peers]
            loop = asyncio.get_running_loop()
            started_s = loop.time()
            with pytest.raises(NotFoundError) as failure:
                await reader.fetcher.fetch(Wanted(file_dag(CONTENT).root), sources, reader.events.append)
            assert loop.time() - started_s < 1.0
            assert all(peer.name in failure.value.message for peer in peers)

    run(main())


def test_unreachable_peers_are_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            gone, reader = place.peer("gone"), place.reader()
            await gone.die()
            with pytest.raises(UnavailableError, match=gone.name):
                await reader.fetcher.fetch(Wanted(file_dag(CONTENT).root), [reader.source(gone)], reader.events.append)

    run(main())


def test_a_cancelled_fetch_is_resumed_where_it_stopped(tmp_path: Path) -> None:
    async def main() -> None:
        content = noise(16 * LEAF_BYTES)
        async with world(tmp_path) as place:
            peer = place.peer("near")
            dag = keep_file(peer.store, content)
            store = place.store("reader")
            reader = place.reader(store)
            first: list[LeafVerified] = []
            enough = asyncio.Event()

            def watch(event: FetchEvent) -> None:
                if isinstance(event, LeafVerified):
                    first.append(event)
                    if len(first) == 5:
                        enough.set()

            task = asyncio.get_running_loop().create_task(
                reader.fetcher.fetch(Wanted(dag.root), [reader.source(peer)], watch)
            )
            await enough.wait()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            here = sum(count for _, count in store.available_leaves(dag.root))
            assert here >= 5
            place.close_store(store)
            reader = place.reader(place.store("reader"))
            assert sum(count for _, count in reader.store.available_leaves(dag.root)) == here
            report = await reader.fetcher.fetch(Wanted(dag.root), [reader.source(peer)], reader.events.append)
            assert report.bytes_verified == (16 - here) * LEAF_BYTES
            assert reader.store.read_file(dag.root, 0, len(content)) == content

    run(main())


def test_two_fetches_of_the_same_file_finish_it_together(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("near"), place.reader()
            dag = keep_file(peer.store, CONTENT)
            ranges = [(0, 3 * LEAF_BYTES), (2 * LEAF_BYTES, len(CONTENT))]
            await asyncio.gather(
                *(
                    reader.fetcher.fetch(Wanted(dag.root, byte_range=each), [reader.source(peer)], reader.events.append)
                    for each in ranges
                )
            )
            assert reader.store.read_file(dag.root, 0, len(CONTENT)) == CONTENT
            stat = reader.store.stat(dag.root)
            assert stat is not None
            assert stat.kind == "flat"

    run(main())

"""Downloads between honest nodes: everything arrives, verified, from whoever has it, and nothing twice."""

from pathlib import Path

import pytest
from tests.content.conftest import MemoryBlocks
from tests.content.foreign import balanced_v0, trickle
from tests.delivery.world import (
    file_dag,
    keep_file,
    keep_leaf,
    keep_tree,
    noise,
    run,
    world,
)

from nearcast.content import reader as content_reader
from nearcast.content.blocks import MissingBlockError
from nearcast.content.cid import Cid
from nearcast.content.directory import build_directory
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.nodes import Entry, FileNode
from nearcast.content.store import Store
from nearcast.delivery.events import LeafVerified, Planned, SourceFailed, Wanted
from nearcast.errors import NotFoundError

CONTENT = noise(5 * LEAF_BYTES + 777)


def read(store: Store, cid: Cid, path: str = "") -> bytes:
    found = content_reader.resolve(store.get_block, cid, path)
    return b"".join(content_reader.read_range(store.get_block, found.cid, 0, 1 << 40))


def keep_files(store: Store, files: dict[str, bytes]) -> Cid:
    """A flat directory of small files, in one batch."""
    entries = []
    with store.batch() as batch:
        for name, data in files.items():
            cid = file_dag(data).root
            batch.put_block(cid, data)
            entries.append(Entry(name, cid, len(data)))
        built = build_directory(entries)
        for cid, block in built.nodes:
            batch.put_block(cid, block)
    return built.root


def test_a_file_arrives_whole_and_becomes_one_object(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("near"), place.reader()
            dag = keep_file(peer.store, CONTENT)
            report = await reader.fetcher.fetch(Wanted(dag.root), [reader.source(peer)], reader.events.append)
            assert reader.store.read_file(dag.root, 0, len(CONTENT)) == CONTENT
            stat = reader.store.stat(dag.root)
            assert stat is not None
            assert (stat.kind, stat.complete) == ("flat", True)
            nodes_bytes = sum(len(data) for _, data in dag.nodes)
            assert report.target == dag.root
            assert report.bytes_verified == len(CONTENT) + nodes_bytes
            assert report.bytes_by_source == {peer.name: report.bytes_verified}
            assert (report.duplicate_bytes, report.reused_bytes, report.failed) == (0, 0, {})
            assert reader.told(Planned) == [Planned(len(CONTENT), 0)]
            assert sorted(event.index for event in reader.told(LeafVerified)) == list(range(6))
            assert sum(event.size_bytes for event in reader.told(LeafVerified)) == len(CONTENT)

    run(main())


def test_what_is_here_is_not_fetched_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("near"), place.reader()
            root = keep_tree(peer.store, {"a": b"small", "b": CONTENT, "d": {"c": b"deep"}})
            await reader.fetcher.fetch(Wanted(root), [reader.source(peer)], reader.events.append)
            await peer.die()
            again = await reader.fetcher.fetch(Wanted(root), [], reader.events.append)
            assert again.bytes_verified == 0
            assert again.reused_bytes > len(CONTENT)

    run(main())


def test_a_tree_arrives_with_every_file(tmp_path: Path) -> None:
    tree = {
        "empty": b"",
        "note": b"a note",
        "film": CONTENT,
        "again": CONTENT,
        "deep": {"deeper": {"page": b"<html>", "film2": noise(2 * LEAF_BYTES, 3)}, "none": {}},
    }

    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("near"), place.reader()
            root = keep_tree(peer.store, tree)
            report = await reader.fetcher.fetch(Wanted(root), [reader.source(peer)], reader.events.append)
            assert read(reader.store, root, "film") == CONTENT
            assert read(reader.store, root, "deep/deeper/page") == b"<html>"
            assert read(reader.store, root, "deep/deeper/film2") == noise(2 * LEAF_BYTES, 3)
            assert read(reader.store, root, "empty") == b""
            assert report.duplicate_bytes == 0
            assert list(content_reader.entries(reader.store.get_block, root)) == list(
                content_reader.entries(peer.store.get_block, root)
            )

    run(main())


def test_many_small_files_share_few_batches(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("near"), place.reader()
            files = {f"file-{number:04}": b"%d " % number * 100 for number in range(1500)}
            root = keep_files(peer.store, files)
            batches = 0
            begin = reader.store.batch

            def counted() -> object:
                nonlocal batches
                batches += 1
                return begin()

            reader.store.batch = counted  # type: ignore[method-assign,assignment]  # counts the durable batches
            source = reader.source(peer, stall_s=10.0)  # 1,500 reads on a busy machine
            report = await reader.fetcher.fetch(Wanted(root), [source], reader.events.append)
            assert read(reader.store, root, "file-0007") == files["file-0007"]
            assert report.duplicate_bytes == 0
            assert len(reader.told(LeafVerified)) == 1500
            assert batches <= 8

    run(main())


def test_a_path_brings_only_what_it_leads_to(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("near"), place.reader()
            root = keep_tree(peer.store, {"a": {"film": CONTENT, "note": b"note"}, "b": b"other"})
            report = await reader.fetcher.fetch(Wanted(root, "a/film"), [reader.source(peer)], reader.events.append)
            assert report.target == file_dag(CONTENT).root
            assert read(reader.store, root, "a/film") == CONTENT
            with pytest.raises(MissingBlockError):
                read(reader.store, root, "b")
            await reader.fetcher.fetch(Wanted(root, "a/note"), [reader.source(peer)], reader.events.append)
            assert read(reader.store, root, "a/note") == b"note"

    run(main())


def test_a_path_that_does_not_exist_is_not_found_whoever_is_asked(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("near"), place.reader()
            root = keep_tree(peer.store, {"a": b"a"})
            with pytest.raises(NotFoundError, match="nothing-here"):
                await reader.fetcher.fetch(Wanted(root, "nothing-here"), [reader.source(peer)], reader.events.append)
            assert reader.told(SourceFailed) == []

    run(main())


def test_a_byte_range_brings_the_leaves_that_cover_it_in_order(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("near"), place.reader()
            dag = keep_file(peer.store, CONTENT)
            wanted = Wanted(dag.root, byte_range=(LEAF_BYTES + 5, 3 * LEAF_BYTES + 1))
            await reader.fetcher.fetch(wanted, [reader.source(peer)], reader.events.append)
            assert reader.store.available_leaves(dag.root) == [(1, 3)]
            assert reader.store.read_file(dag.root, LEAF_BYTES, LEAF_BYTES + 9) == CONTENT[LEAF_BYTES : LEAF_BYTES + 9]
            assert reader.told(Planned)[-1] == Planned(3 * LEAF_BYTES, 0)
            rest = await reader.fetcher.fetch(Wanted(dag.root), [reader.source(peer)], reader.events.append)
            assert rest.bytes_verified == len(CONTENT) - 3 * LEAF_BYTES
            assert reader.store.read_file(dag.root, 0, len(CONTENT)) == CONTENT

    run(main())


@pytest.mark.parametrize("byte_range", [(0, 0), (10, 5), (1 << 40, 1 << 41)])
def test_an_empty_byte_range_brings_no_leaf(tmp_path: Path, byte_range: tuple[int, int]) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("near"), place.reader()
            dag = keep_file(peer.store, CONTENT)
            await reader.fetcher.fetch(
                Wanted(dag.root, byte_range=byte_range), [reader.source(peer)], reader.events.append
            )
            assert reader.told(LeafVerified) == []

    run(main())


def test_shallow_describes_the_target_and_a_later_fetch_keeps_it_in_one_piece(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("near"), place.reader()
            root = keep_tree(peer.store, {"film": CONTENT, "d": {"inner": {"x": b"x"}}})
            await reader.fetcher.fetch(Wanted(root, shallow=True), [reader.source(peer)], reader.events.append)
            assert [entry.name for entry in content_reader.entries(reader.store.get_block, root)] == ["d", "film"]
            await reader.fetcher.fetch(Wanted(root, "film", shallow=True), [reader.source(peer)], reader.events.append)
            found = content_reader.resolve(reader.store.get_block, root, "film")
            assert isinstance(found.node, FileNode)
            assert found.node.size_bytes == len(CONTENT)
            assert reader.told(LeafVerified) == []
            wanted = Wanted(found.cid, byte_range=(0, len(CONTENT)))
            await reader.fetcher.fetch(wanted, [reader.source(peer)], reader.events.append)
            stat = reader.store.stat(found.cid)
            assert stat is not None
            assert stat.kind == "flat"

    run(main())


def test_nodes_only_brings_no_leaf(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("near"), place.reader()
            root = keep_tree(peer.store, {"film": CONTENT, "d": {"x": b"x"}})
            await reader.fetcher.fetch(Wanted(root, nodes_only=True), [reader.source(peer)], reader.events.append)
            assert [cid for cid, _ in content_reader.walk_nodes(reader.store.get_block, root)] == [
                cid for cid, _ in content_reader.walk_nodes(peer.store.get_block, root)
            ]
            assert reader.store.available_leaves(file_dag(CONTENT).root) == []

    run(main())


def test_a_lone_leaf_is_a_file_of_its_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("near"), place.reader()
            for content in (b"just this", b"", noise(LEAF_BYTES)):
                root = keep_leaf(peer.store, content)
                report = await reader.fetcher.fetch(Wanted(root), [reader.source(peer)], reader.events.append)
                assert reader.store.get_block(root) == content
                assert report.bytes_verified == len(content)

    run(main())


def keep_blocks(store: Store, blocks: MemoryBlocks) -> None:
    with store.batch() as batch:
        for cid, data in blocks.blocks.items():
            batch.put_block(cid, data)


@pytest.mark.parametrize("layout", ["dag-pb leaves", "trickle"])
def test_what_others_wrote_arrives_too(tmp_path: Path, layout: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("near"), place.reader()
            blocks = MemoryBlocks()
            content = noise(700_000)
            root = (
                balanced_v0(blocks, content, 10_000, 7) if layout == "dag-pb leaves" else trickle(blocks, content, 9000)
            )
            keep_blocks(peer.store, blocks)
            report = await reader.fetcher.fetch(Wanted(root), [reader.source(peer)], reader.events.append)
            assert read(reader.store, root) == content
            assert report.duplicate_bytes == 0
            assert sum(event.size_bytes for event in reader.told(LeafVerified)) == len(content)

    run(main())


def test_a_range_of_a_file_with_other_leaves_brings_only_its_part(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("near"), place.reader()
            blocks = MemoryBlocks()
            content = noise(700_000)
            root = balanced_v0(blocks, content, 10_000, 7)
            keep_blocks(peer.store, blocks)
            wanted = Wanted(root, byte_range=(300_000, 330_000))
            report = await reader.fetcher.fetch(wanted, [reader.source(peer)], reader.events.append)
            got = b"".join(content_reader.read_range(reader.store.get_block, root, 300_000, 330_000))
            assert got == content[300_000:330_000]
            assert report.bytes_verified < 60_000

    run(main())


def test_leaves_that_stand_in_another_file_are_reused(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("near"), place.reader()
            longer = CONTENT[: 5 * LEAF_BYTES] + noise(LEAF_BYTES, 9)
            first, second = keep_file(peer.store, CONTENT), keep_file(peer.store, longer)
            await reader.fetcher.fetch(Wanted(first.root), [reader.source(peer)], reader.events.append)
            report = await reader.fetcher.fetch(Wanted(second.root), [reader.source(peer)], reader.events.append)
            assert reader.store.read_file(second.root, 0, len(longer)) == longer
            assert report.bytes_verified < LEAF_BYTES + 10_000
            assert report.reused_bytes == 5 * LEAF_BYTES

    run(main())

"""A backend as a source of downloads: every byte verified, ranges joined, what changed served no more, nothing told of
where it is."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.content.backends_world import MIB, SITE, WebOrigin, added, run, web_origin, write_folder
from tests.delivery.world import Reader, world

from nearcast.content import reader
from nearcast.content.backends.base import BackendObject
from nearcast.content.backends.index import BackendIndex, KnownFile
from nearcast.content.backends.opening import reopen
from nearcast.content.cid import Cid, raw_cid
from nearcast.content.importer import import_path
from nearcast.delivery.backend_source import RANGE_BYTES_MAX, BackendSource, Places, joined
from nearcast.delivery.events import LeafVerified
from nearcast.delivery.fetch import Wanted
from nearcast.delivery.source import NodesWanted, Span
from nearcast.errors import NearcastError, NotFoundError, UnavailableError
from nearcast.telemetry import Telemetry


@pytest.fixture
def index(tmp_path: Path) -> Iterator[BackendIndex]:
    with BackendIndex(tmp_path / "node") as opened:
        yield opened


@asynccontextmanager
async def web_source(
    index: BackendIndex, files: dict[str, bytes], telemetry: Telemetry | None = None
) -> AsyncIterator[tuple[WebOrigin, BackendSource, Cid]]:
    """A web server's files, added and about to be served; what adding asked for is forgotten."""
    async with web_origin(files) as origin:
        found = await added(index, origin.url, keys=list(files))
        origin.requests.clear()
        backend = reopen(found.backend.address, found.backend.only)
        yield origin, BackendSource(index, lambda _: backend, telemetry or Telemetry()), found.root


async def fetched(reader_: Reader, root: Cid, source: Any, path: str = "", **wanted: Any) -> bytes:
    """The file's bytes, after a download from this source alone."""
    await reader_.fetcher.fetch(Wanted(root, path, **wanted), [source], reader_.events.append)
    target = reader.resolve(reader_.store.get_block, root, path)
    return content(reader_, target.cid)


def content(reader_: Reader, cid: Cid) -> bytes:
    get = reader_.store.get_block
    return b"".join(reader.read_range(get, cid, 0, reader.file_size(get, cid)))


def test_a_whole_site_comes_from_the_backend(index: BackendIndex, tmp_path: Path) -> None:
    async def main() -> None:
        async with web_source(index, SITE) as (origin, source, root), world(tmp_path) as there:
            reader_ = there.reader()
            await reader_.fetcher.fetch(Wanted(root), [source], reader_.events.append)
            for key, data in SITE.items():
                target = reader.resolve(reader_.store.get_block, root, key)
                assert content(reader_, target.cid) == data, key
            ranges = [asked for _, key, asked in origin.requests if key == "films/two.webm"]
            assert 3 <= len(ranges) <= 8, f"21 leaves, joined: {ranges}"
            assert all(method == "GET" for method, _, _ in origin.requests)

    run(main())


@pytest.mark.parametrize("key", list(SITE))
def test_each_file_by_its_path_and_by_its_own_cid(index: BackendIndex, tmp_path: Path, key: str) -> None:
    async def main() -> None:
        async with web_source(index, SITE) as (_, source, root), world(tmp_path) as there:
            by_path = there.reader(there.store("one"))
            assert await fetched(by_path, root, source, key) == SITE[key]
            cid = reader.resolve(by_path.store.get_block, root, key).cid
            assert await fetched(there.reader(there.store("two")), cid, source) == SITE[key]

    run(main())


def test_a_range_costs_a_range(index: BackendIndex, tmp_path: Path) -> None:
    async def main() -> None:
        async with web_source(index, SITE) as (origin, source, root), world(tmp_path) as there:
            reader_ = there.reader()
            key = "films/two.webm"
            wanted = Wanted(root, key, byte_range=(5 * MIB + 1, 6 * MIB + 1))
            await reader_.fetcher.fetch(wanted, [source], reader_.events.append)
            cid = reader.resolve(reader_.store.get_block, root, key).cid
            assert reader_.store.read_file(cid, 5 * MIB + 1, 6 * MIB + 1) == SITE[key][5 * MIB + 1 : 6 * MIB + 1]
            leaves = [f"bytes={5 * MIB}-{6 * MIB - 1}", f"bytes={6 * MIB}-{7 * MIB - 1}"]
            assert sorted(asked for _, _, asked in origin.requests) in ([f"bytes={5 * MIB}-{7 * MIB - 1}"], leaves)

    run(main())


def test_a_single_leaf_of_a_large_file(index: BackendIndex, tmp_path: Path) -> None:
    import hashlib

    leaf = SITE["films/two.webm"][7 * MIB : 8 * MIB]
    cid = raw_cid(hashlib.sha256(leaf).digest())

    async def main() -> None:
        async with web_source(index, SITE) as (_, source, _), world(tmp_path) as there:
            assert index.holders(cid) == [1]
            assert await fetched(there.reader(), cid, source) == leaf

    run(main())


def test_what_changed_is_not_served_and_the_rest_is(index: BackendIndex, tmp_path: Path) -> None:
    telemetry = Telemetry()
    events: list[dict[str, Any]] = []
    telemetry.listen(lambda name, fields: events.append(fields))

    async def main() -> None:
        async with web_source(index, SITE, telemetry) as (origin, source, root), world(tmp_path) as there:
            reader_ = there.reader()
            await reader_.fetcher.fetch(Wanted(root, nodes_only=True), [source], reader_.events.append)
            key = "films/one.webm"
            cid = reader.resolve(reader_.store.get_block, root, key).cid
            changed = bytearray(SITE[key])
            changed[2 * MIB] ^= 1
            origin.put(key, bytes(changed))
            with pytest.raises(NotFoundError) as caught:
                await reader_.fetcher.fetch(Wanted(root), [source], reader_.events.append)
            assert origin.url not in str(caught.value)
            assert index.holders(cid) == []
            assert events[-1]["key"] == key
            assert index.count_changed(1) == 1
            other = await fetched(there.reader(there.store("other")), root, source, "films/two.webm")
            assert other == SITE["films/two.webm"]
            origin.requests.clear()
            with pytest.raises(NotFoundError):
                await fetched(there.reader(there.store("third")), root, source, key)
            assert origin.requests == [], "it is known to have changed"
            await added(index, origin.url, keys=list(SITE))
            assert index.count_changed(1) == 0

    run(main())


@pytest.mark.parametrize("data", [b"", b"short", SITE["exact.bin"] + b"longer", SITE["exact.bin"][::-1]])
def test_no_kind_of_change_gets_through(index: BackendIndex, tmp_path: Path, data: bytes) -> None:
    async def main() -> None:
        async with web_source(index, SITE) as (origin, source, root), world(tmp_path) as there:
            origin.put("exact.bin", data)
            with pytest.raises(NotFoundError):
                await fetched(there.reader(), root, source, "exact.bin")
            origin.put("index.html", b"<h1>oriqin</h1>")
            with pytest.raises(NotFoundError):
                await fetched(there.reader(there.store("other")), root, source, "index.html")
            del origin.files["empty.txt"]
            del origin.files["q/x+y#z.bin"]
            with pytest.raises(NotFoundError):
                await fetched(there.reader(there.store("third")), root, source, "q/x+y#z.bin")

    run(main())


def test_where_others_have_it_a_changed_backend_costs_nothing(index: BackendIndex, tmp_path: Path) -> None:
    async def main() -> None:
        files = {"film": SITE["films/two.webm"]}
        async with web_source(index, files) as (origin, source, root), world(tmp_path) as there:
            peer = there.peer("holder")
            folder = write_folder(tmp_path / "same", files)
            assert import_path(peer.store, folder, in_place=False).root == root
            changed = bytearray(files["film"])
            for leaf in range(21):
                changed[leaf * MIB] ^= 1
            origin.put("film", bytes(changed))
            reader_ = there.reader()
            report = await reader_.fetcher.fetch(Wanted(root), [source, reader_.source(peer)], reader_.events.append)
            target = reader.resolve(reader_.store.get_block, root, "film").cid
            assert content(reader_, target) == files["film"]
            assert report.liars == (), "whoever has an old file has not lied"

    run(main())


def test_a_backend_that_is_away_is_asked_again_later(index: BackendIndex, tmp_path: Path) -> None:
    async def main() -> None:
        async with web_source(index, SITE) as (origin, source, root), world(tmp_path) as there:
            reader_ = there.reader()
            origin.down = True
            with pytest.raises(UnavailableError, match="it cannot be read now") as caught:
                await fetched(reader_, root, source, "exact.bin")
            assert origin.url.split("/")[2] not in str(caught.value)
            origin.down = False
            assert await fetched(reader_, root, source, "exact.bin") == SITE["exact.bin"]

    run(main())


def test_what_is_not_there_is_not_given(index: BackendIndex) -> None:
    async def main() -> None:
        async with web_source(index, SITE) as (_, source, _):
            nowhere = raw_cid(bytes(32))
            got: list[bytes | None] = []

            async def take(_: int, data: bytes | None) -> bool:
                got.append(data)
                return True

            await source.leaves([Span(nowhere, 0, 1, None)], take)
            assert got == [None]

            async def take_node(_: bytes) -> bool:
                raise AssertionError("nothing is there to take")

            with pytest.raises(NotFoundError):
                await source.nodes(NodesWanted(nowhere), take_node)

    run(main())


def test_a_reader_that_has_enough_ends_what_is_on_its_way(index: BackendIndex, tmp_path: Path) -> None:
    async def main() -> None:
        async with web_source(index, SITE) as (_, source, root), world(tmp_path) as there:
            reader_ = there.reader()
            await reader_.fetcher.fetch(Wanted(root, nodes_only=True), [source], reader_.events.append)
            cid = reader.resolve(reader_.store.get_block, root, "films/two.webm").cid
            table = reader_.store.leaf_table(cid)
            assert table is not None
            taken: list[int] = []

            async def take(position: int, data: bytes | None) -> bool:
                assert data is not None
                taken.append(position)
                return position < 2

            await source.leaves([Span(cid, 0, 21, table)], take)
            assert taken == [0, 1, 2]
            async with asyncio.timeout(5):
                while len(asyncio.all_tasks()) > 2:  # this one and the deadline's; the web server has its own
                    if not any("_read" in repr(task) for task in asyncio.all_tasks()):
                        break
                    await asyncio.sleep(0)

    run(main())


def test_a_folder_on_this_machine(index: BackendIndex, tmp_path: Path) -> None:
    async def main() -> None:
        site = write_folder(tmp_path / "site", SITE)
        (site / "link").symlink_to("index.html")
        found = await added(index, str(site))
        backend = reopen(found.backend.address, None)
        source = BackendSource(index, lambda _: backend, Telemetry())
        async with world(tmp_path) as there:
            assert await fetched(there.reader(), found.root, source, "films/one.webm") == SITE["films/one.webm"]
            (site / "exact.bin").unlink()
            (site / "exact.bin").symlink_to("/etc/passwd")
            with pytest.raises(NearcastError):
                await fetched(there.reader(there.store("other")), found.root, source, "exact.bin")

    run(main())


def test_leaves_are_joined_where_they_are_adjacent() -> None:
    one = (KnownFile(1, 1, BackendObject("a", 30 * MIB, ""), raw_cid(bytes(32)), 0, False),)
    two = (KnownFile(2, 1, BackendObject("b", 30 * MIB, ""), raw_cid(bytes(32)), 0, False), *one)
    leaves: list[Places] = [(one, n * MIB, MIB) for n in range(10)]
    leaves += [(one, 12 * MIB, MIB), (one, 13 * MIB, 5), (two, 0, MIB)]
    ranges = joined(iter([*leaves, ((), 0, 0), ((), 0, 0), (two, MIB, MIB)]))
    assert [(len(each.files), each.start, len(each.sizes), each.size_bytes) for each in ranges] == [
        (1, 0, 8, RANGE_BYTES_MAX),
        (1, 8 * MIB, 2, 2 * MIB),
        (1, 12 * MIB, 2, MIB + 5),
        (2, 0, 1, MIB),
        (0, 0, 2, 0),
        (2, MIB, 1, MIB),
    ]


def test_a_file_that_changed_is_read_from_where_it_still_is(index: BackendIndex, tmp_path: Path) -> None:
    async def main() -> None:
        film = SITE["films/two.webm"]
        async with web_source(index, {"a": film, "b": film, "c.txt": b"x", "d.txt": b"x"}) as (origin, source, root):
            changed = bytearray(film)
            changed[12 * MIB] ^= 1
            origin.put("a", bytes(changed))
            origin.put("c.txt", b"y")
            async with world(tmp_path) as there:
                reader_ = there.reader()
                assert await fetched(reader_, root, source, "a") == film
                assert await fetched(reader_, root, source, "c.txt") == b"x"
                assert index.count_changed(1) in (1, 2)  # of two copies it may have asked for the right one first

    run(main())


def test_events_do_not_name_the_backend(index: BackendIndex, tmp_path: Path) -> None:
    async def main() -> None:
        async with web_source(index, SITE) as (_, source, root), world(tmp_path) as there:
            reader_ = there.reader()
            await reader_.fetcher.fetch(Wanted(root), [source], reader_.events.append)
            assert {event.source for event in reader_.told(LeafVerified)} == {"backend"}

    run(main())

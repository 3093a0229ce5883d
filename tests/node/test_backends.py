"""What a node says of its backends, and as what it serves them."""

from pathlib import Path

import pytest
from tests.content.backends_world import MIB, S3_ENVIRONMENT, SITE, added, imported, run, s3_server, write_folder
from tests.delivery.world import world

from nearcast.content import reader
from nearcast.content.backends.index import BackendIndex
from nearcast.content.cid import Cid, raw_cid
from nearcast.delivery.fetch import Wanted
from nearcast.delivery.messages import Holding
from nearcast.errors import NotFoundError
from nearcast.node.backends import BackendSources
from nearcast.telemetry import Telemetry

SITE_BYTES = sum(map(len, SITE.values()))
NOWHERE = raw_cid(bytes(32))


def node_with(tmp_path: Path, **options: object) -> tuple[BackendSources, Path, Cid]:
    site = write_folder(tmp_path / "site", SITE)
    sources = BackendSources(tmp_path / "node", Telemetry(), **options)  # type: ignore[arg-type]
    with BackendIndex(tmp_path / "node") as index:  # as a command in another process has it open
        root = run(added(index, str(site))).root
    return sources, site, root


def test_what_a_command_adds_is_known_at_once(tmp_path: Path) -> None:
    sources, _, root = node_with(tmp_path)
    with sources:
        assert sources.knows(root)
        assert not sources.knows(NOWHERE)
        assert sources.holding(root) == Holding("all", SITE_BYTES)
        assert sources.holding(NOWHERE) is None
        assert [source.name for source in sources.sources(root)] == ["backend"]
        assert sources.sources(root) == sources.sources(root), "one source for all downloads: it bounds their requests"
        assert sources.sources(NOWHERE) == []
        assert sources.status() == {"backends": 1, "files": len(SITE), "size": SITE_BYTES}
        with BackendIndex(tmp_path / "node") as index:
            index.forget(1)
        assert not sources.knows(root)
        assert sources.sources(root) == []


def test_files_folders_and_leaves_are_known(tmp_path: Path) -> None:
    sources, _, root = node_with(tmp_path)

    async def main() -> None:
        async with world(tmp_path) as there:
            reader_ = there.reader()
            await reader_.fetcher.fetch(Wanted(root), sources.sources(root), reader_.events.append)
            get = reader_.store.get_block
            for key, data in SITE.items():
                cid = reader.resolve(get, root, key).cid
                assert sources.holding(cid) == Holding("all", len(data)), key
            assert sources.holding(reader.resolve(get, root, "films").cid) == Holding("all", None)
            table = reader_.store.leaf_table(reader.resolve(get, root, "films/two.webm").cid)
            assert table is not None
            assert sources.knows(table.cid(13))

    with sources:
        run(main())


def test_what_changed_is_not_held_any_more(tmp_path: Path) -> None:
    sources, site, root = node_with(tmp_path)

    async def main() -> None:
        async with world(tmp_path) as there:
            reader_ = there.reader()
            (site / "exact.bin").write_bytes(bytes(2 * MIB))
            with pytest.raises(NotFoundError):
                await reader_.fetcher.fetch(Wanted(root), sources.sources(root), reader_.events.append)
            assert sources.holding(root) == Holding("some", SITE_BYTES)

    with sources:
        run(main())


def test_an_origin_is_who_was_recognised(tmp_path: Path) -> None:
    recognised = False
    sources, _, root = node_with(tmp_path, is_recognised=lambda: recognised)
    with sources:
        assert sources.role_of(root) == "cache", "a backend alone makes nobody an origin"
        recognised = True
        assert sources.role_of(root) == "origin"
        assert sources.role_of(NOWHERE) == "cache", "nor does recognition what others publish"


def test_nobody_is_an_origin_by_default(tmp_path: Path) -> None:
    sources, _, root = node_with(tmp_path)
    with sources:
        assert sources.role_of(root) == "cache"


def test_what_was_read_is_cache_that_may_go(tmp_path: Path) -> None:
    """A quota of 4 MiB under a backend of 25: everything is served, and the store stays small."""
    sources, _, root = node_with(tmp_path)

    async def main() -> None:
        async with world(tmp_path) as there:
            reader_ = there.reader(there.store("cache", quota_bytes=4 * MIB))
            for _ in range(2):
                for key in SITE:
                    wanted = Wanted(root, key)
                    await reader_.fetcher.fetch(wanted, sources.sources(root), reader_.events.append)
                    reader_.store.evict()
                usage = reader_.store.usage()
                assert usage.held_bytes == 0
                assert usage.cached_bytes <= 4 * MIB

    with sources:
        run(main())


def test_a_bucket_behind_a_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in S3_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    telemetry = Telemetry()

    async def main(sources: BackendSources, root: Cid) -> None:
        async with world(tmp_path) as there:
            reader_ = there.reader()
            await reader_.fetcher.fetch(Wanted(root), sources.sources(root), reader_.events.append)
            assert telemetry.counters["backend_bytes"] == SITE_BYTES
            key = "films/one.webm"
            cid = reader.resolve(reader_.store.get_block, root, key).cid
            assert reader_.store.read_file(cid, 0, len(SITE[key])) == SITE[key]

    with s3_server() as bucket, BackendSources(tmp_path / "node", telemetry) as sources:
        for key, data in SITE.items():
            bucket.put(f"site/{key}", data)
        with BackendIndex(tmp_path / "node") as index:
            root = run(added(index, bucket.url("site"), endpoint=bucket.endpoint)).root
        assert root == imported(tmp_path / "other", write_folder(tmp_path / "site", SITE))
        run(main(sources, root))

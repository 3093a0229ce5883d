"""The cache of records: going back is as if it had never been, and no state of the file breaks a start."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.chain.eip712 import keccak
from nearcast.chain.node_records import EVENTS, Event
from nearcast.chain.record_cache import CHECKPOINTS_MAX, RecordCache
from nearcast.chain.registration import Registration, registry_domain
from nearcast.errors import StoreError

DOMAIN = registry_domain(31337, b"\x03" * 20)
MEMORY = Path(":memory:")  # SQLite's name for no file
OTHER = registry_domain(31337, b"\x04" * 20)


def registration(operator: int, endpoint: int) -> Registration:
    address = bytes([operator]) * 20
    return Registration(address, b"\7" * 20, bytes([endpoint]) * 32, 10, "DE", 2**64 - 1, ("http://a/", "http://b/"))


def record(block: int, operator: int = 1, endpoint: int = 1, nonce: int = 0) -> Event:
    return Event(block, 0, "NodeRecord", bytes([operator]) * 20, 0, nonce, registration(operator, endpoint))


def fill(cache: RecordCache, events: Iterable[Event], steps: Iterable[int]) -> None:
    rest, before = list(events), -1
    for number in steps:
        cache.add([event for event in rest if before < event.block_number <= number], before, number, keccak(b""))
        before = number


blocks = st.integers(0, 30)
events = st.lists(
    st.builds(
        lambda block, name, operator, endpoint, amount, nonce, valid: Event(
            block,
            0,
            name,
            bytes([operator]) * 20,
            amount,
            nonce,
            registration(operator, endpoint) if valid and name == "NodeRecord" else None,
        ),
        blocks,
        st.sampled_from(EVENTS),
        st.integers(1, 3),
        st.integers(1, 2),
        st.integers(0, 5),
        st.integers(0, 9),
        st.booleans(),
    ),
    max_size=25,
    unique_by=lambda event: event.block_number,
).map(lambda found: sorted(found, key=lambda event: event.block_number))


@given(events, st.sets(blocks, min_size=1), st.data())
def test_going_back_is_as_if_it_had_never_been(events: list[Event], steps: set[int], data: st.DataObject) -> None:
    back = data.draw(st.sampled_from(sorted(steps)))
    with RecordCache.open(MEMORY, DOMAIN) as there, RecordCache.open(MEMORY, DOMAIN) as here:
        fill(there, events, sorted(steps))
        there.go_back(back)
        fill(here, events, [step for step in sorted(steps) if step <= back])
        assert there.records() == here.records()
        assert there.checkpoints() == here.checkpoints()
        again = [event for event in events if event.block_number > back]
        for cache in (there, here):
            cache.add(again, back, 100, bytes(32))
        assert there.records() == here.records()
        there.go_back(-1)
        assert (there.records(), there.checkpoints()) == ([], [])


def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    with RecordCache.open(tmp_path / "nodes.sqlite", DOMAIN) as cache:
        fill(cache, [record(5)], [7])
        before = cache.records()
    with RecordCache.open(tmp_path / "nodes.sqlite", DOMAIN) as cache:
        assert cache.records() == before
        assert before[0].price_units_per_gib == 2**64 - 1
        assert before[0].urls == ("http://a/", "http://b/")
        assert cache.checkpoints() == [(7, keccak(b""))]


def test_a_cache_of_another_registry_is_emptied(tmp_path: Path) -> None:
    for domain in (DOMAIN, OTHER, registry_domain(1, b"\x04" * 20)):
        with RecordCache.open(tmp_path / "nodes.sqlite", domain) as cache:
            assert cache.checkpoints() == []
            fill(cache, [record(5)], [7])


def test_of_two_processes_the_faster_one_adds(tmp_path: Path) -> None:
    path = tmp_path / "nodes.sqlite"
    with RecordCache.open(path, DOMAIN) as one, RecordCache.open(path, DOMAIN) as two:
        one.add([record(5)], -1, 7, keccak(b"one"))
        two.add([record(5), record(6, operator=2, endpoint=2)], -1, 7, keccak(b"two"))
        assert two.checkpoints() == [(7, keccak(b"one"))]
        assert [each.operator[0] for each in two.records()] == [1]


def test_a_failed_addition_leaves_nothing_behind(tmp_path: Path) -> None:
    with RecordCache.open(tmp_path / "nodes.sqlite", DOMAIN) as cache:
        with pytest.raises(StoreError, match="UNIQUE"):
            cache.add([record(5), record(5)], -1, 7, bytes(32))
        assert (cache.checkpoints(), cache.records()) == ([], [])
        cache.add([record(5)], -1, 7, bytes(32))
        assert len(cache.records()) == 1


def test_checkpoints_are_bounded(tmp_path: Path) -> None:
    with RecordCache.open(tmp_path / "nodes.sqlite", DOMAIN) as cache:
        fill(cache, [], range(CHECKPOINTS_MAX + 10))
        assert [number for number, _ in cache.checkpoints()] == list(range(CHECKPOINTS_MAX + 9, 9, -1))


@pytest.mark.parametrize("damage", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "nodes.sqlite"
    path.write_bytes(damage)
    with RecordCache.open(path, DOMAIN) as cache:
        assert cache.records() == []


def test_a_file_of_another_version_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "nodes.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE standing (something TEXT)")
        database.execute("PRAGMA user_version = 99")
    database.close()
    with RecordCache.open(path, DOMAIN) as cache:
        assert cache.records() == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file" / "nodes.sqlite", tmp_path):
        with pytest.raises(StoreError, match="cannot be used"):
            RecordCache.open(path, DOMAIN)

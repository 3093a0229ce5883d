"""What is asked of a node that lacks it is brought from others, whatever the nodes are connected like."""

import asyncio
import os
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.delivery.world import file_dag, keep_file, keep_leaf, keep_tree, noise
from tests.node.relays import RelayNode, net, run, until

from nearcast.client import finding
from nearcast.config import PaymentsConfig
from nearcast.content.cid import Cid
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.reader import read_range
from nearcast.content.store import Store
from nearcast.delivery.events import LeafVerified
from nearcast.delivery.messages import FetchRequest, LeafSpan
from nearcast.delivery.trail import HOPS_MAX, begin
from nearcast.errors import NearcastError, NotFoundError
from nearcast.naming.link import Link
from nearcast.transport.base import Connection, PeerAddress

FILM = noise(5 * LEAF_BYTES + 17)
READER = bytes(32)
FRAMING = 1.01  # what headers, nodes and ends add at the most


def content_of(store: Store, root: Cid) -> bytes:
    return b"".join(read_range(store.get_block, root, 0, 1 << 40))


async def stop_reading(node: RelayNode, root: Cid, event: threading.Event) -> None:
    """A reader that goes away in the middle of a download."""
    task = asyncio.create_task(node.get(root))
    await until(event.is_set)
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("relays", range(1, HOPS_MAX + 1))
def test_a_file_comes_through_so_many_relays_and_every_leaf_travels_once(tmp_path: Path, relays: int) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            nodes = await place.line("reader", *(f"relay {number}" for number in range(relays)), "origin")
            root = keep_file(nodes[-1].store, FILM).root
            await nodes[0].get(root)
            assert content_of(nodes[0].store, root) == FILM
            for receiver, sender in pairwise(nodes):
                assert len(FILM) < sender.served_bytes < len(FILM) * FRAMING, f"to {receiver.name}"
            for relay in nodes[1:-1]:
                assert content_of(relay.store, root) == FILM, "a copy stays"
                assert relay.telemetry.counters["relayed_bytes"] == len(FILM)

    run(main())


def test_over_more_relays_than_there_are_hops_nothing_is_found(tmp_path: Path) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            nodes = await place.line("reader", *(f"relay {number}" for number in range(HOPS_MAX + 1)), "origin")
            root = keep_file(nodes[-1].store, FILM).root
            with pytest.raises(NotFoundError):
                await nodes[0].get(root)
            assert not nodes[-1].served

    run(main())


def test_a_holder_that_is_too_far_away_for_the_first_question_is_known_at_the_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            relay, origin = await place.line("relay", "origin")
            root, trail = keep_file(origin.store, FILM).root, begin(READER, os.urandom)
            get, may_answer = relay.pool.get, asyncio.Event()

            async def far(address: PeerAddress) -> Connection:
                await may_answer.wait()
                return await get(address)

            monkeypatch.setattr(relay.pool, "get", far)
            assert await relay.relay.can_bring(root, trail, 0, READER) is None
            may_answer.set()
            await until(lambda: not relay.relay._looking)
            monkeypatch.setattr(relay.pool, "get", None)  # nobody is asked again
            assert await relay.relay.can_bring(root, trail, 0, READER) is not None

    run(main())


def test_a_folder_of_small_and_large_files_comes_whole(tmp_path: Path) -> None:
    tree = {
        "index.html": b"<h1>films</h1>",
        "films": {"one.webm": FILM, "two.webm": noise(2 * LEAF_BYTES, seed=2)},
        "pictures": {f"{number}.png": noise(20_000, seed=number) for number in range(150)},
    }

    async def main() -> None:
        async with net(tmp_path) as place:
            reader, relay, origin = await place.line("reader", "relay", "origin")
            root = keep_tree(origin.store, tree)
            await reader.get(root)
            assert content_of(reader.store, file_dag(FILM).root) == FILM
            for number in range(150):
                picture = keep_leaf(origin.store, noise(20_000, seed=number))
                assert reader.store.has(picture)
            assert relay.telemetry.counters["looks"] <= 2, "whoever gave the folder is asked for what is in it"

    run(main())


def test_of_a_range_no_more_is_brought_than_was_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            reader, relay, origin = await place.line("reader", "relay", "origin")
            root = keep_file(origin.store, noise(40 * LEAF_BYTES)).root
            start = 20 * LEAF_BYTES
            await reader.client.resolve(root, "", fetch=True)
            pieces = [piece async for piece in reader.client.read(root, start + 5, start + 10, fetch=True)]
            assert b"".join(pieces) == noise(40 * LEAF_BYTES)[start + 5 : start + 10]
            assert relay.store.available_leaves(root) == [(20, 1)]

    run(main())


def test_two_readers_at_once_are_one_fetch_upstream(tmp_path: Path) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            one, relay, origin = await place.line("one", "relay", "origin")
            other = await place.node("other")
            other.knows(relay)
            root = keep_file(origin.store, FILM).root
            await asyncio.gather(one.get(root), other.get(root))
            assert content_of(one.store, root) == content_of(other.store, root) == FILM
            assert origin.served_bytes < len(FILM) * FRAMING
            assert relay.served_bytes > 2 * len(FILM)

    run(main())


def test_leaves_are_handed_on_while_the_rest_is_still_to_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            reader, _relay, origin = await place.line("reader", "relay", "origin")
            dag = keep_file(origin.store, FILM)
            gate, read_file = threading.Event(), origin.store.read_file

            def gated(cid: Cid, start: int, end: int) -> bytes:
                if start >= 3 * LEAF_BYTES:
                    assert gate.wait(20)
                return read_file(cid, start, end)

            monkeypatch.setattr(origin.store, "read_file", gated)
            arrived: set[int] = set()

            def note(event: object) -> None:
                if isinstance(event, LeafVerified):
                    arrived.add(event.index)

            task = asyncio.create_task(reader.get(dag.root, on_event=note))
            await until(lambda: {0, 1, 2} <= arrived)
            assert not gate.is_set(), "the reader has what the origin has not finished sending"
            gate.set()
            await task
            assert content_of(reader.store, dag.root) == FILM

    run(main())


def test_when_one_upstream_dies_the_next_one_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            reader, relay, first = await place.line("reader", "relay", "first")
            second = await place.node("second")
            relay.knows(second)
            root = keep_file(first.store, FILM).root
            assert keep_file(second.store, FILM).root == root
            monkeypatch.setattr(finding, "GRACE_S", 5.0)  # both are heard, however busy the machine is
            dying, read_file, read_second = threading.Event(), first.store.read_file, second.store.read_file

            def read(cid: Cid, start: int, end: int) -> bytes:
                if start >= 2 * LEAF_BYTES:
                    dying.set()
                    raise NearcastError("the disk is gone")
                return read_file(cid, start, end)

            def read_later(cid: Cid, start: int, end: int) -> bytes:
                assert dying.wait(30)  # or it would have sent everything before the first is asked for much
                return read_second(cid, start, end)

            monkeypatch.setattr(first.store, "read_file", read)
            monkeypatch.setattr(second.store, "read_file", read_later)
            task = asyncio.create_task(reader.get(root))
            await until(dying.is_set)
            await first.die()
            await task
            assert content_of(reader.store, root) == FILM
            assert second.served_bytes

    run(main())


def test_when_the_last_upstream_dies_the_reader_is_told_and_keeps_what_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            reader, _relay, origin = await place.line("reader", "relay", "origin")
            root = keep_file(origin.store, FILM).root
            dying, read_file = threading.Event(), origin.store.read_file

            def read(cid: Cid, start: int, end: int) -> bytes:
                if start >= 2 * LEAF_BYTES:
                    dying.set()
                    raise NearcastError("the disk is gone")
                return read_file(cid, start, end)

            monkeypatch.setattr(origin.store, "read_file", read)
            task = asyncio.create_task(reader.get(root))
            await until(dying.is_set)
            await origin.die()
            with pytest.raises(NearcastError):
                await task
            assert sum(count for _, count in reader.store.available_leaves(root)) >= 1

    run(main())


def test_after_a_failure_those_who_have_it_are_looked_for_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            reader, relay, origin = await place.line("reader", "relay", "origin")
            root = keep_file(origin.store, FILM).root
            await relay.relay.can_bring(
                root, reader.client._finder.begin_trail(), 0, b"r"
            )  # the relay remembers the origin
            await origin.die()
            with pytest.raises(NearcastError):
                await reader.get(root)
            other = await place.node("other")
            keep_file(other.store, FILM)
            relay.knows(other)
            await until(lambda: not relay.relay._relayed)
            await reader.get(root)
            assert content_of(reader.store, root) == FILM

    run(main())


def test_an_upstream_that_lies_is_found_out_by_the_relay_and_not_by_the_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            reader, relay, liar = await place.line("reader", "relay", "liar")
            honest = await place.node("honest")
            root = keep_file(liar.store, FILM).root
            keep_file(honest.store, FILM)
            monkeypatch.setattr(liar.store, "read_file", lambda _cid, start, end: bytes(end - start))
            told: list[dict[str, Any]] = []
            relay.telemetry.listen(lambda event, fields: told.append(fields) if event == "upstream-failed" else None)
            started_s = time.monotonic()
            with pytest.raises(NearcastError):
                await reader.get(root)
            assert time.monotonic() - started_s < 10, "nobody waits for a liar's other requests"
            assert [fields["liar"] for fields in told] == [True]
            relay.knows(honest)
            await until(lambda: not relay.relay._relayed)
            asked = len(liar.served)
            report = await reader.client.fetch(Link(root, "", ""))
            assert content_of(reader.store, root) == FILM
            assert not report.liars
            assert len(liar.served) == asked, "it is not asked any more"

    run(main())


def test_who_waits_for_a_leaf_that_another_reader_gave_up_gets_it_all_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            _, relay, origin = await place.line("reader", "relay", "origin")
            root = keep_file(origin.store, FILM).root
            trail = origin.client._finder.begin_trail()
            trail = replace(trail, marks=(*trail.marks[:1], bytes(8)))  # somebody else's
            asked = FetchRequest(root, "", "leaves", (LeafSpan(root, 0, 6),), 0, bytes(16))
            async with relay.relay.session(asked, trail, 0) as staying:
                await staying.nodes()
                async with relay.relay.session(asked, trail, 0) as going:
                    first = asyncio.create_task(going.leaf(root, 2))
                    second = asyncio.create_task(staying.leaf(root, 2))
                    fetch = staying._fetch
                    await until(lambda: fetch._runs)
                    first.cancel()
                for started in list(fetch._runs):  # as when it is dropped before it has begun
                    assert started.task is not None
                    started.task.cancel()
                await second
            assert any(first <= 2 < first + count for first, count in relay.store.available_leaves(root))

    run(main())


def test_who_is_no_friend_gets_nothing_brought(tmp_path: Path) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            reader = await place.node("reader")
            relay = await place.node("relay", charging=None)
            origin = await place.node("origin")
            reader.knows(relay)
            relay.knows(origin)
            root = keep_file(origin.store, FILM).root
            with pytest.raises(NotFoundError):
                await reader.get(root)
            assert not relay.telemetry.counters["looks"]

    run(main())


def test_a_reader_that_goes_away_ends_what_is_brought_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = noise(60 * LEAF_BYTES)

    async def main() -> None:
        async with net(tmp_path) as place:
            reader, relay, origin = await place.line("reader", "relay", "origin")
            root = keep_file(origin.store, content).root
            gate, waiting, read_file = threading.Event(), threading.Event(), origin.store.read_file

            def gated(cid: Cid, start: int, end: int) -> bytes:
                if start >= 4 * LEAF_BYTES:
                    waiting.set()
                    assert gate.wait(20)
                return read_file(cid, start, end)

            monkeypatch.setattr(origin.store, "read_file", gated)
            await stop_reading(reader, root, waiting)
            await reader.die()
            gate.set()
            await until(lambda: all(relayed.is_idle for relayed in relay.relay._relayed))
            brought = sum(count for _, count in relay.store.available_leaves(root))
            assert brought < 60

    run(main())


def test_without_keeping_the_copy_goes_with_the_last_reader_and_the_rest_stays(tmp_path: Path) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            config = PaymentsConfig(keep_relayed=False)
            relay = await place.node("relay", config=config, linger_s=0.01)
            reader, origin = await place.node("reader"), await place.node("origin")
            reader.knows(relay)
            relay.knows(origin)
            own = keep_file(relay.store, noise(2 * LEAF_BYTES, seed=5)).root
            pinned = keep_file(origin.store, noise(2 * LEAF_BYTES, seed=6)).root
            film = keep_file(origin.store, FILM).root
            await relay.get(pinned)
            relay.store.pin(pinned, "mine")
            for root in (own, pinned, film):
                await reader.get(root)
            await until(lambda: not relay.store.has(film))
            assert relay.store.has(own)
            assert relay.store.has(pinned)
            assert relay.store.stat(film) is None
            assert content_of(reader.store, film) == FILM

    run(main())


def test_what_a_pin_holds_meanwhile_is_kept(tmp_path: Path) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            relay = await place.node("relay", config=PaymentsConfig(keep_relayed=False), linger_s=0.3)
            reader, origin = await place.node("reader"), await place.node("origin")
            reader.knows(relay)
            relay.knows(origin)
            film = keep_file(origin.store, FILM).root
            await reader.get(film)
            relay.store.pin(film, "mine")
            await until(lambda: not relay.relay._relayed)
            assert content_of(relay.store, film) == FILM

    run(main())

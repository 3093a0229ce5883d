"""The serving end: what it answers, what it refuses, and what it survives."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from tests.delivery.world import Peer, World, file_dag, keep_file, keep_leaf, keep_tree, noise, run, world

from nearcast.content.cid import Cid
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import guard_of
from nearcast.delivery.events import Wanted
from nearcast.delivery.messages import (
    INLINE_BYTES_MAX,
    End,
    FetchRequest,
    LeafSpan,
    MissingLeaf,
    Offer,
    ProbeRequest,
    Refusal,
    Want,
    parse_answer,
    request_fields,
)
from nearcast.delivery.serve import ServeGate
from nearcast.errors import RefusedError, RemoteError, UnavailableError
from nearcast.transport.base import Connection
from nearcast.wire import FrameReader, decode_message, encode_message

CONTENT = noise(3 * LEAF_BYTES + 5)


def fetch_request(root: Cid, want: Want = "nodes", *spans: LeafSpan, **fields: Any) -> bytes:
    request = FetchRequest(root, fields.pop("path", ""), want, spans, fields.pop("inline", 0), b"n" * 16, **fields)
    return encode_message(request_fields(request))


async def connect(place: World, peer: Peer) -> Connection:
    return await place.endpoint().connect(peer.address)


async def ask(connection: Connection, request: bytes) -> list[Any]:
    """Everything that is answered: blocks as bytes, messages parsed."""
    stream = await connection.open_stream()
    await stream.send.write(request)
    await stream.send.finish()
    frames = FrameReader(stream.receive)
    heard: list[Any] = []
    while (frame := await frames.next()) is not None:
        heard.append(frame[1] if frame[0] else parse_answer(decode_message(frame[1])))
    return heard


def test_nodes_come_in_order_between_an_offer_and_an_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer = place.peer("peer")
            root = keep_tree(peer.store, {"film": CONTENT})
            nodes = [peer.store.get_block(root), peer.store.get_block(file_dag(CONTENT).root)]
            connection = await connect(place, peer)
            assert await ask(connection, fetch_request(root)) == [Offer(0), *nodes, End("done", "")]
            assert await ask(connection, fetch_request(root, skip=1)) == [Offer(0), nodes[1], End("done", "")]
            assert await ask(connection, fetch_request(root, shallow=True)) == [Offer(0), nodes[0], End("done", "")]
            assert peer.served[0]["end"] == "done"
            assert peer.served[0]["root"] == str(root)
            assert peer.served[0]["size_bytes"] > sum(map(len, nodes))

    run(main())


def test_inline_leaves_follow_as_far_as_the_budget_goes(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer = place.peer("peer")
            root = keep_tree(peer.store, {"a": b"small", "b": b"x" * 100, "c": CONTENT})
            connection = await connect(place, peer)
            few = await ask(connection, fetch_request(root, inline=50))
            assert few[3:] == [b"small", End("done", "")]
            all_of_it = await ask(connection, fetch_request(root, "all"))
            assert all_of_it[3:5] == [b"small", b"x" * 100]
            assert b"".join(all_of_it[5:-1]) == CONTENT
            most = await ask(connection, fetch_request(root, inline=INLINE_BYTES_MAX))
            assert most == all_of_it

    run(main())


def test_leaves_come_in_their_order_and_missing_ones_are_said_in_their_place(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer = place.peer("peer")
            dag = file_dag(CONTENT)
            with peer.store.open_partial(dag) as partial:
                partial.put_leaf(1, CONTENT[LEAF_BYTES : 2 * LEAF_BYTES])
            note = keep_leaf(peer.store, b"note")
            absent = file_dag(noise(10)).root
            connection = await connect(place, peer)
            spans = [LeafSpan(dag.root, 0, 2), LeafSpan(note, 0, 2), LeafSpan(absent, 0, 1), LeafSpan(dag.root, 90, 1)]
            assert await ask(connection, fetch_request(dag.root, "leaves", *spans)) == [
                Offer(0),
                MissingLeaf(dag.root, 0),
                CONTENT[LEAF_BYTES : 2 * LEAF_BYTES],
                b"note",
                MissingLeaf(note, 1),
                MissingLeaf(absent, 0),
                MissingLeaf(dag.root, 90),
                End("done", ""),
            ]

    run(main())


def test_what_is_not_here_is_said_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer = place.peer("peer")
            root = keep_tree(peer.store, {"a": b"a"})
            connection = await connect(place, peer)
            offer, end = await ask(connection, fetch_request(file_dag(CONTENT).root))
            assert (offer, end.reason) == (Offer(0), "missing")
            assert (await ask(connection, fetch_request(root, path="nowhere")))[-1].reason == "missing"
            assert (await ask(connection, fetch_request(root, path="a/b/c")))[-1].reason == "missing"

    run(main())


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"\x00",
        b"\x00\x00\x00\x05xx",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff",
        b"\x00\x00\x00\x03\xff\xff\xff",
        encode_message([]),
        encode_message({"p": "fetch", "v": 1}),
        encode_message({"p": "fetch", "v": 1, "root": b"no"}),
        encode_message({"p": "probe", "v": 1, "roots": "no"}),
    ],
)
def test_a_malformed_request_gets_a_typed_end_and_costs_only_its_stream(tmp_path: Path, request_bytes: bytes) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer = place.peer("peer")
            note = keep_leaf(peer.store, b"note")
            connection = await connect(place, peer)
            if request_bytes:
                (end,) = await ask(connection, request_bytes)
                assert end.reason == "error"
                assert peer.telemetry.counters["malformed_requests"] == 1
            else:
                stream = await connection.open_stream()
                await stream.send.reset(3)
            assert (await ask(connection, fetch_request(note)))[1] == b"note"

    run(main())


def test_an_unknown_protocol_is_told_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            connection = await connect(place, place.peer("peer"))
            assert await ask(connection, encode_message({"p": "dance", "v": 1})) == [End("unsupported", "")]
            assert await ask(connection, encode_message({"p": "fetch", "v": 9})) == [End("unsupported", "")]

    run(main())


def test_policy_is_asked_for_everything_that_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            secret = file_dag(b"secret").root
            peer = place.peer("peer", policy=lambda cid: cid != secret)
            keep_leaf(peer.store, b"secret")
            note = keep_leaf(peer.store, b"note")
            connection = await connect(place, peer)
            assert await ask(connection, fetch_request(secret)) == [Refusal("refused", "")]
            spans = [LeafSpan(note, 0, 1), LeafSpan(secret, 0, 1)]
            assert await ask(connection, fetch_request(note, "leaves", *spans)) == [Refusal("refused", "")]
            assert (await ask(connection, fetch_request(note)))[1] == b"note"
            reader = place.reader()
            with pytest.raises(RemoteError, match="will not serve"):
                await reader.fetcher.fetch(Wanted(secret), [reader.source(peer)], reader.events.append)
            assert RefusedError.exit_code == 5

    run(main())


@pytest.mark.parametrize("deed", ["changed", "removed"])
def test_a_file_in_place_that_changed_is_not_served_and_its_path_not_told(tmp_path: Path, deed: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, dag = place.peer("peer"), file_dag(CONTENT)
            path = tmp_path / "private-name"
            path.write_bytes(CONTENT)
            with peer.store.batch() as batch:
                batch.put_reference(dag, path, guard_of(path.stat()))
            connection = await connect(place, peer)
            whole = fetch_request(dag.root, "leaves", LeafSpan(dag.root, 0, 4))
            assert b"".join((await ask(connection, whole))[1:-1]) == CONTENT
            if deed == "removed":
                path.unlink()
            else:
                path.write_bytes(noise(len(CONTENT), 5))
                os.utime(path)
            heard = await ask(connection, whole)
            assert heard[-1].reason in ("changed", "done")
            assert not [item for item in heard if isinstance(item, bytes)]
            assert "private-name" not in repr(heard)

    run(main())


def test_a_node_with_a_full_line_says_that_it_is_busy(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            gate = ServeGate(1, waiting_max=0)
            peer = place.peer("peer", gate=gate)
            note = keep_leaf(peer.store, b"note")
            connection = await connect(place, peer)
            assert gate.enter(b"somebody")
            heard = await ask(connection, fetch_request(note))
            assert heard == [Offer(0), End("busy", "too many answers are under way")]
            gate.leave(b"somebody")
            for _ in range(3):  # a place that was taken is given back
                assert (await ask(connection, fetch_request(note)))[1] == b"note"

    run(main())


def test_a_reader_that_takes_nothing_is_cut_off(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            gate = ServeGate(1)
            peer = place.peer("peer", gate=gate, slow_reader_s=0.2)
            dag = keep_file(peer.store, noise(16 * LEAF_BYTES))
            connection = await connect(place, peer)
            stream = await connection.open_stream()
            await stream.send.write(fetch_request(dag.root, "leaves", LeafSpan(dag.root, 0, 16)))
            cut_off = asyncio.Event()
            peer.telemetry.listen(lambda event, _fields: cut_off.set() if event == "served" else None)
            await cut_off.wait()
            assert peer.served[-1]["end"] == "aborted"
            with pytest.raises((UnavailableError, RemoteError)):
                await stream.receive.read_exactly(16 * LEAF_BYTES)
            assert (await ask(connection, fetch_request(dag.root)))[-1] == End("done", "")

    run(main())


def test_a_reader_that_goes_away_is_forgotten(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            gate = ServeGate(1)
            peer = place.peer("peer", gate=gate)
            dag = keep_file(peer.store, noise(16 * LEAF_BYTES))
            connection = await connect(place, peer)
            stream = await connection.open_stream()
            await stream.send.write(fetch_request(dag.root, "leaves", LeafSpan(dag.root, 0, 16)))
            gone = asyncio.Event()
            peer.telemetry.listen(lambda event, _fields: gone.set() if event == "served" else None)
            await stream.receive.read_exactly(100)
            await connection.close()
            await gone.wait()
            again = await connect(place, peer)
            assert (await ask(again, fetch_request(dag.root)))[-1] == End("done", "")

    run(main())


def test_many_requests_at_once_are_all_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer = place.peer("peer")
            notes = [keep_leaf(peer.store, b"note %d" % number) for number in range(100)]
            connection = await connect(place, peer)
            answers = await asyncio.gather(*(ask(connection, fetch_request(note)) for note in notes))
            assert [answer[1] for answer in answers] == [b"note %d" % number for number in range(100)]

    run(main())


def test_probes_are_answered_in_order(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            refused = file_dag(b"refused").root
            peer = place.peer("peer", policy=lambda cid: cid != refused)
            whole, partial_dag = keep_file(peer.store, CONTENT), file_dag(noise(2 * LEAF_BYTES))
            peer.store.open_partial(partial_dag).close()
            tree = keep_tree(peer.store, {"a": b"a"})
            pinned = keep_tree(peer.store, {"b": b"b"})
            peer.store.pin(pinned, "mine")
            absent = file_dag(b"absent").root
            roots = (whole.root, partial_dag.root, tree, pinned, absent, refused)
            from nearcast.delivery.probe import probe

            holdings = await probe(await connect(place, peer), roots)
            assert [holding.state for holding in holdings] == ["all", "some", "some", "all", "none", "refused"]
            assert [holding.size_bytes for holding in holdings][:2] == [len(CONTENT), 2 * LEAF_BYTES]
            assert holdings[4].size_bytes is None
            assert ProbeRequest(roots).roots == roots

    run(main())

"""Peers that misbehave, each in its own way: the download is finished by an honest one, a liar is named, nothing hangs,
and nothing that does not verify reaches the store."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.delivery.world import OFFER, STALL_S, Misbehaviour, file_dag, keep_file, keep_tree, noise, run, world

from nearcast.content.cid import dag_pb_cid
from nearcast.content.dag import FileDag
from nearcast.content.leaves import LEAF_BYTES
from nearcast.delivery import node_stage
from nearcast.delivery.events import LeafVerified, SourceFailed, Wanted
from nearcast.delivery.messages import End, MissingLeaf, Refusal, answer_fields, parse_request
from nearcast.errors import IntegrityError, NotFoundError, RemoteError, UnavailableError
from nearcast.transport.base import Stream
from nearcast.wire import BLOCK_BYTES_MAX, BLOCK_FLAG, MESSAGE_BYTES_MAX, block_header, encode_message

CONTENT = noise(4 * LEAF_BYTES + 99)
OTHER = noise(4 * LEAF_BYTES + 99, seed=1)


def said(*answers: End | MissingLeaf | Refusal) -> bytes:
    return b"".join(encode_message(answer_fields(answer)) for answer in answers)


def block(data: bytes) -> bytes:
    return block_header(len(data)) + data


def leaf(content: bytes, index: int) -> bytes:
    return content[index * LEAF_BYTES : (index + 1) * LEAF_BYTES]


def saying(data: bytes, *, then_silent: bool = False) -> Misbehaviour:
    """Answers every request with the same bytes."""

    async def misbehave(stream: Stream, _request: Any) -> None:
        await stream.send.write(data)
        if then_silent:
            await asyncio.Event().wait()
        await stream.send.finish()

    return misbehave


async def silence(_stream: Stream, _request: Any) -> None:
    await asyncio.Event().wait()


async def reset(stream: Stream, _request: Any) -> None:
    await stream.send.write(OFFER)
    await stream.send.reset(9)


async def endless(stream: Stream, _request: Any) -> None:
    """Well-formed blocks without end."""
    await stream.send.write(OFFER)
    while True:
        await stream.send.write(block(bytes(1000)))


LIES: dict[str, Misbehaviour] = {
    "oversized block announced": saying(OFFER + (BLOCK_FLAG | (BLOCK_BYTES_MAX + 1)).to_bytes(4, "big") + bytes(99)),
    "oversized message announced": saying((MESSAGE_BYTES_MAX + 1).to_bytes(4, "big") + bytes(99)),
    "another protocol": saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"),  # announces a message of 1.2 GB
    "wrong bytes": saying(OFFER + block(noise(2000)) + said(End("done", ""))),
    "right bytes of another object": saying(OFFER + block(leaf(OTHER, 0)) + said(End("done", ""))),
    "endless blocks": endless,
}
FAILURES: dict[str, Misbehaviour] = {
    "garbage": saying(b"\x00\x00\x00\x07garbage"),
    "nothing and the end": saying(b""),
    "an offer and the end": saying(OFFER),
    "done at once": saying(OFFER + said(End("done", ""))),
    "an end instead of an offer": saying(said(End("error", "no"))),
    "half a block and the end": saying(OFFER + block(leaf(CONTENT, 0))[:5000]),
    "half a block, then silence": saying(OFFER + block(leaf(CONTENT, 0))[:5000], then_silent=True),
    "silence": silence,
    "an offer, then silence": saying(OFFER, then_silent=True),
    "reset": reset,
    "two offers": saying(OFFER + OFFER),
    "refused": saying(said(Refusal("refused", "go away"))),
    "busy": saying(said(Refusal("busy", ""))),
    "changed": saying(OFFER + said(End("changed", ""))),
    "an unknown end": saying(OFFER + encode_message({"end": "tired"})),
    "a price": saying(encode_message({"ok": True, "price": 5})),
    "a message that is no map": saying(encode_message([1, 2])),
    "lacks everything": saying(said(Refusal("missing", ""))),
}


@pytest.mark.parametrize("name", [*LIES, *FAILURES])
def test_whatever_a_peer_does_an_honest_one_finishes(tmp_path: Path, name: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            honest, reader = place.peer("honest"), place.reader()
            dag = keep_file(honest.store, CONTENT)
            hostile = reader.source(place.hostile({**LIES, **FAILURES}[name]))
            report = await reader.fetcher.fetch(
                Wanted(dag.root), [hostile, reader.source(honest)], reader.events.append
            )
            assert reader.store.read_file(dag.root, 0, len(CONTENT)) == CONTENT
            assert set(report.bytes_by_source) == {honest.name}
            assert report.liars in ((), (hostile.name,))

    run(main())


@pytest.mark.parametrize("name", LIES)
def test_a_liar_is_named_and_never_asked_again(tmp_path: Path, name: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            honest, reader = place.peer("honest"), place.reader()
            tree = keep_tree(honest.store, {"film": CONTENT})
            asked = 0

            async def counted(stream: Stream, request: Any) -> None:
                nonlocal asked
                asked += 1
                await LIES[name](stream, request)

            liar = reader.source(place.hostile(counted))
            with pytest.raises(RemoteError, match=liar.name):
                await reader.fetcher.fetch(Wanted(tree), [liar], reader.events.append)
            (failed,) = reader.told(SourceFailed)
            assert (failed.source, failed.liar) == (liar.name, True)
            before = asked
            report = await reader.fetcher.fetch(Wanted(tree), [liar, reader.source(honest)], reader.events.append)
            assert asked == before
            assert liar.name in report.failed

    run(main())


@pytest.mark.parametrize("name", FAILURES)
def test_alone_it_ends_in_a_typed_error_that_names_it(tmp_path: Path, name: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            reader = place.reader()
            dag = keep_file(place.store("elsewhere"), CONTENT)
            hostile = reader.source(place.hostile(FAILURES[name]))
            kind = NotFoundError if name == "lacks everything" else (RemoteError, UnavailableError)
            with pytest.raises(kind, match=hostile.name) as failure:
                await reader.fetcher.fetch(Wanted(dag.root), [hostile], reader.events.append)
            assert "\n" not in failure.value.message
            assert not any(event.liar for event in reader.told(SourceFailed))

    run(main())


def answering(dag: FileDag, leaf_answer: Callable[[int, int], bytes]) -> Misbehaviour:
    """Honest about nodes; each leaf (of the file, of the request) is answered as told."""

    async def misbehave(stream: Stream, value: Any) -> None:
        request = parse_request(value)
        assert request is not None
        await stream.send.write(OFFER)
        if getattr(request, "want", "") == "nodes":
            for _, data in dag.nodes:
                await stream.send.write(block(data))
        for span in getattr(request, "spans", ()):
            for position in range(span.count):
                await stream.send.write(leaf_answer(span.first + position, position))
        await stream.send.write(said(End("done", "")))
        await stream.send.finish()

    return misbehave


async def drip(stream: Stream, of: bytes) -> None:
    """Never silent, never done."""
    await stream.send.write(block_header(len(of)))
    for byte in of:
        await stream.send.write(bytes([byte]))
        await asyncio.sleep(STALL_S / 4)


@pytest.mark.parametrize("drips", [True, False], ids=["drips", "sends empty blocks"])
def test_a_peer_that_won_the_race_and_then_dawdles_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drips: bool
) -> None:
    monkeypatch.setattr(node_stage, "SLOW_WINNER_S", STALL_S)

    async def main() -> None:
        async with world(tmp_path) as place:
            honest, reader = place.peer("honest"), place.reader()
            tree = keep_tree(honest.store, {"film": CONTENT})
            nodes = [honest.store.get_block(tree), file_dag(CONTENT).nodes[0][1]]

            async def dawdle(stream: Stream, value: Any) -> None:
                await stream.send.write(OFFER + b"".join(map(block, nodes[: 1 if drips else 2])))
                while not drips:
                    await stream.send.write(block(b"") * 1000)
                await drip(stream, nodes[1])

            hostile = reader.source(place.hostile(dawdle))
            await reader.fetcher.fetch(Wanted(tree), [hostile, reader.source(honest)], reader.events.append)
            assert reader.store.read_file(file_dag(CONTENT).root, 0, len(CONTENT)) == CONTENT

    run(main())


LEAF_LIES: dict[str, Callable[[int, int], bytes]] = {
    "wrong leaves": lambda index, _: block(noise(LEAF_BYTES, index)),
    "leaves in the wrong order": lambda index, _: block(leaf(CONTENT, 4 - index) if index != 2 else leaf(CONTENT, 0)),
    "the first leaf right, the others wrong": lambda index, _: block(leaf(CONTENT if index == 0 else OTHER, index)),
    "short leaves": lambda index, _: block(leaf(CONTENT, index)[:-1]),
    "empty leaves": lambda _index, _position: block(b""),
}


@pytest.mark.parametrize("name", LEAF_LIES)
def test_wrong_leaves_are_refetched_from_another(tmp_path: Path, name: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            honest, reader = place.peer("honest"), place.reader()
            dag = keep_file(honest.store, CONTENT)
            liar = reader.source(place.hostile(answering(dag, LEAF_LIES[name])))
            report = await reader.fetcher.fetch(Wanted(dag.root), [liar, reader.source(honest)], reader.events.append)
            assert reader.store.read_file(dag.root, 0, len(CONTENT)) == CONTENT
            assert report.liars == (liar.name,)
            verified = [event.index for event in reader.told(LeafVerified)]
            assert sorted(verified) == list(range(5)), "no verified leaf is fetched again"

    run(main())


def test_more_leaves_than_asked_for_are_refused_after_the_right_ones_were_kept(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            reader = place.reader()
            dag = keep_file(place.store("elsewhere"), CONTENT)

            async def doubling(stream: Stream, value: Any) -> None:
                await answering(dag, lambda index, _: block(leaf(CONTENT, index)) * 2)(stream, value)

            double = reader.source(place.hostile(doubling))
            with pytest.raises(RemoteError, match=double.name):
                await reader.fetcher.fetch(Wanted(dag.root), [double], reader.events.append)
            kept = sum(count for _, count in reader.store.available_leaves(dag.root))
            assert kept >= len(reader.told(LeafVerified)) > 0  # one may have landed that nobody was told of any more

    run(main())


def test_missing_for_everything_is_no_lie(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            honest, reader = place.peer("honest"), place.reader()
            dag = keep_file(honest.store, CONTENT)
            empty = reader.source(place.hostile(answering(dag, lambda index, _: said(MissingLeaf(dag.root, index)))))
            report = await reader.fetcher.fetch(Wanted(dag.root), [empty, reader.source(honest)], reader.events.append)
            assert reader.store.read_file(dag.root, 0, len(CONTENT)) == CONTENT
            assert report.liars == ()
            alone = place.reader(place.store("alone"))
            with pytest.raises(NotFoundError, match=empty.name):
                await alone.fetcher.fetch(Wanted(dag.root), [empty], alone.events.append)

    run(main())


def test_missing_of_a_leaf_that_was_not_asked_for_breaks_the_protocol(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            reader = place.reader()
            dag = keep_file(place.store("elsewhere"), CONTENT)
            odd = reader.source(place.hostile(answering(dag, lambda index, _: said(MissingLeaf(dag.root, index + 1)))))
            with pytest.raises(RemoteError, match="not asked for"):
                await reader.fetcher.fetch(Wanted(dag.root), [odd], reader.events.append)

    run(main())


def test_a_peer_that_stalls_in_the_middle_loses_its_leaves_to_the_other(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            honest, reader = place.peer("honest"), place.reader()
            dag = keep_file(honest.store, CONTENT)

            async def stalling(stream: Stream, value: Any) -> None:
                request = parse_request(value)
                if getattr(request, "want", "") == "nodes":
                    await answering(dag, lambda *_: b"")(stream, value)
                    return
                await stream.send.write(OFFER)
                await silence(stream, value)

            stalled = reader.source(place.hostile(stalling))
            loop = asyncio.get_running_loop()
            started_s = loop.time()
            report = await reader.fetcher.fetch(
                Wanted(dag.root), [stalled, reader.source(honest)], reader.events.append
            )
            assert reader.store.read_file(dag.root, 0, len(CONTENT)) == CONTENT
            assert loop.time() - started_s < 10 * STALL_S
            assert report.bytes_by_source[honest.name] >= len(CONTENT)

    run(main())


def test_a_slow_but_living_peer_is_not_given_up(tmp_path: Path) -> None:
    """A quarter of a stall timeout between pieces, far more than a stall timeout for the leaf."""

    async def main() -> None:
        async with world(tmp_path) as place:
            reader = place.reader()
            content = noise(60_000)
            dag = keep_file(place.store("elsewhere"), content)

            async def dripping(stream: Stream, _request: Any) -> None:
                data = OFFER + block(content) + said(End("done", ""))
                for start in range(0, len(data), 10_000):
                    await stream.send.write(data[start : start + 10_000])
                    drop = asyncio.Event()
                    asyncio.get_running_loop().call_later(STALL_S / 4, drop.set)
                    await drop.wait()
                await stream.send.finish()

            dripper = reader.source(place.hostile(dripping))
            report = await reader.fetcher.fetch(Wanted(dag.root), [dripper], reader.events.append)
            assert reader.store.get_block(dag.root) == content
            assert report.failed == {}

    run(main())


def test_inline_leaves_that_are_no_part_of_the_content_are_a_lie(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            honest, reader = place.peer("honest"), place.reader()
            dag = keep_file(honest.store, CONTENT)
            nodes = b"".join(block(data) for _, data in dag.nodes)
            liar = reader.source(place.hostile(saying(OFFER + nodes + block(noise(500)) + said(End("done", "")))))
            report = await reader.fetcher.fetch(Wanted(dag.root), [liar, reader.source(honest)], reader.events.append)
            assert reader.store.read_file(dag.root, 0, len(CONTENT)) == CONTENT
            assert report.liars == (liar.name,)

    run(main())


def test_more_inline_bytes_than_asked_for_end_the_request(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            reader = place.reader()
            dag = keep_file(place.store("elsewhere"), CONTENT)
            nodes = b"".join(block(data) for _, data in dag.nodes)
            flood = reader.source(place.hostile(saying(OFFER + nodes + block(leaf(CONTENT, 0)) * 50)))
            with pytest.raises(RemoteError, match="nobody asked for"):
                await reader.fetcher.fetch(Wanted(dag.root), [flood], reader.events.append)

    run(main())


def test_broken_content_is_nobodys_lie_and_ends_at_once(tmp_path: Path) -> None:
    """A root that hashes to its name and is no UnixFS: no other source can do better."""

    async def main() -> None:
        async with world(tmp_path) as place:
            reader = place.reader()
            junk = b"\x0a\xff\xff\xff"
            root = dag_pb_cid(hashlib.sha256(junk).digest())
            source = reader.source(place.hostile(saying(OFFER + block(junk) + said(End("done", "")))))
            with pytest.raises(IntegrityError):
                await reader.fetcher.fetch(Wanted(root), [source], reader.events.append)
            assert reader.told(SourceFailed) == []

    run(main())

"""Probing many peers: answers as they come, nobody waited for longer than the limit."""

import asyncio
import hashlib
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from tests.delivery.world import file_dag, keep_leaf, keep_tree, run, world

from nearcast.content.cid import Cid, dag_pb_cid
from nearcast.content.dagpb import PbLink, PbNode, encode_node
from nearcast.content.store import Store
from nearcast.delivery.messages import SIZE_BYTES_MAX, Holding, holdings_fields
from nearcast.delivery.probe import probe, probe_all
from nearcast.errors import NearcastError, RemoteError, UnavailableError
from nearcast.transport.base import PeerAddress, Stream
from nearcast.wire import encode_message

NOTE = file_dag(b"note").root
TIMEOUT_S = 0.4


async def silence(_stream: Stream, _request: Any) -> None:
    await asyncio.Event().wait()


def test_everybodys_answer_comes_and_the_silent_are_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            holder, other, gone = place.peer("holder"), place.peer("other"), place.peer("gone")
            keep_leaf(holder.store, b"note")
            await gone.die()
            silent = place.hostile(silence)
            reader = place.reader()
            addresses = [silent, gone.address, other.address, holder.address]
            answers: dict[PeerAddress, list[Holding] | NearcastError] = {}
            order = []
            async for address, answer in probe_all(reader.pool, addresses, [NOTE], TIMEOUT_S):
                answers[address] = answer
                order.append(address)
            assert order[-1] == silent, "nobody waits for the silent one"
            held, lacking = answers[holder.address], answers[other.address]
            assert isinstance(held, list)
            assert isinstance(lacking, list)
            assert held[0].state in Holding.SERVABLE
            assert lacking == [Holding("none", None)]
            assert isinstance(answers[gone.address], UnavailableError)
            assert isinstance(answers[silent], UnavailableError)

    run(main())


def test_the_size_of_a_folder_is_that_of_all_below_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            holder = place.peer("holder")
            site = keep_tree(holder.store, {"film": bytes(700_000), "page": bytes(300)})
            connection = await place.reader().pool.get(holder.address)
            (alone,) = await probe(connection, [site])
            assert alone.size_bytes == 700_300 + len(holder.store.get_block(site))
            together = await probe(connection, [site, site, NOTE])
            assert [each.size_bytes for each in together] == [None] * 3, "strangers cannot have many folders read"

    run(main())


def test_a_folder_whose_links_tell_nonsense_has_no_size_to_believe(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            holder = place.peer("holder")
            huge, unsaid = (_keep_folder(holder.store, size) for size in ((1 << 64) - 1, None))
            connection = await place.reader().pool.get(holder.address)
            assert [each.size_bytes for each in await probe(connection, [huge])] == [SIZE_BYTES_MAX]
            assert [each.size_bytes for each in await probe(connection, [unsaid])] == [None]

    run(main())


def _keep_folder(store: Store, tsize: int | None) -> Cid:
    block = encode_node(PbNode((PbLink(NOTE, "note", tsize),), b"\x08\x01"))
    cid = dag_pb_cid(hashlib.sha256(block).digest())
    with store.batch() as batch:
        batch.put_block(cid, block)
    return cid


def test_whoever_has_heard_enough_may_stop(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            holder, reader = place.peer("holder"), place.reader()
            keep_leaf(holder.store, b"note")
            silent = place.hostile(silence)
            async with aclosing(probe_all(reader.pool, [silent, holder.address], [NOTE], 60.0)) as answers:
                address, _ = await anext(answers)
                assert address == holder.address

    run(main())


def test_no_peers_no_answers(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            reader = place.reader()
            assert [answer async for answer in probe_all(reader.pool, [], [NOTE], TIMEOUT_S)] == []

    run(main())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\x00\x00\x09short",
        encode_message({"have": []}),
        encode_message({"have": [{"state": "perhaps", "size": 1, "price": 0}]}),
        encode_message({"end": "unsupported"}),
        encode_message(holdings_fields([Holding("all", 1)] * 2)),
    ],
)
def test_a_nonsensical_answer_is_the_peers_fault(tmp_path: Path, answer: bytes) -> None:
    async def nonsense(stream: Stream, _request: Any) -> None:
        await stream.send.write(answer)
        await stream.send.finish()

    async def main() -> None:
        async with world(tmp_path) as place:
            reader = place.reader()
            connection = await reader.pool.get(place.hostile(nonsense))
            with pytest.raises(RemoteError):
                await probe(connection, [NOTE])

    run(main())

"""A fetch goes on with the next ones where the first ones failed, and asks nobody in vain."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from tests.delivery.paid_world import buyer, seller
from tests.delivery.world import OFFER, Reader, file_dag, keep_file, keep_leaf, keep_tree, noise, run, world

from nearcast.client.choosing import Offering
from nearcast.client.finding import Found
from nearcast.client.supplied import fetch_supplied
from nearcast.client.supply import Supply
from nearcast.content.cid import Cid
from nearcast.content.reader import read_range
from nearcast.delivery.events import FetchReport, Wanted
from nearcast.delivery.messages import End, Holding, Wait, answer_fields, parse_request
from nearcast.delivery.source import Source
from nearcast.delivery.trail import begin
from nearcast.errors import NearcastError, NotFoundError, RefusedError, UnavailableError
from nearcast.payments.credit import whole_units
from nearcast.transport.base import PeerAddress, Stream
from nearcast.wire import block_header, encode_message

FILM = noise(3 << 20)
NOBODY = RefusedError("nobody gives it for free")


class FakeSupply:
    """First `free`, then `payees` one by one."""

    def __init__(self, free: list[Source], *payees: Source) -> None:
        self._free = free
        self._payees = list(payees)
        self.asked = 0

    def free(self) -> list[Source]:
        return self._free

    async def more(self) -> list[Source]:
        self.asked += 1
        return [self._payees.pop(0)] if self._payees else []

    def nobody(self) -> NearcastError:
        return NOBODY


async def fetch(reader: Reader, wanted: Wanted, supply: FakeSupply) -> FetchReport:
    return await fetch_supplied(reader.fetcher, reader.store, wanted, supply, reader.events.append)


def test_what_is_here_needs_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            reader, supply = place.reader(), FakeSupply([])
            await fetch(reader, Wanted(keep_file(reader.store, FILM).root), supply)
            assert not supply.asked, "so nobody is paid for it"

    run(main())


def test_when_those_who_are_free_lack_it_the_next_ones_are_asked(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            reader, empty, gone, holder = place.reader(), place.peer("empty"), place.peer("gone"), place.peer("holder")
            root = keep_file(holder.store, FILM).root
            await gone.die()
            supply = FakeSupply([reader.source(empty)], reader.source(gone), reader.source(holder))
            report = await fetch(reader, Wanted(root), supply)
            assert b"".join(read_range(reader.store.get_block, root, 0, len(FILM))) == FILM
            assert supply.asked == 2
            assert list(report.failed) == [gone.name], "also who failed before the last ones were asked"

    run(main())


def test_with_nobody_at_all_the_supply_says_why(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            with pytest.raises(RefusedError) as refused:
                await fetch(place.reader(), Wanted(file_dag(FILM).root), FakeSupply([]))
            assert refused.value is NOBODY

    run(main())


def test_with_some_who_failed_it_is_their_failure_that_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            reader, gone = place.reader(), place.peer("gone")
            await gone.die()
            with pytest.raises(UnavailableError, match=gone.name):
                await fetch(reader, Wanted(file_dag(FILM).root), FakeSupply([reader.source(gone)]))

    run(main())


def test_for_a_path_that_the_content_does_not_have_nobody_else_is_asked(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            reader, holder = place.reader(), place.peer("holder")
            root = keep_tree(holder.store, {"film": FILM})
            supply = FakeSupply([reader.source(holder)], reader.source(holder))
            with pytest.raises(NotFoundError):
                await fetch(reader, Wanted(root, "no/such/path"), supply)
            assert not supply.asked

    run(main())


@pytest.mark.parametrize("stays", [False, True])
def test_the_report_has_what_was_paid_before_the_last_ones_were_asked(tmp_path: Path, stays: bool) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            who, first, second = buyer(place), seller(place, "first"), seller(place, "second")
            for node in (first, second):
                node.open_channel(who.payer)
            dag = keep_file(second.peer.store, FILM)
            with first.peer.store.batch() as batch:
                for cid, data in dag.nodes:
                    batch.put_block(cid, data)
            keep_leaf(first.peer.store, FILM[: 1 << 20])
            source = who.source(first, dag.root)
            supply = FakeSupply([source], *([source] if stays else []), who.source(second, dag.root))
            report = await fetch(who.reader, Wanted(dag.root), supply)
            assert supply.asked == 1 + stays
            await who.channel.settle()
            assert whole_units(sum(report.paid_parts_by_source.values())) == who.spent.signed_units(who.payer.channel)
            assert sum(report.paid_parts_by_source.values()) == who.channel.account.verified_parts
            assert set(report.paid_bytes_by_source) == {first.peer.name, second.peer.name}
            assert all(report.paid_bytes_by_source.values())
            assert report.paid_bytes_by_source == report.bytes_by_source
            assert report.bytes_verified == sum(map(len, [FILM, *(data for _, data in dag.nodes)]))
            assert report.reused_bytes == 0

    run(main())


def relaying(reader: Reader, root: Cid, address: PeerAddress) -> Source:
    """Somebody who says that it can bring it, as the client asks it."""
    found = Found(root, offerings=[Offering(address, Holding("relay", len(FILM), 0), 0.01)])
    trail = begin(b"client", os.urandom)
    (source,) = Supply(reader.pool, found, trail, None, lambda _: None).free()
    return source


@pytest.mark.parametrize("heard", ["", "offer", "wait", "leaf", "leaf, wait"])
def test_a_relay_that_dies_in_the_middle_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: str
) -> None:
    """Killed, so that it says no goodbye: after these words nothing more comes, whatever it is asked."""
    monkeypatch.setattr("nearcast.delivery.relay.STALL_S", 0.1)
    dag = file_dag(FILM)
    wait, leaf = encode_message(answer_fields(Wait())), FILM[: 1 << 20]
    last_words = {
        "": b"",
        "offer": OFFER,
        "wait": OFFER + wait,
        "leaf": OFFER + wait + block_header(len(leaf)) + leaf,
        "leaf, wait": OFFER + wait + block_header(len(leaf)) + leaf + wait,
    }[heard]
    nodes = OFFER + b"".join(block_header(len(data)) + data for _, data in dag.nodes)

    async def dying(stream: Stream, value: Any) -> None:
        if parse_request(value).want == "nodes":  # type: ignore[union-attr]
            await stream.send.write(nodes + encode_message(answer_fields(End("done", ""))))
            await stream.send.finish()
            return
        await stream.send.write(last_words)
        await asyncio.Event().wait()

    async def main() -> None:
        async with world(tmp_path) as place:
            reader, holder = place.reader(), place.peer("holder")
            keep_file(holder.store, FILM)
            dead = relaying(reader, dag.root, place.hostile(dying))
            supply = FakeSupply([dead], relaying(reader, dag.root, holder.address))
            loop = asyncio.get_running_loop()
            started_s = loop.time()
            report = await fetch(reader, Wanted(dag.root), supply)
            assert loop.time() - started_s < 3
            assert list(report.failed) == [dead.name]
            assert b"".join(read_range(reader.store.get_block, dag.root, 0, len(FILM))) == FILM

    run(main())

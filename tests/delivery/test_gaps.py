"""What is missing at a node that can bring it: the answer waits for it, and says so where nobody brings it."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.delivery.hand import hand
from tests.delivery.paid_world import PRICE, Seller, seller
from tests.delivery.world import World, file_dag, noise, run, world

from nearcast.content.cid import Cid
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import Store
from nearcast.delivery.messages import End, FetchRequest, Holding, LeafSpan, MissingLeaf, Wait
from nearcast.delivery.probe import probe
from nearcast.delivery.trail import Trail, begin
from nearcast.errors import NotFoundError
from nearcast.payments.budget import Backer
from nearcast.payments.credit import parts_of, whole_units

CONTENT = noise(24 * LEAF_BYTES)


class Larder:
    """Others, as far as a node that lacks something knows: what they have comes into its store when it is asked for."""

    def __init__(self) -> None:
        self.store: Store | None = None
        self.contents: dict[Cid, bytes] = {}
        self.asked: list[object] = []
        self.way = asyncio.Event()  # what comes from others comes when it is free
        self.way.set()

    async def can_bring(self, root: Cid, trail: Trail, price: int, asker: bytes) -> Holding | None:
        self.asked.append(("can", price))
        return Holding("relay", len(self.contents[root])) if root in self.contents else None

    @asynccontextmanager
    async def session(
        self, request: FetchRequest, trail: Trail, price: int, backer: Backer | None = None
    ) -> AsyncIterator["Larder"]:
        self.asked.append(("session", price))
        yield self

    async def nodes(self) -> None:
        self.asked.append("nodes")
        assert self.store is not None
        for content in self.contents.values():
            with self.store.open_partial(file_dag(content)):
                pass
        if not self.contents:
            raise NotFoundError("nobody has it")

    async def leaf(self, cid: Cid, index: int) -> None:
        self.asked.append(index)
        await self.way.wait()
        assert self.store is not None
        content = self.contents[cid]
        if index == 2:
            raise NotFoundError("nobody has this leaf any more")
        with self.store.open_partial(file_dag(content)) as partial:
            partial.put_leaf(index, content[index * LEAF_BYTES : (index + 1) * LEAF_BYTES])
            partial.checkpoint()


def relay(place: World, larder: Larder, *, is_free: bool = False) -> Seller:
    node = seller(place, "relay", upstream=larder, is_free=lambda _: is_free)
    larder.store = node.peer.store
    return node


def test_what_is_missing_is_brought_while_the_answer_waits(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            larder = Larder()
            node = relay(place, larder)
            content = CONTENT[: 2 * LEAF_BYTES]
            dag = file_dag(content)
            larder.contents[dag.root] = content
            one = await hand(place, node)
            await one.greet()
            assert one.pay_end is not None
            trail = begin(b"somebody", os.urandom)
            assert await probe(one.connection, [dag.root], trail) == [Holding("relay", len(content), PRICE)]
            nodes = await (await one.ask(root=dag.root, want="nodes", trail=trail)).all()
            assert [item for item in nodes if isinstance(item, bytes)] == [data for _, data in dag.nodes]
            asking = await one.ask(root=dag.root, spans=(LeafSpan(dag.root, 0, 2),), trail=trail)
            while asking.content_bytes < len(content):
                await asking.next()
                await one.pay_end.pay(one.payer.promise(whole_units(parts_of(asking.content_bytes, PRICE))))
            assert (await asking.all())[-1] == End("done", "")
            assert larder.asked == [("can", PRICE), ("session", PRICE), "nodes", ("session", PRICE), 0, 1]

    run(main())


def test_what_nobody_brings_is_missing_in_its_place(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            larder = Larder()
            node = relay(place, larder, is_free=True)
            dag = file_dag(CONTENT)
            larder.contents[dag.root] = CONTENT
            one = await hand(place, node)
            trail = begin(b"somebody", os.urandom)
            asking = await one.ask(root=dag.root, spans=(LeafSpan(dag.root, 0, 5),), trail=trail, channel=None)
            heard = [item for item in await asking.all() if not isinstance(item, Wait)]
            assert [isinstance(item, bytes) for item in heard] == [False, True, True, False, False, False, False]
            assert heard[3:6] == [MissingLeaf(dag.root, index) for index in (2, 3, 4)]
            larder.contents.clear()
            absent = file_dag(noise(3 * LEAF_BYTES, 5))
            answer = await (await one.ask(root=absent.root, want="nodes", trail=trail, channel=None)).all()
            assert answer[-1].reason == "missing"

    run(main())


def test_nobody_is_asked_for_a_stranger_nor_in_a_circle(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            larder = Larder()
            node = relay(place, larder)
            dag = file_dag(CONTENT)
            larder.contents[dag.root] = CONTENT
            one = await hand(place, node)
            await one.greet()
            trail = begin(b"somebody", os.urandom)
            circle = trail.passed(node.peer.endpoint.endpoint_id)
            (refusal,) = await (await one.ask(root=dag.root, want="nodes", trail=circle)).all()
            assert refusal.reason == "loop"
            assert await probe(one.connection, [dag.root], circle) == [Holding("none", None, PRICE)]
            for spent in (Trail(), Trail(0, trail.marks)):
                assert await probe(one.connection, [dag.root], spent) == [Holding("none", None, PRICE)]
                answer = await (await one.ask(root=dag.root, want="nodes", trail=spent)).all()
                assert answer[-1].reason == "missing"
            assert larder.asked == []

    run(main())


def test_whoever_waits_for_it_hears_so_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearcast.delivery.relay.STALL_S", 0.02)

    async def main() -> None:
        async with world(tmp_path) as place:
            larder = Larder()
            node = relay(place, larder, is_free=True)
            content = CONTENT[: 2 * LEAF_BYTES]
            dag = file_dag(content)
            larder.contents[dag.root] = content
            one = await hand(place, node)
            trail = begin(b"somebody", os.urandom)
            larder.way.clear()
            asking = await one.ask(root=dag.root, spans=(LeafSpan(dag.root, 0, 2),), trail=trail, channel=None)
            while asking.heard.count(Wait()) < 4:
                await asking.next()
            assert asking.content_bytes == 0
            larder.way.set()
            assert (await asking.all())[-1] == End("done", "")
            assert asking.content_bytes == len(content)

    run(main())

"""inv_honest_desk_never_slashable: whatever happens around a node that signs at our desk, no evidence holds at court.

The runs are those of tests/contracts/test_honest_transcripts.py: governance, guardian, regions, prices, keys, crashes
and time in any order. Here the signing is done by the parts that a node runs: head, follower, schedule and desk.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import example, given, settings
from tests.contracts.honest_node import HonestNode
from tests.contracts.test_honest_transcripts import (
    ACTS,
    DEARER,
    LISTED,
    MOVED,
    OFFER,
    RATIFIED,
    acquitted,
    begun,
    play,
)
from tests.contracts.world import World, shared
from tests.depth import is_nightly

from nearcast.chain.bindings.blacklist import Blacklist
from nearcast.chain.devchain.node import DevChain
from nearcast.chain.devchain.protocol import answer
from nearcast.chain.head import ChainHead
from nearcast.chain.prices import PriceSchedule
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.rpc_wire import Request
from nearcast.chain.signing import Signer
from nearcast.errors import RefusedError
from nearcast.payments.listing import BlacklistFollower
from nearcast.payments.offering import OfferDesk

QUICK = settings(max_examples=1_000 if is_nightly() else 15)
PRICE = 100


class WorldRpc(JsonRpc):
    """The world's chain as an endpoint shows it, without a socket between."""

    def __init__(self, world: World) -> None:
        super().__init__("http://nowhere/", 31337)
        self._chain = DevChain(world.engine, lambda: world.engine.head.timestamp_s, None, automine=True)

    async def _once(self, requests: Sequence[Request]) -> list[Any]:
        told = []
        for method, parameters in requests:
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
            said = json.loads(answer(self._chain, json.dumps(request).encode()))
            assert "error" not in said, said
            told.append(said["result"])
        return told


@dataclass
class WorldTime:
    """The node's clock goes with the chain's."""

    world: World

    def monotonic_s(self) -> float:
        return float(self.world.now_s)

    def unix_s(self) -> float:
        return float(self.world.now_s)


@dataclass
class DeskNode(HonestNode):
    """Its offers come from a desk; `keep` owns the loop that all of it runs in."""

    runner: asyncio.Runner | None = None

    def do(self, what: Any) -> Any:
        assert self.runner is not None
        return self.runner.run(what)

    def start(self) -> None:
        """Also after a crash: the files are left, and the list is read anew, without which nothing is offered."""
        self.do(self._start())
        self.read_list()

    async def _start(self) -> None:
        rpc, clock = WorldRpc(self.world), WorldTime(self.world)
        self.head = ChainHead(rpc, clock, 10)
        self.follower = await BlacklistFollower.open(
            Blacklist(rpc, self.world.blacklist.address),
            self.head,
            self.folder / "blacklist.json",
            clock=clock,
            regions=self.regions,
        )
        self.schedule = PriceSchedule.open(self.folder / "price.json", price_units_per_gib=PRICE, first_block=0)
        self._open_desk()

    def _open_desk(self) -> None:
        hot_key = Signer(self.room.node.hot_key.secret)
        self.desk = OfferDesk(hot_key, self.room.domain, self.schedule, self.head, self.follower)

    def read_list(self) -> None:
        self.do(self._polled(and_list=True))

    def offer(self, root: bytes, client: bytes) -> None:
        """On what the newest poll has shown; the list may have been read long before."""
        self.do(self._polled(and_list=False))
        try:
            signed = self.desk.make(root, client, 1 << 30)
        except RefusedError:
            return
        self.offers.append((signed.offer, signed.signature, self.room.header(signed.offer.block_number)))

    async def _polled(self, *, and_list: bool) -> None:
        await self.head.poll()
        if and_list:
            await self.follower.sync()
        await self.desk.look()

    def change_price(self, price: int) -> None:
        self.do(self._change_price(price))

    async def _change_price(self, price: int) -> None:
        await self.head.poll()
        await self.desk.change(price)

    def change_key(self) -> None:
        super().change_key()
        self._open_desk()

    def move(self, region: bytes) -> None:
        self.follower.add_region(region)
        super().move(region)


def run(acts: list[tuple[str, Any, Any]]) -> int:
    """Plays, and tries everything that was signed; how many offers that were."""
    with shared().fork() as world, TemporaryDirectory() as folder, asyncio.Runner() as runner:
        node = DeskNode(begun(world), Path(folder), runner=runner)
        for act in acts:
            if act[0] == "price":
                node.change_price(act[1])
            else:
                play(node, act)
        acquitted(node)
        return len(node.offers)


@QUICK
@example(RATIFIED)
@example([*DEARER, ("mine", 2, None), OFFER])
@example([OFFER, ("price", 200, None), ("mine", 15, None), OFFER])
@example(MOVED)
@example(LISTED)
@given(ACTS)
def test_inv_honest_desk_never_slashable(acts: list[tuple[str, Any, Any]]) -> None:
    run(acts)


def test_the_runs_make_offers_at_all() -> None:
    """Else there would be nothing to try: both prices of a change are signed."""
    assert run([OFFER, ("price", 200, None), ("mine", 301, None), ("read", None, None), OFFER]) == 2

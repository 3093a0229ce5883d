"""Near ones first, then the hash table, then the registry; and what nobody has is missing within a bound."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.delivery.world import Peer, World, keep_leaf, noise, run, world

from nearcast.client.discovery import Far, Outlook
from nearcast.client.finding import Finder, Search
from nearcast.clock import SystemClock
from nearcast.content.cid import Cid, raw_cid
from nearcast.delivery.trail import NO_TRAIL
from nearcast.errors import NotFoundError, RefusedError, UnavailableError
from nearcast.overlay.peers import PeerBook
from nearcast.telemetry import Telemetry
from nearcast.transport.base import PeerAddress
from nearcast.transport.pool import ConnectionPool

SEARCH = Search(NO_TRAIL)
MISSING = raw_cid(bytes(32))


@dataclass
class Told:
    """A discovery that says what a test wants it to, after a while."""

    providers_told: Sequence[PeerAddress] = ()
    registered_told: Sequence[PeerAddress] = ()
    takes_s: float = 0.0
    outlooks: dict[bytes, Outlook] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    near: list[PeerAddress] = field(default_factory=list)

    async def providers(self, root: Cid, near: Sequence[PeerAddress], timeout_s: float) -> Far:
        self.asked.append("providers")
        self.near = list(near)
        await asyncio.sleep(min(self.takes_s, timeout_s))
        return Far(self.providers_told, "the hash table was asked")

    def registered(self) -> Far:
        self.asked.append("registered")
        return Far(self.registered_told)

    def outlook(self, endpoint_id: bytes) -> Outlook:
        return self.outlooks.get(endpoint_id, Outlook())


@asynccontextmanager
async def finder(place: World, told: Told, *near: Peer) -> AsyncIterator[Finder]:
    async with AsyncExitStack() as stack:
        endpoint = place.endpoint()
        stack.push_async_callback(endpoint.close)
        pool = ConnectionPool(endpoint, Telemetry())
        stack.push_async_callback(pool.close)
        book = PeerBook()
        for peer in near:
            book.add(peer.address, "config", 0.0)
        yield Finder(book, pool, SystemClock(), expects_lan=False, discovery=told)


def test_who_is_near_and_has_it_is_enough(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            near = place.peer("near")
            root = keep_leaf(near.store, noise(10))
            told = Told()
            async with finder(place, told, near) as finds:
                found = await finds.find(root, SEARCH)
                assert [each.address.endpoint_id for each in found.offerings] == [near.address.endpoint_id]
                assert told.asked == [], "nobody far was bothered"

    run(main())


def test_the_hash_table_is_asked_when_the_near_ones_have_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            near, far = place.peer("near"), place.peer("far")
            root = keep_leaf(far.store, noise(10))
            told = Told(providers_told=[near.address, far.address])
            async with finder(place, told, near) as finds:
                found = await finds.find(root, SEARCH)
                assert [each.address.endpoint_id for each in found.offerings] == [far.address.endpoint_id]
                assert told.asked == ["providers"]
                assert [each.endpoint_id for each in told.near] == [near.address.endpoint_id]

    run(main())


def test_the_registry_is_asked_last(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            registered = place.peer("registered")
            root = keep_leaf(registered.store, noise(10))
            told = Told(registered_told=[registered.address])
            async with finder(place, told) as finds:
                found = await finds.find(root, SEARCH)
                assert len(found.offerings) == 1
                assert told.asked == ["providers", "registered"]

    run(main())


def test_a_relay_s_look_goes_no_further(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            told = Told()
            async with finder(place, told) as finds:
                await finds.find(MISSING, Search(NO_TRAIL, looks_far=False))
                assert told.asked == []

    run(main())


def test_what_nobody_has_is_missing_within_the_bound_and_the_answer_says_who_was_asked(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            near, dead = place.peer("near"), place.peer("dead")
            await dead.endpoint.close()
            told = Told(providers_told=[dead.address], takes_s=60.0)
            async with finder(place, told, near) as finds:
                start_s = asyncio.get_running_loop().time()
                found = await finds.find(MISSING, SEARCH)
                assert asyncio.get_running_loop().time() - start_s < 3.2
                assert "the hash table was asked" in found.nobody().message

    run(main())


def test_whoever_asks_for_what_is_listed_is_told_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            other, holder = place.peer("other"), place.peer("holder", listed=lambda _root: True)
            root = keep_leaf(holder.store, noise(10))
            async with finder(place, Told(), other, holder) as finds:
                told = (await finds.find(root, SEARCH)).nobody()
                assert isinstance(told, RefusedError)
                assert f"{holder.name}: does not serve it: it is on the chain's blacklist" in told.message
                assert f"{other.name}: does not have it" in told.message
                assert f"nearcast blacklist check {root}" in str(told.fix)
            await other.die()
            async with finder(place, Told(), other, holder) as finds:
                found = await finds.find(root, SEARCH)
                assert isinstance(found.nobody(), UnavailableError), "who could not be asked may give it"

    run(main())


def test_with_nobody_to_ask_it_is_missing_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place, AsyncExitStack() as stack:
            endpoint = place.endpoint()
            stack.push_async_callback(endpoint.close)
            finds = Finder(PeerBook(), ConnectionPool(endpoint, Telemetry()), SystemClock(), expects_lan=False)
            start_s = asyncio.get_running_loop().time()
            found = await finds.find(MISSING, SEARCH)
            assert asyncio.get_running_loop().time() - start_s < 0.5
            with pytest.raises(NotFoundError, match="no other node is known"):
                raise found.nobody()

    run(main())


def test_the_dead_are_asked_when_there_is_room_only(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            one, two = place.peer("one"), place.peer("two")
            root = keep_leaf(one.store, noise(10))
            keep_leaf(two.store, noise(10))
            told = Told(providers_told=[one.address, two.address])
            told.outlooks[one.address.endpoint_id] = Outlook(is_dead=True)
            async with finder(place, told) as finds:
                found = await finds.find(root, Search(NO_TRAIL, peers_max=1))
                assert [each.address.endpoint_id for each in found.offerings] == [two.address.endpoint_id]

    run(main())


def test_the_search_goes_on_where_it_ended(tmp_path: Path) -> None:
    """Somebody near has it, or says so: nobody far was asked, until that turns out not to do."""

    async def main() -> None:
        async with world(tmp_path) as place:
            near, far, registered = place.peer("near"), place.peer("far"), place.peer("registered")
            for each in (near, far, registered):
                root = keep_leaf(each.store, noise(10))
            told = Told(providers_told=[near.address, far.address], registered_told=[registered.address])
            async with finder(place, told, near) as finds:
                found = await finds.find(root, SEARCH)
                brought = []
                while not found.is_exhausted:
                    more = await finds.find_further(found, SEARCH)
                    brought.append([each.address for each in more.offerings])
                    found.add(more)
                assert brought == [[far.address], [registered.address]], "each is asked once"
                more = await finds.find_further(found, SEARCH)
                assert more.is_exhausted
                assert not more.offerings

    run(main())


def test_a_search_that_looks_no_further_does_not_go_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            near, far = place.peer("near"), place.peer("far")
            root = keep_leaf(near.store, noise(10))
            keep_leaf(far.store, noise(10))
            told = Told(providers_told=[far.address])
            search = Search(NO_TRAIL, looks_far=False)
            async with finder(place, told, near) as finds:
                more = await finds.find_further(await finds.find(root, search), search)
                assert not more.offerings
                assert more.is_exhausted
                assert told.asked == []

    run(main())

"""What one who asks a relay must not do to what others get from it."""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.delivery.world import keep_file, noise
from tests.node.relays import net, run, until

from nearcast.client.finding import Found, Search
from nearcast.content.cid import Cid, raw_cid
from nearcast.delivery.trail import HOPS_MAX, Trail, begin, mark_of
from nearcast.errors import StoreError
from nearcast.node.relaying import LOOKS_SHARE

FILM = noise(3 << 20)
READER = bytes(32)


def test_a_trail_that_names_the_holder_hides_it_from_nobody_else(tmp_path: Path) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            relay, origin = await place.line("relay", "origin")
            dag = keep_file(origin.store, FILM)
            name = os.urandom(8)
            forged = Trail(HOPS_MAX, (name, mark_of(name, origin.endpoint.endpoint_id)))
            assert await relay.relay.can_bring(dag.root, forged, 0, READER) is None
            honest = await relay.relay.can_bring(dag.root, begin(READER, os.urandom), 0, READER)
            assert honest is not None
            assert await relay.relay.can_bring(dag.root, forged, 0, READER) is None, "nor is it asked in a circle"

    run(main())


def test_a_backend_that_cannot_be_read_costs_a_look_and_not_the_node(tmp_path: Path) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            relay, origin = await place.line("relay", "origin")
            dag = keep_file(origin.store, FILM)
            finder = relay.relay._finder
            own = finder.own

            def broken(_: Any) -> Any:
                raise StoreError("the index is damaged")

            finder.own = broken
            assert await relay.relay.can_bring(dag.root, begin(READER, os.urandom), 0, READER) is None
            finder.own = own
            assert await relay.relay.can_bring(dag.root, begin(READER, os.urandom), 0, READER) is not None

    run(main())


def test_who_asks_for_much_that_nobody_has_leaves_room_for_the_questions_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            relay, origin = await place.line("relay", "origin")
            root, finder, go_on = keep_file(origin.store, FILM).root, relay.relay._finder, asyncio.Event()
            find, looked_for = finder.find, list[Cid]()

            async def slow(wanted: Cid, search: Search, urls: Iterable[str] = ()) -> Found:
                looked_for.append(wanted)
                if wanted != root:
                    await go_on.wait()
                return await find(wanted, search, urls)

            monkeypatch.setattr(finder, "find", slow)
            for stranger in range(1, 4):  # even three of them together do not have all
                trail, name = begin(b"stranger", os.urandom), bytes([stranger] * 32)
                nonsense = [raw_cid(os.urandom(32)) for _ in range(64)]
                answers = [relay.relay.can_bring(each, trail, 0, name) for each in nonsense]
                assert not any(await asyncio.gather(*answers))
                assert len(looked_for) == LOOKS_SHARE * stranger
            honest = await relay.relay.can_bring(root, begin(READER, os.urandom), 0, READER)
            assert honest is not None
            go_on.set()
            await until(lambda: not relay.relay._looking)
            assert not relay.relay._lookers, "whoever has been answered may ask again"

    run(main())

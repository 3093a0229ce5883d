"""What one who asks a relay must not do to what others get from it."""

import os
from pathlib import Path
from typing import Any

from tests.delivery.world import keep_file, noise
from tests.node.relays import net, run

from nearcast.delivery.trail import HOPS_MAX, Trail, begin, mark_of
from nearcast.errors import StoreError

FILM = noise(3 << 20)


def test_a_trail_that_names_the_holder_hides_it_from_nobody_else(tmp_path: Path) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            relay, origin = await place.line("relay", "origin")
            dag = keep_file(origin.store, FILM)
            name = os.urandom(8)
            forged = Trail(HOPS_MAX, (name, mark_of(name, origin.endpoint.endpoint_id)))
            assert await relay.relay.can_bring(dag.root, forged, 0) is None
            honest = await relay.relay.can_bring(dag.root, begin(b"reader", os.urandom), 0)
            assert honest is not None
            assert await relay.relay.can_bring(dag.root, forged, 0) is None, "nor is it asked in a circle"

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
            assert await relay.relay.can_bring(dag.root, begin(b"reader", os.urandom), 0) is None
            finder.own = own
            assert await relay.relay.can_bring(dag.root, begin(b"reader", os.urandom), 0) is not None

    run(main())

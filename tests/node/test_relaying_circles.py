"""Relays that know each other in circles: who has it is found, and nothing is asked or brought for ever."""

from pathlib import Path

import pytest
from tests.delivery.world import file_dag, keep_file
from tests.node.relays import net, run
from tests.node.test_relaying import FILM, FRAMING, content_of

from nearcast.delivery.trail import HOPS_MAX
from nearcast.errors import NearcastError, NotFoundError


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_in_a_ring_where_nobody_has_it_everybody_is_asked_once_and_nothing_hangs(tmp_path: Path, size: int) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            reader = await place.node("reader")
            ring = [await place.node(f"relay {number}") for number in range(size)]
            reader.knows(*ring)
            for at, relay in enumerate(ring):
                relay.knows(ring[(at + 1) % size], reader)
            with pytest.raises(NotFoundError):
                await reader.get(file_dag(FILM).root)
            for relay in ring:
                assert relay.telemetry.counters["looks"] <= HOPS_MAX, "one for each reach"
                assert not relay.served

    run(main())


def test_in_a_ring_the_one_who_has_it_is_found(tmp_path: Path) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            reader = await place.node("reader")
            ring = [await place.node(f"relay {number}") for number in range(3)]
            reader.knows(ring[0])
            for at, relay in enumerate(ring):
                relay.knows(ring[(at + 1) % 3], reader)
            root = keep_file(ring[2].store, FILM).root
            await reader.get(root)
            assert content_of(reader.store, root) == FILM
            assert ring[2].served_bytes < len(FILM) * FRAMING

    run(main())


def test_in_a_diamond_each_relay_takes_every_leaf_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with net(tmp_path) as place:
            reader, left, origin = await place.line("reader", "left", "origin")
            right = await place.node("right")
            reader.knows(right)
            right.knows(origin)
            left.knows(right)
            right.knows(left)
            root = keep_file(origin.store, FILM).root
            await reader.get(root)
            assert content_of(reader.store, root) == FILM
            assert origin.served_bytes < 2 * len(FILM) * FRAMING

    run(main())


def test_a_relay_whose_source_lost_it_does_not_ask_in_circles(tmp_path: Path) -> None:
    """Both relays believe that the other one brings it; neither waits for the other for ever."""

    async def main() -> None:
        async with net(tmp_path) as place:
            reader, left, origin = await place.line("reader", "left", "origin")
            right = await place.node("right")
            reader.knows(right)
            right.knows(origin, left)
            left.knows(right)
            root = keep_file(origin.store, FILM).root
            await reader.get(root, nodes_only=True)  # both have looked, and remember
            await origin.die()
            with pytest.raises(NearcastError):
                await reader.get(root)

    run(main())

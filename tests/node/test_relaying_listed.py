"""What is on the chain's blacklist is not brought, also below a root that is not listed itself."""

from pathlib import Path

import pytest
from tests.delivery.world import file_dag, keep_file, keep_tree, noise
from tests.node.relays import RelayNode, net, run

from nearcast.content.cid import Cid
from nearcast.content.leaves import LEAF_BYTES
from nearcast.errors import NearcastError

GOOD, BAD = noise(3 * LEAF_BYTES + 17), noise(2 * LEAF_BYTES, seed=2)
SMALL, SMALL_BAD = noise(5000, seed=3), noise(5000, seed=4)


def leaves_of(node: RelayNode, content: bytes) -> int:
    """How many of its leaves are at the node."""
    dag = file_dag(content)
    return sum(node.store.has(dag.leaves.cid(index)) for index in range(len(dag.leaves)))


@pytest.mark.parametrize("is_last", [False, True])
def test_a_listed_file_of_a_folder_is_neither_brought_nor_kept_and_its_neighbour_is(
    tmp_path: Path, is_last: bool
) -> None:
    bad = file_dag(BAD).root

    async def main() -> None:
        async with net(tmp_path) as place:
            relay = await place.node("relay", listed=lambda cid: cid.digest == bad.digest)
            reader, origin = await place.node("reader"), await place.node("origin")
            reader.knows(relay)
            relay.knows(origin)
            root = keep_tree(origin.store, {"film": GOOD, "z" if is_last else "a": BAD})
            for path in ("", "z" if is_last else "a"):
                with pytest.raises(NearcastError):
                    await reader.get(root, path)
            assert not relay.store.has(bad)
            assert relay.store.stat(bad) is None
            assert not leaves_of(relay, BAD)
            assert not relay.telemetry.counters["relayed_bytes"]
            await reader.get(root, "film")
            assert leaves_of(relay, GOOD) == leaves_of(reader, GOOD) == 4

    run(main())


def test_a_listed_block_that_comes_along_with_its_folder_is_dropped(tmp_path: Path) -> None:
    bad = file_dag(SMALL_BAD).root

    async def main() -> None:
        async with net(tmp_path) as place:
            relay = await place.node("relay", listed=lambda cid: cid.digest == bad.digest)
            reader, origin = await place.node("reader"), await place.node("origin")
            reader.knows(relay)
            relay.knows(origin)
            root = keep_tree(origin.store, {"bad": SMALL_BAD, "good": SMALL})
            with pytest.raises(NearcastError):
                await reader.get(root)
            assert not relay.store.has(bad)
            assert relay.store.has(file_dag(SMALL).root)
            assert not relay.relay._memory.liars, "who sends it may not know the list"
            await reader.get(root, "good")

    run(main())


def test_a_listed_leaf_of_a_file_is_left_out(tmp_path: Path) -> None:
    bad = file_dag(GOOD).leaves.cid(2)

    def listed(cid: Cid) -> bool:
        return cid.digest == bad.digest

    async def main() -> None:
        async with net(tmp_path) as place:
            relay = await place.node("relay", listed=listed)
            reader, origin = await place.node("reader"), await place.node("origin")
            reader.knows(relay)
            relay.knows(origin)
            root = keep_file(origin.store, GOOD).root
            with pytest.raises(NearcastError):
                await reader.get(root)
            assert sum(count for _, count in relay.store.available_leaves(root)) == 3
            assert not relay.store.has(bad)

    run(main())

"""Where content is sold over HTTP, nobody makes the node fetch, and so spend, who has not paid it."""

import os
from pathlib import Path

import pytest
from tests.delivery.world import file_dag
from tests.gateways.suite import QUOTA_BYTES, Door, opened, run, share

from nearcast.clock import SystemClock
from nearcast.content.cid import Cid
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import Store
from nearcast.gateways.http.payment import PaymentRequiredError, Sale
from nearcast.gateways.http.payment_messages import Payment

STRANGER = {"via": "1.1 proxy"}  # what a proxy on this machine passes on comes from elsewhere
CONTENT = os.urandom(3 * LEAF_BYTES + 5)


class Till:
    """Asks everybody for money, and hears what for."""

    def __init__(self) -> None:
        self.sales: list[Sale] = []

    def is_free(self, size_bytes: int) -> bool:
        return size_bytes == 0

    def check(self, header: str | None, sale: Sale) -> Payment:
        self.sales.append(sale)
        raise PaymentRequiredError("a payment is required", sale, 1, {"accepts": []})

    async def take(self, payment: Payment, sale: Sale) -> str:
        raise AssertionError("nobody pays here")


@pytest.fixture
def neighbour(tmp_path: Path) -> Store:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "film").write_bytes(CONTENT)
    return Store.open(tmp_path / "neighbour", quota_bytes=QUOTA_BYTES, clock=SystemClock())


async def nothing_is_fetched_for_a_stranger(door: Door, till: Till, root: Cid) -> None:
    for path in (f"/ipfs/{root}/", f"/ipfs/{root}/film", f"/ipfs/{root}?format=raw"):
        for method in ("GET", "HEAD"):
            answer = await door.get(path, method=method, **STRANGER)
            assert answer.status == 404, path
    assert not till.sales
    assert not door.store.has(root)


def test_a_stranger_makes_a_node_that_sells_fetch_nothing(tmp_path: Path, neighbour: Store) -> None:
    async def main() -> None:
        till, root = Till(), share(neighbour, tmp_path / "shared")
        async with opened(tmp_path, fetch="always", neighbour=neighbour, payments=till) as door:
            await nothing_is_fetched_for_a_stranger(door, till, root)
            assert (await door.get(f"/ipfs/{root}/film")).body == CONTENT, "for its owner the node does fetch"
            assert (await door.get(f"/ipfs/{root}/film", **STRANGER)).status == 402, "and sells what is here now"
            assert [sale.size_bytes for sale in till.sales] == [len(CONTENT)]

    with neighbour:
        run(main)


def test_where_nothing_is_sold_the_policy_alone_decides(tmp_path: Path, neighbour: Store) -> None:
    async def main() -> None:
        root = share(neighbour, tmp_path / "shared")
        async with opened(tmp_path, fetch="always", neighbour=neighbour) as door:
            assert (await door.get(f"/ipfs/{root}/film", **STRANGER)).body == CONTENT

    with neighbour:
        run(main)


def test_the_missing_part_of_a_file_is_told_before_anything_is_paid(tmp_path: Path) -> None:
    class Trusting(Till):
        """Takes any payment."""

        def check(self, header: str | None, sale: Sale) -> Payment:
            self.sales.append(sale)
            return None  # type: ignore[return-value]  # it only goes to `take`

    async def main() -> None:
        till, dag = Trusting(), file_dag(CONTENT)
        async with opened(tmp_path, fetch="always", payments=till) as door:
            with door.store.open_partial(dag) as partial:
                partial.put_leaf(0, CONTENT[:LEAF_BYTES])
                partial.checkpoint()
            part = await door.get(f"/ipfs/{dag.root}", range=f"bytes=0-{LEAF_BYTES - 1}")
            assert part.body == CONTENT[:LEAF_BYTES]
            assert (await door.get(f"/ipfs/{dag.root}", **STRANGER)).status == 404, "take() was not called"
            assert till.sales

    run(main)

"""What whoever asks a node could do to it: to its books, and to its other customers."""

from pathlib import Path
from typing import Any

import pytest
from tests.delivery.hand import hand
from tests.delivery.paid_world import seller
from tests.delivery.world import file_dag, keep_file, noise, run, world

from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import Store
from nearcast.delivery.messages import End, Holding
from nearcast.delivery.probe import probe
from nearcast.errors import RemoteError, StoreError


def test_what_is_not_here_leaves_no_line_in_the_books(tmp_path: Path) -> None:
    """Else anybody with a channel could fill the disk with rows about nothing, and crowd out what is really owed."""

    async def main() -> None:
        async with world(tmp_path) as place:
            node = seller(place, "node")
            one = await hand(place, node)
            await one.greet()
            for seed in range(3):
                absent = file_dag(noise(2 * LEAF_BYTES, seed))
                answer = await (await one.ask(root=absent.root, want="nodes")).all()
                assert answer[-1].reason == "missing"
            customer = node.till.find(one.payer.channel)
            assert customer is not None
            entry = customer.take_entry()
            assert (entry.sales, entry.channel.owed) == ([], ())

    run(main())


def test_a_disk_that_fails_costs_the_request_and_not_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node = seller(place, "node")
            one = await hand(place, node)
            await one.greet()
            dag = keep_file(node.peer.store, noise(100))

            def broken(*_: Any) -> Any:
                raise StoreError("/home/operator/store cannot be read")

            with monkeypatch.context() as patch:
                patch.setattr(Store, "stat", broken)
                with pytest.raises(RemoteError, match="refused"):
                    await probe(one.connection, [dag.root])
                assert await (await one.ask(root=dag.root, want="nodes")).all() == [End("error", "reading failed")]
            (holding,) = await probe(one.connection, [dag.root])
            assert isinstance(holding, Holding)
            assert holding.state == "some"
            assert node.peer.telemetry.counters["store_failures"] == 2

    run(main())

"""What whoever asks a node could do to it: to its books, and to its other customers."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from tests.delivery.hand import Hand, hand
from tests.delivery.paid_world import seller
from tests.delivery.test_gaps import Larder, relay
from tests.delivery.world import STALL_S, file_dag, keep_file, noise, run, world
from tests.payments.shop import Payer

from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import Store
from nearcast.delivery import sending
from nearcast.delivery.messages import End, Holding, LeafSpan, Offer
from nearcast.delivery.probe import probe
from nearcast.delivery.serve_gate import ANSWERS_MAX, ServeGate
from nearcast.delivery.trail import begin
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


def test_a_relay_brings_nothing_for_whoever_has_used_up_its_credit(tmp_path: Path) -> None:
    """Else its money could be had for nothing, by one who asks it and is a friend of one whom it pays."""

    async def main() -> None:
        async with world(tmp_path) as place:
            larder = Larder()
            node = relay(place, larder)
            one = await hand(place, node)
            await one.greet()
            dag = keep_file(node.peer.store, noise(4 * LEAF_BYTES))
            await (await one.ask(root=dag.root, spans=(LeafSpan(dag.root, 0, 4),))).all()
            content = noise(2 * LEAF_BYTES, seed=2)
            absent = file_dag(content)
            larder.contents = {absent.root: content}
            for fields in ({"want": "nodes"}, {"spans": (LeafSpan(absent.root, 0, 2),)}):
                asking = await one.ask(root=absent.root, trail=begin(b"somebody", os.urandom), **fields)
                assert (await asking.all())[-1].reason == "unpaid"
            assert "nodes" not in larder.asked
            assert 0 not in larder.asked

    run(main())


def test_what_is_said_to_be_coming_and_never_comes_does_not_hold_an_answer_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Promised(Larder):
        async def nodes(self) -> None:
            await asyncio.Event().wait()

    async def main() -> None:
        async with world(tmp_path) as place:
            node = relay(place, Promised())
            one = await hand(place, node)
            await one.greet()
            absent = file_dag(noise(2 * LEAF_BYTES))
            asking = await one.ask(root=absent.root, want="nodes", trail=begin(b"somebody", os.urandom))
            assert (await asking.all())[-1].reason == "missing"

    monkeypatch.setattr(sending, "BRING_S", STALL_S)
    run(main())


def test_one_who_lets_its_answers_wait_does_not_keep_the_others_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            gate = ServeGate()
            node = seller(place, "node", unpaid_patience_s=30.0, gate=gate)
            dag = keep_file(node.peer.store, noise(4 * LEAF_BYTES))
            payer = Payer(1)
            node.open_channel(payer)
            waiting = []
            for _ in range(3):  # several endpoints with one channel are one payer
                greedy = Hand(await place.endpoint().connect(node.peer.address), payer)
                await greedy.greet()
                waiting += [await greedy.ask(root=dag.root, spans=(LeafSpan(dag.root, 0, 4),)) for _ in range(50)]
            for asking in waiting:
                assert isinstance(await asking.next(), Offer)
            other = await hand(place, node, 2)
            await other.greet()
            answer = await (await other.ask(root=dag.root, spans=(LeafSpan(dag.root, 0, 1),))).all()
            assert answer[-1] == End("done", "")
            assert gate.waiting >= 150 - ANSWERS_MAX

    run(main())

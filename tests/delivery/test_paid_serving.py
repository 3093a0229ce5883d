"""What a node with a price answers to a payer that is driven by hand, and to whoever asks for what is listed."""

from pathlib import Path

import pytest
from tests.delivery.hand import Asking, Hand, hand
from tests.delivery.paid_world import PRICE, PayEnd, Seller, seller
from tests.delivery.world import STALL_S, Peer, file_dag, keep_file, keep_tree, noise, run, world
from tests.payments.shop import Payer, until

from nearcast.content.leaves import LEAF_BYTES
from nearcast.delivery.messages import (
    End,
    Holding,
    LeafSpan,
    Offer,
    Refusal,
    Wait,
    parse_answer,
)
from nearcast.delivery.probe import probe
from nearcast.payments.credit import FORGIVEN_BYTES, WINDOW_BYTES_MIN, parts_of, whole_units
from nearcast.payments.messages import Promise, hello_fields, stop_fields
from nearcast.payments.messages import Stop as StopWord
from nearcast.wire import FrameReader

CONTENT = noise(24 * LEAF_BYTES)


async def leaves_of(one: Hand, node: Seller, content: bytes = CONTENT) -> Asking:
    dag = keep_file(node.peer.store, content)
    return await one.ask(root=dag.root, spans=(LeafSpan(dag.root, 0, len(dag.leaves)),))


def test_a_window_is_sent_and_then_the_node_says_that_it_waits_and_why_it_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node = seller(place, "node", unpaid_patience_s=STALL_S)
            one = await hand(place, node)
            await one.greet()
            asking = await leaves_of(one, node)
            heard = await asking.all()
            assert isinstance(heard[0], Offer)
            assert heard[0].price == PRICE
            assert isinstance(heard[-2], Wait)
            assert heard[-1].reason == "unpaid"
            assert asking.content_bytes == WINDOW_BYTES_MIN

    run(main())


def test_whatever_a_payer_promises_it_gets_no_more_than_a_window_ahead(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node = seller(place, "node", unpaid_patience_s=STALL_S)
            one = await hand(place, node)
            await one.greet()
            assert one.pay_end is not None
            asking = await leaves_of(one, node)
            while asking.content_bytes < 4 * LEAF_BYTES:
                await asking.next()
                await one.pay_end.pay(one.payer.promise(whole_units(parts_of(asking.content_bytes, PRICE))))
            paid_bytes = asking.content_bytes
            await asking.all()
            assert asking.heard[-1].reason == "unpaid"
            assert asking.content_bytes <= paid_bytes + max(WINDOW_BYTES_MIN, paid_bytes // 2) + LEAF_BYTES

    run(main())


@pytest.mark.parametrize("fault", ["for another channel", "signed by a stranger", "stale", "over-claimed"])
def test_a_voucher_that_is_no_good_buys_nothing(tmp_path: Path, fault: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node = seller(place, "node", unpaid_patience_s=STALL_S)
            one = await hand(place, node)
            await one.greet()
            assert one.pay_end is not None
            asking = await leaves_of(one, node)
            promises = {
                "for another channel": one.payer.promise(500, channel=b"o" * 32),
                "signed by a stranger": one.payer.promise(500, signer=one.payer.wallet),
                "stale": Promise(0, b""),
                "over-claimed": one.payer.promise(10**9),
            }
            while asking.content_bytes == 0:
                await asking.next()
            await one.pay_end.pay(promises[fault])
            await asking.all()
            assert asking.heard[-1].reason in ("unpaid", "stopped")
            assert asking.content_bytes <= WINDOW_BYTES_MIN
            assert node.account(one.payer).paid_units == 0

    run(main())


def test_a_stop_ends_the_answer_that_it_names_and_no_other(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node = seller(place, "node")
            one = await hand(place, node)
            await one.greet()
            assert one.pay_end is not None
            first = await leaves_of(one, node)
            while first.content_bytes == 0:
                await first.next()
            second = await leaves_of(one, node, noise(2 * LEAF_BYTES, seed=2))
            await one.pay_end.say(stop_fields(StopWord(first.request.nonce)))
            assert (await first.all())[-1] == End("stopped", "")
            await one.pay_end.pay(one.payer.promise(10))
            while second.content_bytes < 2 * LEAF_BYTES:
                await second.next()
                paid_bytes = first.content_bytes + second.content_bytes
                await one.pay_end.pay(one.payer.promise(whole_units(parts_of(paid_bytes, PRICE))))
            assert (await second.all())[-1] == End("done", "")

    run(main())


def test_credit_is_for_whoever_greeted_and_for_nobody_else(tmp_path: Path) -> None:
    """A channel's id is no secret: another peer that names it gets nothing."""

    async def main() -> None:
        async with world(tmp_path) as place:
            node = seller(place, "node")
            one = await hand(place, node)
            await one.greet()
            thief = Hand(await place.endpoint().connect(node.peer.address), one.payer)
            for asker, channel in ((thief, one.payer.channel), (one, b"unknown!" * 4)):
                dag = keep_file(node.peer.store, CONTENT)
                (refusal,) = await (await asker.ask(root=dag.root, want="nodes", channel=channel)).all()
                assert (type(refusal), refusal.reason) == (Refusal, "credit")
            assert node.account(one.payer).delivered_parts == 0

    run(main())


def test_a_greeting_may_come_after_its_first_request(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node = seller(place, "node")
            one = await hand(place, node)
            dag = keep_file(node.peer.store, CONTENT)
            asking = await one.ask(root=dag.root, want="nodes")
            await one.greet()
            assert (await asking.all())[-1] == End("done", "")

    run(main())


def test_an_offer_is_about_what_was_asked_for_whoever_asked(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            node = seller(place, "node")
            one = await hand(place, node)
            await one.greet()
            dag = keep_file(node.peer.store, CONTENT)
            offer = await (await one.ask(root=dag.root, want="nodes")).next()
            assert offer.signed.offer.root == dag.root.digest
            assert offer.signed.offer.client == one.payer.wallet.address
            assert offer.signed.offer.size_bytes == len(CONTENT)

    run(main())


@pytest.mark.parametrize("way", ["root", "span", "probe"])
def test_what_is_listed_is_refused_by_its_name(tmp_path: Path, way: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            dag, other = file_dag(CONTENT), file_dag(noise(99, 9))
            node = seller(place, "node", listed=lambda cid: cid.digest == dag.root.digest)
            keep_file(node.peer.store, CONTENT)
            one = await hand(place, node)
            if way == "probe":
                assert await probe(one.connection, [dag.root]) == [Holding("refused", None, PRICE, is_listed=True)]
                return
            spans = (LeafSpan(dag.root, 0, 1),) if way == "span" else ()
            root = dag.root if way == "root" else other.root
            (refusal,) = await (await one.ask(root=root, want="leaves" if spans else "nodes", spans=spans)).all()
            assert (type(refusal), refusal.reason) == (Refusal, "listed")
            assert "blacklist" in refusal.text

    run(main())


@pytest.mark.parametrize("what", ["a leaf", "a file in a directory", "a small file behind the nodes"])
def test_what_is_listed_is_not_sent_under_another_name(tmp_path: Path, what: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            dag, small = file_dag(CONTENT), file_dag(b"small")
            listed = {"a leaf": dag.leaves.digest(3), "a file in a directory": dag.root.digest}.get(
                what, small.root.digest
            )
            peer = place.peer("node", listed=lambda cid: cid.digest == listed)
            root = keep_tree(peer.store, {"a small file": b"small", "film": CONTENT})
            one = Hand(await place.endpoint().connect(peer.address), Payer(1))
            if what == "a leaf":
                asking = await one.ask(root=dag.root, spans=(LeafSpan(dag.root, 0, 9),), channel=None)
            else:
                asking = await one.ask(root=root, want="nodes", inline_bytes=1 << 20, channel=None)
            heard = await asking.all()
            assert heard[-1].reason == "listed"
            assert all(item not in (peer.store.get_block(small.root),) for item in heard[1:-1])
            assert asking.content_bytes <= 3 * LEAF_BYTES

    run(main())


def test_a_node_without_a_price_takes_no_greeting(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer: Peer = place.peer("free")
            connection = await place.endpoint().connect(peer.address)
            pay_end = PayEnd(await connection.open_stream())
            await pay_end.say(hello_fields(Payer(1).hello()))
            assert parse_answer(await FrameReader(pay_end.stream.receive).message()) == End("unsupported", "")

    run(main())


def test_what_is_forgiven_a_channel_has_an_end(tmp_path: Path) -> None:
    """Who asks again and again, takes what it gets and never pays."""

    async def main() -> None:
        async with world(tmp_path) as place:
            node = seller(place, "node", unpaid_patience_s=STALL_S / 4)
            one = await hand(place, node)
            await one.greet()
            got_bytes = 0
            for _ in range(20):
                asking = await leaves_of(one, node)
                await asking.all()
                got_bytes += asking.content_bytes
            assert got_bytes <= FORGIVEN_BYTES + WINDOW_BYTES_MIN + LEAF_BYTES
            await until(lambda: node.account(one.payer).open_streams == 0)

    run(main())

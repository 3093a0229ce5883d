"""Nodes that take money and cheat, each in its own way: not a unit is signed for what was not verified.

The node is driven by hand: it greets the payer as the real one does, remembers the vouchers, and answers as told.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.delivery.paid_world import CAPACITY, MAX_PRICE, PRICE, Buyer, OfferStand, buyer
from tests.delivery.test_hostile_peers import block, leaf, said
from tests.delivery.world import STALL_S, World, file_dag, keep_file, noise, run, world
from tests.payments.shop import until

from nearcast.chain.eip712 import keccak
from nearcast.chain.signing import Signer
from nearcast.content.cid import dag_pb_cid
from nearcast.content.dag import FileDag
from nearcast.content.leaves import LEAF_BYTES
from nearcast.delivery.events import SourceFailed, Wanted
from nearcast.delivery.messages import (
    End,
    FetchRequest,
    Offer,
    Refusal,
    SignedOffer,
    Wait,
    answer_fields,
    parse_request,
)
from nearcast.errors import IntegrityError, NearcastError, RefusedError, RemoteError, UnavailableError
from nearcast.payments.credit import parts_of, whole_units
from nearcast.payments.messages import Promise, Stop, Unwelcome, Welcome, is_hello, parse_payers_word
from nearcast.payments.messages import answer_fields as payees_word
from nearcast.transport.base import PeerAddress, Stream
from nearcast.wire import FrameReader, encode_message

CONTENT = noise(6 * LEAF_BYTES)
OTHER = noise(6 * LEAF_BYTES, seed=1)
DONE = said(End("done", ""))
NO_PROMISE = Promise(0, b"")


@dataclass
class Payee:
    """`answer` is given each fetch request, once it was read; what it returns is the answer."""

    answer: Callable[["Payee", Stream, FetchRequest], Awaitable[None]]
    offers: OfferStand = field(default_factory=OfferStand)
    greeting: Welcome | Unwelcome = field(default_factory=lambda: Welcome(NO_PROMISE, CAPACITY))
    vouchers: list[Promise] = field(default_factory=list)
    stops: list[bytes] = field(default_factory=list)
    client: bytes = b""

    async def serve(self, stream: Stream, first: Any) -> None:
        if is_hello(first):
            await self._collect(stream)
            return
        request = parse_request(first)
        assert isinstance(request, FetchRequest)
        await self.answer(self, stream, request)
        await stream.send.finish()

    async def _collect(self, stream: Stream) -> None:
        await stream.send.write(encode_message(payees_word(self.greeting)))
        frames = FrameReader(stream.receive)
        while True:
            word = parse_payers_word(await frames.message())
            if isinstance(word, Stop):
                self.stops.append(word.nonce)
            else:
                self.vouchers.append(word)

    def offer(self, root_digest: bytes, *, client: bytes | None = None) -> bytes:
        made = self.offers.make(root_digest, client or self.client, 0)
        price = made.offer.price_units_per_gib
        return encode_message(answer_fields(Offer(price, SignedOffer(made.offer, made.signature))))

    @property
    def promised_units(self) -> int:
        return max((promise.units for promise in self.vouchers), default=0)


def cheat(
    place: World, who: Buyer, answer: Callable[[Payee, Stream, FetchRequest], Awaitable[None]], **changed: Any
) -> tuple[Payee, PeerAddress]:
    payee = Payee(answer, client=who.payer.wallet.address, **changed)
    return payee, place.hostile(payee.serve)


def dag_bytes(dag: FileDag) -> bytes:
    return b"".join(block(data) for _, data in dag.nodes)


def answering(
    dag: FileDag, leaf_answer: Callable[[int], bytes], *, before: Callable[[Payee, FetchRequest], None] | None = None
) -> Callable[[Payee, Stream, FetchRequest], Awaitable[None]]:
    """Honest but for its leaves."""

    async def answer(payee: Payee, stream: Stream, request: FetchRequest) -> None:
        if before is not None:
            before(payee, request)
        await stream.send.write(payee.offer(request.root.digest))
        if request.want == "nodes":
            await stream.send.write(dag_bytes(dag))
        for span in request.spans:
            for index in range(span.first, span.first + span.count):
                await stream.send.write(leaf_answer(index))
        await stream.send.write(DONE)

    return answer


async def failed(who: Buyer, address: PeerAddress, dag: FileDag, **limits: Any) -> NearcastError:
    with pytest.raises(NearcastError) as failure:
        await who.reader.fetcher.fetch(
            Wanted(dag.root), [who.source(address, dag.root, **limits)], who.reader.events.append
        )
    await who.channel.settle()
    return failure.value


@pytest.mark.parametrize("lie", ["wrong bytes", "right bytes of another object", "a short leaf", "another leaf"])
def test_lies_are_not_paid_and_end_the_business(tmp_path: Path, lie: str) -> None:
    """The leaves before the lie were right: they are paid if their voucher left before it, and never after."""

    def told(index: int) -> bytes:
        if index < 3:
            return block(leaf(CONTENT, index))
        lies = {
            "wrong bytes": bytes(LEAF_BYTES),
            "right bytes of another object": leaf(OTHER, index),
            "a short leaf": leaf(CONTENT, index)[:-1],
            "another leaf": leaf(CONTENT, 0),
        }
        return block(lies[lie])

    async def main() -> None:
        async with world(tmp_path) as place:
            who, dag = buyer(place), file_dag(CONTENT)
            payee, address = cheat(place, who, answering(dag, told))
            await failed(who, address, dag)
            (event,) = who.reader.told(SourceFailed)
            assert event.liar
            right_bytes = 3 * LEAF_BYTES + sum(len(data) for _, data in dag.nodes)
            assert who.channel.account.signed_units <= whole_units(parts_of(right_bytes, PRICE))
            assert payee.promised_units <= who.channel.account.signed_units
            assert not who.channel.is_trusted
            with pytest.raises(RefusedError, match="lied"):
                await who.paying(dag.root).ready(await who.reader.pool.get(address))
            assert not who.paying(dag.root).may_ask(1)

    run(main())


def test_bytes_behind_the_nodes_that_are_no_part_of_the_content_are_not_paid(tmp_path: Path) -> None:
    """Not even where they are right bytes of something that is here already."""

    async def main() -> None:
        async with world(tmp_path) as place:
            who, dag = buyer(place), file_dag(CONTENT)
            keep_file(who.reader.store, OTHER)

            async def answer(payee: Payee, stream: Stream, request: FetchRequest) -> None:
                await stream.send.write(
                    payee.offer(request.root.digest) + dag_bytes(dag) + block(leaf(OTHER, 0)) + DONE
                )

            payee, address = cheat(place, who, answer)
            await failed(who, address, dag)
            assert [event.liar for event in who.reader.told(SourceFailed)] == [True]
            assert payee.promised_units == 0

    run(main())


FALSE_OFFERS: dict[str, Callable[[Payee, FetchRequest], bytes]] = {
    "about something else": lambda payee, _: payee.offer(b"e" * 32),
    "signed by a stranger": lambda payee, request: payee.offer(request.root.digest),
    "made to somebody else": lambda payee, request: payee.offer(request.root.digest, client=b"e" * 20),
}


@pytest.mark.parametrize("name", FALSE_OFFERS)
def test_a_false_offer_is_a_lie_and_nothing_of_its_answer_is_taken(tmp_path: Path, name: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            who, dag = buyer(place), file_dag(CONTENT)

            async def answer(payee: Payee, stream: Stream, request: FetchRequest) -> None:
                offer = FALSE_OFFERS[name](payee, request)
                await stream.send.write(offer + dag_bytes(dag) + DONE)

            stranger = (
                OfferStand(signer=Signer(keccak(b"stranger"))) if name == "signed by a stranger" else OfferStand()
            )
            payee, address = cheat(place, who, answer, offers=stranger)
            await failed(who, address, dag)
            assert [event.liar for event in who.reader.told(SourceFailed)] == [True]
            assert (payee.promised_units, who.channel.account.verified_parts) == (0, 0)

    run(main())


def test_a_price_that_is_raised_between_two_requests_is_not_paid_and_proven(tmp_path: Path) -> None:
    def dearer(payee: Payee, request: FetchRequest) -> None:
        payee.offers.price_units_per_gib = PRICE if request.want == "nodes" else PRICE + 1

    async def main() -> None:
        async with world(tmp_path) as place:
            who, dag = buyer(place), file_dag(CONTENT)
            payee, address = cheat(place, who, answering(dag, lambda index: block(leaf(CONTENT, index)), before=dearer))
            error = await failed(who, address, dag)
            assert "raised its price" in error.message
            assert who.channel.account.verified_parts == parts_of(sum(len(data) for _, data in dag.nodes), PRICE)
            assert payee.promised_units == 0  # the nodes are worth less than a unit
            first, later = who.witness.raises[0]
            assert (first.offer.price_units_per_gib, later.offer.price_units_per_gib) == (PRICE, PRICE + 1)

    run(main())


def test_a_price_above_what_was_allowed_is_not_paid(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            who, dag = buyer(place), file_dag(CONTENT)
            honest = answering(dag, lambda index: block(leaf(CONTENT, index)))
            payee, address = cheat(place, who, honest, offers=OfferStand(price_units_per_gib=MAX_PRICE + 1))
            error = await failed(who, address, dag)
            assert "is the most that we pay" in error.message
            assert (payee.promised_units, who.channel.account.verified_parts) == (0, 0)

    run(main())


ODD_ANSWERS: dict[str, Callable[[bytes], bytes]] = {
    "offers without end": lambda offer: offer * 1000,
    "waiting without end": lambda offer: offer + encode_message(answer_fields(Wait())) * 1000,
    "a price without a signature": lambda _: encode_message({"ok": True, "price": PRICE}),
    "a signature of another price": lambda offer: offer.replace(b"\x65price\x19\x27\x10", b"\x65price\x19\x27\x11", 1),
    "an end that nobody asked for": lambda offer: offer + said(End("stopped", "")),
    "a refusal for want of credit": lambda _: said(Refusal("credit", "no")),
    "a refusal for the price": lambda _: said(Refusal("price", "dear")),
}


@pytest.mark.parametrize("name", ODD_ANSWERS)
def test_odd_answers_end_in_a_typed_error_and_cost_nothing(tmp_path: Path, name: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            who, dag = buyer(place), file_dag(CONTENT)

            async def answer(payee: Payee, stream: Stream, request: FetchRequest) -> None:
                await stream.send.write(ODD_ANSWERS[name](payee.offer(request.root.digest)))

            payee, address = cheat(place, who, answer)
            error = await failed(who, address, dag)
            assert isinstance(error, RemoteError | UnavailableError)
            assert (payee.promised_units, who.channel.account.verified_parts) == (0, 0)

    run(main())


def test_more_than_was_asked_for_is_not_paid(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            who, dag = buyer(place), file_dag(CONTENT)
            _, address = cheat(place, who, answering(dag, lambda index: block(leaf(CONTENT, index)) * 2))
            await failed(who, address, dag)
            kept_bytes = sum(count for _, count in who.reader.store.available_leaves(dag.root)) * LEAF_BYTES
            kept_bytes += sum(len(data) for _, data in dag.nodes)
            assert 0 < who.channel.account.verified_parts <= parts_of(kept_bytes, PRICE)

    run(main())


def test_a_payee_that_takes_no_money_is_not_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            who, dag = buyer(place), file_dag(CONTENT)

            async def answer(payee: Payee, stream: Stream, request: FetchRequest) -> None:
                await stream.send.write(said(Refusal("credit", "this node has no room")))

            _, address = cheat(place, who, answer, greeting=Unwelcome("this node has no room"))
            error = await failed(who, address, dag)
            assert "no room" in error.message

    run(main())


def test_a_payee_that_ignores_a_stop_is_cut_off(tmp_path: Path) -> None:
    """It sends on and on without being told to; what is right of it is paid, and two seconds later it is over."""

    async def main() -> None:
        async with world(tmp_path) as place:
            who, dag = buyer(place), file_dag(CONTENT)

            async def answer(payee: Payee, stream: Stream, request: FetchRequest) -> None:
                await stream.send.write(payee.offer(request.root.digest) + dag_bytes(dag))
                while True:
                    await stream.send.write(encode_message(answer_fields(Wait())))
                    await asyncio.sleep(STALL_S / 4)

            payee, address = cheat(place, who, answer)
            loop = asyncio.get_running_loop()
            fetching = place.spawn(quietly(who, address, dag))
            await until(lambda: who.channel.account.verified_parts > 0)
            fetching.cancel()
            started_s = loop.time()
            await asyncio.wait([fetching])
            assert fetching.cancelled()
            assert loop.time() - started_s < 2 + 5 * STALL_S
            assert len(payee.stops) == 1

    run(main())


async def quietly(who: Buyer, address: PeerAddress, dag: FileDag) -> None:
    await who.reader.fetcher.fetch(Wanted(dag.root), [who.source(address, dag.root)], who.reader.events.append)


def test_a_payee_that_shows_a_voucher_that_we_never_signed_is_not_believed(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            who, dag = buyer(place), file_dag(CONTENT)
            forged = Promise(500, Signer(keccak(b"stranger")).sign(bytes(32)))
            honest = answering(dag, lambda index: block(leaf(CONTENT, index)))
            payee, address = cheat(place, who, honest, greeting=Welcome(forged, CAPACITY))
            await failed(who, address, dag)
            assert payee.promised_units < 500
            assert not who.channel.is_trusted

    run(main())


def test_an_honest_node_finishes_what_a_cheat_began(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            who, dag = buyer(place), file_dag(CONTENT)
            honest = place.peer("honest")
            keep_file(honest.store, CONTENT)
            told = answering(dag, lambda index: block(leaf(CONTENT if index < 2 else OTHER, index)))
            payee, address = cheat(place, who, told)
            sources = [who.source(address, dag.root), who.reader.source(honest)]
            report = await who.reader.fetcher.fetch(Wanted(dag.root), sources, who.reader.events.append)
            assert who.reader.store.read_file(dag.root, 0, len(CONTENT)) == CONTENT
            assert set(report.paid_bytes_by_source) == {sources[0].name}
            assert payee.promised_units <= whole_units(parts_of(report.paid_bytes_by_source[sources[0].name], PRICE))
            assert report.paid_bytes_by_source[sources[0].name] <= 3 * LEAF_BYTES

    run(main())


def test_an_error_of_ours_is_no_lie_of_the_payee(tmp_path: Path) -> None:
    """Content that is broken, though it hashes to its name, costs the node nothing but what it was."""

    async def main() -> None:
        async with world(tmp_path) as place:
            who = buyer(place)
            junk = b"\x0a\xff\xff\xff" * 1000

            async def answer(payee: Payee, stream: Stream, request: FetchRequest) -> None:
                await stream.send.write(payee.offer(request.root.digest) + block(junk) + DONE)

            _, address = cheat(place, who, answer)
            root = dag_pb_cid(sha256(junk).digest())
            with pytest.raises(IntegrityError):
                await who.reader.fetcher.fetch(Wanted(root), [who.source(address, root)], who.reader.events.append)
            assert who.channel.is_trusted

    run(main())

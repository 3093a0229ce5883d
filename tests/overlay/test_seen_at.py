"""Where a peer is seen, against where it says that it is: keys are free, claims too, addresses are not."""

import asyncio
import random
from typing import Any

from tests.overlay.playground import Member, members, until

from nearcast.overlay.kademlia.machine import Kademlia
from nearcast.overlay.kademlia.messages import Ping, Pong
from nearcast.overlay.link import hello, parse_hello, seen_at
from nearcast.overlay.machine import Send
from nearcast.overlay.peers import ADDRESSES_MAX
from nearcast.transport.base import PeerAddress
from nearcast.wire import decode_message, encode_message

KEYS = 100
SEEN = "9.9.9.9:{port}"  # the one machine behind all of the keys
CLAIMED_EACH = (1, ADDRESSES_MAX)


def claims(number: int, count: int) -> tuple[str, ...]:
    """Public addresses, each of another /24 than any other's."""
    return tuple(f"{20 + number}.{index}.1.1:1" for index in range(count))


def test_one_machine_with_many_keys_gets_the_places_of_one_whatever_it_claims() -> None:
    for count in CLAIMED_EACH:
        node = Kademlia(
            PeerAddress(bytes(32), ("8.8.8.8:1",)),
            lambda message: bytes(64),
            lambda *_: True,
            random.Random(1),
            unix_clock=lambda now_s: now_s,
        )
        node.start(0.0)
        for number in range(KEYS):
            own = PeerAddress(random.Random(number).randbytes(32), claims(number, count))
            opened = parse_hello(decode_message(hello(own)[4:]), own.endpoint_id)
            sender = seen_at(opened, SEEN.format(port=1000 + number))
            for effect in node.on_message(sender, Ping(1, own), number + 1.0):
                if isinstance(effect, Send) and isinstance(effect.message, Pong) and effect.message.back:
                    node.on_message(sender, Pong(effect.message.back), number + 1.1)
        settings = node._core.table._settings
        assert 1 <= len(node._core.table) <= settings.same_address_per_table_max


def test_what_is_claimed_already_is_left_as_it_is() -> None:
    peer = PeerAddress(bytes(32), ("9.9.9.9:1", "[2620:fe::9]:1"), "https://relay.example")
    assert seen_at(peer, "[2620:fe::9]:1") is peer
    assert seen_at(peer, None) is peer


def test_machines_are_told_where_the_one_who_dials_is_seen() -> None:
    async def main() -> None:
        async with members(2) as (node, stranger):
            connection = await stranger.endpoint.connect(node.address)
            stream = await connection.open_stream()
            said = PeerAddress(stranger.id, claims(0, ADDRESSES_MAX))
            await stream.send.write(hello(said) + encode_message({"p": "test", "m": "here"}))
            await until(lambda: node.machine.heard)
            assert node.machine.senders[stranger.id].addresses == (stranger.endpoint.location, *said.addresses[:-1])

    asyncio.run(main())


def test_machines_are_told_where_the_one_who_is_dialled_is_seen() -> None:
    """A host name has no network of its own."""

    async def main() -> None:
        async with members(2) as (node, named):
            name = "node.example:4433"
            network: Any = node.endpoint._network
            network._endpoints[name] = named.endpoint
            node.service.perform([Send(PeerAddress(named.id, (name,)), "ping")])
            await until(lambda: node.machine.heard)
            assert node.machine.senders[named.id].addresses == (location(named), name)

    asyncio.run(main())


def location(member: Member) -> str:
    return member.endpoint.location

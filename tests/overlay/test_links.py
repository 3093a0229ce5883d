"""Links under hostile peers, and the bounds that hold: each costs itself only."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.overlay.playground import Member, encode, members, until

from nearcast.errors import UnavailableError
from nearcast.overlay import links as links_module
from nearcast.overlay.flood import FAULTS_MAX, Bucket
from nearcast.overlay.link import FRAME_BYTES_MAX, QUEUE_BYTES_MAX, Link, hello
from nearcast.overlay.links import ACCEPTED_SHARE, LINKS_MAX
from nearcast.overlay.machine import Keep, Send
from nearcast.transport.base import PeerAddress, Stream
from nearcast.wire import block_header, encode_message


def run(main: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await main

    asyncio.run(bounded())


async def hostile_stream(hostile: Member, node: Member) -> Stream:
    connection = await hostile.endpoint.connect(node.address)
    return await connection.open_stream()


async def is_answered(other: Member, node: Member) -> None:
    """Everybody else is served as before."""
    other.machine.heard.clear()
    other.send(node, "ping")
    await until(lambda: other.machine.heard)


HELLO = {"type": "overlay", "v": 1}
GARBAGE = [
    pytest.param(lambda own: encode_message(HELLO | {"contact": [bytes(32), []]}), id="somebody else's contact"),
    pytest.param(lambda own: encode_message(HELLO), id="no contact"),
    pytest.param(
        lambda own: encode_message(HELLO | {"v": 2, "contact": [own.endpoint_id, []]}), id="a version to come"
    ),
    pytest.param(lambda own: encode_message(HELLO | {"contact": [own.endpoint_id, ["x"] * 99]}), id="many addresses"),
    pytest.param(lambda own: hello(own) + b"\x00\x00\x00\x02\xff\xff", id="a message that is none"),
    pytest.param(lambda own: hello(own) + encode_message({"p": "unheard of"}), id="an unknown protocol"),
    pytest.param(lambda own: hello(own) + b"\x7f\xff\xff\xff", id="a length over every bound"),
    pytest.param(lambda own: hello(own) + encode("x" * (FRAME_BYTES_MAX + 1)), id="a message too large"),
    pytest.param(lambda own: hello(own) + block_header(5) + b"block", id="a block"),
    pytest.param(lambda own: hello(own) + encode("whole")[:-1], id="half a message"),
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_what_is_broken_ends_the_stream_and_counts(garbage: Any) -> None:
    async def main() -> None:
        async with members(3) as (hostile, other, node):
            stream = await hostile_stream(hostile, node)
            await stream.send.write(garbage(hostile.address))
            await stream.send.finish()
            with pytest.raises(UnavailableError):
                await stream.receive.read_exactly(1)
            assert node.telemetry.counters["overlay_faults"] == 1
            await is_answered(other, node)

    run(main())


def test_whoever_breaks_it_again_and_again_is_not_listened_to() -> None:
    async def main() -> None:
        async with members(3) as (hostile, other, node):
            for _ in range(FAULTS_MAX):
                stream = await hostile_stream(hostile, node)
                await stream.send.write(hello(hostile.address) + encode_message({"p": 1}))
                with pytest.raises(UnavailableError):
                    await stream.receive.read_exactly(1)
            hostile.send(node, "ping")
            await until(lambda: hostile.machine.lost == [] and not hostile.service.links.snapshot())
            assert node.machine.heard == []
            assert node.telemetry.counters["overlay_faults"] == FAULTS_MAX
            await is_answered(other, node)

    run(main())


def test_a_flood_is_read_at_its_rate_and_others_are_answered_meanwhile() -> None:
    async def main() -> None:
        async with members(3, rate_per_s=20.0, burst=50.0) as (hostile, other, node):
            for number in range(1_000):
                hostile.send(node, number)
            await until(lambda: len(node.machine.heard) >= 50)
            assert node.telemetry.counters["overlay_throttled"] >= 1
            await is_answered(other, node)
            assert len(node.machine.heard) < 150

    run(main())


def test_a_silent_stream_costs_nobody_anything() -> None:
    async def main() -> None:
        async with members(3) as (hostile, other, node):
            silent = [await hostile_stream(hostile, node) for _ in range(20)]
            await silent[0].send.write(hello(hostile.address)[:3])
            await silent[1].send.write(hello(hostile.address))
            await is_answered(other, node)
            assert node.telemetry.counters["overlay_faults"] == 0

    run(main())


def test_the_newest_stream_of_a_peer_takes_the_place_of_its_earlier_one() -> None:
    async def main() -> None:
        async with members(2) as (peer, node):
            first = await hostile_stream(peer, node)
            await first.send.write(hello(peer.address) + encode("first"))
            await until(lambda: len(node.machine.heard) == 1)
            second = await hostile_stream(peer, node)
            await second.send.write(hello(peer.address) + encode("ping"))
            assert await second.receive.read(1_000)
            with pytest.raises(UnavailableError):
                await first.receive.read_exactly(1)
            assert len(node.service.links.snapshot()) == 1

    run(main())


def test_strangers_push_out_strangers_and_never_who_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with members(8) as (node, friend, *strangers):
            monkeypatch.setattr(node.service.links, "_links_max", 3)
            friend.send(node, "ping")
            await until(lambda: friend.machine.heard)
            node.service.perform([Keep(friend.address)])
            for stranger in strangers:
                stranger.send(node, "ping")
                await until(lambda stranger=stranger: stranger.machine.heard)
                await until(lambda: len(node.service.links.snapshot()) <= 3)
            assert node.service.links.is_linked(friend.id)

    run(main())


def test_links_that_nobody_keeps_end_when_idle_and_kept_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_module, "SWEEP_S", 0.01)

    async def main() -> None:
        async with members(3) as (node, kept, passing):
            monkeypatch.setattr(node.service.links, "_idle_s", 0.05)
            node.service.perform([Keep(kept.address)])
            node.send(passing, "ping")
            await until(lambda: node.machine.heard)
            await until(lambda: len(node.service.links.snapshot()) == 1)
            assert node.service.links.is_linked(kept.id)
            assert not node.pool.has(passing.id), "nor is its connection kept alive"
            assert node.machine.lost == []

    run(main())


def test_of_too_many_that_nobody_keeps_the_one_used_longest_ago_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_module, "SWEEP_S", 0.01)

    async def main() -> None:
        async with members(5) as (node, *others):
            monkeypatch.setattr(node.service.links, "_unkept_max", 2)
            for number, other in enumerate(others):
                node.send(other, "ping")
                await until(lambda number=number: len(node.machine.heard) == number + 1)
            await until(lambda: len(node.service.links.snapshot()) == 2)
            assert [node.service.links.is_linked(each.id) for each in others] == [False, False, True, True]

    run(main())


def test_a_connection_that_others_use_outlives_its_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_module, "SWEEP_S", 0.01)

    async def main() -> None:
        async with members(2) as (node, other):
            monkeypatch.setattr(node.service.links, "_unkept_max", 0)
            node.send(other, "ping")
            connection = await node.pool.get(other.address)
            await until(lambda: node.machine.heard)
            await until(lambda: not node.service.links.snapshot())
            assert await node.pool.get(other.address) is connection

    run(main())


def test_dials_are_bounded_and_whoever_is_left_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with members(1, latency_s=0.05) as (node,):
            monkeypatch.setattr(node.service.links, "_dial_rate", Bucket(1_000, 64))
            crowd = [PeerAddress(bytes([1, number]) + bytes(30), (f"memory-9{number}:1",)) for number in range(200)]
            node.service.perform([Keep(each) for each in crowd])
            await until(lambda: len(set(node.machine.lost)) == 200)
            assert not node.service.links.snapshot()

    run(main())


def test_what_there_was_no_room_to_dial_for_is_not_blamed_on_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with members(1, latency_s=0.05) as (node,):
            crowd = [PeerAddress(bytes([1, number]) + bytes(30), (f"memory-9{number}:1",)) for number in range(200)]
            monkeypatch.setattr(node.service.links, "_dial_rate", Bucket(0.001, 8))
            node.service.perform([Send(each, "ping") for each in crowd])
            await until(lambda: not node.service.links.snapshot())
            assert len(node.machine.lost) == 8, "those that were tried"
            assert node.telemetry.counters["overlay_unsent"] == 192
            node.service.perform([Keep(crowd[-1])])
            await until(lambda: crowd[-1].endpoint_id in node.machine.lost)

    run(main())


def test_strangers_who_come_in_hundreds_leave_room_to_dial(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with members(2) as (node, friend):
            links = node.service.links
            for number in range(300):  # as if their streams stood still: none ends soon
                stranger = PeerAddress(bytes([2, number >> 8, number & 255]) + bytes(29))
                with contextlib.suppress(UnavailableError):
                    links._admit(Link(stranger, 0.0, is_dialled=False))
            living = [link for link in links._accepted.values() if not link.was_ended]
            assert len(living) <= LINKS_MAX * ACCEPTED_SHARE
            node.send(friend, "ping")
            await until(lambda: node.machine.heard)
            assert node.machine.lost == []
            monkeypatch.setattr(links, "_accepted", {})

    run(main())


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, QUEUE_BYTES_MAX // 2), max_size=60))
def test_a_queue_is_bounded_and_the_oldest_goes(sizes: list[int]) -> None:
    link = Link(PeerAddress(bytes(32)), 0.0, is_dialled=True)
    for size_bytes in sizes:
        link.put(bytes(size_bytes), 0.0)
        assert link.queued_bytes <= QUEUE_BYTES_MAX
    waiting = list(link._queue)
    assert [len(frame) for frame in waiting] == sizes[len(sizes) - len(waiting) :]
    assert link.dropped == len(sizes) - len(waiting)

"""What every transport does; each test runs against each implementation."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

from nearcast.errors import NearcastError, RemoteError, UnavailableError
from nearcast.keys import new_identity
from nearcast.transport.base import STREAMS_PER_CONNECTION_MAX, Connection, Endpoint, PeerAddress, Stream

MakeEndpoint = Callable[[], Awaitable[Endpoint]]
LARGE_BYTES = 8 << 20  # several times what any implementation buffers for one stream
SOON_S = 10.0  # far more than it takes; a hang fails the test


def run(main: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(SOON_S):
            await main

    asyncio.run(bounded())


@contextlib.asynccontextmanager
async def endpoints(make_endpoint: MakeEndpoint) -> AsyncIterator[tuple[Endpoint, Endpoint]]:
    dialler, listener = await make_endpoint(), await make_endpoint()
    try:
        yield dialler, listener
    finally:
        await dialler.close()
        await listener.close()


@contextlib.asynccontextmanager
async def connections(make_endpoint: MakeEndpoint) -> AsyncIterator[tuple[Connection, Connection]]:
    """The dialler's and the listener's end of one connection."""
    async with endpoints(make_endpoint) as (dialler, listener):
        near, far = await asyncio.gather(dialler.connect(listener.address()), listener.accept())
        yield near, far


async def streams(near: Connection, far: Connection) -> tuple[Stream, Stream]:
    """The opener's and the acceptor's end of one stream; the opener has sent one byte, which is read."""
    opened = await near.open_stream()
    await opened.send.write(b".")
    accepted = await far.accept_stream()
    assert await accepted.receive.read_exactly(1) == b"."
    return opened, accepted


def pattern(size_bytes: int) -> bytes:
    return bytes(range(251)) * (size_bytes // 251) + bytes(size_bytes % 251)


def test_both_ends_know_whom_they_talk_to(make_endpoint: MakeEndpoint) -> None:
    async def main() -> None:
        async with endpoints(make_endpoint) as (dialler, listener):
            near, far = await asyncio.gather(dialler.connect(listener.address()), listener.accept())
            assert near.remote_id == listener.endpoint_id == listener.address().endpoint_id
            assert far.remote_id == dialler.endpoint_id
            assert near.remote_address() in listener.address().addresses
            assert far.remote_address() in dialler.address().addresses
            rtt_s = near.rtt_s()
            assert rtt_s is None or 0 <= rtt_s < SOON_S

    run(main())


def test_what_is_written_is_read_until_the_end(make_endpoint: MakeEndpoint) -> None:
    async def main() -> None:
        async with connections(make_endpoint) as (near, far):
            opened, accepted = await streams(near, far)
            await opened.send.write(b"")
            await opened.send.write(b"question")
            await opened.send.finish()
            assert await accepted.receive.read_exactly(8) == b"question"
            assert await accepted.receive.read(100) == b""
            assert await accepted.receive.read(100) == b""
            await accepted.send.write(b"answer")  # after the other half has ended
            await accepted.send.finish()
            assert await opened.receive.read_exactly(6) == b"answer"
            assert await opened.receive.read(1) == b""

    run(main())


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_of_any_size_arrives_whole(make_endpoint: MakeEndpoint, kind: Callable[[bytes], bytes]) -> None:
    async def main() -> None:
        async with connections(make_endpoint) as (near, far):
            opened, accepted = await streams(near, far)
            data = pattern(LARGE_BYTES + 17)

            async def send() -> None:
                await opened.send.write(kind(data))
                await opened.send.finish()

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(send())
                assert await accepted.receive.read_exactly(5) == data[:5]
                assert len(await accepted.receive.read(3)) <= 3 or pytest.fail("more than was asked for")
                rest = b""
                while part := await accepted.receive.read(1 << 20):
                    rest += part
            assert data.endswith(rest)
            assert len(rest) >= len(data) - 8

    run(main())


def test_a_sender_waits_for_a_slow_receiver(make_endpoint: MakeEndpoint) -> None:
    async def main() -> None:
        async with connections(make_endpoint) as (near, far):
            opened, accepted = await streams(near, far)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(opened.send.write(bytes(64 << 20)), 0.3)
            await opened.send.reset(1)
            await accepted.receive.stop(1)

    run(main())


def test_a_stream_that_ends_early_is_the_peers_fault(make_endpoint: MakeEndpoint) -> None:
    async def main() -> None:
        async with connections(make_endpoint) as (near, far):
            opened, accepted = await streams(near, far)
            await opened.send.write(b"short")
            await opened.send.finish()
            with pytest.raises(RemoteError):
                await accepted.receive.read_exactly(6)

    run(main())


def test_a_reset_is_seen_by_the_receiver(make_endpoint: MakeEndpoint) -> None:
    async def main() -> None:
        async with connections(make_endpoint) as (near, far):
            opened, accepted = await streams(near, far)
            await opened.send.reset(7)
            with pytest.raises(UnavailableError):
                await accepted.receive.read(10)
            with pytest.raises(UnavailableError):
                await accepted.receive.read_exactly(10)
            with pytest.raises(UnavailableError):
                await opened.send.write(b"more")
            await opened.send.reset(7)
            await opened.send.finish()
            await accepted.send.write(b"the other half lives")
            await accepted.send.finish()
            assert await opened.receive.read_exactly(20) == b"the other half lives"

    run(main())


def test_a_stop_is_seen_by_the_sender(make_endpoint: MakeEndpoint) -> None:
    async def main() -> None:
        async with connections(make_endpoint) as (near, far):
            opened, accepted = await streams(near, far)
            await accepted.receive.stop(9)
            with pytest.raises(UnavailableError):
                await opened.send.write(bytes(64 << 20))
            await opened.send.finish()
            with pytest.raises(UnavailableError):
                await accepted.receive.read(1)
            await accepted.receive.stop(9)

    run(main())


def test_a_stop_frees_a_sender_that_waits(make_endpoint: MakeEndpoint) -> None:
    async def main() -> None:
        async with connections(make_endpoint) as (near, far):
            opened, accepted = await streams(near, far)

            async def send_too_much() -> None:
                with pytest.raises(UnavailableError):
                    await opened.send.write(bytes(64 << 20))

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(send_too_much())
                await accepted.receive.read_exactly(100_000)
                await accepted.receive.stop(1)

    run(main())


def test_a_stream_is_over_after_its_end(make_endpoint: MakeEndpoint) -> None:
    async def main() -> None:
        async with connections(make_endpoint) as (near, far):
            opened, accepted = await streams(near, far)
            await opened.send.finish()
            await opened.send.finish()
            with pytest.raises(UnavailableError):
                await opened.send.write(b"after the end")
            assert await accepted.receive.read(1) == b""
            await accepted.receive.stop(1)

    run(main())


def test_nobody_sees_a_stream_before_it_is_used(make_endpoint: MakeEndpoint) -> None:
    async def main() -> None:
        async with connections(make_endpoint) as (near, far):
            opened = await near.open_stream()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await far.accept_stream()
            await opened.send.finish()
            accepted = await far.accept_stream()
            assert await accepted.receive.read(1) == b""

    run(main())


def test_nobody_home_is_unavailable_in_time(make_endpoint: MakeEndpoint) -> None:
    async def main() -> None:
        async with endpoints(make_endpoint) as (dialler, listener):
            gone = listener.address()
            await listener.close()
            with pytest.raises(UnavailableError):
                await dialler.connect(gone, timeout_s=0.3)
            with pytest.raises(UnavailableError):
                await dialler.connect(PeerAddress(new_identity().endpoint_id), timeout_s=0.3)
            with pytest.raises(UnavailableError):
                await dialler.connect(PeerAddress(b"\xff" * 31, gone.addresses), timeout_s=0.3)
            with pytest.raises(UnavailableError):
                await dialler.connect(PeerAddress(gone.endpoint_id, ("no.such.host.invalid:1", "x:y")), timeout_s=3)

    run(main())


def test_one_who_never_accepts_does_not_hold_us_up(make_endpoint: MakeEndpoint) -> None:
    async def main() -> None:
        async with endpoints(make_endpoint) as (dialler, listener):
            with pytest.raises(UnavailableError):
                await dialler.connect(listener.address(), timeout_s=0.3)

    run(main())


def test_another_key_at_the_right_place_is_refused(make_endpoint: MakeEndpoint) -> None:
    async def main() -> None:
        async with endpoints(make_endpoint) as (dialler, listener), asyncio.TaskGroup() as tasks:
            accepting = tasks.create_task(listener.accept())
            impostor = PeerAddress(new_identity().endpoint_id, listener.address().addresses)
            with pytest.raises(UnavailableError):
                await dialler.connect(impostor, timeout_s=2)
            near = await dialler.connect(listener.address())  # the right key still gets through
            assert near.remote_id == listener.endpoint_id
            assert (await accepting).remote_id == dialler.endpoint_id

    run(main())


@pytest.mark.parametrize("closer", ["near", "far"])
def test_a_closed_connection_wakes_whoever_waits_on_it(make_endpoint: MakeEndpoint, closer: str) -> None:
    async def main() -> None:
        async with connections(make_endpoint) as (near, far):
            opened, accepted = await streams(near, far)
            quiet, _unused = await streams(near, far)

            async def expect_unavailable(waiting: Awaitable[object]) -> None:
                with pytest.raises(UnavailableError):
                    await waiting

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(expect_unavailable(quiet.receive.read(10)))
                tasks.create_task(expect_unavailable(accepted.receive.read_exactly(10)))
                tasks.create_task(expect_unavailable(accepted.send.write(bytes(64 << 20))))
                tasks.create_task(expect_unavailable(near.accept_stream()))
                tasks.create_task(expect_unavailable(far.accept_stream()))
                await asyncio.sleep(0.05)
                await (near if closer == "near" else far).close()
            assert near.is_closed
            assert far.is_closed
            for connection in (near, far):
                await expect_unavailable(connection.open_stream())
                await connection.close()
            await expect_unavailable(opened.send.write(b"x"))
            await opened.send.reset(1)
            await opened.send.finish()
            await opened.receive.stop(1)

    run(main())


def test_a_hundred_streams_at_once(make_endpoint: MakeEndpoint) -> None:
    async def echo(stream: Stream) -> None:
        while data := await stream.receive.read(10_000):
            await stream.send.write(data)
        await stream.send.finish()

    async def ask(near: Connection, number: int) -> None:
        stream = await near.open_stream()
        question = number.to_bytes(2, "big") * 20_000
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stream.send.write(question))
            assert await stream.receive.read_exactly(len(question)) == question
        await stream.send.finish()
        assert await stream.receive.read(1) == b""

    async def main() -> None:
        async with connections(make_endpoint) as (near, far), asyncio.TaskGroup() as tasks:
            for number in range(100):
                tasks.create_task(ask(near, number))
            for _ in range(100):
                tasks.create_task(echo(await far.accept_stream()))

    run(main())


def test_streams_are_bounded_and_come_back(make_endpoint: MakeEndpoint) -> None:
    async def main() -> None:
        async with connections(make_endpoint) as (near, far):
            opened = [await near.open_stream() for _ in range(STREAMS_PER_CONNECTION_MAX)]
            for stream in opened:
                await stream.send.write(b".")
            accepted = [await far.accept_stream() for _ in opened]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await near.open_stream()
            for near_end, far_end in zip(opened, accepted, strict=True):
                await near_end.send.finish()
                assert await far_end.receive.read_exactly(1) == b"."
                assert await far_end.receive.read(1) == b""
                await far_end.send.finish()
                assert await near_end.receive.read(1) == b""
            another = await near.open_stream()
            await another.send.reset(0)

    run(main())


def test_a_cancelled_wait_harms_nobody_else(make_endpoint: MakeEndpoint) -> None:
    async def cancelled(waiting: Awaitable[object]) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await waiting

    async def main() -> None:
        async with endpoints(make_endpoint) as (dialler, listener):
            await cancelled(listener.accept())
            near, far = await asyncio.gather(dialler.connect(listener.address()), listener.accept())
            await cancelled(far.accept_stream())
            opened, accepted = await streams(near, far)
            await cancelled(accepted.receive.read(5))
            await cancelled(opened.receive.read_exactly(5))
            await cancelled(opened.send.write(bytes(64 << 20)))
            await opened.send.reset(1)
            await accepted.receive.stop(1)
            await streams(near, far)

    run(main())


def test_closing_an_endpoint_ends_all_that_it_had(make_endpoint: MakeEndpoint) -> None:
    async def main() -> None:
        async with endpoints(make_endpoint) as (dialler, listener):
            near, far = await asyncio.gather(dialler.connect(listener.address()), listener.accept())

            async def expect_the_end() -> None:
                with pytest.raises(UnavailableError):
                    await listener.accept()

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(expect_the_end())
                tasks.create_task(expect_the_end())
                await asyncio.sleep(0.05)
                await listener.close()
            with pytest.raises(UnavailableError):
                await near.accept_stream()
            with pytest.raises(UnavailableError):
                await far.open_stream()
            await expect_the_end()
            await listener.close()
            with pytest.raises(NearcastError):
                await listener.connect(dialler.address(), timeout_s=0.5)

    run(main())

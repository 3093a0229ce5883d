"""Large bodies: a slow client costs little, a vanished one ends the work, a file that changes is not sent on."""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from tests.gateways.suite import Door, opened, run, share

from nearcast.errors import ChangedError, UnavailableError
from nearcast.gateways.http import pipe as pipe_module
from nearcast.gateways.http.open_file import OpenFile
from nearcast.gateways.http.pipe import PIPE_BYTES, ClientGoneError, Pipes
from nearcast.gateways.http.pouring import POURING_THREADS, pour_file

BIG_BYTES = 32 << 20  # more than sockets, granian and a pipe hold together


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big.bin"
    path.write_bytes(os.urandom(BIG_BYTES))
    return path


@asynccontextmanager
async def asked(door: Door, path: str) -> AsyncGenerator[asyncio.StreamReader, None]:
    """A client that has read the head of its answer, then reads only when it is told to, and hangs up in the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port, limit=1 << 16)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        yield reader
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


def test_a_slow_client_holds_the_sender_back(tmp_path: Path, big: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door, asked(door, f"/ipfs/{share(door.store, big)}") as reader:
            assert (await door.get("/health")).status == 200
            assert [line.path for line in door.lines] == ["/health"]
            digest = hashlib.sha256()
            while data := await reader.read(1 << 20):
                digest.update(data)
            assert digest.digest() == hashlib.sha256(big.read_bytes()).digest()
            await door.answered(2)
            assert door.lines[1].size_bytes == BIG_BYTES

    run(main)


def test_a_client_that_vanishes_ends_its_answer(tmp_path: Path, big: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door:
            async with asked(door, f"/ipfs/{share(door.store, big)}"):
                pass
            await door.answered(1)
            assert door.lines[0].size_bytes < BIG_BYTES

    run(main)


def test_a_file_that_changes_while_it_is_sent_breaks_the_connection(tmp_path: Path, big: Path) -> None:
    async def main() -> None:
        original = big.read_bytes()
        async with opened(tmp_path) as door, asked(door, f"/ipfs/{share(door.store, big)}") as reader:
            with big.open("r+b") as file:
                file.write(bytes(BIG_BYTES))
            received = await reader.read(-1)
            assert len(received) < BIG_BYTES
            assert original.startswith(received)
            await door.answered(1)

    run(main)


def test_stopping_does_not_wait_for_slow_clients(tmp_path: Path, big: Path) -> None:
    async def main() -> None:
        async with AsyncExitStack() as hanging, asyncio.timeout(5), opened(tmp_path) as door:
            await hanging.enter_async_context(asked(door, f"/ipfs/{share(door.store, big)}"))

    run(main)


def test_a_body_that_fails_in_the_middle_ends_the_connection_early(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, big: Path
) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door:
            root = share(door.store, big)
            client = door.gateway._client

            async def failing(*_: object, **__: object) -> AsyncIterator[bytes]:
                yield big.read_bytes()[: 3 << 20]
                raise UnavailableError("the peer went away")

            monkeypatch.setattr(client, "extent", lambda _: None)  # as if it were not in one piece
            monkeypatch.setattr(client, "read", failing)  # a peer that dies
            async with asked(door, f"/ipfs/{root}?filename=x.bin") as reader:
                assert len(await reader.read(-1)) <= 3 << 20
            await door.answered(1)

    run(main)


def test_too_many_at_once_are_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, big: Path) -> None:
    monkeypatch.setattr(pipe_module, "PIPES_MAX", 0)

    async def main() -> None:
        async with opened(tmp_path) as door:
            answer = await door.get(f"/ipfs/{share(door.store, big)}")
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")

    run(main)


@pytest.mark.parametrize("size_bytes", [1, 5000, PIPE_BYTES, 3 * PIPE_BYTES + 1])
def test_a_pipe_hands_on_every_byte(tmp_path: Path, size_bytes: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size_bytes))

    async def main() -> None:
        pipes = Pipes()
        with ThreadPoolExecutor(1) as threads:
            async with pipes.pipe() as pipe:
                reading = asyncio.create_task(asyncio.to_thread(pipe.path.read_bytes))
                await pour_file(pipe, OpenFile(path), 0, size_bytes, threads)
                await pipe.finished()
        assert await reading == path.read_bytes()
        pipes.close()

    run(main)


def test_a_pipe_that_nobody_opens_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe_module, "OPENED_WITHIN_S", 0.02)

    async def main() -> None:
        pipes = Pipes()

        async def filled(size_bytes: int) -> None:
            async with pipes.pipe() as pipe:
                await pipe.write(bytes(size_bytes))
                await pipe.finished()

        for size_bytes in (10, 2 * PIPE_BYTES):
            with pytest.raises(ClientGoneError):
                await filled(size_bytes)
        pipes.close()

    run(main)


def test_a_file_is_read_from_memory_only_while_it_is_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    opened_file = OpenFile(path)
    buffer = bytearray(4)
    # 0: a file system that cannot tell what it has in memory
    assert (opened_file.read_cached_into(buffer, 2), bytes(buffer)) in ((4, b"2345"), (0, bytes(4)))
    before_ns = opened_file.ctime_ns()
    path.write_bytes(b"0123456789!")
    assert opened_file.ctime_ns() > before_ns
    with pytest.raises(ChangedError):
        opened_file.check()
    path.write_bytes(b"")
    with pytest.raises(ChangedError):
        opened_file.read_into(bytearray(4), 2)


def test_clients_that_stand_still_make_room_for_others(
    tmp_path: Path, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe_module, "PIPES_MAX", 2)
    monkeypatch.setattr(pipe_module, "STALLED_S", 0.05)

    async def main() -> None:
        async with opened(tmp_path) as door:
            path = f"/ipfs/{share(door.store, big)}"
            async with asked(door, path), asked(door, path):
                async with asyncio.timeout(10):
                    while (answer := await door.get(path)).status == 503:  # noqa: ASYNC110 - only a try can tell
                        await asyncio.sleep(0.05)
                assert hashlib.sha256(answer.body).digest() == hashlib.sha256(big.read_bytes()).digest()
                await door.answered(2)

    run(main)


def test_slow_clients_do_not_take_the_threads_of_the_others(tmp_path: Path, big: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door, AsyncExitStack() as slow:
            path = f"/ipfs/{share(door.store, big)}"
            for _ in range(POURING_THREADS + 1):
                await slow.enter_async_context(asked(door, path))
            async with asyncio.timeout(10):
                assert len((await door.get(path)).body) == BIG_BYTES
            await slow.aclose()
            await door.answered(POURING_THREADS + 2)

    run(main)

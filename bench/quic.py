"""How fast bytes cross from one process to another over loopback QUIC: a bare iroh stream, and our transport.

    python -m bench.quic [MiB]          both, and the memory of a process that only has an endpoint

The bare stream (with the same repair of the wheel, 1 MiB writes and exact reads, nothing verified) is the limit that
a verified fetch is measured against. Sender and receiver are processes of their own, ended when the bytes are through.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import iroh

from nearcast.errors import UnavailableError
from nearcast.keys import new_identity
from nearcast.transport import iroh_patch
from nearcast.transport.base import ALPN, PeerAddress, ReceiveStream, SendStream
from nearcast.transport.iroh import IrohEndpoint

CHUNK_BYTES = 1 << 20
SIZE_BYTES = 1 << 30
TIMEOUT_S = 300.0  # for a GiB on a machine that is busy with something else
Write = Callable[[bytes], Awaitable[None]]
Read = Callable[[int], Awaitable[bytes]]


def bare_stream_mb_per_s(size_bytes: int = SIZE_BYTES) -> float:
    """10^6 bytes a second of one plain iroh stream between two processes."""
    return _measure("bare", size_bytes, 1)


def transport_mb_per_s(size_bytes: int = SIZE_BYTES, streams: int = 1) -> float:
    """10^6 bytes a second of our transport between two processes, the bytes spread over `streams` at once."""
    return _measure("ours", size_bytes, streams)


def idle_endpoint_mb() -> tuple[float, float]:
    """Resident memory in 10^6 bytes of a Python process with the transport loaded, and once it has an endpoint."""
    before_kb, after_kb = json.loads(_run_self("idle"))
    return before_kb * 1024 / 1e6, after_kb * 1024 / 1e6


def _measure(kind: str, size_bytes: int, streams: int) -> float:
    sender = subprocess.Popen(_command("send", kind, size_bytes, streams), stdout=subprocess.PIPE, text=True)
    with sender:
        assert sender.stdout
        seconds = json.loads(_run_self("receive", kind, size_bytes, streams, sender.stdout.readline().strip()))
    return size_bytes / float(seconds) / 1e6


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "bench.quic", *map(str, arguments)]


def _run_self(*arguments: object) -> str:
    done = subprocess.run(_command(*arguments), check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    return done.stdout


async def _write_all(write: Write, size_bytes: int) -> None:
    chunk = bytes(range(256)) * (CHUNK_BYTES // 256)
    for start in range(0, size_bytes, CHUNK_BYTES):
        await write(chunk[: size_bytes - start])


async def _read_all(read_exactly: Read, size_bytes: int) -> None:
    for start in range(0, size_bytes, CHUNK_BYTES):
        await read_exactly(min(CHUNK_BYTES, size_bytes - start))


async def _bare_endpoint() -> iroh.Endpoint:
    iroh_patch.apply()
    return await iroh.Endpoint.bind(
        iroh.EndpointOptions(
            preset=iroh.preset_minimal(),
            relay_mode=iroh.RelayMode.disabled(),
            bind_addr="127.0.0.1:0",
            alpns=[ALPN],
        )
    )


def _print_address(endpoint_id: bytes, addresses: list[str]) -> None:
    print(json.dumps([endpoint_id.hex(), addresses]), flush=True)


async def _send_bare(size_bytes: int) -> None:
    endpoint = await _bare_endpoint()
    _print_address(endpoint.id().to_bytes(), endpoint.addr().direct_addresses())
    incoming = await endpoint.accept_next()
    assert incoming
    connection = await (await incoming.accept()).connect()
    stream = await connection.accept_bi()
    await _write_all(stream.send().write_all, size_bytes)
    await connection.closed()
    await endpoint.close()


async def _receive_bare(size_bytes: int, endpoint_id: bytes, addresses: list[str]) -> float:
    endpoint = await _bare_endpoint()
    target = iroh.EndpointAddr(iroh.EndpointId.from_bytes(endpoint_id), None, addresses)
    connection = await endpoint.connect(target, ALPN)
    started_s = time.perf_counter()
    stream = await connection.open_bi()
    await stream.send().write_all(b".")
    await _read_all(stream.recv().read_exact, size_bytes)
    seconds = time.perf_counter() - started_s
    connection.close(0, b"")
    await endpoint.close()
    return seconds


async def _send_ours(size_bytes: int, streams: int) -> None:
    endpoint = await IrohEndpoint.bind(new_identity())
    _print_address(endpoint.endpoint_id, list(endpoint.address().addresses))
    connection = await endpoint.accept()

    async def send_share(stream: SendStream) -> None:
        await _write_all(stream.write, size_bytes // streams)
        await stream.finish()

    async with asyncio.TaskGroup() as tasks:
        accepted = [await connection.accept_stream() for _ in range(streams)]  # held: a dropped half stops the other
        for stream in accepted:
            tasks.create_task(send_share(stream.send))
        with contextlib.suppress(UnavailableError):  # the receiver has everything and closes
            await connection.accept_stream()
    await endpoint.close()


async def _receive_ours(size_bytes: int, streams: int, endpoint_id: bytes, addresses: list[str]) -> float:
    endpoint = await IrohEndpoint.bind(new_identity())
    connection = await endpoint.connect(PeerAddress(endpoint_id, tuple(addresses)))

    async def receive_share(stream: ReceiveStream) -> None:
        await _read_all(stream.read_exactly, size_bytes // streams)

    started_s = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        opened = [await connection.open_stream() for _ in range(streams)]
        for stream in opened:
            await stream.send.write(b".")
            tasks.create_task(receive_share(stream.receive))
    seconds = time.perf_counter() - started_s
    await connection.close()
    await endpoint.close()
    return seconds


async def _idle() -> tuple[int, int]:
    before_kb = _resident_kb()
    endpoint = await IrohEndpoint.bind(new_identity())
    await asyncio.sleep(0.5)  # guess: what it does in the background at its start is done by then
    after_kb = _resident_kb()
    await endpoint.close()
    return before_kb, after_kb


def _resident_kb() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


async def _role(arguments: list[str]) -> object:
    if arguments == ["idle"]:
        return await _idle()
    role, kind, size, count, *rest = arguments
    size_bytes, streams = int(size), int(count)
    if role == "send" and kind == "bare":
        await _send_bare(size_bytes)
        return None
    if role == "send":
        await _send_ours(size_bytes, streams)
        return None
    endpoint_hex, addresses = json.loads(rest[0])
    endpoint_id = bytes.fromhex(endpoint_hex)
    if kind == "bare":
        return await _receive_bare(size_bytes, endpoint_id, addresses)
    return await _receive_ours(size_bytes, streams, endpoint_id, addresses)


def main() -> None:
    if len(sys.argv) > 2 or sys.argv[1:] == ["idle"]:
        answer = asyncio.run(_role(sys.argv[1:]))
        if answer is not None:
            print(json.dumps(answer))
        return
    size_bytes = int(sys.argv[1]) << 20 if len(sys.argv) == 2 else SIZE_BYTES
    print(f"bare iroh stream         {bare_stream_mb_per_s(size_bytes):6.0f} MB/s")
    for streams in (1, 2, 4):
        print(f"transport, {streams} stream(s)   {transport_mb_per_s(size_bytes, streams):6.0f} MB/s")
    before_mb, after_mb = idle_endpoint_mb()
    print(f"memory: transport loaded {before_mb:.0f} MB, with an endpoint {after_mb:.0f} MB")


if __name__ == "__main__":
    main()

"""Streams that only the collector finds, while it runs at nearly every allocation: also in Rust's callbacks.

    python -m tests.transport.collecting STREAMS

A program of its own: where the wheel is not repaired it stands still for ever, and no timeout within it helps.
"""

import asyncio
import contextlib
import gc
import sys

from nearcast.errors import UnavailableError
from nearcast.keys import new_identity
from nearcast.transport.base import Connection, Stream
from nearcast.transport.iroh import IrohEndpoint

ALLOCATIONS = 10  # between two collections
WORKERS = 20
MESSAGES = 3
MESSAGE_BYTES = 200


async def echo(connection: Connection) -> None:
    async def one(stream: Stream) -> None:
        with contextlib.suppress(UnavailableError):  # the other side is through with all of it, and closes
            while data := await stream.receive.read(MESSAGE_BYTES):
                await stream.send.write(data)

    async with asyncio.TaskGroup() as tasks:
        while True:
            try:
                tasks.create_task(one(await connection.accept_stream()))
            except UnavailableError:
                return


async def use(connection: Connection, count: int) -> None:
    for _ in range(count):
        stream = await connection.open_stream()
        for _ in range(MESSAGES):
            await stream.send.write(bytes(MESSAGE_BYTES))
            await stream.receive.read_exactly(MESSAGE_BYTES)
        await stream.send.finish()
        circle: list[object] = [stream]
        circle.append(circle)  # nobody but the collector takes it apart


async def main(streams: int) -> None:
    near, far = await IrohEndpoint.bind(new_identity()), await IrohEndpoint.bind(new_identity())
    async with asyncio.TaskGroup() as tasks:
        accepting = tasks.create_task(far.accept())
        connection = await near.connect(far.address())
        tasks.create_task(echo(await accepting))
        gc.set_threshold(ALLOCATIONS, 1, 1)
        async with asyncio.TaskGroup() as workers:
            for _ in range(WORKERS):
                workers.create_task(use(connection, streams // WORKERS))
        await near.close()
        await far.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

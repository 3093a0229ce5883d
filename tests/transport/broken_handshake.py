"""Run as a program: dial, and give up while the other end has not yet answered; print what that one makes of it.

Its error describes itself in full. A process of its own, because Rust reads RUST_BACKTRACE once.
"""

import asyncio
import contextlib
import sys

import iroh

from nearcast.keys import new_identity
from nearcast.transport.base import ALPN
from nearcast.transport.iroh import IrohEndpoint

DEADLINE_S = 50.0


async def main() -> None:
    near, far = await IrohEndpoint.bind(new_identity()), await IrohEndpoint.bind(new_identity())
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(_dial(far, near))
        incoming = await near._endpoint.accept_next()
        assert incoming is not None
        await far._endpoint.close()
        try:
            await (await incoming.accept()).connect()
        except iroh.IrohError as error:
            sys.stdout.write(error.debug_message())
    await near.close()


async def _dial(far: IrohEndpoint, near: IrohEndpoint) -> None:
    where = near.address()
    target = iroh.EndpointAddr(iroh.EndpointId.from_bytes(where.endpoint_id), None, list(where.addresses))
    with contextlib.suppress(iroh.IrohError):
        await far._endpoint.connect(target, ALPN)


if __name__ == "__main__":
    asyncio.run(main())

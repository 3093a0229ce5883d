"""Run as a program: dial and give up during the handshake, until the other end says what it makes of that.

Prints how the other end's error describes itself in full. A process of its own, because Rust reads RUST_BACKTRACE once.
"""

import asyncio
import contextlib
import sys

import iroh

from nearcast.keys import new_identity
from nearcast.transport.base import ALPN
from nearcast.transport.iroh import IrohEndpoint

TRIES_MAX = 50  # of the first ones some end within the handshake
DEADLINE_S = 30.0


async def main() -> None:
    near = await IrohEndpoint.bind(new_identity())
    described: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        answering = tasks.create_task(_answer(near, described))
        for number in range(TRIES_MAX):
            await _give_up(near, turns=number % 8)
            if described.done():
                break
        sys.stdout.write(await described)
        answering.cancel()
    await near.close()


async def _answer(near: IrohEndpoint, described: asyncio.Future[str]) -> None:
    """Accept all dials; tell of the first that breaks."""
    while (incoming := await near._endpoint.accept_next()) is not None:
        try:
            await (await incoming.accept()).connect()
        except iroh.IrohError as error:
            if not described.done():
                described.set_result(error.debug_message())


async def _give_up(near: IrohEndpoint, turns: int) -> None:
    """One dial whose endpoint closes so many turns of the event loop later."""
    far = await IrohEndpoint.bind(new_identity())
    where = near.address()
    target = iroh.EndpointAddr(iroh.EndpointId.from_bytes(where.endpoint_id), None, list(where.addresses))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_dial(far, target))
        for _ in range(turns + 1):
            await asyncio.sleep(0)
        await far._endpoint.close()


async def _dial(far: IrohEndpoint, target: iroh.EndpointAddr) -> None:
    with contextlib.suppress(iroh.IrohError):
        await far._endpoint.connect(target, ALPN)


if __name__ == "__main__":
    asyncio.run(main())

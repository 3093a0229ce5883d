"""Asking peers what they have, all at once, with a limit on the wait."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from nearcast.content.cid import Cid
from nearcast.delivery.messages import Holding, ProbeRequest, parse_holdings, request_fields
from nearcast.delivery.trail import NO_TRAIL, Trail
from nearcast.errors import NearcastError, UnavailableError
from nearcast.transport.base import Connection, PeerAddress
from nearcast.transport.pool import ConnectionPool
from nearcast.wire import FrameReader, encode_message

STOP_CODE = 1

__all__ = ["Holding", "probe", "probe_all"]


async def probe(connection: Connection, roots: Sequence[Cid], trail: Trail = NO_TRAIL) -> list[Holding]:
    """What the peer says that it has of each root (at most ROOTS_MAX). Raises UnavailableError, RemoteError."""
    stream = await connection.open_stream()
    try:
        await stream.send.write(encode_message(request_fields(ProbeRequest(tuple(roots), trail))))
        await stream.send.finish()
        return parse_holdings(await FrameReader(stream.receive).message(), len(roots))
    finally:
        await stream.receive.stop(STOP_CODE)


async def probe_all(
    pool: ConnectionPool,
    addresses: Sequence[PeerAddress],
    roots: Sequence[Cid],
    timeout_s: float,
    trail: Trail = NO_TRAIL,
) -> AsyncGenerator[tuple[PeerAddress, list[Holding] | NearcastError], None]:
    """Every peer's answer, or why there is none, as they come; all of them after `timeout_s` at the latest.

    With a `trail` a peer that has nothing may say that it can bring it. Iterate to the end, or inside
    `contextlib.aclosing`.
    """
    answers: asyncio.Queue[tuple[PeerAddress, list[Holding] | NearcastError]] = asyncio.Queue()

    async def ask(address: PeerAddress) -> None:
        connection: Connection | None = None
        try:
            async with asyncio.timeout(timeout_s):
                connection = await pool.get(address)
                holdings = await probe(connection, roots, trail)
            pool.answered(connection)
            answers.put_nowait((address, holdings))
        except TimeoutError:
            if connection is not None:
                pool.unanswered(connection, timeout_s)
            answers.put_nowait((address, UnavailableError(f"no answer in {timeout_s:g} s")))
        except NearcastError as error:
            answers.put_nowait((address, error))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(address)) for address in addresses]
        try:
            for _ in addresses:
                yield await answers.get()
        except GeneratorExit:
            return  # whoever asked has heard enough; a TaskGroup would take it for a failure of its own
        finally:
            for task in tasks:
                task.cancel()

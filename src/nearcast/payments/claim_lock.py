"""One claimer at a time per folder: a node that runs and a command typed beside it must not pay twice for one claim.

It would do no harm but cost gas, since claims are cumulative. The lock is the operating system's (flock): it goes with
its process, however that ends.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from nearcast.errors import UnavailableError
from nearcast.payments.lock_file import open_lock_file

POLL_S: Final = 0.1
PATIENCE_S: Final = 600.0  # as long as a transaction is waited for (transaction_watch.PATIENCE_S)


@asynccontextmanager
async def claim_lock(path: Path, *, patience_s: float = PATIENCE_S) -> AsyncIterator[None]:
    """Hold the lock at `path`, made on first use. UnavailableError when another process claims for `patience_s`."""
    descriptor = open_lock_file(path)
    try:
        await _take(descriptor, path, patience_s)
        yield
    finally:
        os.close(descriptor)


async def _take(descriptor: int, path: Path, patience_s: float) -> None:
    try:
        async with asyncio.timeout(patience_s):
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    await asyncio.sleep(POLL_S)
                else:
                    return
    except TimeoutError as error:
        raise UnavailableError(f"another process has been claiming for {patience_s:.0f} s ({path})") from error

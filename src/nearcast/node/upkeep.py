"""What a node does when nobody asks for anything: keep the cache within its quota, and read its own disk again."""

import asyncio

from nearcast.content.store import Store
from nearcast.telemetry import Telemetry

ROUND_S = 2.0  # guess: a quota is overshot by what arrives in two seconds at most
COMPACTED_BYTES = 16 << 20  # rewritten per round at the most; guess: unnoticed beside what is served


async def keep_up(store: Store, scrub_bytes_per_s: int, telemetry: Telemetry) -> None:
    """For ever: evict down to the quota, give back the space of what was removed, re-verify a slice of what is on disk.

    Works in threads, in small steps.
    """
    while True:
        await asyncio.to_thread(store.evict)
        await asyncio.to_thread(store.compact_some, COMPACTED_BYTES)
        report = await asyncio.to_thread(store.scrub_some, int(scrub_bytes_per_s * ROUND_S))
        for cid in report.bad:
            telemetry.event("damaged", cid=str(cid))
        await asyncio.sleep(ROUND_S)

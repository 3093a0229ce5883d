"""Goodput of a paid fetch against the same fetch for free, with 50 ms between client and node.

Node and client are on two hosts (network namespaces) with 25 ms each way; the chain is near to both. What could cost
goodput here is a voucher that comes too late: the node would stand still for a round trip.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.paid_world import PaidPair, paid_pair
from bench.row import Row
from bench.two_hosts import can_make_hosts, two_hosts

SIZE_BYTES = 1 << 30
DELAY_S = 0.025
ROUNDS = 3  # the two take turns; the best of each counts
NAME = "paid fetch of 1 GiB, 50 ms round trip"


def rows(only: str | None) -> Iterator[Row]:
    if only is not None and only not in NAME:
        return
    if not can_make_hosts():
        print(f"{NAME}: this user cannot make network namespaces, left out")
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nearcast-bench-")))
        near, far, how = stack.enter_context(two_hosts(DELAY_S))
        paid, free = measured(stack.enter_context(paid_pair(folder, SIZE_BYTES, (near, far))))
    yield Row(f"{NAME} ({how})", max(paid), "MB/s", 0.95, "for free", max(free))


def measured(pair: PaidPair, rounds: int = ROUNDS) -> tuple[list[float], list[float]]:
    """MB/s of both, round by round."""
    paid, free = [], []
    for turn in range(rounds):
        free.append(_mb_per_s(pair.get(pair.free, turn)))
        paid.append(_mb_per_s(pair.get(pair.payer, turn)))
    return paid, free


def _mb_per_s(report: dict[str, float]) -> float:
    return report["verified"] / 1e6 / report["seconds"]

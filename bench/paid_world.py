"""A paid node and its clients for benchmarks: one pays, with a channel that is open, and one is served for free.

Both ask the same node for the same object, in turns, so that what differs is the payment alone.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.payments.world import COMMAND, Member, PaidNode, World, paid_world

from bench.samples import random_file
from bench.two_hosts import Host, chain_near

PRICE_USDC = "0.01"  # per GiB, the market's
TIMEOUT_S = 600.0


@dataclass(frozen=True)
class PaidPair:
    """`prefix`: what goes before the clients' commands; another host's is in there."""

    world: World
    node: PaidNode
    payer: Member
    free: Member
    cid: str
    prefix: tuple[str, ...] = ()

    def get(self, client: Member, turn: int) -> dict[str, Any]:
        """The report of a fetch into nothing but the client's store, which is dropped afterwards."""
        target = client.home / f"copy-{turn}"
        options = ("--json", "--overwrite", *(() if client is self.payer else ("--free",)))
        client.start("get", self.node.holds_of(self.cid), target, *options, program=(*self.prefix, *COMMAND))
        if client.ended(TIMEOUT_S):
            raise RuntimeError(f"{client.name}: {client.log.read_text()} {client.errors.read_text()[-2000:]}")
        report: dict[str, Any] = json.loads(client.log.read_text().splitlines()[-1])
        target.unlink()
        client.run("rm", self.cid, code=None)
        return report


@contextmanager
def paid_pair(
    folder: Path,
    size_bytes: int,
    hosts: tuple[Host, Host] | None = None,
) -> Iterator[PaidPair]:
    """A node with an object of random bytes, and two clients; the channel of one of them is open.

    `hosts`: where the node is, and where the clients are, if not on this machine's loopback.
    """
    with ExitStack() as stack:
        world = stack.enter_context(paid_world(folder / "world"))
        for host in hosts or ():
            stack.enter_context(chain_near(host, world.chain.port))
        node, payer, free = world.operator("node", price=PRICE_USDC), world.client("payer"), world.client("free")
        path, small = random_file(folder / "large", size_bytes), random_file(folder / "small", 1 << 20, seed=2)
        cid, first = node.add(path), node.add(small)
        node.options += ["--free-peer", free.run("id", "--quiet").strip()]
        if hosts:
            node.program, node.host = (*hosts[0].prefix, *COMMAND), hosts[0].address
        node.up()
        for client in (payer, free):
            client.environment["NEARCAST_QUIC_LISTEN"] = "0.0.0.0:0"
        prefix = hosts[1].prefix if hosts else ()
        payer.start("get", node.holds_of(first), payer.home / "first", program=(*prefix, *COMMAND))
        if payer.ended():
            raise RuntimeError(f"no channel could be opened: {payer.errors.read_text()}")
        yield PaidPair(world, node, payer, free, cid, prefix)

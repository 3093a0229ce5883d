"""1 GiB through a relay that lacks it, against each of the two hops alone; three nodes in three processes.

The reader asks in turns the origin, the relay while it has nothing, and the relay when it has everything. All is served
for free here, so that what differs is the way alone: every node names the others as friends. A relay does the work of
both hops at the same time, and two cores are busy with one hop already when its link is a loopback; so the whole is
measured with the origin behind a link of LINK_MBIT_PER_S (two network namespaces, token bucket), where the relay stands
on the reader's side. The first leaf is measured over the loopback, where it is harder.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.payments.world import COMMAND, PaidNode, paid_world

from bench.row import Row
from bench.samples import random_file
from bench.two_hosts import Host, can_make_hosts, chain_near

SIZE_BYTES = 1 << 30
FIRST_SIZE_BYTES = 64 << 20  # for the first leaf: what comes after it is waited for in vain
ROUNDS = 3  # the three take turns; the best of each counts
LINK_MBIT_PER_S = 400  # guess: a good home's uplink, and a third of what two cores move
LINK_ADDRESSES = ("10.78.0.1", "10.78.0.2")
IDENTITY = "identity.key"
FIRST_LEAF = "first verified leaf through a relay"
WHOLE = "1 GiB through a relay, the origin behind 400 Mbit/s"


@dataclass(frozen=True, slots=True)
class Times:
    """Of one fetch, from the link on: until the first leaf was verified, and until all was durable."""

    first_s: float
    whole_s: float


def rows(only: str | None) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="nearcast-bench-") as folder:
        if only is None or only in FIRST_LEAF:
            direct, cold, _ = measured(Path(folder) / "near", FIRST_SIZE_BYTES, ROUNDS)
            first_ms = [min(each.first_s for each in times) * 1e3 for times in (cold, direct)]
            yield Row(FIRST_LEAF, first_ms[0], "ms", 2.0, "from the origin", first_ms[1], lower_is_better=True)
        if only is None or only in WHOLE:
            if not can_make_hosts():
                print(f"{WHOLE}: this user cannot make network namespaces, left out")
                return
            with slow_link() as hosts:
                direct, cold, warm = measured(Path(folder) / "far", SIZE_BYTES, ROUNDS, hosts)
            slower_s = max(min(each.whole_s for each in times) for times in (direct, warm))
            whole_s = min(each.whole_s for each in cold)
            yield Row(WHOLE, whole_s, "s", 1.25, "the slower hop alone", slower_s, lower_is_better=True)


def measured(
    folder: Path, size_bytes: int, rounds: int, hosts: tuple[Host, Host] | None = None
) -> tuple[list[Times], list[Times], list[Times]]:
    """From the origin; from a relay that brings it; from one that has it. `hosts`: the origin's, and the others'."""
    with ExitStack() as stack:
        world = stack.enter_context(paid_world(folder / "world"))
        reader = Reader(folder / "reader", hosts[1].prefix if hosts else ())
        origin, relay = world.operator("origin", price="0.5"), world.operator("relay")
        for node, host in zip((origin, relay), hosts or (), strict=False):
            stack.enter_context(chain_near(host, world.chain.port))
            node.program, node.host = (*host.prefix, *COMMAND), host.address
        cid = origin.add(random_file(folder / "large", size_bytes))
        small = origin.add(random_file(folder / "small", 1 << 20, seed=2))
        origin.options += _friends(reader.endpoint_id, relay.run("id", "--quiet").strip())
        origin.up()
        relay.options += [*_friends(reader.endpoint_id), "--peer", origin.peer]
        relay.up()
        direct, cold, warm = [], [], []
        for _ in range(rounds):
            direct.append(reader.fetched(origin.holds_of(cid)))
            reader.fetched(relay.holds_of(small))  # the two are connected, and all code is loaded
            cold.append(reader.fetched(relay.holds_of(cid)))
            warm.append(reader.fetched(relay.holds_of(cid)))
            _forget(relay, cid, small)
    return direct, cold, warm


@contextmanager
def slow_link() -> Iterator[tuple[Host, Host]]:
    """Two hosts; what the first one sends to the second goes through a token bucket."""
    with ExitStack() as stack:
        hosts = [Host(f"nearcast-slow-{side}", address) for side, address in zip("ab", LINK_ADDRESSES, strict=True)]
        for host in hosts:
            _run("ip", "netns", "add", host.namespace)
            stack.callback(_run, "ip", "netns", "del", host.namespace)
            _run("ip", "-n", host.namespace, "link", "set", "lo", "up")
        names = [host.namespace for host in hosts]
        _run("ip", "-n", names[0], "link", "add", "slow0", "type", "veth", "peer", "slow0", "netns", names[1])
        for host in hosts:
            _run("ip", "-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", "slow0")
            _run("ip", "-n", host.namespace, "link", "set", "slow0", "up")
        bucket = f"tbf rate {LINK_MBIT_PER_S}mbit burst 1mb latency 50ms"
        _run(*hosts[0].prefix, "tc", "qdisc", "add", "dev", "slow0", "root", *bucket.split())
        yield hosts[0], hosts[1]


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _friends(*endpoint_ids: str) -> list[str]:
    return [option for each in endpoint_ids for option in ("--free-peer", each)]


def _forget(relay: PaidNode, *cids: str) -> None:
    relay.stop()  # so that nothing lingers, neither the fetch nor what it found
    for cid in cids:
        relay.run("rm", cid, code=None)
    relay.up()


class Reader:
    """A process for each fetch, with the same identity and an empty store each time."""

    def __init__(self, folder: Path, prefix: tuple[str, ...]) -> None:
        from nearcast.keys import load_or_create_identity

        folder.mkdir(parents=True)
        self._folder = folder
        self._prefix = prefix
        self.endpoint_id = load_or_create_identity(folder / IDENTITY).endpoint_id.hex()

    def fetched(self, link: str) -> Times:
        store = self._folder / "data"
        store.mkdir()
        shutil.copy(self._folder / IDENTITY, store / IDENTITY)
        command = [*self._prefix, sys.executable, "-m", "bench.relay", link, str(store)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        shutil.rmtree(store)
        times = json.loads(done.stdout)
        return Times(times["first_s"], times["whole_s"])


async def read(link_text: str, data_dir: Path) -> None:
    """The reader's process: prints how long it took."""
    from nearcast.clock import SystemClock
    from nearcast.config import Config, PeersConfig, QuicConfig
    from nearcast.delivery.events import FetchEvent, LeafVerified
    from nearcast.naming.link import parse_link
    from nearcast.node import run_node

    config = Config(data_dir, quic=QuicConfig(listen="0.0.0.0:0"), peers=PeersConfig(lan=False))
    clock = SystemClock()
    first: list[float] = []

    def note(event: FetchEvent) -> None:
        if isinstance(event, LeafVerified) and not first:
            first.append(clock.monotonic_s())

    async with run_node(config, http=False, announce=False) as node:
        start_s = clock.monotonic_s()
        await node.client.fetch(parse_link(link_text), on_event=note)
        end_s = clock.monotonic_s()
    print(json.dumps({"first_s": first[0] - start_s, "whole_s": end_s - start_s}))


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(read(sys.argv[1], Path(sys.argv[2])))

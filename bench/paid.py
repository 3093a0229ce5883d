"""A paid fetch against the same fetch for free, over loopback QUIC, a node and a client in two processes.

Both keep their real books, so every voucher waits for two disks; only what the chain would say of the channel is a
stand-in. Payment bytes are counted as they leave and arrive: the payment stream, and what requests and offers carry
more than free ones. The first paid byte is measured over a link with LATENCY_S each way, from the moment when it is
known whom to pay: the channel is open, the connection is not.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop
from tests.delivery.paid_world import buyer, seller
from tests.delivery.world import World, file_dag, world
from tests.payments.shop import Payer

from bench.row import Row
from bench.samples import random_file
from bench.two_hosts import Host, can_make_hosts, two_hosts
from nearcast.clock import SystemClock
from nearcast.content.cid import Cid, parse_cid
from nearcast.content.store import guard_of
from nearcast.delivery.events import Wanted
from nearcast.delivery.messages import Offer, answer_fields
from nearcast.delivery.peer_source import PeerSource
from nearcast.delivery.purchase import Purchase
from nearcast.keys import load_or_create_identity
from nearcast.payments import pay_stream
from nearcast.transport.base import PeerAddress
from nearcast.transport.iroh import IrohEndpoint
from nearcast.wire import encode_message

SIZE_BYTES = 1 << 30
FIRST_SIZE_BYTES = 8 << 20
ROUNDS = 3  # the two take turns; the best of each counts
LATENCY_S = 0.025
ROUND_TRIPS, OVERHEAD_MS = 3, 20.0
GOODPUT = "paid fetch of 1 GiB over QUIC"
OVERHEAD = "payment bytes per content byte"
FIRST = "first paid byte, 50 ms round trip"
LOOPBACK = "127.0.0.1"


def rows(only: str | None) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="nearcast-bench-") as folder:
        if only is None or only in GOODPUT or only in OVERHEAD:
            paid, free = in_turns(Path(folder) / "near", SIZE_BYTES)
            yield Row(GOODPUT, max(map(_mb_per_s, paid)), "MB/s", 0.95, "for free", max(map(_mb_per_s, free)))
            share = max(each["payment_bytes"] / each["content_bytes"] for each in paid)
            yield Row(OVERHEAD, share * 100, "%", 0.1, lower_is_better=True)
        if only is None or only in FIRST:
            if not can_make_hosts():
                print(f"{FIRST}: this user cannot make network namespaces, left out")
                return
            with two_hosts(LATENCY_S) as (near, far, how):
                paid, _ = in_turns(Path(folder) / "far", FIRST_SIZE_BYTES, (near, far))
            goal_ms = ROUND_TRIPS * 2 * LATENCY_S * 1e3 + OVERHEAD_MS
            first_ms = min(each["first_s"] for each in paid[1:]) * 1e3  # the first turn opens the books
            yield Row(f"{FIRST} ({how})", first_ms, "ms", goal_ms, lower_is_better=True)


def in_turns(
    folder: Path, size_bytes: int, hosts: tuple[Host, Host] | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the paying and the free client measured, round by round."""
    folder.mkdir()
    random_file(folder / "large", size_bytes)
    paid, free = [], []
    with node_process(folder, hosts) as ready:
        for _ in range(ROUNDS):
            free.append(client_process("free", folder, ready, hosts))
            paid.append(client_process("paid", folder, ready, hosts))
    return paid, free


@contextmanager
def node_process(folder: Path, hosts: tuple[Host, Host] | None) -> Iterator[str]:
    """The node, from the line that says where it is until the block ends."""
    prefix, address = (hosts[0].prefix, hosts[0].address) if hosts else ((), LOOPBACK)
    command = [*prefix, sys.executable, "-m", "bench.paid", "node", str(folder), address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.communicate()  # its stdin ends, and so it does


def client_process(kind: str, folder: Path, ready: str, hosts: tuple[Host, Host] | None) -> dict[str, Any]:
    prefix = hosts[1].prefix if hosts else ()
    command = [*prefix, sys.executable, "-m", "bench.paid", kind, str(folder), ready]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _mb_per_s(measured: dict[str, Any]) -> float:
    return float(measured["content_bytes"] / measured["seconds"] / 1e6)


async def serve(folder: Path, address: str) -> None:
    """The node's process: it serves one file in place until its stdin ends."""
    path, free_id = folder / "large", load_or_create_identity(folder / "free.key").endpoint_id
    endpoint = await IrohEndpoint.bind(load_or_create_identity(folder / "node.key"), listen=f"{address}:0")
    async with world(folder) as place:
        node = seller(place, "node", endpoint=endpoint, is_free=lambda peer: peer == free_id)
        node.open_channel(Payer(1))
        dag = await asyncio.to_thread(lambda: file_dag(path.read_bytes()))
        with node.peer.store.batch() as batch:
            batch.put_reference(dag, path, guard_of(path.stat()))
        where = [endpoint.endpoint_id.hex(), list(endpoint.address().addresses), str(dag.root)]
        print(json.dumps(where), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await endpoint.close()


async def fetch(kind: str, folder: Path, ready: str) -> None:
    """A client's process: prints what it measured."""
    endpoint_id, addresses, root_text = json.loads(ready)
    address, root = PeerAddress(bytes.fromhex(endpoint_id), tuple(addresses)), parse_cid(root_text)
    endpoint = await IrohEndpoint.bind(load_or_create_identity(folder / f"{kind}.key"), listen="0.0.0.0:0")
    async with world(folder) as place:
        measured = await measure(place, kind, endpoint, address, root)
        await endpoint.close()
    shutil.rmtree(folder / "client")  # its pages are free again
    print(json.dumps(measured))


async def measure(place: World, kind: str, endpoint: IrohEndpoint, address: PeerAddress, root: Cid) -> dict[str, Any]:
    clock = SystemClock()
    who = buyer(place, store=place.store("client"), endpoint=endpoint)
    source = who.source(address, root) if kind == "paid" else PeerSource(who.reader.pool, address)
    meter = Meter(clock, source.purchase)
    start_s = clock.monotonic_s()
    report = await who.reader.fetcher.fetch(Wanted(root), [source], lambda _: None)
    if kind == "paid":
        await who.channel.settle()
    seconds = clock.monotonic_s() - start_s
    paid_bytes = sum(report.paid_bytes_by_source.values())
    if source.purchase is not None and paid_bytes != report.bytes_verified:
        raise RuntimeError(f"{paid_bytes} bytes were paid, {report.bytes_verified} verified")
    return {
        "seconds": seconds,
        "content_bytes": report.bytes_verified,
        "first_s": meter.first_s - start_s,
        "payment_bytes": meter.payment_bytes,
    }


class Meter:
    """Counts what is said because of the money, and notes when the first block was paid."""

    def __init__(self, clock: SystemClock, purchase: Purchase | None) -> None:
        self.payment_bytes = 0
        self.first_s = 0.0
        self._clock = clock
        self._free_offer_bytes = len(encode_message(answer_fields(Offer(0))))
        pay_stream.encode_message = self._said  # type: ignore[attr-defined]
        if purchase is not None:
            self._accept, self._verified = purchase.accept, purchase.verified
            purchase.accept, purchase.verified = self._offered, self._paid  # type: ignore[method-assign]

    def _said(self, value: Any) -> bytes:
        """A word on a payment stream. A greeting is answered once, in fewer bytes than it has."""
        data = encode_message(value)
        self.payment_bytes += len(data) * (2 if "config" in value else 1)
        return data

    def _offered(self, root: Cid, offer: Offer) -> int:
        """A request named its channel and its price, its offer was signed."""
        named = {"channel": bytes(32), "max_price": offer.price}
        self.payment_bytes += len(encode_message(named)) + len(encode_message(answer_fields(offer)))
        self.payment_bytes -= self._free_offer_bytes
        return self._accept(root, offer)

    def _paid(self, size_bytes: int, price_units_per_gib: int) -> None:
        self.first_s = self.first_s or self._clock.monotonic_s()
        self._verified(size_bytes, price_units_per_gib)


def main() -> None:
    role, folder, word = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    uvloop.run(serve(folder, word) if role == "node" else fetch(role, folder, word))


if __name__ == "__main__":
    main()

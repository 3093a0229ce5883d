"""A node's real gateway that asks for money, on a real chain, and reached from "another machine": over the address that
this one has in its network, which is not loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.chain.devchains import CHAIN_ID
from tests.gateways.suite import QUOTA_BYTES, connected, share

from nearcast.chain.bindings.settlement import Claim, Settlement
from nearcast.chain.deployment import DEV
from nearcast.chain.deposits import usdc_domain
from nearcast.chain.devchain.addresses import ACCOUNTS, ERC3009_COLLECTOR, SETTLEMENT, TOKEN
from nearcast.chain.eip712 import keccak
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.signing import Signer
from nearcast.chain.transaction_journal import TransactionJournal
from nearcast.chain.transactions import Sender
from nearcast.chain.vouchers import Voucher
from nearcast.clock import SystemClock
from nearcast.content.cid import Cid
from nearcast.content.store import Store
from nearcast.gateways.http.app import HttpGateway
from nearcast.gateways.http.payment_desk import PaymentDesk
from nearcast.gateways.http.request import RequestLine
from nearcast.gateways.http.server import HttpServer
from nearcast.node.addresses import lan_hosts
from nearcast.payments.earned import EarnedLedger
from nearcast.payments.terms import terms_of
from nearcast.payments.till import Till
from nearcast.telemetry import Telemetry

SELLER = 2  # of the test accounts: the operator, who also pays the gas
HOT_KEY = Signer(keccak(b"the shop's hot key"))
NETWORK = f"eip155:{CHAIN_ID}"


@dataclass
class Shop:
    """A gateway that sells what is in its store. `url` is reached as a stranger, `local_url` as its owner."""

    url: str
    local_url: str
    store: Store
    gateway: HttpGateway
    till: Till
    desk: PaymentDesk
    ledger: EarnedLedger
    lines: list[RequestLine]
    _settlement: Settlement
    _sender: Sender

    def share(self, path: Path) -> str:
        """The path below the gateway's address of something that is sold now."""
        return f"/ipfs/{self.share_cid(path)}"

    def share_cid(self, path: Path) -> Cid:
        return share(self.store, path, in_place=False)

    async def claim_and_settle(self) -> None:
        """All vouchers, in one transaction."""
        terms = self.till.terms
        claims = [
            Claim(each.config, Voucher(each.channel_id, each.promise.units), each.promise.signature, each.promise.units)
            for each in self.till.customers()
        ]
        await self._sender.send(self._settlement.claim_and_settle(claims, terms.receiver, terms.token))


def stranger_host() -> str:
    """This machine's address for others; the test is skipped where it has none."""
    hosts = lan_hosts()
    if not hosts:
        pytest.skip("this machine has no address but loopback")
    return hosts[0]


@asynccontextmanager
async def selling(
    rpc_url: str, folder: Path, price_units_per_gib: int, *, sends: bool = True, **options: Any
) -> AsyncIterator[Shop]:
    """A shop with its till, in this loop. `sends`: it pays the gas of deposits. `options` are the desk's own."""
    host, lines, clock, telemetry = stranger_host(), list[RequestLine](), SystemClock(), Telemetry()
    async with AsyncExitStack() as stack:
        rpc = await stack.enter_async_context(JsonRpc(rpc_url, CHAIN_ID))
        journal = stack.enter_context(TransactionJournal.open(folder / "transactions.sqlite3"))
        ledger = stack.enter_context(EarnedLedger.open(folder / "earned.sqlite3"))
        store = stack.enter_context(Store.open(folder / "store", quota_bytes=QUOTA_BYTES, clock=clock))
        client = await stack.enter_async_context(connected(store, None))
        settlement, sender = Settlement(rpc, SETTLEMENT), Sender(rpc, Signer(ACCOUNTS[SELLER].secret), journal)
        terms = terms_of(DEV, ACCOUNTS[SELLER].address, HOT_KEY.address)
        till = Till(terms, ledger, settlement, confirmations=1, clock=clock, telemetry=telemetry)
        desk = PaymentDesk(
            till,
            settlement,
            token=usdc_domain(CHAIN_ID, TOKEN, "USDC"),
            collector=ERC3009_COLLECTOR,
            price=lambda: price_units_per_gib,
            role=lambda root: "own",
            sender=sender if sends else None,
            clock=clock,
            **options,
        )
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running = tasks.create_task(till.run())
        stack.callback(running.cancel)
        gateway = HttpGateway(client, on_request=lines.append, payments=desk)
        server = HttpServer()
        await server.start(gateway, "0.0.0.0", 0)
        stack.push_async_callback(server.stop)
        urls = f"http://{host}:{server.port}", f"http://127.0.0.1:{server.port}"
        yield Shop(*urls, store, gateway, till, desk, ledger, lines, settlement, sender)

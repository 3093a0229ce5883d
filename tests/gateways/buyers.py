"""x402's own Python client as a buyer at a node's gateway, and what it is told."""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from eth_account import Account as Wallet
from tests.chain.devchains import Rpc, engine, running
from tests.gateways.selling import NETWORK, Shop, selling
from x402 import x402ClientSync
from x402.client_base import SpendControlAsset
from x402.http.clients.requests import wrapRequestsWithPayment
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme
from x402.mechanisms.evm.signers import EthAccountSigner, EthAccountSignerWithRPC

from nearcast.chain.abi import contract
from nearcast.chain.devchain.addresses import ACCOUNTS, TOKEN
from nearcast.chain.devchain.node import DevChain

PAYER = 1  # of the test accounts
START = 10_000 * 10**6
SIZE_BYTES = 3 << 20
PRICE = 10 * 1024 * 1_000  # units per GiB: a MiB costs 10,000, what a page costs in x402's own examples
FILE_UNITS = 30_000
DEPOSIT = 5 * FILE_UNITS  # x402's client: five times what it wants, and never less than the server asks for
token = contract("TestUSDC")
Act = Callable[[Shop, asyncio.AbstractEventLoop], None]


class Buyer:
    """x402's client with x402's session, of account 1. With `rpc` it can read the chain."""

    def __init__(self, rpc: Rpc | None = None, cap_units: int = FILE_UNITS) -> None:
        wallet = Wallet.from_key(ACCOUNTS[PAYER].secret)
        signer = EthAccountSignerWithRPC(wallet, rpc.url) if rpc else EthAccountSigner(wallet)
        client = x402ClientSync().register(NETWORK, BatchSettlementEvmScheme(signer))
        asset = SpendControlAsset(network=NETWORK, asset=f"0x{TOKEN.hex()}", max_amount_per_payment=str(cap_units))
        client.set_spend_controls({"allowed_assets": [asset]})
        self.session = wrapRequestsWithPayment(requests.Session(), client)

    def get(self, url: str, **headers: str) -> requests.Response:
        return self.session.get(url, timeout=30, headers=headers)


def buying(rpc: Rpc, folder: Path, act: Act, **options: Any) -> None:
    """Runs a client, which blocks, in a thread beside a shop whose data is in `folder`; `options` are the shop's."""

    async def run() -> None:
        folder.mkdir(exist_ok=True)
        async with selling(rpc.url, folder, PRICE, **options) as shop:
            await asyncio.to_thread(act, shop, asyncio.get_running_loop())

    asyncio.run(run())


@contextmanager
def fresh_chain() -> Iterator[Rpc]:
    """A development chain behind RPC."""
    chain = DevChain(engine(), time.time, None, automine=True)
    try:
        with running(chain) as client:
            yield client
    finally:
        chain.close()


def balance(rpc: Rpc, account: int) -> int:
    answer = rpc.call(TOKEN, token.encode_call("balanceOf", [ACCOUNTS[account].address]))
    return int(token.decode_result("balanceOf", answer))


def blocks(rpc: Rpc) -> int:
    return int(rpc("eth_blockNumber"), 16)


def charged(response: requests.Response) -> tuple[int, int]:
    """What this answer cost, and all of the channel."""
    extra = json.loads(base64.b64decode(response.headers["PAYMENT-RESPONSE"]))["extra"]
    return int(extra["chargedAmount"]), int(extra["channelState"]["chargedCumulativeAmount"])


def claim_and_settle(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
    asyncio.run_coroutine_threadsafe(shop.claim_and_settle(), loop).result(timeout=30)


def required(response: requests.Response) -> Any:
    assert response.status_code == 402
    told = json.loads(base64.b64decode(response.headers["PAYMENT-REQUIRED"]))
    assert told == response.json()
    return told


def captured(shop: Shop, path: str) -> dict[str, Any]:
    """A good voucher payment, taken off the wire."""
    buyer = Buyer()
    buyer.get(shop.url + path)
    header = buyer.get(shop.url + path).request.headers["PAYMENT-SIGNATURE"]
    return dict(json.loads(base64.b64decode(header)))


def send(url: str, payment: Any, **headers: str) -> requests.Response:
    header = payment if isinstance(payment, str) else base64.b64encode(json.dumps(payment).encode()).decode()
    return requests.get(url, headers={"PAYMENT-SIGNATURE": header, **headers}, timeout=30)

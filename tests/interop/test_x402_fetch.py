"""x402's JavaScript client (@x402/fetch with @x402/evm) pays our server, and a node's own gateway, unmodified."""

import asyncio
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.chain.devchains import Rpc, engine, running
from tests.chain.paid_server import NETWORK, PAGE, Shop, selling
from tests.gateways.selling import selling as selling_node
from tests.interop.programs import javascript

from nearcast.chain.abi import contract
from nearcast.chain.devchain.addresses import ACCOUNTS, TOKEN
from nearcast.chain.devchain.node import DevChain

pytestmark = pytest.mark.interop

PAYER, SELLER = 1, 2  # indices of test accounts
PRICE = 10_000
DEPOSIT = 5 * PRICE  # what x402's client deposits unless told otherwise
START = 10_000 * 10**6
PACKAGES = ("@x402/fetch", "@x402/evm", "viem")
token = contract("TestUSDC")


@pytest.fixture
def rpc() -> Iterator[Rpc]:
    """A development chain behind RPC."""
    chain = DevChain(engine(), time.time, None, automine=True)
    try:
        with running(chain) as client:
            yield client
    finally:
        chain.close()


async def buy(shop: Shop, pages: int, **more: Any) -> Any:
    """Let the client buy in a process of its own."""
    wish: dict[str, Any] = {"url": shop.url, "key": f"0x{ACCOUNTS[PAYER].secret.hex()}", "network": NETWORK}
    wish |= {"asset": f"0x{TOKEN.hex()}", "price": str(PRICE), "pages": pages} | more
    said = await asyncio.to_thread(javascript, "pay_x402.mjs", wishes=wish, packages=PACKAGES)
    assert [page["status"] for page in said["pages"]] == [200] * pages, said
    assert {page["text"] for page in said["pages"]} == {PAGE}
    return said


def charged(page: Any) -> int:
    return int(page["receipt"]["extra"]["channelState"]["chargedCumulativeAmount"])


def balance(rpc: Rpc, account: int) -> int:
    answer = rpc.call(TOKEN, token.encode_call("balanceOf", [ACCOUNTS[account].address]))
    return int(token.decode_result("balanceOf", answer))


def test_it_deposits_pays_tops_up_and_is_refunded(rpc: Rpc, tmp_path: Path) -> None:
    async def run() -> None:
        async with selling(rpc.url, tmp_path, PRICE) as shop:
            said = await buy(shop, pages=7, refund=True)
            assert [charged(page) for page in said["pages"]] == [PRICE * paid for paid in range(1, 8)]
            on_chain = [bool(page["receipt"]["transaction"]) for page in said["pages"]]
            assert on_chain == [True, False, False, False, False, True, False]
            assert said["refund"]["success"] is True
            assert balance(rpc, PAYER) == START - 7 * PRICE
            await shop.claim_and_settle()
            assert balance(rpc, SELLER) == START + 7 * PRICE

    asyncio.run(run())


def test_a_new_process_finds_the_channel_of_the_old_one(rpc: Rpc, tmp_path: Path) -> None:
    """It reads the deposit from our chain, and what it has promised from our corrective 402."""

    async def run() -> None:
        async with selling(rpc.url, tmp_path, PRICE) as shop:
            await buy(shop, pages=2)
            height = rpc("eth_blockNumber")
            said = await buy(shop, pages=1, rpc=rpc.url)
            assert charged(said["pages"][0]) == 3 * PRICE
            assert rpc("eth_blockNumber") == height
            assert balance(rpc, PAYER) == START - DEPOSIT

    asyncio.run(run())


def test_it_buys_a_file_and_a_range_from_a_gateway(rpc: Rpc, tmp_path: Path) -> None:
    """Files of 1 MiB at PRICE; the node sends the deposit, and claims what it earned."""
    data = os.urandom(1 << 20)
    film = tmp_path / "film.bin"
    film.write_bytes(data)

    async def run() -> None:
        async with selling_node(rpc.url, tmp_path, 1024 * PRICE) as shop:
            wish: dict[str, Any] = {"url": shop.url + shop.share(film), "key": f"0x{ACCOUNTS[PAYER].secret.hex()}"}
            wish |= {"network": NETWORK, "asset": f"0x{TOKEN.hex()}", "price": str(PRICE), "pages": 3}
            wish["headers"] = [{}, {"Range": "bytes=500-1523"}, {"Range": "bytes=-1"}]
            said = await asyncio.to_thread(javascript, "pay_x402.mjs", wishes=wish, packages=PACKAGES)
            assert [page["status"] for page in said["pages"]] == [200, 206, 206], said
            expected = [hashlib.sha256(part).hexdigest() for part in (data, data[500:1524], data[-1:])]
            assert [page["sha256"] for page in said["pages"]] == expected
            assert [charged(page) for page in said["pages"]] == [PRICE, PRICE + 10, PRICE + 11]
            assert balance(rpc, PAYER) == START - DEPOSIT
            await shop.claim_and_settle()
            assert balance(rpc, SELLER) == START + PRICE + 11

    asyncio.run(run())

"""A stock Python client of x402 (PyPI `x402`) buys files, ranges and blocks from a node's own gateway."""

import asyncio
import base64
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from eth_account import Account as Wallet
from tests.chain.devchains import Rpc, engine, running
from tests.gateways.selling import NETWORK, SELLER, Shop, selling
from x402 import x402ClientSync
from x402.client_base import SpendControlAsset
from x402.http.clients.requests import wrapRequestsWithPayment
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme
from x402.mechanisms.evm.signers import EthAccountSigner, EthAccountSignerWithRPC

from nearcast.chain.abi import contract
from nearcast.chain.devchain.addresses import ACCOUNTS, TOKEN
from nearcast.chain.devchain.node import DevChain
from nearcast.gateways.http.payment_desk import DEPOSIT_MIN_UNITS
from nearcast.payments.credit import cost_units

PAYER = 1  # of the test accounts
START = 10_000 * 10**6
SIZE_BYTES = 3 << 20
PRICE = 10 * 1024 * 1_000  # units per GiB: a MiB costs 10,000, what a page costs in x402's own examples
FILE_UNITS = 30_000
DEPOSIT = 5 * FILE_UNITS  # x402's client: five times what it wants, and never less than the server asks for
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


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.bin"
    path.write_bytes(os.urandom(SIZE_BYTES))
    return path


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


Act = Callable[[Shop, asyncio.AbstractEventLoop], None]
Buying = Callable[..., None]


@pytest.fixture
def buying(rpc: Rpc, tmp_path: Path) -> Buying:
    """Runs a client, which blocks, in a thread beside the shop."""

    def buy(act: Act, **options: Any) -> None:
        async def run() -> None:
            folder = tmp_path / "node"
            folder.mkdir(exist_ok=True)
            async with selling(rpc.url, folder, PRICE, **options) as shop:
                await asyncio.to_thread(act, shop, asyncio.get_running_loop())

        asyncio.run(run())

    return buy


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


def test_a_file_and_a_range_are_paid_for_and_claimed(rpc: Rpc, buying: Buying, film: Path) -> None:
    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        data, url = film.read_bytes(), shop.url + shop.share(film)
        buyer, started = Buyer(), blocks(rpc)
        whole = buyer.get(url)
        assert (whole.status_code, whole.content) == (200, data)
        assert charged(whole) == (FILE_UNITS, FILE_UNITS)
        assert blocks(rpc) == started + 1  # the deposit, whose gas was ours
        assert balance(rpc, PAYER) == START - DEPOSIT
        part = buyer.get(url, Range="bytes=1000-1999")
        assert (part.status_code, part.content) == (206, data[1000:2000])
        assert part.headers["Content-Range"] == f"bytes 1000-1999/{SIZE_BYTES}"
        units = cost_units(1_000, PRICE)
        assert charged(part) == (units, FILE_UNITS + units)
        assert blocks(rpc) == started + 1
        (customer,) = shop.till.customers()
        assert shop.ledger.newest(customer.channel_id).promise.units == FILE_UNITS + units  # type: ignore[union-attr]

        claim_and_settle(shop, loop)
        assert balance(rpc, SELLER) == START + FILE_UNITS + units
        assert [(line.status, line.size_bytes) for line in shop.lines if line.status < 300] == [
            (200, SIZE_BYTES),
            (206, 1_000),
        ]

    buying(act)


def test_blocks_and_files_of_a_folder_are_paid_for(buying: Buying, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"a" * 200_000)
    (folder / "index.html").write_text("<h1>hello</h1>")

    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        url = shop.url + shop.share(folder)
        buyer = Buyer()
        assert buyer.get(f"{url}/a.txt").content == b"a" * 200_000
        assert buyer.get(f"{url}/").text == "<h1>hello</h1>"
        raw = buyer.get(f"{url}/a.txt", Accept="application/vnd.ipld.raw")
        assert raw.content == b"a" * 200_000
        assert charged(raw)[0] == cost_units(200_000, PRICE)

    buying(act)


def test_a_used_up_channel_is_topped_up(rpc: Rpc, buying: Buying, film: Path) -> None:
    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        url = shop.url + shop.share(film)
        buyer, started = Buyer(), blocks(rpc)
        assert [buyer.get(url).status_code for _ in range(7)] == [200] * 7
        assert blocks(rpc) == started + 2
        assert len(shop.till.customers()) == 1
        claim_and_settle(shop, loop)
        assert balance(rpc, SELLER) == START + 7 * FILE_UNITS

    buying(act)


def test_a_client_that_forgot_everything_goes_on(rpc: Rpc, buying: Buying, film: Path) -> None:
    """It reads the deposit from the chain, and what it promised from our corrective 402."""

    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        url = shop.url + shop.share(film)
        before = Buyer()
        assert [before.get(url).status_code for _ in range(2)] == [200, 200]
        height = blocks(rpc)
        response = Buyer(rpc).get(url)
        assert response.status_code == 200
        assert charged(response) == (FILE_UNITS, 3 * FILE_UNITS)
        assert blocks(rpc) == height

    buying(act)


def test_a_node_that_was_restarted_remembers_what_was_charged(rpc: Rpc, buying: Buying, film: Path) -> None:
    buyer = Buyer()
    paths: list[str] = []

    def first(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        paths.append(shop.share(film))
        assert buyer.get(shop.url + paths[0]).status_code == 200

    def second(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        assert charged(buyer.get(shop.url + paths[0])) == (FILE_UNITS, 2 * FILE_UNITS)
        claim_and_settle(shop, loop)
        assert balance(rpc, SELLER) == START + 2 * FILE_UNITS

    buying(first)
    buying(second)


def test_a_small_purchase_deposits_what_the_gas_is_worth(rpc: Rpc, buying: Buying, tmp_path: Path) -> None:
    small = tmp_path / "small.txt"
    small.write_text("ten bytes.")

    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        response = Buyer(cap_units=DEPOSIT_MIN_UNITS).get(shop.url + shop.share(small))
        assert (response.text, charged(response)) == ("ten bytes.", (1, 1))
        assert balance(rpc, PAYER) == START - DEPOSIT_MIN_UNITS

    buying(act)


# --- what is not sold --------------------------------------------------------------------------------------------


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


def test_without_a_payment_strangers_are_told_the_price_and_the_owner_is_not_asked(buying: Buying, film: Path) -> None:
    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        path = shop.share(film)
        for _ in range(3):  # also when the owner's requests have made it hot
            [accepted] = required(requests.get(shop.url + path, timeout=30))["accepts"]
            assert (accepted["scheme"], accepted["network"]) == ("batch-settlement", NETWORK)
            assert accepted["amount"] == str(FILE_UNITS)
            part = requests.get(shop.url + path, headers={"Range": "bytes=0-0"}, timeout=30)
            assert required(part)["accepts"][0]["amount"] == "1"
            assert requests.get(shop.local_url + path, timeout=30).content == film.read_bytes()
            assert requests.get(shop.local_url + path, headers={"Range": "bytes=0-9"}, timeout=30).status_code == 206
        behind_a_proxy = requests.get(shop.local_url + path, headers={"Via": "1.1 proxy"}, timeout=30)
        assert behind_a_proxy.status_code == 402

    buying(act)


def test_what_has_no_content_is_free(buying: Buying, film: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "empty").write_bytes(b"")

    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        url = shop.url + shop.share(film)
        head = requests.head(url, timeout=30)
        assert (head.status_code, head.headers["Content-Length"]) == (200, str(SIZE_BYTES))
        tag = head.headers["ETag"]
        assert requests.get(url, headers={"If-None-Match": tag}, timeout=30).status_code == 304
        assert requests.get(url, headers={"Range": f"bytes={SIZE_BYTES}-"}, timeout=30).status_code == 416
        listing = shop.url + shop.share(folder)
        assert requests.get(f"{listing}/", timeout=30).status_code == 200
        assert requests.get(f"{listing}/empty", timeout=30).content == b""
        assert requests.get(f"{listing}/nothing", timeout=30).status_code == 404
        assert requests.get(f"{shop.url}/health", timeout=30).status_code == 200
        options = requests.options(url, timeout=30)
        assert "Payment-Signature" in options.headers["Access-Control-Allow-Headers"]

    buying(act)


def test_a_replayed_or_changed_payment_buys_nothing(rpc: Rpc, buying: Buying, film: Path) -> None:
    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        path = shop.share(film)
        payment = captured(shop, path)
        (customer,) = shop.till.customers()
        promise = customer.promise

        def changed(place: str, value: Any) -> Any:
            copy = json.loads(json.dumps(payment))
            *folders, name = place.split(".")
            part = copy
            for folder in folders:
                part = part[folder]
            part[name] = value
            return copy

        other = f"0x{ACCOUNTS[5].address.hex()}"
        bad = [
            payment,
            changed("payload.voucher.maxClaimableAmount", str(promise.units + FILE_UNITS)),
            changed("payload.voucher.maxClaimableAmount", str(1 << 130)),
            changed("payload.voucher.signature", "0x" + "00" * 65),
            changed("payload.voucher.channelId", "0x" + "11" * 32),
            changed("payload.channelConfig.receiver", other),
            changed("payload.channelConfig.payerAuthorizer", other),
            changed("payload.channelConfig.payerAuthorizer", "0x" + "00" * 20),
            changed("payload.channelConfig.token", other),
            changed("payload.channelConfig.withdrawDelay", 900),
            changed("payload.type", "gift"),
            changed("payload.type", "refund"),
            changed("payload.type", "deposit"),
            changed("accepted.network", "eip155:8453"),
            changed("accepted.scheme", "exact"),
            changed("payload", []),
            "not base64!",
            base64.b64encode(b"[" * 5_000).decode(),
            "A" * 20_000,
        ]
        height = blocks(rpc)
        for tried in bad:
            required(send(shop.url + path, tried))
        assert customer.promise == promise
        assert blocks(rpc) == height
        assert not any(line.status < 300 for line in shop.lines[4:])

    buying(act)


def test_one_voucher_sent_twice_at_once_buys_one_file(buying: Buying, film: Path) -> None:
    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        path = shop.share(film)
        payment = captured(shop, path)
        wallet = Wallet.from_key(ACCOUNTS[PAYER].secret)
        (customer,) = shop.till.customers()
        from nearcast.chain.signing import Signer
        from nearcast.chain.vouchers import Voucher, sign_voucher

        voucher = Voucher(customer.channel_id, customer.promise.units + FILE_UNITS)
        signature = sign_voucher(shop.till.terms.domain, voucher, Signer(bytes(wallet.key)))
        payment["payload"]["voucher"]["maxClaimableAmount"] = str(voucher.max_claimable_units)
        payment["payload"]["voucher"]["signature"] = f"0x{signature.hex()}"
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.append(send(shop.url + path, payment).status_code)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == [200] + [402] * 7

    buying(act)


def test_a_node_that_sends_no_deposits_says_so(rpc: Rpc, buying: Buying, film: Path) -> None:
    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        height = blocks(rpc)
        refused = Buyer().get(shop.url + shop.share(film))
        assert "sends no deposits" in required(refused)["error"]
        assert blocks(rpc) == height

    buying(act, sends=False)


@pytest.mark.parametrize(("part", "said"), [("amount", "below_min_deposit"), ("signature", "not signed by its payer")])
def test_a_deposit_that_is_not_right_is_not_sent(rpc: Rpc, buying: Buying, film: Path, part: str, said: str) -> None:
    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        path = shop.share(film)
        header = Buyer().get(shop.url + path).request.headers["PAYMENT-SIGNATURE"]
        payment = json.loads(base64.b64decode(header))
        deposit = payment["payload"]["deposit"]
        if part == "amount":
            deposit["amount"] = str(DEPOSIT_MIN_UNITS - 1)
        else:
            deposit["amount"] = str(2 * DEPOSIT)
        height = blocks(rpc)
        assert said in required(send(shop.url + path, payment))["error"]
        assert blocks(rpc) == height

    buying(act)


def test_a_payer_whom_the_token_has_frozen_gets_nothing_and_keeps_his_money(
    rpc: Rpc, buying: Buying, film: Path
) -> None:
    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        url = shop.url + shop.share(film)
        payer = ACCOUNTS[PAYER].address
        rpc.do(0, TOKEN, token.encode_call("blacklist", [payer]))
        height = blocks(rpc)
        assert "account is blacklisted" in required(Buyer().get(url))["error"]
        assert blocks(rpc) == height
        rpc.do(0, TOKEN, token.encode_call("unBlacklist", [payer]))
        assert Buyer().get(url).status_code == 200

    buying(act)


def test_nothing_is_charged_for_what_cannot_be_read(buying: Buying, film: Path) -> None:
    """The file was shared in place and has changed: the payment is not taken."""

    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        from tests.gateways.suite import share

        good = shop.share(film)
        other = film.with_name("other.bin")
        other.write_bytes(os.urandom(SIZE_BYTES))
        changing = f"/ipfs/{share(shop.store, other)}"
        buyer = Buyer()
        assert buyer.get(shop.url + good).status_code == 200
        other.write_bytes(os.urandom(SIZE_BYTES))
        gone = buyer.get(shop.url + changing)
        assert gone.status_code == 410
        assert "PAYMENT-RESPONSE" not in gone.headers
        assert charged(buyer.get(shop.url + good)) == (FILE_UNITS, 2 * FILE_UNITS)

    buying(act)

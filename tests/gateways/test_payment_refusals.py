"""What a node's gateway does not sell: without a payment, for a false one, or what it cannot hand out."""

import asyncio
import base64
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from eth_account import Account as Wallet
from tests.chain.devchains import Rpc
from tests.gateways.buyers import (
    DEPOSIT,
    FILE_UNITS,
    PAYER,
    SIZE_BYTES,
    Act,
    Buyer,
    blocks,
    captured,
    charged,
    fresh_chain,
    required,
    send,
    token,
)
from tests.gateways.buyers import buying as run_buying
from tests.gateways.selling import NETWORK, Shop
from tests.gateways.suite import share

from nearcast.chain.devchain.addresses import ACCOUNTS, TOKEN
from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import Voucher, sign_voucher
from nearcast.gateways.http.payment_desk import DEPOSIT_MIN_UNITS

Buying = Callable[..., None]


@pytest.fixture
def rpc() -> Iterator[Rpc]:
    with fresh_chain() as chain:
        yield chain


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.bin"
    path.write_bytes(os.urandom(SIZE_BYTES))
    return path


@pytest.fixture
def buying(rpc: Rpc, tmp_path: Path) -> Buying:
    def buy(act: Act, **options: Any) -> None:
        run_buying(rpc, tmp_path / "node", act, **options)

    return buy


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

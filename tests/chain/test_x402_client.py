"""A stock Python client of x402 (PyPI `x402`) pays our server for pages: deposit, vouchers, claim, refund."""

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from eth_account import Account as Wallet
from tests.chain.devchains import Rpc
from tests.chain.paid_server import NETWORK, PAGE, Shop, selling
from x402 import x402ClientSync
from x402.client_base import SpendControlAsset
from x402.http.clients.requests import wrapRequestsWithPayment
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme, RefundOptions
from x402.mechanisms.evm.batch_settlement.client.refund import _RefundResponse
from x402.mechanisms.evm.signers import EthAccountSigner, EthAccountSignerWithRPC

from nearcast.chain.abi import contract
from nearcast.chain.devchain.addresses import ACCOUNTS, SETTLEMENT, TOKEN

PAYER, SELLER = 1, 2  # indices of test accounts
PRICE = 10_000
DEPOSIT = 5 * PRICE  # what x402's client deposits unless told otherwise
START = 10_000 * 10**6
settlement, token = contract("BatchSettlement"), contract("TestUSDC")


class Buyer:
    """x402's client with x402's session, of account 1. With `rpc` it can read the chain, as x402 has it for wallets."""

    def __init__(self, rpc: Rpc | None = None) -> None:
        wallet = Wallet.from_key(ACCOUNTS[PAYER].secret)
        signer = EthAccountSignerWithRPC(wallet, rpc.url) if rpc else EthAccountSigner(wallet)
        self.scheme = BatchSettlementEvmScheme(signer)
        client = x402ClientSync().register(NETWORK, self.scheme)
        asset = SpendControlAsset(network=NETWORK, asset=f"0x{TOKEN.hex()}", max_amount_per_payment=str(PRICE))
        client.set_spend_controls({"allowed_assets": [asset]})
        self.session = wrapRequestsWithPayment(requests.Session(), client)

    def get(self, url: str) -> requests.Response:
        return self.session.get(url, timeout=30)

    def refund(self, url: str, amount: str | None = None) -> Any:
        return self.scheme.refund(url, RefundOptions(amount=amount, fetch=fetch))


def fetch(url: str, headers: dict[str, str]) -> _RefundResponse:
    """How x402's refund asks; its own way would need another HTTP package."""
    response = requests.get(url, headers=headers, timeout=30)
    return _RefundResponse(response.status_code, dict(response.headers))


Buying = Callable[[Callable[[Shop, asyncio.AbstractEventLoop], None]], None]


@pytest.fixture
def buying(rpc: Rpc, tmp_path: Path) -> Buying:
    """Runs a client, which blocks, in a thread beside the shop; it may run the shop's own errands on its loop."""

    def buy(act: Callable[[Shop, asyncio.AbstractEventLoop], None]) -> None:
        async def run() -> None:
            async with selling(rpc.url, tmp_path, PRICE) as shop:
                await asyncio.to_thread(act, shop, asyncio.get_running_loop())

        asyncio.run(run())

    return buy


def claim_and_settle(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
    asyncio.run_coroutine_threadsafe(shop.claim_and_settle(), loop).result(timeout=30)


def balance(rpc: Rpc, account: int) -> int:
    answer = rpc.call(TOKEN, token.encode_call("balanceOf", [ACCOUNTS[account].address]))
    return int(token.decode_result("balanceOf", answer))


def channel_on_chain(rpc: Rpc, shop: Shop) -> tuple[int, int]:
    """Balance and claimed units of the only channel there is."""
    (channel,) = shop.accounts
    found = settlement.decode_result("channels", rpc.call(SETTLEMENT, settlement.encode_call("channels", [channel])))
    return int(found[0]), int(found[1])


def blocks(rpc: Rpc) -> int:
    return int(rpc("eth_blockNumber"), 16)


def receipt_of(response: requests.Response) -> Any:
    return json.loads(base64.b64decode(response.headers["PAYMENT-RESPONSE"]))


def test_a_stock_client_pays_for_pages(rpc: Rpc, buying: Buying) -> None:
    """The chain is touched three times in all: deposit, claim and settle together, refund."""

    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        buyer = Buyer()
        started = blocks(rpc)
        first = buyer.get(shop.url)
        assert (first.status_code, first.text) == (200, PAGE)
        assert receipt_of(first)["transaction"].startswith("0x")
        assert channel_on_chain(rpc, shop) == (DEPOSIT, 0)
        for paid in range(2, 5):
            response = buyer.get(shop.url)
            assert response.text == PAGE
            assert receipt_of(response)["extra"]["channelState"]["chargedCumulativeAmount"] == str(paid * PRICE)
        assert blocks(rpc) == started + 1
        assert balance(rpc, PAYER) == START - DEPOSIT

        claim_and_settle(shop, loop)
        assert channel_on_chain(rpc, shop) == (DEPOSIT, 4 * PRICE)
        assert balance(rpc, SELLER) == START + 4 * PRICE

        refunded = buyer.refund(shop.url)
        assert refunded.success
        assert balance(rpc, PAYER) == START - 4 * PRICE
        assert channel_on_chain(rpc, shop) == (4 * PRICE, 4 * PRICE)
        assert blocks(rpc) == started + 3

    buying(act)


def test_a_used_up_channel_is_topped_up(rpc: Rpc, buying: Buying) -> None:
    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        buyer = Buyer()
        assert [buyer.get(shop.url).status_code for _ in range(7)] == [200] * 7
        assert channel_on_chain(rpc, shop) == (2 * DEPOSIT, 0)
        assert len(shop.accounts) == 1
        claim_and_settle(shop, loop)
        assert balance(rpc, SELLER) == START + 7 * PRICE

    buying(act)


def test_a_part_is_refunded_and_the_rest_goes_on(rpc: Rpc, buying: Buying) -> None:
    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        buyer = Buyer()
        buyer.get(shop.url)
        assert buyer.refund(shop.url, str(PRICE)).success
        assert channel_on_chain(rpc, shop) == (DEPOSIT - PRICE, PRICE)
        assert buyer.get(shop.url).text == PAGE

    buying(act)


def test_a_client_that_forgot_everything_finds_its_channel_again(rpc: Rpc, buying: Buying) -> None:
    """It reads the deposit from the chain, and learns from the corrective 402 what its vouchers promised already."""

    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        before = Buyer()
        for _ in range(2):
            before.get(shop.url)
        started = blocks(rpc)
        response = Buyer(rpc).get(shop.url)
        assert response.text == PAGE
        assert receipt_of(response)["extra"]["channelState"]["chargedCumulativeAmount"] == str(3 * PRICE)
        assert blocks(rpc) == started

    buying(act)


def test_a_shop_that_forgot_everything_trusts_the_chain(rpc: Rpc, buying: Buying) -> None:
    """Vouchers that were not claimed are lost with it, so it charges from what was claimed; the client follows."""

    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        buyer = Buyer(rpc)
        buyer.get(shop.url)
        claim_and_settle(shop, loop)
        shop.accounts.clear()
        assert buyer.get(shop.url).text == PAGE
        assert channel_on_chain(rpc, shop) == (DEPOSIT, PRICE)

    buying(act)


# --- what is not paid for ----------------------------------------------------------------------------------------


def captured(shop: Shop) -> tuple[str, dict[str, Any]]:
    """The header of a good voucher payment, taken off the wire, and its JSON."""
    buyer = Buyer()
    buyer.get(shop.url)
    response = buyer.get(shop.url)
    header = response.request.headers["PAYMENT-SIGNATURE"]
    header = header if isinstance(header, str) else header.decode()
    return header, json.loads(base64.b64decode(header))


def send(shop: Shop, payment: Any) -> requests.Response:
    header = payment if isinstance(payment, str) else base64.b64encode(json.dumps(payment).encode()).decode()
    return requests.get(shop.url, headers={"PAYMENT-SIGNATURE": header}, timeout=30)


def test_a_replayed_or_changed_payment_buys_nothing(rpc: Rpc, buying: Buying) -> None:
    """One change is left out: as a refund the newest voucher counts again, for that is how x402 asks for one."""

    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        header, payment = captured(shop)
        (account,) = shop.accounts.values()
        charged_units = account.charged_units

        def changed(path: str, value: Any) -> Any:
            copy = json.loads(json.dumps(payment))
            *folders, name = path.split(".")
            part = copy
            for folder in folders:
                part = part[folder]
            part[name] = value
            return copy

        other = f"0x{ACCOUNTS[5].address.hex()}"
        more = str(charged_units + PRICE)
        bad = [
            header,
            changed("payload.voucher.maxClaimableAmount", more),
            changed("payload.voucher.signature", "0x" + "00" * 65),
            changed("payload.voucher.channelId", "0x" + "11" * 32),
            changed("payload.channelConfig.receiver", other),
            changed("payload.channelConfig.payerAuthorizer", other),
            changed("payload.channelConfig.withdrawDelay", 900),
            changed("payload.type", "gift"),
            changed("payload.type", "deposit"),
            changed("accepted.network", "eip155:8453"),
            changed("payload", []),
            "not base64!",
            base64.b64encode(b"[" * 5_000).decode(),
        ]
        for payment_tried in bad:
            response = send(shop, payment_tried)
            assert response.status_code == 402, payment_tried
            assert "PAYMENT-REQUIRED" in response.headers
        assert account.charged_units == charged_units

    buying(act)


@pytest.mark.parametrize("part", ["amount", "signature"])
def test_a_deposit_that_is_not_signed_is_not_sent(rpc: Rpc, buying: Buying, part: str) -> None:
    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        buyer = Buyer()
        first = buyer.get(shop.url)
        header = first.request.headers["PAYMENT-SIGNATURE"]
        payment = json.loads(base64.b64decode(header))
        shop.accounts.clear()
        rpc("evm_revert", start)
        deposit = payment["payload"]["deposit"]
        if part == "amount":
            deposit["amount"] = str(100 * DEPOSIT)
        else:
            deposit["authorization"]["erc3009Authorization"]["signature"] = "0x" + "11" * 65
        height = blocks(rpc)
        assert send(shop, payment).status_code == 402
        assert blocks(rpc) == height
        assert shop.accounts == {}

    start = rpc("evm_snapshot")
    buying(act)


def test_a_payer_whom_the_token_has_frozen_gets_nothing_and_keeps_his_money(rpc: Rpc, buying: Buying) -> None:
    """The refusal of the chain comes back as a sentence; once he is free again, he pays."""

    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        payer = ACCOUNTS[PAYER].address
        rpc.do(0, TOKEN, token.encode_call("blacklist", [payer]))
        height = blocks(rpc)
        refused = Buyer().get(shop.url)
        assert refused.status_code == 402
        assert "account is blacklisted" in refused.json()["error"]
        assert blocks(rpc) == height
        rpc.do(0, TOKEN, token.encode_call("unBlacklist", [payer]))
        assert Buyer().get(shop.url).text == PAGE

    buying(act)

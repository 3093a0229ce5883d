"""A web server that sells a page for vouchers of an x402 channel, built on `nearcast.chain` and nothing of x402's.

Unlike a node's gateway (tests/gateways/test_payment_x402.py) it gives refunds, so that they are tried on our contract.

It speaks HTTP 402 with the scheme `batch-settlement` (x402 version 2): the first request brings a deposit signed by the
payer, which the server sends to the chain itself; every later one a voucher; at the end claim and settle go to the
chain in one transaction, and a refund gives the payer back what is left. State is in memory: it is for tests.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from tests.chain.devchains import CHAIN_ID

from nearcast.chain.abi import contract
from nearcast.chain.deposits import DepositAuthorization, usdc_domain
from nearcast.chain.devchain.addresses import ACCOUNTS, ERC3009_COLLECTOR, SETTLEMENT, TOKEN
from nearcast.chain.fields import hex_field, object_of, uint_field
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.signing import SIGNATURE_BYTES, Signer, is_signed_by
from nearcast.chain.transaction_journal import TransactionJournal
from nearcast.chain.transaction_signing import Call
from nearcast.chain.transactions import Sender
from nearcast.chain.vouchers import (
    ChannelConfig,
    Voucher,
    channel_id,
    parse_channel_config,
    parse_voucher,
    refund_digest,
    settlement_domain,
    verify_voucher,
)
from nearcast.errors import ChainError, RemoteError
from nearcast.gateways.http.payment_messages import BAD_PAYMENT, SCHEME, STALE, decoded_payment, encoded

NETWORK: Final = f"eip155:{CHAIN_ID}"
WITHDRAW_DELAY_S: Final = 86_400
AUTHORIZATION_S: Final = 300  # how long a deposit's signature is to be good for
PAGE: Final = "a page worth its price\n"


@dataclass
class Account:
    """What the server knows of one channel. Amounts are units, all cumulative but `balance_units`."""

    config: ChannelConfig
    balance_units: int
    claimed_units: int
    refund_nonce: int
    charged_units: int
    newest: Voucher | None = None
    signature: bytes = b""


class StaleError(Exception):
    """The client's idea of what it has spent is not ours."""

    def __init__(self, account: Account) -> None:
        super().__init__(STALE)
        self.account = account


class Shop:
    """Sells `PAGE` at `price_units` to anyone. `signer` is the receiver, and `sender` sends its transactions."""

    def __init__(self, chain: JsonRpc, signer: Signer, sender: Sender, price_units: int) -> None:
        self.price_units = price_units
        self.url = ""
        self.accounts: dict[bytes, Account] = {}
        self._chain = chain
        self._sender = sender
        self._signer = signer
        self._contract = contract("BatchSettlement")
        self._domain = settlement_domain(CHAIN_ID, SETTLEMENT)
        self._token = usdc_domain(CHAIN_ID, TOKEN, "USDC")
        self._lock = asyncio.Lock()

    # --- HTTP ----------------------------------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.Response:
        """402 with the price, or the page with what was charged."""
        header = request.headers.get("PAYMENT-SIGNATURE")
        if header is None:
            return self._price("a payment is required")
        async with self._lock:
            try:
                receipt = await self._take(_decoded(header))
            except StaleError as error:
                return self._price(str(error), error.account)
            except (RemoteError, ChainError) as error:
                return self._price(f"{BAD_PAYMENT}: {error.message}")
        return web.Response(text=PAGE, headers={"PAYMENT-RESPONSE": encoded(receipt)})

    def _price(self, error: str, account: Account | None = None) -> web.Response:
        extra: dict[str, Any] = {
            "receiverAuthorizer": _text(self._signer.address),
            "withdrawDelay": WITHDRAW_DELAY_S,
            "name": "USDC",
            "version": "2",
        }
        if account is not None:
            extra["channelState"] = self._state(account)
            if account.newest is not None:
                signed = str(account.newest.max_claimable_units)
                extra["voucherState"] = {"signedMaxClaimable": signed, "signature": _text(account.signature)}
        price = {
            "scheme": SCHEME,
            "network": NETWORK,
            "asset": _text(TOKEN),
            "amount": str(self.price_units),
            "payTo": _text(self._signer.address),
            "maxTimeoutSeconds": AUTHORIZATION_S,
            "extra": extra,
        }
        required = {"x402Version": 2, "error": error, "resource": {"url": self.url}, "accepts": [price]}
        return web.json_response(required, status=402, headers={"PAYMENT-REQUIRED": encoded(required)})

    # --- taking a payment ----------------------------------------------------------------------------------------

    async def _take(self, payment: Mapping[str, object]) -> dict[str, Any]:
        """Check a payment, and book it; returns the receipt. When it raises, nothing was booked."""
        payload = object_of(payment["payload"], frozenset(("type", "channelConfig", "voucher")))
        config = parse_channel_config(payload["channelConfig"])
        voucher, signature = parse_voucher(payload["voucher"])
        self._check_config(config)
        if voucher.channel_id != channel_id(self._domain, config):
            raise RemoteError("the voucher is of another channel")
        if not verify_voucher(self._domain, voucher, signature, config.voucher_signer):
            raise RemoteError("the voucher is not signed by its payer")

        account = self.accounts.get(voucher.channel_id) or await self._account(voucher.channel_id, config)
        is_refund = payload["type"] == "refund"
        price_units = 0 if is_refund else self.price_units
        if voucher.max_claimable_units != account.charged_units + price_units:
            raise StaleError(account)
        transaction = b""
        if payload["type"] == "deposit":
            transaction = await self._deposit(account, voucher, payload.get("deposit"))
        elif payload["type"] not in ("voucher", "refund"):
            raise RemoteError("a payment is a deposit, a voucher or a refund")
        if voucher.max_claimable_units > account.balance_units:
            raise RemoteError("the channel does not hold that much")
        account.newest, account.signature = voucher, signature
        account.charged_units += price_units
        self.accounts[voucher.channel_id] = account
        if is_refund:
            transaction = await self._refund(account, payload.get("amount"))
        return {
            "success": True,
            "payer": _text(config.payer),
            "transaction": _text(transaction) if transaction else "",
            "network": NETWORK,
            "amount": "",
            "extra": {"channelState": self._state(account), "chargedAmount": str(price_units)},
        }

    def _check_config(self, config: ChannelConfig) -> None:
        ours = (self._signer.address, self._signer.address, TOKEN, WITHDRAW_DELAY_S)
        if (config.receiver, config.receiver_authorizer, config.token, config.withdraw_delay_s) != ours:
            raise RemoteError("the channel does not pay us")

    def _state(self, account: Account) -> dict[str, Any]:
        return {
            "channelId": _text(channel_id(self._domain, account.config)),
            "balance": str(account.balance_units),
            "totalClaimed": str(account.claimed_units),
            "withdrawRequestedAt": 0,
            "refundNonce": str(account.refund_nonce),
            "chargedCumulativeAmount": str(account.charged_units),
        }

    # --- the chain -----------------------------------------------------------------------------------------------

    async def _deposit(self, account: Account, voucher: Voucher, given: object) -> bytes:
        """Check the payer's authorization and send it; returns the transaction's hash."""
        deposit = object_of(given, frozenset(("amount", "authorization")))
        methods = object_of(deposit["authorization"], frozenset(("erc3009Authorization",)))
        names = frozenset(("validAfter", "validBefore", "salt", "signature"))
        fields = object_of(methods["erc3009Authorization"], names)
        authorization = DepositAuthorization(
            payer=account.config.payer,
            channel_id=voucher.channel_id,
            amount_units=uint_field(deposit["amount"], 128, "amount"),
            valid_after_s=uint_field(fields["validAfter"], 256, "validAfter"),
            valid_before_s=uint_field(fields["validBefore"], 256, "validBefore"),
            salt=int.from_bytes(hex_field(fields["salt"], 32, "salt")),
            collector=ERC3009_COLLECTOR,
        )
        signature = hex_field(fields["signature"], SIGNATURE_BYTES, "signature")
        if not is_signed_by(account.config.payer, authorization.digest(self._token), signature):
            raise RemoteError("the deposit is not signed by its payer")
        data = authorization.collector_data(signature)
        arguments = [account.config.as_tuple(), authorization.amount_units, ERC3009_COLLECTOR, data]
        transaction = await self._send(self._contract.encode_call("deposit", arguments))
        await self._refresh(voucher.channel_id, account)
        return transaction

    async def claim_and_settle(self) -> bytes:
        """Everything that was charged, in one transaction; returns its hash."""
        rows = [self._row(account) for account in self.accounts.values() if account.newest]
        settle = self._contract.encode_call("settle", [self._signer.address, TOKEN])
        calls = [self._contract.encode_call("claim", [rows]), settle]
        transaction = await self._send(self._contract.encode_call("multicall", [calls]))
        for channel, account in self.accounts.items():
            await self._refresh(channel, account)
        return transaction

    async def _refund(self, account: Account, wanted: object) -> bytes:
        """Claim what was charged and give back the rest, or as much of it as was asked for."""
        rest_units = account.balance_units - account.charged_units
        amount_units = rest_units if wanted is None else uint_field(wanted, 128, "amount")
        if not 0 < amount_units <= rest_units:
            raise RemoteError("there is not so much to give back")
        channel = channel_id(self._domain, account.config)
        signature = self._signer.sign(refund_digest(self._domain, channel, account.refund_nonce, amount_units))
        arguments = [account.config.as_tuple(), amount_units, account.refund_nonce, signature]
        refund = self._contract.encode_call("refundWithSignature", arguments)
        claim = self._contract.encode_call("claim", [[self._row(account)]])
        transaction = await self._send(self._contract.encode_call("multicall", [[claim, refund]]))
        await self._refresh(channel, account)
        return transaction

    def _row(self, account: Account) -> tuple[Any, bytes, int]:
        assert account.newest is not None
        voucher = (account.config.as_tuple(), account.newest.max_claimable_units)
        return voucher, account.signature, account.charged_units

    async def _account(self, channel: bytes, config: ChannelConfig) -> Account:
        """One that we have not seen: what the chain knows of it."""
        account = Account(config, 0, 0, 0, 0)
        await self._refresh(channel, account)
        account.charged_units = account.claimed_units
        return account

    async def _refresh(self, channel: bytes, account: Account) -> None:
        account.balance_units, account.claimed_units = await self._read("channels", [channel])
        account.refund_nonce = await self._read("refundNonce", [channel])

    async def _read(self, function: str, arguments: list[Any]) -> Any:
        data = self._contract.encode_call(function, arguments)
        return self._contract.decode_result(function, await self._chain.call(SETTLEMENT, data))

    async def _send(self, data: bytes) -> bytes:
        return (await self._sender.send(Call(SETTLEMENT, data))).hash


@asynccontextmanager
async def selling(rpc_url: str, folder: Path, price_units: int, seller: int = 2) -> AsyncIterator[Shop]:
    """A shop of this test account behind HTTP on a free port of this machine; `shop.url` is the page."""
    signer = Signer(ACCOUNTS[seller].secret)
    with TransactionJournal.open(folder / "transactions.sqlite") as journal:
        async with JsonRpc(rpc_url, CHAIN_ID) as chain:
            shop = Shop(chain, signer, Sender(chain, signer, journal), price_units)
            app = web.Application()
            app.router.add_get("/page", shop.handle)
            runner = web.AppRunner(app, shutdown_timeout=1)
            await runner.setup()
            try:
                site = web.TCPSite(runner, "127.0.0.1", 0)
                await site.start()
                host, port = runner.addresses[0][:2]
                shop.url = f"http://{host}:{port}/page"
                yield shop
            finally:
                await runner.cleanup()


def _decoded(header: str) -> Mapping[str, object]:
    """The payment in a header. RemoteError for anything that is none."""
    return decoded_payment(header, NETWORK)


def _text(value: bytes) -> str:
    return f"0x{value.hex()}"

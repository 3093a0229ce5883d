"""Buy a file, or a range of it, from a node that asks for money over HTTP, with x402's own client.

    pip install "x402[evm]" requests
    WALLET_SECRET=0x… RPC=http://127.0.0.1:8545 python pay_over_http.py http://NODE:8710/ipfs/CID out.bin [FIRST-LAST]

The first request opens a channel: the wallet signs a deposit, the node sends it to the chain and pays the gas. Later
ones are vouchers and touch no chain. What is left can be withdrawn from the channel at any time.
"""

import os
import sys
from pathlib import Path

import requests
from eth_account import Account
from x402 import x402ClientSync
from x402.client_base import SpendControlAsset
from x402.http.clients.requests import wrapRequestsWithPayment
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme
from x402.mechanisms.evm.signers import EthAccountSignerWithRPC

NETWORK = os.environ.get("NETWORK", "eip155:31337")  # the dev chain; Base is eip155:8453
TOKEN = os.environ.get("TOKEN", "0x4e65617200000000000000000000000000000001")  # play USDC; on Base Circle's
MAX_UNITS = os.environ.get("MAX_UNITS", "100000")  # the most for one request, in millionths of a USDC


def main(url: str, file: str, span: str = "") -> None:
    wallet = Account.from_key(os.environ["WALLET_SECRET"])
    scheme = BatchSettlementEvmScheme(EthAccountSignerWithRPC(wallet, os.environ["RPC"]))
    client = x402ClientSync().register(NETWORK, scheme)
    asset = SpendControlAsset(network=NETWORK, asset=TOKEN, max_amount_per_payment=MAX_UNITS)
    client.set_spend_controls({"allowed_assets": [asset]})
    session = wrapRequestsWithPayment(requests.Session(), client)
    answer = session.get(url, headers={"Range": f"bytes={span}"} if span else {}, timeout=60)
    answer.raise_for_status()
    Path(file).write_bytes(answer.content)
    print(f"{answer.status_code}: {len(answer.content)} bytes in {file}")


if __name__ == "__main__":
    main(*sys.argv[1:])

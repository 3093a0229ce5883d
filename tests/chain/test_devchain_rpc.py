"""The RPC's edges: hostile bodies, web pages, batches, parameters, waiting transactions, a stock client."""

import asyncio
import json
import time
import urllib.error
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chain.devchains import Rpc, RpcError, engine, signed

from nearcast.chain.devchain.addresses import ACCOUNTS, TOKEN
from nearcast.chain.devchain.blocks import Block
from nearcast.chain.devchain.engine import Account, Engine
from nearcast.chain.devchain.methods import METHODS
from nearcast.chain.devchain.node import DevChain
from nearcast.chain.devchain.protocol import BATCH_MAX, answer
from nearcast.chain.devchain.server import BODY_SIZE_MAX_BYTES, serving
from nearcast.errors import AddressInUseError

TO = "0x" + "11" * 20


@pytest.fixture(scope="module")
def still() -> DevChain:
    """A chain that no test changes."""
    return DevChain(engine(), time.time, None, automine=True)


def ask(chain: DevChain, method: str, *params: Any) -> Any:
    return json.loads(
        answer(chain, json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).encode())
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[NaN]}', -32700),
        (b"7" * 10_000, -32700),
        (b"[]", -32600),
        (b"null", -32600),
        (b'"eth_chainId"', -32600),
        (b'{"id":1,"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{}}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[1]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"__class__","params":[]}', -32601),
    ],
)
def test_what_is_no_request_is_said(still: DevChain, body: bytes, code: int) -> None:
    assert json.loads(answer(still, body))["error"]["code"] == code


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.from_regex(r"0x[0-9a-f]{0,70}", fullmatch=True),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["from", "to", "data", "fromBlock", "topics", "address", "blockHash", "gas", "accessList", "x"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from(sorted(set(METHODS) - {"anvil_mine"})), st.lists(_VALUES, max_size=4))
def test_no_parameters_make_it_stumble(still: DevChain, method: str, params: list[Any]) -> None:
    """-32603 is "internal error": something that nobody thought of."""
    found = ask(still, method, *params)
    assert found["id"] == 7
    assert "result" in found or found["error"]["code"] != -32603, found


def test_batches(still: DevChain) -> None:
    one = {"jsonrpc": "2.0", "id": "a", "method": "eth_chainId"}
    silent = {"jsonrpc": "2.0", "method": "eth_chainId"}
    found = json.loads(answer(still, json.dumps([one, 5, silent, {**one, "id": None}]).encode()))
    assert [(row["id"], row.get("result")) for row in found] == [("a", "0x7a69"), (None, None), (None, "0x7a69")]
    assert answer(still, json.dumps([silent]).encode()) == b""
    too_many = json.loads(answer(still, json.dumps([one] * (BATCH_MAX + 1)).encode()))
    assert too_many["error"]["code"] == -32600


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBalance", ["0x11"]),
        ("eth_getBalance", [TO, "0x01"]),
        ("eth_getBalance", [TO, "newest"]),
        ("eth_getBalance", [TO, {"blockHash": "0x" + "00" * 32, "blockNumber": "0x0"}]),
        ("eth_getBlockByNumber", ["0x0", "yes"]),
        ("eth_call", [{"to": TO, "data": "0x1"}]),
        ("eth_call", [{"to": TO, "data": "0x11", "input": "0x12"}]),
        ("eth_call", [{"to": TO, "sender": TO}]),
        ("eth_getLogs", [{"topics": [[], [], [], [], []]}]),
        ("eth_getLogs", [{"fromBlock": "0x2", "toBlock": "0x1"}]),
        ("eth_getLogs", [{"address": [TO] * 1001}]),
        ("eth_feeHistory", ["0x1", "latest", [90, 10]]),
        ("evm_setNextBlockTimestamp", [-1]),
        ("anvil_mine", [10_001]),
        ("eth_getStorageAt", [TO, "0x" + "zz" * 32]),
    ],
)
def test_wrong_parameters_are_said(still: DevChain, method: str, params: list[Any]) -> None:
    assert ask(still, method, *params)["error"]["code"] == -32602


def test_what_is_not_there(still: DevChain) -> None:
    assert ask(still, "eth_getBalance", TO, "0x99")["error"]["code"] == -32001
    assert ask(still, "eth_getBlockByNumber", "0x99", False)["result"] is None
    assert ask(still, "evm_revert", "0x99")["result"] is False
    assert ask(still, "evm_setNextBlockTimestamp", 1)["error"]["code"] == -32000
    assert ask(still, "evm_increaseTime", (1 << 64) - 1)["error"]["code"] == -32000


def test_web_pages_are_refused(rpc: Rpc) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
    assert rpc.post(body, Host="localhost:1")["result"] == "0x7a69"
    assert rpc.post(body, Host="[::1]:8545")["result"] == "0x7a69"
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": "1.evil.example"},
    ):
        with pytest.raises(urllib.error.HTTPError) as caught:
            rpc.post(body, **headers)
        assert caught.value.code == 403
        caught.value.close()


def test_bodies_are_bounded(rpc: Rpc) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        rpc.post(b" " * (BODY_SIZE_MAX_BYTES + 1))
    assert caught.value.code == 413
    caught.value.close()
    assert rpc("eth_chainId") == "0x7a69"


def test_transactions_wait_for_earlier_ones(rpc: Rpc) -> None:
    late, early = signed(1, 1, TOKEN), signed(1, 0, TOKEN)
    late_hash = rpc("eth_sendRawTransaction", late)
    assert rpc("eth_getTransactionReceipt", late_hash) is None
    assert rpc("eth_getTransactionByHash", late_hash)["blockNumber"] is None
    assert rpc("eth_getTransactionCount", ACCOUNTS[1].address, "pending") == "0x0"
    with pytest.raises(RpcError, match="already known"):
        rpc("eth_sendRawTransaction", late)
    with pytest.raises(RpcError, match="underpriced"):
        rpc("eth_sendRawTransaction", signed(1, 1, TOKEN, maxFeePerGas=3 * 10**9 + 1))
    rpc("eth_sendRawTransaction", early)
    assert rpc("eth_getTransactionReceipt", late_hash)["blockNumber"] == "0x2"
    with pytest.raises(RpcError, match="already known"):
        rpc("eth_sendRawTransaction", late)
    with pytest.raises(RpcError, match="nonce too low"):
        rpc("eth_sendRawTransaction", signed(1, 1, TOKEN, value=1))
    with pytest.raises(RpcError, match="nonce too high"):
        rpc("eth_sendRawTransaction", signed(1, 2 + 65, TOKEN))


def test_a_block_of_several() -> None:
    """Without automine, transactions wait for `mine`; each sender's go by nonce."""
    chain = DevChain(engine(), time.time, None, automine=False)
    hashes = [chain.send(signed(account, nonce, TOKEN)) for nonce in (1, 0) for account in (1, 2)]
    assert chain.engine.head.number == 0
    assert chain.nonce_pending(ACCOUNTS[1].address) == 2
    block = chain.mine()
    assert len(block.receipts) == 4
    assert {receipt.transaction.hash for receipt in block.receipts} == set(hashes)
    assert [receipt.index for receipt in block.receipts] == [0, 1, 2, 3]
    total = sum(receipt.gas_used for receipt in block.receipts)
    assert block.header.gas_used == block.receipts[-1].cumulative_gas_used == total


def test_blocks_come_by_themselves() -> None:
    chain = DevChain(engine(), time.time, None, automine=False)

    async def run() -> None:
        mined = asyncio.Event()
        loop = asyncio.get_running_loop()

        def tell(block: Block) -> None:
            loop.call_soon_threadsafe(mined.set)

        chain.on_block = tell
        async with serving(chain, "127.0.0.1", 0, block_time_s=0.01):
            await asyncio.wait_for(mined.wait(), 10)

    asyncio.run(run())
    assert chain.engine.head.number >= 1


def test_a_port_that_is_taken_is_said() -> None:
    chain = DevChain(engine(), time.time, None, automine=True)

    async def run() -> None:
        async with serving(chain, "127.0.0.1", 0) as first:
            port = int(first.url.rsplit(":", 1)[1])
            with pytest.raises(AddressInUseError, match=str(port)) as caught:
                async with serving(chain, "127.0.0.1", port):
                    raise AssertionError("both listen")
            assert caught.value.fix is not None
            assert "--port" in caught.value.fix

    asyncio.run(run())


def test_a_contract_that_calls_itself_does_not_end_the_server() -> None:
    """As deep as 30 million gas reach, in the server's own thread: its stack must hold that."""
    code = bytes.fromhex("60006000600060006000305af100")
    chain = DevChain(Engine({b"\x11" * 20: Account(nonce=1, code=code)}), time.time, None, automine=True)

    async def run() -> Any:
        async with serving(chain, "127.0.0.1", 0) as server:
            return await server.run(lambda: ask(chain, "eth_call", {"to": TO}))

    assert asyncio.run(run())["result"] == "0x"


def test_a_stock_client_of_others(rpc: Rpc) -> None:
    """web3.py, as it comes: it fills in nonce, fees and gas, signs, sends, waits, and reads the event."""
    from web3 import Web3

    from nearcast.chain.artifacts import artifact

    web3 = Web3(Web3.HTTPProvider(rpc.url))
    assert web3.is_connected()
    assert web3.eth.chain_id == 31337
    wallet = web3.eth.account.from_key(ACCOUNTS[1].secret)
    token = web3.eth.contract(web3.to_checksum_address(TOKEN), abi=list(artifact("TestUSDC").abi))
    receiver = web3.to_checksum_address(ACCOUNTS[2].address)
    nonce = web3.eth.get_transaction_count(wallet.address)
    transaction = token.functions.transfer(receiver, 7).build_transaction({"from": wallet.address, "nonce": nonce})
    sent = web3.eth.send_raw_transaction(wallet.sign_transaction(transaction).raw_transaction)
    receipt = web3.eth.wait_for_transaction_receipt(sent)
    assert receipt["status"] == 1
    (event,) = token.events.Transfer().process_receipt(receipt)
    assert event["args"]["value"] == 7
    assert token.functions.balanceOf(receiver).call() == 10_000_000_007
    assert len(token.events.Transfer().get_logs(from_block=0)) == 1
    assert web3.eth.get_block("latest", full_transactions=True)["number"] == 1

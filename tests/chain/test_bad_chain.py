"""Endpoints that lie, contradict themselves or are something else: every answer is checked, and none is a crash."""

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from tests.chain.devchains import signed
from tests.chain.endpoint import Endpoint, Honest, run
from tests.depth import by_day

from nearcast.chain import rpc_wire
from nearcast.chain.abi import contract
from nearcast.chain.bindings.blacklist import Blacklist
from nearcast.chain.devchain.addresses import ACCOUNTS, BLACKLIST, TOKEN
from nearcast.chain.eip712 import keccak
from nearcast.chain.rpc import REORG_BLOCKS_MAX, JsonRpc
from nearcast.chain.rpc_types import parse_block, parse_log, parse_place, parse_receipt
from nearcast.errors import ChainError, UnavailableError

token = contract("TestUSDC")
RAW = signed(1, 0, TOKEN, token.encode_call("transfer", [ACCOUNTS[2].address, 5]))
HASH = keccak(RAW)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.sampled_from(["0x", "0x0", "0x00", "0xg", "0x" + "11" * 32, "0x" + "11" * 20, "0x1", hex(1 << 300)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def _said(text: bytes, **kind: Any) -> Callable[[Any], web.Response]:
    return lambda body: web.Response(body=text, **kind)


@pytest.mark.parametrize(
    ("whole", "words"),
    [
        (_said(b"<!doctype html><p>hello"), "a web page"),
        (_said(b""), "something else"),
        (_said(b"[" * 100_000), "something else"),
        (_said(b"\xff\xfe"), "something else"),
        (_said(b"1" * 10_000), "something else|without a result"),
        (_said(b"null"), "without a result"),
        (_said(b"[]"), "without a result"),
        (_said(b'{"jsonrpc": "2.0", "id": 99, "result": "0x1"}'), "another question"),
        (_said(b'{"jsonrpc": "2.0", "id": true, "result": "0x1"}'), "another question"),
        (_said(b'{"jsonrpc": "2.0", "id": 1}'), "without a result"),
        (_said(b'{"jsonrpc": "2.0", "id": 1, "error": "no"}'), "an error that says nothing"),
        (_said(b"{}", status=401), "refuses us"),
        (_said(b'{"jsonrpc": "2.0", "id": 1, "result": "0x07a69"}'), "no quantity"),
        (_said(b'{"jsonrpc": "2.0", "id": 1, "result": null}'), "no quantity"),
    ],
)
def test_something_else_than_json_rpc(whole: Callable[[Any], web.Response], words: str) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        served.whole = whole
        with pytest.raises(ChainError, match=words) as caught:
            await rpc.head()
        assert caught.value.message.isprintable()

    run(test)


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_wire, "RESPONSE_BYTES_MAX", 1 << 20)

    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        served.whole = _said(b" " * (2 << 20))
        with pytest.raises(ChainError, match="more than 1,048,576 bytes"):
            await rpc.head()

    run(test)


@pytest.mark.parametrize(
    "told",
    [
        [],
        [{"id": 2, "result": "0x"}],
        [{"id": 2, "result": "0x"}, {"id": 2, "result": "0x"}],
        [{"id": 2, "result": "0x"}, {"id": 7, "result": "0x"}],
        [{"id": 2, "result": "0x"}, 5],
        {"id": None, "error": {"code": -32600, "message": "no batches here"}},
        "no",
    ],
)
def test_a_batch_answered_wrongly(told: Any) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        await rpc.check_chain()
        served.whole = lambda body: web.json_response(told)
        with pytest.raises(ChainError):
            await rpc.calls([(TOKEN, b""), (TOKEN, b"")])

    run(test)


def test_a_batch_may_be_answered_in_any_order() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        await rpc.check_chain()
        served.whole = lambda body: web.json_response(
            [{"jsonrpc": "2.0", "id": each["id"], "result": each["params"][0]["data"]} for each in reversed(body)]
        )
        assert await rpc.calls([(TOKEN, b"a"), (TOKEN, b"b")]) == [b"a", b"b"]

    run(test)


def _changed(**changes: Any) -> Callable[[Any, Honest], Any]:
    return lambda params, honest: {**honest(), **changes}


async def _ask(rpc: JsonRpc, method: str, block_hash: bytes) -> object:
    match method:
        case "eth_getBlockByNumber":
            return await rpc.block(1)
        case "eth_getBlockByHash":
            return await rpc.block(block_hash)
        case "eth_getTransactionReceipt":
            return await rpc.receipt(HASH)
    return await rpc.transaction(HASH)


X32, X20 = "0x" + "77" * 32, "0x" + "77" * 20


@pytest.mark.parametrize(
    ("method", "changes", "words"),
    [
        ("eth_getBlockByNumber", {"number": "0x7"}, "another block"),
        ("eth_getBlockByHash", {"hash": X32}, "another block"),
        ("eth_getBlockByHash", {"hash": "0x77"}, "not its bytes"),
        ("eth_getTransactionReceipt", {"transactionHash": X32}, "another transaction"),
        ("eth_getTransactionReceipt", {"transactionHash": X32, "logs": []}, "another transaction"),
        ("eth_getTransactionReceipt", {"status": "0x2"}, "status"),
        ("eth_getTransactionReceipt", {"blockHash": X32}, "another transaction"),
        ("eth_getTransactionByHash", {"hash": X32}, "another transaction"),
    ],
)
def test_something_else_than_was_asked_for(method: str, changes: dict[str, Any], words: str) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        await rpc.send_raw(RAW)
        served.chain.mine()
        block = await rpc.block(1)
        assert block is not None
        served.twists[method] = _changed(**changes)
        with pytest.raises(ChainError, match=words):
            await _ask(rpc, method, block.hash)

    run(test)


def test_blocks_that_do_not_follow_each_other() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        served.chain.mine(3)
        lie = _changed(parentHash=X32)
        served.twists["eth_getBlockByNumber"] = lambda params, honest: (lie if params[0] == "0x2" else _true)(
            params, honest
        )
        with pytest.raises(ChainError, match="block 2 does not follow 1"):
            await rpc.blocks(1, 3)
        served.twists["eth_getBlockByNumber"] = lambda params, honest: None
        with pytest.raises(ChainError, match="lacks blocks"):
            await rpc.blocks(1, 3)

    run(test)


def _true(params: Any, honest: Honest) -> Any:
    return honest()


def test_a_header_that_does_not_hash_is_not_handed_on() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        served.twists["eth_getBlockByNumber"] = _changed(timestamp="0x1")
        block = await rpc.block(0)
        assert block is not None
        assert block.header is None

    run(test)


def test_a_chain_does_not_go_far_back() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        served.twists["eth_blockNumber"] = lambda params, honest: "0x3e8"
        assert await rpc.head() == 1000
        served.twists["eth_blockNumber"] = lambda params, honest: hex(1000 - REORG_BLOCKS_MAX)
        assert await rpc.head() == 1000 - REORG_BLOCKS_MAX
        served.twists["eth_blockNumber"] = lambda params, honest: hex(999 - REORG_BLOCKS_MAX)
        with pytest.raises(ChainError, match="went back from block 1000"):
            await rpc.head()

    run(test)


@pytest.mark.parametrize(
    "changes",
    [
        {"address": X20}, {"blockNumber": "0x9"}, {"topics": []}, {"topics": [X32] * 5}, {"removed": True},
        {"topics": [X32, X32, X32]}, {"logIndex": "x"}, {"data": "0x1"},
    ],
)  # fmt: skip
def test_logs_that_were_not_asked_for(changes: dict[str, Any]) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        await rpc.send_raw(RAW)
        served.twists["eth_getLogs"] = lambda params, honest: [{**log, **changes} for log in honest()]
        with pytest.raises(ChainError):
            await rpc.logs([TOKEN], [[token.topic("Transfer")]], 0, 1)

    run(test)


def test_logs_told_twice() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        await rpc.send_raw(RAW)
        served.twists["eth_getLogs"] = lambda params, honest: honest() * 2
        with pytest.raises(ChainError, match="not asked for"):
            await rpc.logs([TOKEN], [], 0, 1)

    run(test)


def test_a_blacklist_that_leaves_something_out() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        abi = contract("Blacklist")
        for nonce, digest in enumerate((b"a" * 32, b"b" * 32)):
            data = abi.encode_call("addEmergency", [digest, bytes(2), 3])
            await rpc.send_raw(signed(0, nonce, BLACKLIST, data, gas=500_000))
        blacklist = Blacklist(rpc, BLACKLIST)
        snapshot, entries = await blacklist.sync(await rpc.head())
        assert entries is not None
        assert [entry.digest for entry in entries] == [b"a" * 32, b"b" * 32]
        assert await blacklist.sync(await rpc.head(), snapshot) == (snapshot, None)

        def forge(params: Any, honest: Honest) -> Any:
            told = honest()
            is_page = params[0]["data"].startswith("0x" + abi.function("entries").selector.hex())
            return told.replace("61" * 32, "63" * 32) if is_page else told

        served.twists["eth_call"] = forge
        with pytest.raises(ChainError, match="root"):
            await blacklist.sync(await rpc.head())

    run(test)


@by_day(200)
@given(json_values, st.sampled_from(["hash", "number", "logs", "status", "topics", "timestamp", "baseFeePerGas"]))
def test_no_field_makes_a_parser_crash(value: Any, name: str) -> None:
    for parse in (parse_block, parse_log, parse_receipt, parse_place):
        for told in (value, {name: value}):
            with pytest.raises(ChainError):
                parse(told)


def test_an_endpoint_that_never_answers_is_given_up() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        def drop(body: Any) -> web.Response:
            return web.Response(status=504)

        served.whole = drop
        with pytest.raises(UnavailableError):
            await rpc.block()

    run(test)

"""What is asked of an endpoint, how patiently, and what a good one's answers become."""

import asyncio
import random

import pytest
from aiohttp import web
from tests.chain.devchains import CHAIN_ID, signed
from tests.chain.endpoint import Endpoint, HangUpError, RefuseError, no_sleep, run

from nearcast.chain.abi import contract
from nearcast.chain.devchain.addresses import ACCOUNTS, TOKEN
from nearcast.chain.eip712 import keccak
from nearcast.chain.reverts import ContractRevertError
from nearcast.chain.rpc import RETRIES_MAX, RETRY_FIRST_S, JsonRpc
from nearcast.chain.rpc_wire import BATCH_MAX, BusyError, RpcError
from nearcast.errors import ChainError, UnavailableError, UsageError

token = contract("TestUSDC")
BALANCE = token.encode_call("balanceOf", [ACCOUNTS[1].address])
PAY = token.encode_call("transfer", [ACCOUNTS[2].address, 5])


def test_a_block_has_the_header_that_hashes_to_its_name() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        served.chain.mine(2)
        block = await rpc.block(2)
        assert block is not None
        assert block.header is not None
        assert keccak(block.header) == block.hash
        assert await rpc.block(block.hash) == block
        assert await rpc.block(b"x" * 32) is None
        assert await rpc.block(77) is None
        first, second = await rpc.blocks(1, 2)
        assert second.parent_hash == first.hash
        assert await rpc.still_has(2, block.hash)
        assert not await rpc.still_has(1, block.hash)
        assert await rpc.confirmed_head(1) == 2
        assert await rpc.confirmed_head(2) == 1
        assert await rpc.confirmed_head(9) == 0

    run(test)


def test_a_transaction_from_hand_to_receipt() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        raw = signed(1, 0, TOKEN, PAY)
        assert await rpc.transaction(keccak(raw)) is None
        assert await rpc.receipt(keccak(raw)) is None
        assert await rpc.send_raw(raw) == keccak(raw)
        receipt = await rpc.receipt(keccak(raw))
        assert receipt is not None
        assert receipt.succeeded
        assert receipt.fee_wei == 10_000 * 10**18 - await rpc.balance(ACCOUNTS[1].address)
        place = await rpc.transaction(keccak(raw))
        assert place is not None
        assert (place.sender, place.nonce, place.block_number) == (ACCOUNTS[1].address, 0, 1)
        assert await rpc.nonce(ACCOUNTS[1].address) == 1
        assert await rpc.nonce(ACCOUNTS[1].address, 0) == 0
        topics = [[token.topic("Transfer")], [bytes(12) + ACCOUNTS[1].address]]
        assert tuple(await rpc.logs([TOKEN], topics, 0, 1)) == receipt.logs
        assert await rpc.logs([TOKEN], [None, None, [bytes(32)]], 0, 1) == []

    run(test)


def test_calls_go_in_batches_of_a_bounded_size() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        sizes: list[int] = []

        def count(body: object) -> None:
            sizes.append(len(body) if isinstance(body, list) else 1)

        served.whole = count
        told = await rpc.calls([(TOKEN, BALANCE)] * (BATCH_MAX + 5))
        assert {int.from_bytes(each) for each in told} == {10_000 * 10**6}
        assert sizes == [1, BATCH_MAX, 5]  # the first asks for the chain

    run(test)


def test_a_refusal_is_a_sentence() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        too_much = token.encode_call("transfer", [ACCOUNTS[2].address, 10**15])
        with pytest.raises(ContractRevertError, match="exceeds balance"):
            await rpc.call(TOKEN, too_much, sender=ACCOUNTS[1].address)
        with pytest.raises(ContractRevertError, match="exceeds balance"):
            await rpc.estimate_gas(TOKEN, too_much, ACCOUNTS[1].address)

    run(test)


@pytest.mark.parametrize(
    ("code", "told", "data"),
    [
        (3, "execution reverted", "0x82b42900"),
        (-32000, "execution reverted", None),
        (-32015, "VM execution error", "0xzz"),
        (-32603, "Transaction reverted", {"data": "0x"}),
        (3, "x", ["0x"]),
    ],
)
def test_other_dialects_of_a_refusal(code: int, told: str, data: object) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        def refuse(params: object, honest: object) -> None:
            raise RefuseError(told, code, data)

        served.twists["eth_call"] = refuse
        with pytest.raises(ContractRevertError, match="refused"):
            await rpc.call(TOKEN, BALANCE)

    run(test)


def test_another_chain_is_named_with_the_configured_one() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        with pytest.raises(ChainError, match=r"31337.*8453") as caught:
            await rpc.head()
        assert "--chain" in str(caught.value.fix)
        assert "chain.rpc" in str(caught.value.fix)
        assert served.asked == ["eth_chainId"]

    run(test, chain_id=8453)


def test_the_chain_is_asked_again_after_the_connection_broke() -> None:
    """Behind one address another chain may come up."""

    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        await rpc.head()

        def break_off(params: object, honest: object) -> None:
            served.twists["eth_chainId"] = lambda params, honest: "0x1"
            del served.twists["eth_blockNumber"]
            raise HangUpError

        served.twists["eth_blockNumber"] = break_off
        with pytest.raises(ChainError, match=r"chain 1,"):
            await rpc.head()

    run(test)


def test_reads_are_asked_again_later_and_later() -> None:
    async def test(served: Endpoint, _: JsonRpc) -> None:
        slept: list[float] = []

        async def sleep(delay_s: float) -> None:
            slept.append(delay_s)
            await asyncio.sleep(0)

        served.whole = lambda body: web.Response(status=503)
        async with JsonRpc(served.url, CHAIN_ID, sleep=sleep, rng=random.Random(1)) as rpc:
            with pytest.raises(BusyError, match="busy"):
                await rpc.head()
            assert len(slept) == RETRIES_MAX
            for index, delay_s in enumerate(slept):
                assert 0.5 <= delay_s / (RETRY_FIRST_S * 2**index) <= 1.5
            failures = iter([web.Response(status=429), web.Response(status=502), None, None])
            served.whole = lambda body: next(failures)
            assert await rpc.head() == 0

    run(test)


def test_a_transaction_is_handed_over_once() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        def break_off(params: object, honest: object) -> None:
            raise HangUpError

        served.twists["eth_sendRawTransaction"] = break_off
        with pytest.raises(UnavailableError):
            await rpc.send_raw(b"x")
        assert served.asked.count("eth_sendRawTransaction") == 1

    run(test)


def test_logs_that_are_too_many_are_asked_for_in_halves() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        for nonce in range(5):
            await rpc.send_raw(signed(1, nonce, TOKEN, PAY))

        def refuse_long(params: list[dict[str, str]], honest: object) -> object:
            if int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) > 1:
                raise RefuseError("query returned more than 10000 results", -32602)
            assert callable(honest)
            return honest()

        served.twists["eth_getLogs"] = refuse_long
        logs = await rpc.logs([TOKEN], [[token.topic("Transfer")]], 0, 5)
        assert [log.block_number for log in logs] == [1, 2, 3, 4, 5]

        def refuse(params: object, honest: object) -> None:
            raise RefuseError("no")

        served.twists["eth_getLogs"] = refuse
        with pytest.raises(RpcError, match="no"):
            await rpc.logs([TOKEN], [], 0, 5)

    run(test)


def test_nobody_there_is_said_with_what_to_do() -> None:
    async def test(served: Endpoint, _: JsonRpc) -> None:
        async with JsonRpc("http://127.0.0.1:1/secret", CHAIN_ID, sleep=no_sleep) as rpc:
            with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1") as caught:
                await rpc.head()
        assert "nearcast devchain" in str(caught.value.fix)
        assert "secret" not in caught.value.message  # providers put the customer's key into the path

    run(test)


@pytest.mark.parametrize("url", ["", "ws://a", "http://", "file:///etc/passwd", "127.0.0.1:8545"])
def test_what_is_no_endpoint(url: str) -> None:
    with pytest.raises(UsageError, match="http or https"):
        JsonRpc(url, 1)

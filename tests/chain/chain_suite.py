"""What every chain of ours must do, over RPC alone: the development chain and anvil started from the same first block.

Imported by test files that define the fixture `rpc`. Every test leaves the chain as it found it (snapshot, revert).
"""

from typing import Any

import pytest
import rlp  # type: ignore[import-untyped]
from eth_hash.auto import keccak
from tests.chain.devchains import CHAIN_ID, Rpc, RpcError, signed

from nearcast.chain.abi import contract
from nearcast.chain.devchain import genesis
from nearcast.chain.devchain.addresses import ACCOUNTS, ALLOWANCE_COLLECTOR, CONTRACTS, SETTLEMENT, TOKEN
from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import ChannelConfig, Voucher, channel_id, settlement_domain, sign_voucher

USDC = 10**6
DAY_S = 86_400
DOMAIN = settlement_domain(CHAIN_ID, SETTLEMENT)
settlement, token, collector = (contract(name) for name in ("BatchSettlement", "TestUSDC", "AllowanceDepositCollector"))
PAYER, RECEIVER = 1, 2  # indices of test accounts
CONFIG = ChannelConfig(
    payer=ACCOUNTS[PAYER].address,
    payer_authorizer=ACCOUNTS[PAYER].address,
    receiver=ACCOUNTS[RECEIVER].address,
    receiver_authorizer=ACCOUNTS[RECEIVER].address,
    token=TOKEN,
    withdraw_delay_s=DAY_S,
    salt=bytes(32),
)
CHANNEL = channel_id(DOMAIN, CONFIG)


def test_it_is_the_chain(rpc: Rpc) -> None:
    assert int(rpc("eth_chainId"), 16) == CHAIN_ID
    assert rpc("net_version") == str(CHAIN_ID)
    assert int(rpc("eth_blockNumber"), 16) >= 0


def test_every_contract_stands_where_it_should(rpc: Rpc) -> None:
    alloc = genesis.make_alloc()
    for name in CONTRACTS:
        address = CONTRACTS[name]
        assert rpc("eth_getCode", address, "latest") == "0x" + alloc[address].code.hex(), name
        for slot, value in alloc[address].storage.items():
            assert int(rpc("eth_getStorageAt", address, hex(slot), "latest"), 16) == value


def test_the_accounts_have_money(rpc: Rpc) -> None:
    for account in ACCOUNTS:
        assert int(rpc("eth_getBalance", account.address, "0x0"), 16) == 10_000 * 10**18
        assert _balance(rpc, account.address) == 10_000 * USDC


def test_a_channel_from_deposit_to_withdrawal(rpc: Rpc) -> None:
    """Deposit by allowance, claim a voucher, settle, ask the rest back, wait a day, get it."""
    moment = rpc("evm_snapshot")
    before = _balance(rpc, CONFIG.payer)
    _deposit(rpc, 10 * USDC)
    assert _balance(rpc, CONFIG.payer) == before - 10 * USDC

    claim = settlement.encode_call("claim", [[_claim(3 * USDC)]])
    receipt = rpc.do(RECEIVER, SETTLEMENT, claim)
    claimed = [_decoded(log) for log in receipt["logs"]]
    assert [event.name for event in claimed] == ["Claimed"]
    assert claimed[0].arguments["newTotalClaimed"] == 3 * USDC
    rpc.do(RECEIVER, SETTLEMENT, settlement.encode_call("settle", [CONFIG.receiver, TOKEN]))
    assert _balance(rpc, CONFIG.receiver) == 10_003 * USDC

    rpc.do(PAYER, SETTLEMENT, settlement.encode_call("initiateWithdraw", [CONFIG.as_tuple(), 7 * USDC]))
    finalize = settlement.encode_call("finalizeWithdraw", [CONFIG.as_tuple()])
    with pytest.raises(RpcError) as caught:
        rpc.call(SETTLEMENT, finalize, **{"from": CONFIG.payer})
    assert caught.value.code == 3
    refused = settlement.decode_error(bytes.fromhex(caught.value.data[2:]))
    assert refused is not None
    assert refused.name == "WithdrawDelayNotElapsed"

    rpc("evm_increaseTime", DAY_S)
    rpc.do(PAYER, SETTLEMENT, finalize)
    assert _balance(rpc, CONFIG.payer) == before - 3 * USDC
    assert rpc("evm_revert", moment) is True
    assert _balance(rpc, CONFIG.payer) == before


def test_gas_used_is_the_same_everywhere(rpc: Rpc) -> None:
    """Gas is consensus: two machines that differ by one unit would be two chains."""
    moment = rpc("evm_snapshot")
    used = [int(receipt["gasUsed"], 16) for receipt in _deposit(rpc, USDC)]
    used.append(int(rpc.do(RECEIVER, SETTLEMENT, settlement.encode_call("claim", [[_claim(5)]]))["gasUsed"], 16))
    used.append(
        int(rpc.do(RECEIVER, SETTLEMENT, settlement.encode_call("settle", [CONFIG.receiver, TOKEN]))["gasUsed"], 16)
    )
    used.append(int(rpc.do(3, TOKEN, token.encode_call("transfer", [ACCOUNTS[3].address, 1]))["gasUsed"], 16))
    used.append(
        int(rpc.do(3, TOKEN, token.encode_call("transfer", [ACCOUNTS[4].address, 10_000 * USDC]))["gasUsed"], 16)
    )
    assert used == _gas_of_the_engine()
    rpc("evm_revert", moment)


def test_a_refused_transaction_is_mined_and_says_so(rpc: Rpc) -> None:
    moment = rpc("evm_snapshot")
    too_much = token.encode_call("transfer", [CONFIG.receiver, 10_001 * USDC])
    receipt = rpc.receipt(rpc.send(PAYER, TOKEN, too_much))
    assert receipt["status"] == "0x0"
    assert receipt["logs"] == []
    with pytest.raises(RpcError) as caught:
        rpc(
            "eth_estimateGas",
            {"from": "0x" + CONFIG.payer.hex(), "to": "0x" + TOKEN.hex(), "data": "0x" + too_much.hex()},
        )
    assert caught.value.code == 3
    assert len(caught.value.data) > 2
    rpc("evm_revert", moment)


def test_transactions_that_cannot_be_are_refused(rpc: Rpc) -> None:
    nonce = int(rpc("eth_getTransactionCount", ACCOUNTS[5].address, "latest"), 16)
    for raw, words in (
        (signed(5, nonce, TOKEN, gas=20_000), ("intrinsic gas",)),
        (signed(5, nonce, TOKEN, value=10**23), ("insufficient funds",)),
        (signed(5, nonce, TOKEN, chainId=1), ("chain id",)),
        (b"\x02\xc0", ("rlp", "decode")),
    ):
        with pytest.raises(RpcError) as caught:
            rpc("eth_sendRawTransaction", raw)
        assert caught.value.code in (-32000, -32003, -32602)
        assert any(word in caught.value.message.lower() for word in words), caught.value.message
    assert int(rpc("eth_getTransactionCount", ACCOUNTS[5].address, "pending"), 16) == nonce


def test_estimates_suffice(rpc: Rpc) -> None:
    moment = rpc("evm_snapshot")
    data = token.encode_call("transfer", [CONFIG.receiver, 1])
    call = {"from": "0x" + ACCOUNTS[4].address.hex(), "to": "0x" + TOKEN.hex(), "data": "0x" + data.hex()}
    gas = int(rpc("eth_estimateGas", call), 16)
    receipt = rpc.receipt(rpc.send(4, TOKEN, data, gas=gas))
    assert receipt["status"] == "0x1"
    assert gas < 1.2 * int(receipt["gasUsed"], 16)
    rpc("evm_revert", moment)


def test_logs_by_address_topic_and_block(rpc: Rpc) -> None:
    moment = rpc("evm_snapshot")
    first = int(rpc("eth_blockNumber"), 16) + 1
    receipts = [rpc.do(PAYER, TOKEN, token.encode_call("transfer", [CONFIG.receiver, units])) for units in (1, 2, 3)]
    transfer = "0x" + keccak(b"Transfer(address,address,uint256)").hex()
    sender, receiver = ("0x" + bytes(12).hex() + address.hex() for address in (CONFIG.payer, CONFIG.receiver))
    wanted: dict[str, Any] = {"fromBlock": hex(first), "toBlock": "latest", "address": "0x" + TOKEN.hex()}
    for topics, count in (
        ([], 3),
        ([transfer], 3),
        ([transfer, sender], 3),
        ([None, [receiver, sender]], 3),
        ([transfer, None, receiver], 3),
        ([transfer, receiver], 0),
        ([sender], 0),
    ):
        assert len(rpc("eth_getLogs", {**wanted, "topics": topics})) == count, topics
    found = rpc("eth_getLogs", {**wanted, "fromBlock": hex(first + 1), "toBlock": hex(first + 1)})
    assert [int(log["data"], 16) for log in found] == [2]
    assert found[0]["transactionHash"] == receipts[1]["transactionHash"]
    assert rpc("eth_getLogs", {"blockHash": receipts[2]["blockHash"]}) == receipts[2]["logs"]
    assert rpc("eth_getLogs", {**wanted, "address": "0x" + SETTLEMENT.hex()}) == []
    rpc("evm_revert", moment)


def test_blocks_hash_to_their_hash(rpc: Rpc) -> None:
    moment = rpc("evm_snapshot")
    receipt = rpc.do(PAYER, TOKEN, token.encode_call("transfer", [CONFIG.receiver, 1]))
    block = rpc("eth_getBlockByNumber", receipt["blockNumber"], True)
    assert "0x" + keccak(_header(block)).hex() == block["hash"] == receipt["blockHash"]
    assert block == rpc("eth_getBlockByHash", block["hash"], True)
    assert [row["hash"] for row in block["transactions"]] == [receipt["transactionHash"]]
    hashes = rpc("eth_getBlockByHash", block["hash"], False)
    assert hashes["transactions"] == [receipt["transactionHash"]]
    parent = rpc("eth_getBlockByNumber", hex(int(block["number"], 16) - 1), False)
    assert block["parentHash"] == parent["hash"]
    assert rpc("eth_getBlockReceipts", block["number"])[0]["gasUsed"] == receipt["gasUsed"]
    rpc("evm_revert", moment)


def test_older_hashes_are_on_the_chain(rpc: Rpc) -> None:
    """EIP-2935, on which evidence for the court stands."""
    moment = rpc("evm_snapshot")
    for _ in range(3):
        rpc("evm_mine")
    number = int(rpc("eth_blockNumber"), 16) - 2
    history = bytes.fromhex("0000F90827F1C53a10cb7A02335B175320002935")
    assert (
        rpc.call(history, number.to_bytes(32, "big")).hex()
        == rpc("eth_getBlockByNumber", hex(number), False)["hash"][2:]
    )
    rpc("evm_revert", moment)


def test_time_can_be_set(rpc: Rpc) -> None:
    moment = rpc("evm_snapshot")
    now_s = int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    rpc("evm_setNextBlockTimestamp", now_s + 1_000_000)
    rpc("evm_mine")
    assert int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16) == now_s + 1_000_000
    rpc("evm_mine")
    later_s = int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    assert 0 <= later_s - now_s - 1_000_000 < 60
    rpc("evm_revert", moment)


def test_fees_are_told(rpc: Rpc) -> None:
    base_fee_wei = int(rpc("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
    history = rpc("eth_feeHistory", "0x1", "latest", [50])
    assert int(history["baseFeePerGas"][0], 16) == base_fee_wei
    assert len(history["baseFeePerGas"]) == 2
    assert int(rpc("eth_maxPriorityFeePerGas"), 16) > 0
    assert int(rpc("eth_gasPrice"), 16) > 0


def test_what_is_not_there_is_null_or_said(rpc: Rpc) -> None:
    assert rpc("eth_getTransactionReceipt", bytes(32)) is None
    assert rpc("eth_getTransactionByHash", bytes(32)) is None
    assert rpc("eth_getBlockByHash", bytes(32), False) is None
    with pytest.raises(RpcError) as caught:
        rpc("eth_noSuchThing")
    assert caught.value.code in (-32601, -32602)


def _deposit(rpc: Rpc, units: int) -> list[dict[str, Any]]:
    approve = token.encode_call("approve", [ALLOWANCE_COLLECTOR, units])
    deposit = collector.encode_call("deposit", [CONFIG.as_tuple(), units])
    return [rpc.do(PAYER, TOKEN, approve), rpc.do(PAYER, ALLOWANCE_COLLECTOR, deposit)]


def _claim(units: int) -> Any:
    """A row of `claim`: ((config, maxClaimable), signature, totalClaimed)."""
    voucher = Voucher(CHANNEL, units)
    signature = sign_voucher(DOMAIN, voucher, Signer(ACCOUNTS[PAYER].secret))
    return [[CONFIG.as_tuple(), units], signature, units]


def _balance(rpc: Rpc, address: bytes) -> int:
    return int(token.decode_result("balanceOf", rpc.call(TOKEN, token.encode_call("balanceOf", [address]))))


def _decoded(log: dict[str, Any]) -> Any:
    topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
    return settlement.decode_log(topics, bytes.fromhex(log["data"][2:]))


def _header(block: dict[str, Any]) -> bytes:
    data = ["parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"]
    numbers = ["difficulty", "number", "gasLimit", "gasUsed", "timestamp"]
    fields: list[Any] = [bytes.fromhex(block[name][2:]) for name in data]
    fields += [int(block[name], 16) for name in numbers]
    fields += [bytes.fromhex(block[name][2:]) for name in ("extraData", "mixHash", "nonce")]
    fields += [int(block["baseFeePerGas"], 16), bytes.fromhex(block["withdrawalsRoot"][2:])]
    fields += [int(block[name], 16) for name in ("blobGasUsed", "excessBlobGas")]
    fields += [bytes.fromhex(block[name][2:]) for name in ("parentBeaconBlockRoot", "requestsHash")]
    return bytes(rlp.encode(fields))


def _gas_of_the_engine() -> list[int]:
    """What our own machine says, run here beside the chain under test."""
    from tests.chain.devchains import engine

    chain = engine()
    calls = [
        (PAYER, TOKEN, token.encode_call("approve", [ALLOWANCE_COLLECTOR, USDC])),
        (PAYER, ALLOWANCE_COLLECTOR, collector.encode_call("deposit", [CONFIG.as_tuple(), USDC])),
        (RECEIVER, SETTLEMENT, settlement.encode_call("claim", [[_claim(5)]])),
        (RECEIVER, SETTLEMENT, settlement.encode_call("settle", [CONFIG.receiver, TOKEN])),
        (3, TOKEN, token.encode_call("transfer", [ACCOUNTS[3].address, 1])),
        (3, TOKEN, token.encode_call("transfer", [ACCOUNTS[4].address, 10_000 * USDC])),
    ]
    used: list[int] = []
    for account, to, data in calls:
        nonce = chain.nonce(ACCOUNTS[account].address)
        receipt = chain.receipt(chain.send_raw(signed(account, nonce, to, data, gas=2_000_000)))
        assert receipt.status == 1
        used.append(receipt.gas_used)
    return used

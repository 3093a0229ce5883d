"""The development chain itself: blocks, gas, calls, reverts, time, and going back."""

import pytest
import rlp  # type: ignore[import-untyped]
from eth_account import Account as Wallet
from eth_hash.auto import keccak
from eth_typing import Address
from hypothesis import given
from hypothesis import strategies as st

from nearcast.chain import rlp as ours
from nearcast.chain.devchain.engine import (
    SYSTEM_CONTRACTS,
    Account,
    Engine,
    EvmHalt,
    EvmRevert,
    InvalidTransactionError,
)
from nearcast.chain.devchain.machine import Log
from nearcast.errors import ChainError, NotFoundError

SECRET = b"\x11" * 32
PAYER = bytes.fromhex(Wallet.from_key(SECRET).address[2:])
OTHER = b"\x22" * 20
COUNTER = b"\x33" * 20
ETHER_WEI = 10**18

# slot 0 += 1; log1(topic = the new count, no data); returns the count. With any calldata it reverts with that calldata.
COUNTER_CODE = bytes.fromhex("36601c57600054600101806000558060006000a160005260206000f35b366000600037366000fd")


def engine() -> Engine:
    return Engine({PAYER: Account(balance=100 * ETHER_WEI), COUNTER: Account(nonce=1, code=COUNTER_CODE)})


def signed(nonce: int, to: bytes | None = OTHER, *, data: bytes = b"", **fields: int) -> bytes:
    wanted: dict[str, object] = {"type": 2, "chainId": 31337, "nonce": nonce, "value": 0, "data": data, "gas": 100_000}
    wanted |= {"maxFeePerGas": 2 * 10**9, "maxPriorityFeePerGas": 10**9, **fields}
    if "gasPrice" in fields:
        del wanted["maxFeePerGas"], wanted["maxPriorityFeePerGas"]
        if "type" not in fields:
            del wanted["type"]
    if to is not None:
        wanted["to"] = to
    return bytes(Wallet.sign_transaction(wanted, SECRET).raw_transaction)


def test_a_transfer_is_a_block() -> None:
    chain = engine()
    hash_ = chain.send_raw(signed(0, value=5))
    receipt = chain.receipt(hash_)
    assert (receipt.status, receipt.gas_used, receipt.block_number) == (1, 21_000, 1)
    assert chain.balance(OTHER) == 5
    fee_wei = 21_000 * (chain.head.header.base_fee_wei + 10**9)
    assert chain.balance(PAYER) == 100 * ETHER_WEI - 5 - fee_wei
    assert chain.nonce(PAYER) == 1
    assert chain.block(1) is chain.block(receipt.block_hash) is chain.head
    assert chain.head.header.parent_hash == chain.block(0).hash


@pytest.mark.parametrize("fields", [{}, {"gasPrice": 10**9}, {"type": 1, "gasPrice": 10**9}])
def test_the_three_types_of_transaction(fields: dict[str, int]) -> None:
    chain = engine()
    receipt = chain.receipt(chain.send_raw(signed(0, OTHER, data=b"", **fields)))
    assert receipt.status == 1
    assert receipt.transaction.sender == PAYER
    assert receipt.transaction.type == fields.get("type", 0 if "gasPrice" in fields else 2)


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"", "empty"),
        (b"\x03\xc0", "not supported"),
        (b"\x02\xc0", "12 fields"),
        (b"\x02\xff\xff", "rlp"),
        (signed(0)[:-1], "rlp"),
        (signed(0) + b"\0", "rlp"),
        (signed(1), "nonce too high"),
        (signed(0, chainId=1), "invalid chain id"),
        (signed(0, gas=20_999), "intrinsic gas too low"),
        (signed(0, gas=30_000_001), "exceeds block gas limit"),
        (signed(0, maxFeePerGas=1, maxPriorityFeePerGas=1), "less than block base fee"),
        (signed(0, maxFeePerGas=10**9, maxPriorityFeePerGas=10**10), "priority fee"),
        (signed(0, value=101 * ETHER_WEI), "insufficient funds"),
        (b"\xf8" + bytes(200_000), "oversized"),
    ],
)
def test_what_no_block_can_contain_is_refused(raw: bytes, word: str) -> None:
    chain = engine()
    with pytest.raises(InvalidTransactionError, match=word):
        chain.send_raw(raw)
    assert chain.head.number == 0
    assert chain.send_raw(signed(0))


def test_a_flipped_signature_is_refused() -> None:
    """(r, n - s) with the other parity is the same signer by the curve, and another transaction hash: EIP-2."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    fields = rlp.decode(signed(0)[1:])
    fields[-1] = (order - int.from_bytes(fields[-1], "big")).to_bytes(32, "big")
    fields[-3] = b"" if fields[-3] == b"\x01" else b"\x01"
    with pytest.raises(InvalidTransactionError, match="v, r, s"):
        engine().send_raw(b"\x02" + rlp.encode(fields))


_NESTED = st.recursive(st.binary(max_size=80), lambda inner: st.lists(inner, max_size=6), max_leaves=20)


@given(_NESTED)
def test_rlp_agrees_with_pyrlp(item: list[object] | bytes) -> None:
    encoded = rlp.encode(item)
    if _depth(item) <= ours.DEPTH_MAX:
        assert ours.encode(item) == encoded
        assert ours.decode(encoded) == item


def _depth(item: object) -> int:
    return 1 + max((_depth(part) for part in item), default=0) if isinstance(item, list) else 0


@given(st.binary(max_size=70))
def test_rlp_decodes_what_pyrlp_decodes(data: bytes) -> None:
    try:
        theirs = rlp.decode(data)
    except rlp.DecodingError:
        with pytest.raises(ours.RlpError):
            ours.decode(data)
        return
    if _depth(theirs) <= ours.DEPTH_MAX:
        assert ours.decode(data) == theirs
        assert ours.encode(theirs) == data


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidTransactionError):
        engine().send_raw(b"\x02" + raw)


def test_a_header_hashes_to_its_hash() -> None:
    chain = engine()
    chain.send_raw(signed(0, COUNTER))
    header = chain.head.header
    assert len(rlp.decode(header.encoded)) == 21
    assert keccak(header.encoded) == chain.head.hash
    assert header.bloom != bytes(256)
    assert header.state_root != chain.block(0).header.state_root


def test_state_roots_do_not_depend_on_the_way() -> None:
    """Reverting and doing it again gives the same roots and hashes; a chain that starts with the end state agrees."""
    chain = engine()
    moment = chain.snapshot()
    first = [chain.send_raw(signed(nonce, COUNTER, value=nonce)) for nonce in range(3)]
    head = chain.head.hash
    chain.revert(moment)
    assert chain.head.number == 0
    with pytest.raises(NotFoundError):
        chain.receipt(first[0])
    assert [chain.send_raw(signed(nonce, COUNTER, value=nonce)) for nonce in range(3)] == first
    assert chain.head.hash == head


def test_calls_change_nothing_and_reverts_carry_their_data() -> None:
    chain = engine()
    assert chain.call(COUNTER, b"") == (1).to_bytes(32, "big")
    assert chain.call(COUNTER, b"") == (1).to_bytes(32, "big")
    with pytest.raises(EvmRevert) as caught:
        chain.call(COUNTER, b"no such thing")
    assert caught.value.data == b"no such thing"
    with pytest.raises(EvmHalt):
        chain.call(OTHER, b"", value=1)
    with pytest.raises(EvmHalt, match="out of gas"):
        chain.call(COUNTER, b"", gas=22_000)


def test_a_revert_is_mined_with_its_data() -> None:
    chain = engine()
    receipt = chain.receipt(chain.send_raw(signed(0, COUNTER, data=b"why")))
    assert (receipt.status, receipt.revert_data, receipt.logs) == (0, b"why", ())
    assert chain.nonce(PAYER) == 1
    assert chain.storage(COUNTER, 0) == 0


def test_logs_are_found_by_address_topic_and_range() -> None:
    chain = engine()
    for nonce in range(3):
        chain.send_raw(signed(nonce, COUNTER))
        chain.mine()
    topics = [(count).to_bytes(32, "big") for count in (1, 2, 3)]
    found = chain.get_logs()
    assert [event.log for event in found] == [Log(COUNTER, (topic,), b"") for topic in topics]
    assert [event.receipt.block_number for event in found] == [1, 3, 5]
    assert [event.log.topics[0] for event in chain.get_logs(topics=[[topics[1], topics[2]]])] == topics[1:]
    assert len(chain.get_logs(from_block=2, to_block=3, addresses=[COUNTER])) == 1
    assert chain.get_logs(addresses=[OTHER]) == []
    assert len(chain.get_logs(topics=[None])) == 3
    assert chain.get_logs(topics=[None, None]) == []


def test_gas_estimates_suffice_and_are_tight() -> None:
    chain = engine()
    assert chain.estimate_gas(OTHER) == 21_000
    gas = chain.estimate_gas(COUNTER, sender=PAYER)
    receipt = chain.receipt(chain.send_raw(signed(0, COUNTER, gas=gas)))
    assert receipt.status == 1
    assert receipt.gas_used <= gas <= receipt.gas_used * 1.016
    with pytest.raises(EvmRevert):
        chain.estimate_gas(COUNTER, b"x")


def test_a_contract_is_created() -> None:
    chain = engine()
    size = len(COUNTER_CODE)
    init = bytes.fromhex(f"60{size:02x}600c60003960{size:02x}6000f3") + COUNTER_CODE
    receipt = chain.receipt(chain.send_raw(signed(0, None, data=init, gas=200_000)))
    assert receipt.status == 1
    assert receipt.created is not None
    assert receipt.created == keccak(rlp.encode([PAYER, 0]))[12:]
    assert chain.code(receipt.created) == COUNTER_CODE
    assert chain.call(receipt.created, b"") == (1).to_bytes(32, "big")


def test_the_past_can_be_asked() -> None:
    chain = engine()
    for nonce in range(4):
        chain.send_raw(signed(nonce, COUNTER))
    assert [chain.storage(COUNTER, 0, number) for number in range(5)] == [0, 1, 2, 3, 4]
    assert chain.nonce(PAYER, 2) == 2
    assert chain.call(COUNTER, b"", number=1) == (2).to_bytes(32, "big")
    with pytest.raises(NotFoundError):
        chain.balance(PAYER, 5)


def test_time_moves_as_told() -> None:
    chain = engine()
    start_s = chain.head.timestamp_s
    assert chain.mine().timestamp_s == start_s + 1
    chain.increase_time(1000)
    assert chain.mine(2).timestamp_s == start_s + 1003
    chain.set_time(start_s + 5000)
    chain.send_raw(signed(0))
    assert chain.head.timestamp_s == start_s + 5000
    with pytest.raises(ChainError):
        chain.set_time(start_s)


def test_the_base_fee_follows_the_load() -> None:
    chain = engine()
    assert chain.mine().header.base_fee_wei == 875_000_000
    falling = [chain.mine().header.base_fee_wei for _ in range(3)]
    assert falling == sorted(falling, reverse=True)


def test_older_block_hashes_are_kept_by_the_protocol() -> None:
    """EIP-2935: 8191 hashes by number; the machine's BLOCKHASH gives 256."""
    chain = engine()
    chain.mine(300)
    history = bytes.fromhex("0000F90827F1C53a10cb7A02335B175320002935")
    for number in (0, 7, 298):
        assert chain.call(history, number.to_bytes(32, "big")) == chain.block(number).hash
    with pytest.raises(EvmRevert):
        chain.call(history, (300).to_bytes(32, "big"))  # a block does not know its own hash
    blockhash = bytes.fromhex("6000354060005260206000f3")
    asking = Engine({OTHER: Account(nonce=1, code=blockhash)})
    asking.mine(300)
    for number, expected in ((299, asking.block(299).hash), (44, asking.block(44).hash), (43, bytes(32))):
        assert asking.call(OTHER, number.to_bytes(32, "big")) == expected


def test_transient_storage_lasts_for_one_transaction() -> None:
    """tload(0) is returned, then tstore(0, 1)."""
    code = bytes.fromhex("60005c600160005d60005260206000f3")
    chain = Engine({PAYER: Account(balance=ETHER_WEI), COUNTER: Account(nonce=1, code=code)})
    for nonce in range(2):
        chain.send_raw(signed(nonce, COUNTER))
        assert chain.call(COUNTER, b"") == bytes(32)


def test_a_contract_that_calls_itself_for_ever_ends() -> None:
    """GAS, to itself, no data: as deep as 30 million gas reach."""
    code = bytes.fromhex("60006000600060006000305af100")
    chain = Engine({COUNTER: Account(nonce=1, code=code)})
    assert chain.call(COUNTER, b"") == b""


def test_blocks_of_an_earlier_run_are_restored() -> None:
    chain, again = engine(), engine()
    for nonce in range(3):
        chain.send_raw(signed(nonce, COUNTER))
        again.restore(chain.head, chain.writes())
    again.finish_restoring()
    assert again.head.hash == chain.head.hash
    assert again.send_raw(signed(3, COUNTER)) == chain.send_raw(signed(3, COUNTER))
    assert again.head.hash == chain.head.hash
    assert again.storage(COUNTER, 0, 2) == 2
    with pytest.raises(ChainError, match="does not follow"):
        again.restore(chain.head, [])
    chain.mine()
    again.restore(chain.head, [(3, (COUNTER, 0), 99)])
    with pytest.raises(ChainError, match="not that of block 5"):
        again.finish_restoring()


def test_the_state_root_is_that_of_py_evm() -> None:
    """The oracle: py-evm's own account database, over tries."""
    from eth.db.account import AccountDB
    from eth.db.atomic import AtomicDB

    accounts = {
        PAYER: Account(5, 1, b"", {}),
        COUNTER: Account(0, 1, COUNTER_CODE, {slot: slot + 7 for slot in range(40)}),
    }
    chain = Engine(accounts)
    theirs = AccountDB(AtomicDB())
    for address, account in (SYSTEM_CONTRACTS | accounts).items():
        theirs.set_balance(Address(address), account.balance)
        theirs.set_nonce(Address(address), account.nonce)
        theirs.set_code(Address(address), account.code)
        for slot, value in account.storage.items():
            theirs.set_storage(Address(address), slot, value)
    theirs.persist()
    assert chain.head.header.state_root == theirs.state_root

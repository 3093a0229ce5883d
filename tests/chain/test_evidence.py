"""Headers as each fork has them, against py-evm's own; evidence that proves nothing is not even made."""

from dataclasses import replace
from typing import Any

import pytest
import rlp as pyrlp  # type: ignore[import-untyped]
from eth.vm.forks.cancun.blocks import CancunBlockHeader
from eth.vm.forks.london.blocks import LondonBlockHeader
from eth.vm.forks.prague.blocks import PragueBlockHeader
from eth.vm.forks.shanghai.blocks import ShanghaiBlockHeader
from eth_abi.abi import encode
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from nearcast.chain.devchain.engine import Engine
from nearcast.chain.devchain.views import block_view
from nearcast.chain.evidence import (
    EVERYWHERE,
    EXTRA_DATA_BYTES_MAX,
    BlacklistedOffer,
    BlockHeader,
    RateEquivocation,
    commitment,
    equivocation,
    header_of,
    is_equivocation,
    scope_word,
)
from nearcast.chain.offers import Offer, court_domain
from nearcast.errors import RemoteError, UsageError

FORKS = [LondonBlockHeader, ShanghaiBlockHeader, CancunBlockHeader, PragueBlockHeader]
NAMES = {  # py-evm's field: JSON-RPC's
    "parent_hash": "parentHash",
    "uncles_hash": "sha3Uncles",
    "coinbase": "miner",
    "state_root": "stateRoot",
    "transaction_root": "transactionsRoot",
    "receipt_root": "receiptsRoot",
    "bloom": "logsBloom",
    "difficulty": "difficulty",
    "block_number": "number",
    "gas_limit": "gasLimit",
    "gas_used": "gasUsed",
    "timestamp": "timestamp",
    "extra_data": "extraData",
    "mix_hash": "mixHash",
    "nonce": "nonce",
    "base_fee_per_gas": "baseFeePerGas",
    "withdrawals_root": "withdrawalsRoot",
    "blob_gas_used": "blobGasUsed",
    "excess_blob_gas": "excessBlobGas",
    "parent_beacon_block_root": "parentBeaconBlockRoot",
    "requests_hash": "requestsHash",
}
QUANTITIES = {"difficulty", "block_number", "gas_limit", "gas_used", "timestamp"}
QUANTITIES |= {"base_fee_per_gas", "blob_gas_used", "excess_blob_gas"}
DOMAIN = court_domain(31337, bytes(19) + b"\x06")


def shown(header: Any) -> dict[str, Any]:
    """A header of py-evm as an endpoint shows it."""
    block: dict[str, Any] = {"hash": "0x" + header.hash.hex(), "size": "0x1", "transactions": []}
    for name, _ in header._meta.fields:
        value = getattr(header, name)
        if name in QUANTITIES:
            block[NAMES[name]] = hex(value)
        elif name == "bloom":
            block[NAMES[name]] = f"0x{value:0512x}"
        else:
            block[NAMES[name]] = "0x" + value.hex()
    return block


def made(fork: Any = PragueBlockHeader, **fields: Any) -> Any:
    """A header of a fork with numbers of any size."""
    given = {"difficulty": 0, "block_number": 22_431_084, "gas_limit": 36_000_000, "timestamp": 1_746_612_311}
    return fork(**(given | fields))


words = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, 2**64 - 1) | st.integers(0, 300)


@pytest.mark.parametrize("fork", FORKS)
@given(data=st.data())
def test_a_header_of_every_fork_is_encoded_as_py_evm_does(fork: Any, data: st.DataObject) -> None:
    fields: dict[str, Any] = {
        "block_number": data.draw(numbers),
        "gas_limit": data.draw(numbers),
        "timestamp": data.draw(numbers),
        "gas_used": data.draw(numbers),
        "base_fee_per_gas": data.draw(numbers),
        "difficulty": data.draw(st.sampled_from([0, 1, 2**60])),
        "extra_data": data.draw(st.binary(max_size=97)),
        "coinbase": data.draw(st.binary(min_size=20, max_size=20)),
        "parent_hash": data.draw(words),
        "mix_hash": data.draw(words),
        "nonce": data.draw(st.binary(min_size=8, max_size=8)),
        "bloom": data.draw(st.integers(0, 2**2048 - 1)),
    }
    if fork in (CancunBlockHeader, PragueBlockHeader):
        fields |= {"blob_gas_used": data.draw(numbers), "excess_blob_gas": data.draw(numbers)}
    header = made(fork, **fields)
    ours = header_of(shown(header))
    assert ours.encoded == pyrlp.encode(header)
    assert (ours.hash, ours.number, ours.timestamp_s) == (header.hash, header.block_number, header.timestamp)


def test_the_dev_chains_blocks_are_headers() -> None:
    engine = Engine({})
    for block in (engine.head, engine.mine()):
        header = header_of(block_view(block, full=False))
        assert header == BlockHeader(block.header.encoded, block.hash, block.number, block.timestamp_s)


def test_fields_of_a_later_fork_that_are_null_are_not_there() -> None:
    block = shown(made(LondonBlockHeader))
    assert header_of(block | {"withdrawalsRoot": None, "blobGasUsed": None}) == header_of(block)


@pytest.mark.parametrize("name", sorted(NAMES.values()))
def test_every_field_is_in_the_hash(name: str) -> None:
    block = shown(made(gas_used=5, extra_data=b"abcd", blob_gas_used=7, excess_blob_gas=9))
    value = block[name]
    last = "1" if value[-1] != "1" else "2"
    with pytest.raises(RemoteError, match="do not hash"):
        header_of(block | {name: value[:-1] + last})


@pytest.mark.parametrize(
    "bad",
    [
        {"number": 5},
        {"number": "5"},
        {"number": "0x"},
        {"number": "0x05"},
        {"number": "0X5"},
        {"number": "0x5 "},
        {"number": "0x" + "f" * 65},
        {"number": True},
        {"timestamp": None},
        {"timestamp": "-0x1"},
        {"hash": None},
        {"hash": "0x12"},
        {"miner": "0x" + "0" * 39},
        {"logsBloom": "0x00"},
        {"logsBloom": "0x" + "g" * 512},
        {"extraData": "0x0"},
        {"extraData": "abc"},
        {"extraData": 7},
        {"extraData": ""},
        {"extraData": "0x" + "00" * (EXTRA_DATA_BYTES_MAX + 1)},
        {"nonce": "0x0"},
        {"excessBlobGas": None},
        {"parentBeaconBlockRoot": None},
        {"requestsHash": "0x"},
    ],
)
def test_malformed_blocks_are_the_endpoints_fault(bad: dict[str, Any]) -> None:
    with pytest.raises(RemoteError):
        header_of(shown(made()) | bad)


@pytest.mark.parametrize("block", [None, [], "0x", 5, {}])
def test_what_is_no_block_is_refused(block: object) -> None:
    with pytest.raises(RemoteError):
        header_of(block)


@pytest.mark.parametrize("name", ["parentHash", "number", "baseFeePerGas", "hash", "extraData"])
def test_no_field_may_be_missing(name: str) -> None:
    block = shown(made())
    del block[name]
    with pytest.raises(RemoteError):
        header_of(block)


def dated(number: int = 10) -> BlockHeader:
    return BlockHeader(b"header", keccak(number.to_bytes(8)), number, 1_700_000_000 + number)


def offer(number: int = 10, price: int = 5, **fields: Any) -> Offer:
    header = dated(number)
    return replace(Offer(keccak(b"content"), b"c" * 20, price, 1, number, header.hash), **fields)


def test_evidence_hashes_are_the_words_the_court_hashes() -> None:
    listed = BlacklistedOffer(offer(), b"signature", dated(), b"DE")
    words = encode(["uint8", "bytes32", "bytes2"], [0, listed.offer.digest(DOMAIN), b"DE"])
    assert listed.hash(DOMAIN) == keccak(words)
    rates = equivocation((offer(12, 6), b"two"), (offer(), b"one"), dated(12))
    words = encode(["uint8", "bytes32", "bytes32"], [1, rates.earlier.digest(DOMAIN), rates.later.digest(DOMAIN)])
    assert rates.hash(DOMAIN) == keccak(words)
    announced = encode(["address", "bytes32", "bytes32"], [b"w" * 20, words[:32], words[32:64]])
    assert commitment(b"w" * 20, words[:32], words[32:64]) == keccak(announced)


def test_reveals_carry_what_the_court_takes() -> None:
    listed = BlacklistedOffer(offer(), b"signature", dated())
    assert listed.reveal_args(bytes(32)) == (offer().as_tuple(), b"signature", b"header", EVERYWHERE, bytes(32))
    rates = equivocation((offer(12, 6), b"two"), (offer(), b"one"), dated(12))
    pair = (offer().as_tuple(), b"one", offer(12, 6).as_tuple(), b"two")
    assert rates.reveal_args(bytes(32)) == (*pair, b"header", bytes(32))
    for salt in (b"", bytes(31), bytes(33)):
        with pytest.raises(UsageError):
            rates.reveal_args(salt)


def test_the_earlier_offer_comes_first_and_the_dated_one_last() -> None:
    one, two = (offer(10), b"one"), (offer(12, 6), b"two")
    assert equivocation(one, two, dated(12)) == equivocation(two, one, dated(12))
    twin = (offer(10, 6, block_hash=bytes(32)), b"fork")
    assert equivocation(one, twin, dated(10)).later == offer(10)
    assert equivocation(twin, one, dated(10)).later == offer(10)


@pytest.mark.parametrize(
    ("other", "header"),
    [
        (offer(12), dated(12)),
        (offer(12, 6, root=bytes(32)), dated(12)),
        (offer(12, 6, client=bytes(20)), dated(12)),
        (offer(12, 6), dated(10)),
        (offer(12, 6), dated(13)),
    ],
)
def test_evidence_that_proves_nothing_is_not_made(other: Offer, header: BlockHeader) -> None:
    with pytest.raises(UsageError):
        equivocation((offer(), b"one"), (other, b"two"), header)


def test_offers_in_the_wrong_order_or_with_another_header_are_refused() -> None:
    with pytest.raises(UsageError):
        RateEquivocation(offer(12, 6), b"two", offer(), b"one", dated(10))
    with pytest.raises(UsageError):
        BlacklistedOffer(offer(), b"signature", dated(11))
    with pytest.raises(UsageError):
        BlacklistedOffer(offer(), b"signature", replace(dated(), hash=bytes(32)))


@pytest.mark.parametrize("scope", [b"", b"D", b"de", b"D1", b"DEU", b"D\0", b"DE\n"])
def test_a_scope_is_everywhere_or_two_capitals(scope: bytes) -> None:
    with pytest.raises(UsageError):
        scope_word(scope)
    assert scope_word(EVERYWHERE) == bytes(32)
    assert scope_word(b"DE") == b"DE" + bytes(30)


def test_a_challenger_is_somebody() -> None:
    for nobody in (bytes(20), b"", bytes(19)):
        with pytest.raises(UsageError):
            commitment(nobody, bytes(32), bytes(32))


def test_a_window_includes_its_last_block() -> None:
    assert is_equivocation(offer(10), offer(25, 6), 15)
    assert is_equivocation(offer(25, 6), offer(10), 15)
    assert not is_equivocation(offer(10), offer(26, 6), 15)
    assert not is_equivocation(offer(10), offer(11), 15)

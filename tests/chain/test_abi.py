"""Our encoding of arguments against eth-abi's, and against answers that no honest endpoint gives."""

from typing import Any

import pytest
from eth_abi.abi import decode as decode_theirs
from eth_abi.abi import encode as encode_theirs
from hypothesis import given
from hypothesis import strategies as st

from nearcast.chain.abi import contract
from nearcast.chain.abi_types import AbiType, decode, encode, parse_tuple
from nearcast.chain.artifacts import artifact_names
from nearcast.errors import ChainError, UsageError

WORD = 32


def _elementary(draw: st.DrawFn) -> str:
    return draw(
        st.sampled_from(
            ["uint8", "uint56", "uint256", "int8", "int256", "bool", "address", "bytes1", "bytes32", "bytes", "string"]
        )
    )


@st.composite
def entries(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    """One argument of an ABI: elementary, an array, or a struct."""
    if depth and draw(st.booleans()):
        inner = draw(entries(depth - 1))
        if draw(st.booleans()):
            return {**inner, "type": inner["type"] + draw(st.sampled_from(["[]", "[1]", "[3]"]))}
        parts = [inner, *draw(st.lists(entries(depth - 1), max_size=2))]
        return {"type": "tuple", "components": [{**part, "name": f"f{at}"} for at, part in enumerate(parts)]}
    return {"type": _elementary(draw)}


def _values(kind: AbiType) -> st.SearchStrategy[Any]:
    match kind.kind:
        case "uint":
            return st.integers(0, (1 << kind.size) - 1)
        case "int":
            return st.integers(-(1 << kind.size - 1), (1 << kind.size - 1) - 1)
        case "bool":
            return st.booleans()
        case "address":
            return st.binary(min_size=20, max_size=20)
        case "bytes":
            return st.binary(min_size=kind.size, max_size=kind.size or 70)
        case "string":
            return st.text(max_size=40)
        case "array":
            return st.lists(_values(kind.parts[0]), min_size=kind.size, max_size=kind.size or 3).map(tuple)
        case _:
            return st.tuples(*map(_values, kind.parts))


@given(st.data())
def test_it_is_what_eth_abi_writes_and_reads(data: st.DataObject) -> None:
    kind = parse_tuple(data.draw(st.lists(entries(), min_size=1, max_size=3)))
    value = data.draw(_values(kind))
    encoded = encode(kind, value)
    assert encoded == encode_theirs([part.text for part in kind.parts], value)
    assert decode(kind, encoded) == value
    assert _plain(kind, decode_theirs([part.text for part in kind.parts], encoded)) == value


def _plain(kind: AbiType, value: Any) -> Any:
    """eth-abi's addresses are text."""
    if kind.kind == "address":
        return bytes.fromhex(value[2:])
    if kind.kind == "array":
        return tuple(_plain(kind.parts[0], item) for item in value)
    if kind.kind == "tuple":
        return tuple(_plain(part, item) for part, item in zip(kind.parts, value, strict=True))
    return value


@given(st.data())
def test_whatever_an_endpoint_answers_it_is_a_value_or_a_chain_error(data: st.DataObject) -> None:
    kind = parse_tuple(data.draw(st.lists(entries(), min_size=1, max_size=3)))
    encoded = bytearray(encode(kind, data.draw(_values(kind))))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    answer = bytes(encoded[: data.draw(st.integers(0, len(encoded)))])
    try:
        value = decode(kind, answer)
    except ChainError:
        return
    assert decode(kind, encode(kind, value)) == value


def _words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(WORD) for number in numbers)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("uint8", _words(256)),
        ("bool", _words(2)),
        ("address", _words(1 << 160)),
        ("bytes2", _words(1)),
        ("int8", _words(128)),
        ("uint256", b"\0" * 31),
        ("string", _words(32, 2) + b"\xff\xfe" + bytes(30)),
        ("bytes", _words(32, 1) + b"ab" + bytes(30)),
        ("bytes", _words(32, 1 << 255)),
        ("uint256[]", _words(32, 1 << 200)),
        ("string[]", _words(32, 1 << 60)),
        ("string[]", _words(32, 3, 96, 96, 96, 1) + b"a" + bytes(31)),  # three strings in one place
        ("uint256[]", _words(1 << 255)),
    ],
)
def test_an_answer_that_is_not_an_encoding_is_refused(kind: str, answer: bytes) -> None:
    with pytest.raises(ChainError):
        decode(parse_tuple([{"type": kind}]), answer)


def test_a_short_answer_cannot_unfold() -> None:
    """A thousand pointers to one long text would be 32 MB."""
    count, text = 1000, b"a" * 32_000
    answer = _words(32, count, *[count * WORD] * count, len(text)) + text
    with pytest.raises(ChainError, match="twice"):
        decode(parse_tuple([{"type": "string[]"}]), answer)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256), ("uint8", -1), ("uint8", True), ("uint8", "1"), ("bool", 1), ("address", b"a" * 19),
        ("address", "0x" + "00" * 20), ("bytes2", b"abc"), ("string", b"a"), ("uint8[2]", [1]), ("int8", 128),
    ],
)  # fmt: skip
def test_an_argument_that_does_not_fit_is_refused(kind: str, value: Any) -> None:
    with pytest.raises(UsageError):
        encode(parse_tuple([{"type": kind}]), [value])


@pytest.mark.parametrize("kind", ["fixed128x18", "uint8[0]", "function", "tuple()", ""])
def test_a_type_we_do_not_know_is_refused(kind: str) -> None:
    with pytest.raises(UsageError):
        parse_tuple([{"type": kind}])


def test_structs_by_field_name() -> None:
    config = contract("BatchSettlement").function("settle").inputs
    by_name = encode(config, {"receiver": b"r" * 20, "token": b"t" * 20})
    assert by_name == encode(config, [b"r" * 20, b"t" * 20])
    with pytest.raises(UsageError):
        encode(config, {"receiver": b"r" * 20})


def test_known_selectors() -> None:
    """From the ERC-20 and EIP-3009 texts."""
    token = contract("TestUSDC")
    assert token.function("transfer").selector.hex() == "a9059cbb"
    assert token.topic("Transfer").hex() == "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    assert token.function("permit", 7).selector.hex() == "d505accf"


def test_one_of_several_by_count_or_signature() -> None:
    token = contract("TestUSDC")
    with pytest.raises(UsageError, match="several"):
        token.decode_result("permit", b"")
    assert token.function("permit(address,address,uint256,uint256,bytes)").inputs.parts[-1].text == "bytes"
    with pytest.raises(UsageError, match="nothing called 'mint'"):
        token.encode_call("mint")


def test_logs_and_calls_come_back() -> None:
    token = contract("TestUSDC")
    topics = [token.topic("Transfer"), bytes(12) + b"f" * 20, bytes(12) + b"t" * 20]
    log = token.decode_log(topics, _words(5))
    assert log is not None
    assert dict(log.arguments) == {"from": b"f" * 20, "to": b"t" * 20, "value": 5}
    call = token.decode_call(token.encode_call("transfer", [b"t" * 20, 5]))
    assert call is not None
    assert (call.name, dict(call.arguments)) == ("transfer", {"to": b"t" * 20, "value": 5})
    assert token.decode_log([b"?" * 32], b"") is None
    assert token.decode_log([], b"") is None
    assert token.decode_call(b"????") is None
    with pytest.raises(ChainError, match="topics"):
        token.decode_log(topics[:2], _words(5))


def test_no_contract_at_the_address_is_said() -> None:
    with pytest.raises(ChainError, match="no TestUSDC stands"):
        contract("TestUSDC").decode_result("balanceOf", b"")


def test_every_packaged_abi_is_understood() -> None:
    for name in artifact_names():
        known = contract(name)
        assert known.functions
        known.encode_constructor  # noqa: B018 - its types are parsed in the genesis tests
        selectors = [entry.signature for entry in known.functions.values()]
        assert len(selectors) == len(set(selectors))

"""Every refusal that our contracts know is a sentence; whatever else comes is one too."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.chain.abi import Entry, contract
from nearcast.chain.abi_types import AbiType, encode, parse_tuple
from nearcast.chain.artifacts import artifact_names
from nearcast.chain.revert_sentences import SENTENCES
from nearcast.chain.reverts import decode_revert, revert_error

ERRORS = {entry.signature: entry for name in artifact_names() for entry in contract(name).errors.values()}


def _value(kind: AbiType) -> object:
    match kind.kind:
        case "address":
            return bytes(range(20))
        case "bytes":
            return b"D" * (kind.size or 3)
        case "string":
            return "text"
    return 7


@pytest.mark.parametrize("entry", ERRORS.values(), ids=ERRORS.keys())
def test_every_custom_error_has_a_sentence(entry: Entry) -> None:
    data = entry.selector + encode(entry.inputs, [_value(part) for part in entry.inputs.parts])
    error = revert_error(data)
    assert error.error_name == entry.name
    assert error.exit_code == 12
    assert entry.name in SENTENCES
    fields = {name for _, name, _, _ in string.Formatter().parse(SENTENCES[entry.name][0]) if name}
    assert fields <= set(entry.inputs.names)
    assert entry.name not in error.message
    assert "{" not in error.message


def test_no_sentence_is_left_of_an_error_that_is_gone() -> None:
    assert set(SENTENCES) == {entry.name for entry in ERRORS.values()}


def test_addresses_are_for_people() -> None:
    entry = next(entry for entry in ERRORS.values() if entry.name == "NotRegistered")
    data = entry.selector + encode(entry.inputs, [bytes.fromhex("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")])
    assert "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed" in revert_error(data).message  # from the EIP-55 text


def test_reasons_and_panics() -> None:
    reason = bytes.fromhex("08c379a0") + encode(parse_tuple([{"type": "string"}]), ["ERC20: amount exceeds balance"])
    error = revert_error(reason)
    assert error.message == "refused: the contract says 'ERC20: amount exceeds balance'"
    assert error.fix is not None
    panic = bytes.fromhex("4e487b71") + (0x11).to_bytes(32)
    assert "a number ran over" in revert_error(panic).message
    assert "panic 0x99" in revert_error(panic[:-1] + b"\x99").message
    assert "no reason" in revert_error(b"").message
    assert "0xdeadbeef" in revert_error(bytes.fromhex("deadbeef")).message


@given(
    st.binary(max_size=200)
    | st.sampled_from(list(ERRORS.values())).flatmap(
        lambda entry: st.binary(max_size=100).map(lambda rest: entry.selector + rest)
    )
)
def test_any_revert_data_is_one_line(data: bytes) -> None:
    error = revert_error(data)
    assert error.message.isprintable()
    assert len(error.message) < 1000
    assert decode_revert(data).name == error.error_name


def test_a_contract_cannot_write_on_the_terminal() -> None:
    text = "\x1b[2J\n" + "a" * 10_000
    data = bytes.fromhex("08c379a0") + encode(parse_tuple([{"type": "string"}]), [text])
    message = revert_error(data).message
    assert message.isprintable()
    assert len(message) < 400

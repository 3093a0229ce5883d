"""CIDs as text and as bytes: every form round-trips, every mistake is the caller's UsageError."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.content.conftest import MemoryBlocks

from nearcast.content.blocks import BLOCK_BYTES_MAX, check_block, read_block
from nearcast.content.cid import (
    DAG_CBOR,
    DAG_PB,
    IDENTITY,
    RAW,
    SHA2_256,
    Cid,
    dag_pb_cid,
    decode_cid,
    encode_varint,
    parse_cid,
    raw_cid,
    read_cid,
    read_varint,
)
from nearcast.errors import IntegrityError, LimitError, NearcastError, UsageError

HELLO = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
EMPTY_FOLDER_V0 = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
EMPTY_FOLDER_V1 = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"

digests = st.binary(min_size=32, max_size=32)
sha_cids = st.builds(
    lambda codec, digest: Cid(1, codec, SHA2_256, digest), st.sampled_from([RAW, DAG_PB, DAG_CBOR]), digests
)
v0_cids = digests.map(lambda digest: Cid(0, DAG_PB, SHA2_256, digest))
identity_cids = st.binary(max_size=128).map(lambda data: Cid(1, RAW, IDENTITY, data))


@given(sha_cids | v0_cids | identity_cids)
def test_text_and_bytes_round_trip(cid: Cid) -> None:
    assert parse_cid(str(cid)) == cid
    assert decode_cid(cid.to_bytes()) == cid
    assert read_cid(b"ab" + cid.to_bytes() + b"cd", 2) == (cid, 2 + len(cid.to_bytes()))


def test_the_two_versions_name_the_same_bytes() -> None:
    old, new = parse_cid(EMPTY_FOLDER_V0), parse_cid(EMPTY_FOLDER_V1)
    assert (old.version, new.version) == (0, 1)
    assert old != new
    assert old.v1 == new.v1 == new
    assert str(old) == EMPTY_FOLDER_V0


def test_other_bases_are_read() -> None:
    binary = parse_cid(HELLO).to_bytes()
    assert parse_cid("f" + binary.hex()) == parse_cid(HELLO.upper()) == parse_cid(HELLO)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Q",
        "hello world",
        HELLO[:-1],
        HELLO + "a",
        HELLO.replace("f", "0"),
        EMPTY_FOLDER_V0[:-1],
        EMPTY_FOLDER_V0.replace("P", "0"),
        "\udcff",
        "f" + "01551b20" + "00" * 32,  # sha3, which we do not support
        "f" + "01551221" + "00" * 33,
        "f" + "0155008101" + "00" * 129,  # IPIP-0512: an identity CID of 129 bytes
        "f" + "00",
        "z" + EMPTY_FOLDER_V0,
        "b" * 600,
        "/ipfs/" + HELLO,
    ],
)
def test_a_mistyped_cid_is_a_usage_error_of_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_cid(text)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 800


def test_an_identity_cid_of_128_bytes() -> None:
    cid = parse_cid("f" + "0155008001" + "07" * 128)
    assert cid.is_identity
    assert cid.digest == b"\x07" * 128
    assert parse_cid(str(cid)) == cid


@given(st.text(max_size=80))
def test_arbitrary_text_gives_a_cid_or_a_usage_error(text: str) -> None:
    with suppress(UsageError):
        assert parse_cid(str(parse_cid(text))) == parse_cid(text)


@given(st.binary(max_size=80) | digests.map(lambda digest: b"\x01\x55\x12\x20" + digest[:-1]))
def test_arbitrary_bytes_give_a_cid_or_our_error(data: bytes) -> None:
    for start in (0, 3):
        with suppress(NearcastError):
            cid, end = read_cid(data, start)
            assert start < end <= len(data)
            assert cid.to_bytes() == data[start:end]


def test_bytes_after_a_cid() -> None:
    with pytest.raises(UsageError, match="1 bytes follow"):
        decode_cid(raw_cid(bytes(32)).to_bytes() + b"x")


@given(st.integers(0, (1 << 63) - 1))
def test_varints_round_trip(value: int) -> None:
    assert read_varint(encode_varint(value), 0) == (value, len(encode_varint(value)))


def test_malformed_varints() -> None:
    for malformed in (b"", b"\x80", b"\x80\x00"):
        with pytest.raises(UsageError):
            read_varint(malformed, 0)
    with pytest.raises(LimitError):
        read_varint(b"\xff" * 10, 0)


def test_a_block_is_checked_against_its_name(blocks: MemoryBlocks) -> None:
    cid = blocks.raw(b"x")
    check_block(cid, b"x")
    check_block(dag_pb_cid(cid.digest), b"x")
    with pytest.raises(IntegrityError):
        check_block(cid, b"y")
    with pytest.raises(LimitError):
        check_block(cid, bytes(BLOCK_BYTES_MAX + 1))
    identity = Cid(1, RAW, IDENTITY, b"me")
    check_block(identity, b"me")
    with pytest.raises(IntegrityError):
        check_block(identity, b"you")
    assert read_block(blocks, identity) == b"me"
    assert read_block(blocks, cid) == b"x"

"""Whatever bytes come, the parsers answer with a value or a NearcastError; what is written is read back the same."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.content.cid import DAG_PB, IDENTITY, RAW, SHA2_256, Cid
from nearcast.content.dagpb import PbLink, PbNode, decode_node, encode_node
from nearcast.content.nodes import children, parse_node
from nearcast.content.protobuf import read_uint
from nearcast.content.unixfs import DataType, UnixFsData, decode_unixfs, encode_unixfs
from nearcast.errors import IntegrityError, NearcastError

SOME_NODE = Cid(1, DAG_PB, SHA2_256, bytes(32))

sha_cids = st.builds(
    lambda codec, digest: Cid(1, codec, SHA2_256, digest),
    st.sampled_from([RAW, DAG_PB, 0x71]),
    st.binary(min_size=32, max_size=32),
)
v0_cids = st.binary(min_size=32, max_size=32).map(lambda digest: Cid(0, DAG_PB, SHA2_256, digest))
identity_cids = st.binary(max_size=128).map(lambda data: Cid(1, RAW, IDENTITY, data))
cids = sha_cids | v0_cids | identity_cids
uint64s = st.integers(0, (1 << 64) - 1)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
pb_nodes = st.builds(
    PbNode,
    st.lists(st.builds(PbLink, cids, st.none() | texts, st.none() | uint64s), max_size=6).map(tuple),
    st.none() | st.binary(max_size=50),
)
unixfs_datas = st.builds(
    UnixFsData,
    st.sampled_from(DataType),
    st.none() | st.binary(max_size=50),
    st.none() | uint64s,
    st.lists(uint64s, max_size=5).map(tuple),
    st.none() | uint64s,
    st.none() | uint64s,
)


@given(pb_nodes)
def test_dag_pb_round_trip(node: PbNode) -> None:
    assert decode_node(encode_node(node)) == node


@given(unixfs_datas)
def test_unixfs_round_trip(value: UnixFsData) -> None:
    assert decode_unixfs(encode_unixfs(value)) == value


@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_a_value_or_our_error(data: bytes) -> None:
    for parse in (decode_node, decode_unixfs, lambda block: children(parse_node(SOME_NODE, block))):
        with suppress(NearcastError):
            assert parse(data) is not None


@given(pb_nodes, unixfs_datas, st.data())
def test_nearly_right_bytes_give_a_value_or_our_error(node: PbNode, fields: UnixFsData, data: st.DataObject) -> None:
    block = bytearray(encode_node(node._replace(data=encode_unixfs(fields))))
    for _ in range(data.draw(st.integers(0, 3))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(block)))
    for candidate in (bytes(block), bytes(block[:cut])):
        with suppress(NearcastError):
            assert len(children(parse_node(SOME_NODE, candidate))) <= len(node.links) + len(block) // 8


def test_data_before_links_is_read_as_old_writers_left_it() -> None:
    node = PbNode((PbLink(SOME_NODE, "a", 1),), b"data")
    links_only, data_only = encode_node(node._replace(data=None)), encode_node(PbNode((), b"data"))
    assert decode_node(data_only + links_only) == node
    with pytest.raises(IntegrityError, match="both sides"):
        decode_node(links_only + data_only + links_only)
    with pytest.raises(IntegrityError, match="two Data"):
        decode_node(data_only + data_only)


LINK_CID = bytes.fromhex("0a2401551220") + bytes(32)


@pytest.mark.parametrize(
    "link",
    [
        pytest.param(b"\x12\x01a", id="no CID"),
        pytest.param(b"\x12\x01a" + LINK_CID, id="name before CID"),
        pytest.param(LINK_CID + LINK_CID, id="two CIDs"),
        pytest.param(LINK_CID + b"\x22\x00", id="unknown field"),
        pytest.param(LINK_CID + b"\x1a\x01\x01", id="size as bytes"),
        pytest.param(LINK_CID + b"\x12\x05a", id="name past the end"),
        pytest.param(LINK_CID + b"\x18", id="size cut off"),
        pytest.param(LINK_CID + b"\x18\x80\x00", id="padded size"),
        pytest.param(LINK_CID + b"\x12\x01\xff", id="name that is no text"),
        pytest.param(b"\x0a\x02\x01\x55", id="CID cut off"),
        pytest.param(b"\x0a\x24\x01\x55\x1b\x20" + bytes(32), id="another hash"),
    ],
)
def test_a_malformed_link(link: bytes) -> None:
    with pytest.raises(IntegrityError):
        decode_node(b"\x12" + bytes([len(link)]) + link)


@pytest.mark.parametrize(
    "field", ["0800", "0a01", "0b00", "0d00000000", "1200 1a00", "f8ffffffffffffffffff7f00", "0000"]
)
def test_a_malformed_node(field: str) -> None:
    with pytest.raises(IntegrityError):
        decode_node(bytes.fromhex(field))


def test_packed_block_sizes_are_read_too() -> None:
    assert decode_unixfs(bytes.fromhex("08022203018001")).blocksizes == (1, 128)
    with pytest.raises(IntegrityError):
        decode_unixfs(bytes.fromhex("08022500000000"))


def test_mode_and_a_time_before_1970_are_accepted_and_dropped() -> None:
    seconds = bytes.fromhex("08" + "ff" * 9 + "01")
    mtime = seconds + bytes.fromhex("15") + (999_999_999).to_bytes(4, "little")
    data = bytes.fromhex("0802180038a40342") + bytes([len(mtime)]) + mtime
    assert decode_unixfs(data) == UnixFsData(DataType.FILE, filesize=0)


def test_varints_up_to_64_bits() -> None:
    assert read_uint(b"\xff" * 9 + b"\x01", 0) == ((1 << 64) - 1, 10)
    for malformed in (b"", b"\x80", b"\xff" * 9 + b"\x02", b"\xff" * 11, b"\x81\x00"):
        with pytest.raises(IntegrityError):
            read_uint(malformed, 0)

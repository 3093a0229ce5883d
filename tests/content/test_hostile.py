"""DAGs made to hurt: each ends in a typed error, after a bounded number of reads."""

import pytest
from tests.content.conftest import MemoryBlocks
from tests.content.foreign import Part, inner, raw_leaf

from nearcast.content import dag as dag_module
from nearcast.content import reader
from nearcast.content.blocks import BLOCK_BYTES_MAX
from nearcast.content.cid import DAG_CBOR, SHA2_256, Cid, raw_cid
from nearcast.content.dag import file_dag_of
from nearcast.content.dagpb import PbLink, PbNode, encode_node
from nearcast.content.hamt import name_hash, slot_at
from nearcast.content.nodes import parse_node
from nearcast.content.reader import entries, read_range, resolve, walk_nodes
from nearcast.content.unixfs import DataType, UnixFsData, encode_unixfs
from nearcast.errors import IntegrityError, LimitError

LEAF = raw_cid(bytes(32))
SOME_NODE = Cid(1, 0x70, SHA2_256, bytes(32))


def pb(fields: UnixFsData, *links: PbLink) -> bytes:
    return encode_node(PbNode(links, encode_unixfs(fields)))


def shard_data(slots: list[int], fanout: int = 256, hash_type: int = 0x22) -> UnixFsData:
    bits = sum(1 << slot for slot in slots)
    bitfield = bits.to_bytes((bits.bit_length() + 7) // 8, "big")
    return UnixFsData(DataType.HAMT_SHARD, bitfield, hash_type=hash_type, fanout=fanout)


def file_data(sizes: tuple[int, ...], filesize: int | None) -> UnixFsData:
    return UnixFsData(DataType.FILE, filesize=filesize, blocksizes=sizes)


LYING_BLOCKS = {
    "fewer sizes than links": pb(file_data((1,), 1), PbLink(LEAF, "", 1), PbLink(LEAF, "", 1)),
    "more sizes than links": pb(file_data((1, 1), 2), PbLink(LEAF, "", 1)),
    "a named part of a file": pb(file_data((1,), 1), PbLink(LEAF, "part", 1)),
    "file size too small": pb(file_data((5,), 4), PbLink(LEAF, "", 5)),
    "file size too large": pb(file_data((5,), 6), PbLink(LEAF, "", 5)),
    "file size absent": pb(file_data((5,), None), PbLink(LEAF, "", 5)),
    "a name twice": pb(UnixFsData(DataType.DIRECTORY), PbLink(LEAF, "a", 1), PbLink(LEAF, "a", 1)),
    "an entry without a name": pb(UnixFsData(DataType.DIRECTORY), PbLink(LEAF, "", 1)),
    "a name that is no text": bytes.fromhex("122a0a2401551220" + "00" * 32 + "1202fffe0a020801"),
    "a bit without a link": pb(shard_data([1, 2]), PbLink(LEAF, "01a", 1)),
    "a link without a bit": pb(shard_data([1]), PbLink(LEAF, "01a", 1), PbLink(LEAF, "02b", 1)),
    "a bit elsewhere than its link": pb(shard_data([3]), PbLink(LEAF, "01a", 1)),
    "a lower-case prefix": pb(shard_data([0xAB]), PbLink(LEAF, "aba", 1)),
    "a bitfield longer than the fanout": pb(
        UnixFsData(DataType.HAMT_SHARD, bytes(33), hash_type=0x22, fanout=256), PbLink(LEAF, "01a", 1)
    ),
    "fanout 0": pb(shard_data([], fanout=0)),
    "fanout 4": pb(shard_data([], fanout=4)),
    "fanout 12": pb(shard_data([], fanout=12)),
    "another hash": pb(shard_data([], hash_type=0x12)),
    "a symlink with links": pb(UnixFsData(DataType.SYMLINK, b"x"), PbLink(LEAF, "", 1)),
    "a symlink to nothing": pb(UnixFsData(DataType.SYMLINK)),
    "a symlink that is no text": pb(UnixFsData(DataType.SYMLINK, b"\xff")),
    "metadata": pb(UnixFsData(DataType.METADATA)),
    "no data": encode_node(PbNode((), None)),
    "unknown type": encode_node(PbNode((), b"\x08\x06")),
    "no type": encode_node(PbNode((), b"\x18\x00")),
    "mtime with 0 nanoseconds": encode_node(PbNode((), bytes.fromhex("08021800420708011500000000"))),
    "mtime without seconds": encode_node(PbNode((), bytes.fromhex("0802180042051501000000"))),
}


@pytest.mark.parametrize("lie", LYING_BLOCKS)
def test_a_block_that_contradicts_itself(lie: str) -> None:
    with pytest.raises(IntegrityError):
        parse_node(SOME_NODE, LYING_BLOCKS[lie])


TOO_LARGE_BLOCKS = {
    "fanout 2048": pb(shard_data([], fanout=2048)),
    "fanout 2**60": pb(shard_data([], fanout=1 << 60)),
    "sizes that overflow 64 bits": pb(file_data(((1 << 64) - 1, 2), 1), PbLink(LEAF, "", 1), PbLink(LEAF, "", 1)),
    "a file of over 1 PiB": pb(file_data(((1 << 50) + 1,), (1 << 50) + 1), PbLink(LEAF, "", 1)),
    "a symlink's target": pb(UnixFsData(DataType.SYMLINK, b"x" * 4097)),
    "a block over 2 MiB": bytes(BLOCK_BYTES_MAX + 1),
    "links": b"\x12\x06\x0a\x04\x01\x55\x00\x00" * 70_000,
}


@pytest.mark.parametrize("excess", TOO_LARGE_BLOCKS)
def test_a_block_over_a_limit(excess: str) -> None:
    with pytest.raises(LimitError):
        parse_node(SOME_NODE, TOO_LARGE_BLOCKS[excess])


def test_a_codec_that_is_no_file() -> None:
    with pytest.raises(IntegrityError, match="0x71"):
        parse_node(Cid(1, DAG_CBOR, SHA2_256, bytes(32)), b"\xa0")


def test_a_raw_leaf_over_2_mib() -> None:
    with pytest.raises(LimitError):
        parse_node(LEAF, bytes(BLOCK_BYTES_MAX + 1))


def lying_parent(blocks: MemoryBlocks, child: Part, claimed_bytes: int) -> Cid:
    return inner(blocks, [child._replace(size_bytes=claimed_bytes)]).cid


def test_a_child_of_another_size_than_its_parent_says(blocks: MemoryBlocks) -> None:
    child = inner(blocks, [raw_leaf(blocks, b"12345")])
    for claimed in (4, 6):
        root = lying_parent(blocks, child, claimed)
        with pytest.raises(IntegrityError):
            list(read_range(blocks, root, 0, 10))
        with pytest.raises(IntegrityError):
            file_dag_of(blocks, root)
        with pytest.raises(IntegrityError):
            list(read_range(blocks, lying_parent(blocks, raw_leaf(blocks, b"12345"), claimed), 0, 10))


def test_a_directory_inside_a_file(blocks: MemoryBlocks) -> None:
    folder = Part(blocks.node(pb(UnixFsData(DataType.DIRECTORY))), 4, 4)
    root = inner(blocks, [folder]).cid
    with pytest.raises(IntegrityError):
        list(read_range(blocks, root, 0, 4))
    assert file_dag_of(blocks, root) is None


def test_a_leaf_that_claims_over_2_mib(blocks: MemoryBlocks) -> None:
    root = lying_parent(blocks, raw_leaf(blocks, b"x"), BLOCK_BYTES_MAX + 1)
    with pytest.raises(LimitError):
        file_dag_of(blocks, root)


def test_a_file_that_is_only_depth(blocks: MemoryBlocks) -> None:
    part = raw_leaf(blocks, b"x")
    for _ in range(500):
        part = inner(blocks, [part])
    with pytest.raises(LimitError):
        list(read_range(blocks, part.cid, 0, 1))
    with pytest.raises(LimitError):
        file_dag_of(blocks, part.cid)
    assert len(list(walk_nodes(blocks, part.cid))) == 500


def doubling(blocks: MemoryBlocks, part: Part, levels: int, width: int = 2) -> Part:
    for _ in range(levels):
        part = inner(blocks, [part] * width)
    return part


def test_shared_children_do_not_multiply_the_work(blocks: MemoryBlocks) -> None:
    """A file of 2**40 bytes from 41 blocks: a range costs its depth, a walk its distinct blocks; there is no table."""
    root = doubling(blocks, raw_leaf(blocks, b"x"), 40).cid
    assert b"".join(read_range(blocks, root, 1 << 39, (1 << 39) + 3)) == b"xxx"
    assert len(blocks.reads) < 200
    assert len(list(walk_nodes(blocks, root))) == 40
    assert file_dag_of(blocks, root) is None


def test_a_wide_and_shared_file_has_no_table(blocks: MemoryBlocks) -> None:
    """1024 x 1024 x 1024 leaves out of three blocks would be a table of 32 GiB."""
    root = doubling(blocks, raw_leaf(blocks, b"x"), 3, width=1024).cid
    blocks.reads.clear()
    assert file_dag_of(blocks, root) is None
    assert len(blocks.reads) == 3


def test_a_shared_file_over_the_limit_of_leaves(blocks: MemoryBlocks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dag_module, "LEAVES_MAX", 1000)
    with pytest.raises(LimitError, match="1000 leaves"):
        file_dag_of(blocks, doubling(blocks, raw_leaf(blocks, b"x"), 10).cid)


def test_empty_children_are_not_visited(blocks: MemoryBlocks) -> None:
    empty = doubling(blocks, raw_leaf(blocks, b""), 30)
    root = inner(blocks, [empty, raw_leaf(blocks, b"x"), empty]).cid
    blocks.reads.clear()
    assert list(read_range(blocks, root, 0, 9)) == [b"x"]
    assert len(blocks.reads) == 2
    assert file_dag_of(blocks, root) is None


def test_a_sharded_directory_that_uses_one_sub_shard_everywhere(blocks: MemoryBlocks) -> None:
    """Seven levels of 256 slots would be 2**56 entries; the first one stands where its name does not hash to."""
    cid = blocks.node(pb(shard_data(list(range(256))), *[PbLink(LEAF, f"{slot:02X}x", 1) for slot in range(256)]))
    for _ in range(7):
        links = [PbLink(cid, f"{slot:02X}", 1) for slot in range(256)]
        cid = blocks.node(pb(shard_data(list(range(256))), *links))
    with pytest.raises(IntegrityError, match="does not belong"):
        list(entries(blocks, cid))
    assert len(blocks.reads) == 8
    assert len(list(walk_nodes(blocks, cid))) == 8


def test_a_sharded_directory_without_any_entry(blocks: MemoryBlocks) -> None:
    cid = blocks.node(pb(shard_data([])))
    assert list(entries(blocks, cid)) == []
    cid = blocks.node(pb(shard_data([0]), PbLink(cid, "00", 1)))
    with pytest.raises(IntegrityError, match="not a filled shard"):
        list(entries(blocks, cid))


def test_a_sharded_directory_deeper_than_its_hash(blocks: MemoryBlocks) -> None:
    """Every level holds the slot that the name asks for, for more levels than the hash has bits."""
    bits = name_hash("x")
    cid = LEAF
    for level in reversed(range(10)):
        slot = slot_at(bits, level, 256) or 0
        cid = blocks.node(pb(shard_data([slot]), PbLink(cid, f"{slot:02X}" + ("x" if level == 9 else ""), 1)))
    for attempt in (lambda: resolve(blocks, cid, "x"), lambda: list(entries(blocks, cid))):
        with pytest.raises(IntegrityError, match="deeper"):
            attempt()


def test_a_sub_shard_of_another_fanout(blocks: MemoryBlocks) -> None:
    below = blocks.node(pb(shard_data([1], fanout=8), PbLink(LEAF, "1x", 1)))
    slot = slot_at(name_hash("x"), 0, 256) or 0
    cid = blocks.node(pb(shard_data([slot]), PbLink(below, f"{slot:02X}", 1)))
    for attempt in (lambda: resolve(blocks, cid, "x"), lambda: list(entries(blocks, cid))):
        with pytest.raises(IntegrityError, match="fanout 256"):
            attempt()


def test_a_walk_ends_at_its_limits(blocks: MemoryBlocks, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = blocks.node(pb(UnixFsData(DataType.DIRECTORY)))
    for number in range(50):
        folder = blocks.node(pb(UnixFsData(DataType.DIRECTORY), PbLink(folder, f"down {number}", 1)))
    monkeypatch.setattr(reader, "WALK_NODES_MAX", 40)
    with pytest.raises(LimitError):
        list(walk_nodes(blocks, folder))
    monkeypatch.setattr(reader, "PENDING_MAX", 40)
    part = inner(blocks, [inner(blocks, [raw_leaf(blocks, bytes([number]))]) for number in range(50)])
    with pytest.raises(LimitError):
        list(walk_nodes(blocks, part.cid))
    with pytest.raises(LimitError):
        list(read_range(blocks, part.cid, 0, 50))


def test_a_path_of_too_many_segments(blocks: MemoryBlocks) -> None:
    with pytest.raises(LimitError):
        resolve(blocks, LEAF, "a/" * 257)


def test_a_leaf_named_by_an_unknown_codec_in_a_file(blocks: MemoryBlocks) -> None:
    strange = Cid(1, 0x99, SHA2_256, blocks.raw(b"x").digest)
    blocks.blocks[strange] = b"x"
    root = inner(blocks, [Part(strange, 1, 1)]).cid
    assert file_dag_of(blocks, root) is None
    with pytest.raises(IntegrityError):
        list(read_range(blocks, root, 0, 1))

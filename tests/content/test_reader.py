"""Files of every layout and paths through every kind of directory, read back byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.content.conftest import Keystream, MemoryBlocks
from tests.content.foreign import balanced_v0, inner, pb_leaf, raw_leaf, trickle

from nearcast.content.blocks import MissingBlockError
from nearcast.content.cid import DAG_PB, IDENTITY, RAW, Cid
from nearcast.content.dag import build_file_dag, file_dag_of
from nearcast.content.directory import build_directory, build_symlink
from nearcast.content.hamt import build_shard
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.nodes import DirectoryNode, Entry, FileNode, RawLeaf, SymlinkNode
from nearcast.content.reader import entries, file_size, read_range, resolve, walk_blocks, walk_nodes
from nearcast.content.unixfs import DataType
from nearcast.errors import NotFoundError, UsageError


def whole(blocks: MemoryBlocks, cid: Cid) -> bytes:
    return b"".join(read_range(blocks, cid, 0, file_size(blocks, cid)))


def ours(blocks: MemoryBlocks, data: bytes) -> Cid:
    leaves = [data[at : at + LEAF_BYTES] for at in range(0, len(data), LEAF_BYTES)] or [b""]
    dag = build_file_dag(b"".join(blocks.raw(leaf).digest for leaf in leaves), len(data))
    blocks.add(dag.nodes)
    return dag.root


def tree(blocks: MemoryBlocks, files: dict[str, bytes]) -> Cid:
    """A directory from paths; an empty path component does not occur."""
    here: dict[str, bytes] = {}
    below: dict[str, dict[str, bytes]] = {}
    for path, data in files.items():
        head, _, rest = path.partition("/")
        if rest:
            below.setdefault(head, {})[rest] = data
        else:
            here[head] = data
    found = [Entry(name, ours(blocks, data), len(data)) for name, data in here.items()]
    found += [Entry(name, tree(blocks, inside), 0) for name, inside in below.items() if name not in here]
    dag = build_directory(found)
    blocks.add(dag.nodes)
    return dag.root


def test_a_v0_file_of_two_levels_is_read_block_by_block(blocks: MemoryBlocks) -> None:
    data = Keystream("v0").read(200 * 1000 + 17)
    root = balanced_v0(blocks, data, leaf_bytes=1000)
    assert root.version == 0
    assert str(root).startswith("Qm")
    assert file_dag_of(blocks, root) is None
    assert whole(blocks, root) == data
    assert b"".join(read_range(blocks, root, 173_999, 174_001)) == data[173_999:174_001]


def test_a_v0_file_at_its_real_leaf_size(blocks: MemoryBlocks) -> None:
    data = Keystream("v0").read(600_000)
    assert whole(blocks, balanced_v0(blocks, data)) == data


def test_a_trickle_file_has_a_leaf_table_in_file_order(blocks: MemoryBlocks) -> None:
    data = Keystream("trickle").read(40 * 100 + 7)
    root = trickle(blocks, data, 100)
    assert whole(blocks, root) == data
    dag = file_dag_of(blocks, root)
    assert dag is not None
    assert dag.leaves.size_bytes == len(data)
    for index in range(len(dag.leaves)):
        offset, size = dag.leaves.span(index)
        assert blocks(dag.leaves.cid(index)) == data[offset : offset + size]
    assert [cid for cid, _ in dag.nodes] == [cid for cid, _ in walk_nodes(blocks, root)]


def test_mixed_leaves_inline_data_and_identity_leaves(blocks: MemoryBlocks) -> None:
    identity = Cid(1, RAW, IDENTITY, b"identity")
    parts = [
        raw_leaf(blocks, b"raw,"),
        pb_leaf(blocks, b"file,"),
        pb_leaf(blocks, b"old raw,", kind=DataType.RAW),
        inner(blocks, [raw_leaf(blocks, b"below,")], inline=b"above,"),
        raw_leaf(blocks, b"")._replace(cid=identity, size_bytes=8),
    ]
    root = inner(blocks, parts, inline=b"first,").cid
    expected = b"first,raw,file,old raw,above,below,identity"
    assert whole(blocks, root) == expected
    assert file_dag_of(blocks, root) is None
    for start in range(len(expected)):
        assert b"".join(read_range(blocks, root, start, start + 7)) == expected[start : start + 7]


def test_leaves_of_2_mib_and_of_uneven_sizes(blocks: MemoryBlocks) -> None:
    pieces = [b"a" * (2 << 20), b"b" * 5, b"c" * 1000]
    root = inner(blocks, [raw_leaf(blocks, piece) for piece in pieces]).cid
    dag = file_dag_of(blocks, root)
    assert dag is not None
    assert [dag.leaves.span(index) for index in range(3)] == [(0, 2 << 20), (2 << 20, 5), ((2 << 20) + 5, 1000)]
    assert whole(blocks, root) == b"".join(pieces)


def test_what_we_build_is_what_we_read(blocks: MemoryBlocks) -> None:
    data = bytes(LEAF_BYTES) * 3 + b"tail"
    root = ours(blocks, data)
    dag = file_dag_of(blocks, root)
    assert dag == build_file_dag(dag.leaves.digests if dag else b"", len(data))
    assert whole(blocks, root) == data


def test_only_the_blocks_of_the_range_are_read(blocks: MemoryBlocks) -> None:
    data = Keystream("range").read(5 * 1000)
    root = trickle(blocks, data, 1000)
    blocks.reads.clear()
    assert b"".join(read_range(blocks, root, 1500, 1600)) == data[1500:1600]
    assert len(blocks.reads) == 2


@given(
    size=st.integers(0, 400),
    leaf_bytes=st.integers(1, 60),
    start=st.integers(0, 450),
    length=st.integers(0, 450),
    layout=st.sampled_from(["v0", "trickle"]),
)
def test_any_range_of_any_layout(size: int, leaf_bytes: int, start: int, length: int, layout: str) -> None:
    blocks = MemoryBlocks()
    data = Keystream("any").read(size)
    root = balanced_v0(blocks, data, leaf_bytes, 3) if layout == "v0" or not size else trickle(blocks, data, leaf_bytes)
    assert b"".join(read_range(blocks, root, start, start + length)) == data[start : start + length]


names = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=6)
good_names = names.filter(lambda name: name not in (".", ".."))


@given(st.dictionaries(st.lists(good_names, min_size=1, max_size=3).map("/".join), st.binary(max_size=20), max_size=12))
def test_every_path_of_a_random_tree_resolves(files: dict[str, bytes]) -> None:
    blocks = MemoryBlocks()
    folders = {path[:at] for path in files for at, letter in enumerate(path) if letter == "/"}
    files = {path: data for path, data in files.items() if path not in folders}
    root = tree(blocks, files)
    for path, data in files.items():
        found = resolve(blocks, root, path)
        assert found.node == RawLeaf(data)
        assert len(found.way) == len(path.split("/"))
    with pytest.raises(NotFoundError, match="no such name"):
        resolve(blocks, root, "no such name")


def test_a_missing_segment_is_named(blocks: MemoryBlocks) -> None:
    root = tree(blocks, {"a/b/c.txt": b"x"})
    assert isinstance(resolve(blocks, root, "/a//b/").node, DirectoryNode)
    with pytest.raises(NotFoundError, match=r"'B' in /a of"):
        resolve(blocks, root, "a/B/c.txt")
    with pytest.raises(NotFoundError, match=r"a/b/c.txt is not a folder"):
        resolve(blocks, root, "a/b/c.txt/d")
    with pytest.raises(NotFoundError):
        resolve(blocks, root, "a/\udcff")


@pytest.mark.parametrize("fanout", [8, 64, 256, 1024])
def test_a_sharded_directory_of_any_legal_fanout(blocks: MemoryBlocks, fanout: int) -> None:
    leaf = blocks.raw(b"x")
    wanted = {f"file {number}": leaf for number in range(700)}
    shard = build_shard([Entry(name, cid, 1) for name, cid in wanted.items()], fanout)
    blocks.add(shard.nodes)
    assert {entry.name: entry.cid for entry in entries(blocks, shard.cid)} == wanted
    assert resolve(blocks, shard.cid, "file 77").cid == leaf
    with pytest.raises(NotFoundError):
        resolve(blocks, shard.cid, "file 700")
    with pytest.raises(NotFoundError):
        resolve(blocks, shard.cid, "file \udcff")
    assert {cid for cid, _ in walk_nodes(blocks, shard.cid)} == {cid for cid, _ in shard.nodes}


def test_the_way_through_shards_can_be_followed_by_someone_else(blocks: MemoryBlocks) -> None:
    shard = build_shard([Entry(str(number), blocks.raw(b"x"), 1) for number in range(2000)])
    blocks.add(shard.nodes)
    found = resolve(blocks, shard.cid, "1234")
    assert len(found.way) > 1
    theirs = MemoryBlocks()
    theirs.add(found.way)
    theirs.raw(b"x")
    assert resolve(theirs, shard.cid, "1234").cid == found.cid


def test_a_symlink_is_shown_and_not_followed(blocks: MemoryBlocks) -> None:
    cid, block = build_symlink("../secret")
    blocks.add([(cid, block)])
    root = build_directory([Entry("link", cid, len(block))])
    blocks.add(root.nodes)
    assert resolve(blocks, root.root, "link").node == SymlinkNode("../secret")
    with pytest.raises(NotFoundError):
        resolve(blocks, root.root, "link/x")
    with pytest.raises(UsageError):
        file_size(blocks, cid)
    with pytest.raises(UsageError):
        list(entries(blocks, cid))
    with pytest.raises(UsageError):
        list(read_range(blocks, root.root, 0, 1))


def test_identity_cids_need_no_store(blocks: MemoryBlocks) -> None:
    empty = Cid(1, RAW, IDENTITY, b"")
    assert resolve(blocks, empty, "").node == RawLeaf(b"")
    inline_file = Cid(1, DAG_PB, IDENTITY, bytes.fromhex("0a080802120278791802"))
    assert resolve(blocks, inline_file, "").node == FileNode((), b"xy", 2)
    assert list(walk_blocks(blocks, inline_file)) == []
    assert blocks.reads == []


def test_a_gap_is_a_missing_block(blocks: MemoryBlocks) -> None:
    root = ours(blocks, bytes(LEAF_BYTES) + b"tail")
    gone = blocks.raw(b"tail")
    del blocks.blocks[gone]
    with pytest.raises(MissingBlockError) as caught:
        whole(blocks, root)
    assert caught.value.cid == gone
    assert len(list(walk_nodes(blocks, root))) == 1
    with pytest.raises(MissingBlockError):
        list(walk_blocks(blocks, root))


def test_a_walk_is_depth_first_and_gives_each_block_once(blocks: MemoryBlocks) -> None:
    root = tree(blocks, {"a/x": b"same", "b/x": b"same", "a/y": b"other", "c": b"same"})
    walked = [cid for cid, _ in walk_blocks(blocks, root)]
    a, b = resolve(blocks, root, "a").cid, resolve(blocks, root, "b").cid
    assert walked == [root, a, blocks.raw(b"same"), blocks.raw(b"other"), b]
    assert [cid for cid, _ in walk_nodes(blocks, root)] == [root, a, b]

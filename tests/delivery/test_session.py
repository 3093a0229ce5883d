"""Both ends walk alike: the same blocks in the same order, each once, and every file below the target."""

import hashlib

import pytest

from nearcast.content.blocks import MissingBlockError
from nearcast.content.cid import Cid, dag_pb_cid, raw_cid
from nearcast.content.dag import build_file_dag
from nearcast.content.dagpb import PbLink, PbNode, encode_node
from nearcast.content.directory import build_directory
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.nodes import Entry
from nearcast.content.reader import walk_nodes
from nearcast.content.unixfs import DataType, UnixFsData, encode_unixfs
from nearcast.delivery.session import NodeWalk
from nearcast.errors import IntegrityError, NotFoundError


class Blocks(dict[Cid, bytes]):
    """A heap of blocks to walk over."""

    def get_block(self, cid: Cid) -> bytes:
        if cid not in self:
            raise MissingBlockError(cid)
        return self[cid]

    def raw(self, data: bytes) -> Cid:
        cid = raw_cid(hashlib.sha256(data).digest())
        self[cid] = data
        return cid

    def file(self, leaves: int, letter: bytes = b"x") -> Cid:
        digests = b"".join(
            hashlib.sha256(letter + index.to_bytes(4, "big") + bytes(LEAF_BYTES - 5)).digest()
            for index in range(leaves)
        )
        dag = build_file_dag(digests, leaves * LEAF_BYTES)
        self.update(dag.nodes)
        return dag.root

    def directory(self, **entries: Cid) -> Cid:
        built = build_directory([Entry(name, cid, 100) for name, cid in entries.items()])
        self.update(built.nodes)
        return built.root


def walked(blocks: Blocks, walk: NodeWalk) -> list[Cid]:
    order = []
    while walk.expected is not None:
        order.append(walk.expected)
        walk.accept(blocks.get_block(walk.expected))
    return order


@pytest.fixture
def blocks() -> Blocks:
    return Blocks()


def test_a_tree_is_walked_as_the_reader_does(blocks: Blocks) -> None:
    inner = blocks.directory(two=blocks.file(2), note=blocks.raw(b"note"))
    root = blocks.directory(a=inner, b=blocks.file(3, b"y"), again=inner)
    walk = NodeWalk(root)
    assert walked(blocks, walk) == [cid for cid, _ in walk_nodes(blocks.get_block, root)]
    assert walk.target == root
    assert sorted(file.size_bytes for file in walk.files) == [100, 2 * LEAF_BYTES, 3 * LEAF_BYTES]


def test_a_path_comes_first_and_only_what_is_below_its_target_follows(blocks: Blocks) -> None:
    file = blocks.file(2)
    inner = blocks.directory(file=file)
    other = blocks.directory(noise=blocks.file(3, b"y"))
    root = blocks.directory(a=inner, z=other)
    walk = NodeWalk(root, "a/file")
    assert walked(blocks, walk) == [root, inner, file]
    assert walk.target == file
    assert [found.cid for found in walk.files] == [file]


def test_a_path_to_a_leaf_brings_the_leaf(blocks: Blocks) -> None:
    note = blocks.raw(b"note")
    root = blocks.directory(note=note)
    walk = NodeWalk(root, "note")
    assert walked(blocks, walk) == [root, note]
    assert [(found.cid, found.size_bytes) for found in walk.files] == [(note, 4)]


def test_shallow_stops_at_the_target(blocks: Blocks) -> None:
    inner = blocks.directory(file=blocks.file(2))
    root = blocks.directory(a=inner)
    assert walked(blocks, NodeWalk(root, shallow=True)) == [root]
    assert walked(blocks, NodeWalk(root, "a", shallow=True)) == [root, inner]


def test_shallow_takes_every_shard_of_a_large_directory_and_no_entry(blocks: Blocks) -> None:
    note = blocks.raw(b"note")
    inner = blocks.directory(only=note)
    names = {f"a-rather-long-name-to-fill-the-block-{number:05}": note for number in range(6000)}
    built = build_directory([Entry(name, cid, 4) for name, cid in names.items()] + [Entry("sub", inner, 9)])
    blocks.update(built.nodes)
    order = walked(blocks, NodeWalk(built.root, shallow=True))
    assert set(order) == {cid for cid, _ in built.nodes}
    assert len(order) > 100
    whole = NodeWalk(built.root)
    assert set(walked(blocks, whole)) == {cid for cid, _ in built.nodes} | {inner}
    assert [found.cid for found in whole.files] == [note]


def test_upcoming_blocks_are_really_asked_for_soon(blocks: Blocks) -> None:
    letters = {letter: blocks.file(2, letter.encode()) for letter in "abcdef"}
    root = blocks.directory(**letters)
    walk = NodeWalk(root)
    walk.accept(blocks[root])
    upcoming = walk.upcoming(4)
    assert len(upcoming) == 4
    assert walked(blocks, walk)[:4] == upcoming


def test_a_path_that_is_not_there_is_known_from_verified_blocks(blocks: Blocks) -> None:
    root = blocks.directory(a=blocks.raw(b"a"))
    walk = NodeWalk(root, "missing")
    with pytest.raises(NotFoundError, match="missing"):
        walk.accept(blocks[root])


def test_a_broken_block_is_the_contents_fault() -> None:
    junk = b"\x0a\xff\xff"
    walk = NodeWalk(dag_pb_cid(hashlib.sha256(junk).digest()))
    with pytest.raises(IntegrityError):
        walk.accept(junk)


def test_identity_entries_need_no_block(blocks: Blocks) -> None:
    inline = Cid(1, 0x55, 0, b"tiny")
    empty = Cid(1, 0x70, 0, encode_node(PbNode((), encode_unixfs(UnixFsData(DataType.DIRECTORY)))))
    node = encode_node(PbNode((PbLink(empty, "d", 1), PbLink(inline, "f", 4)), empty.digest[2:]))
    root = dag_pb_cid(hashlib.sha256(node).digest())
    blocks[root] = node
    walk = NodeWalk(root)
    assert walked(blocks, walk) == [root]
    assert walk.files == []


def test_repeated_subtrees_are_walked_once(blocks: Blocks) -> None:
    """A DAG of 40 levels, each naming the next one twice, has 2^40 paths and 41 blocks."""
    cid = blocks.directory(leaf=blocks.raw(b"leaf"))
    for _ in range(40):
        cid = blocks.directory(left=cid, right=cid)
    assert len(walked(blocks, NodeWalk(cid))) == 41

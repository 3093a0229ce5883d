"""Content written to disk: whole or not at all, and never anywhere but below its destination."""

import os
from hashlib import sha256
from pathlib import Path

import pytest
from tests.content.conftest import Keystream, MemoryBlocks
from tests.content.foreign import Part, balanced_v0, inner, raw_leaf

from nearcast.content import export as export_module
from nearcast.content.blocks import MissingBlockError
from nearcast.content.cid import Cid
from nearcast.content.dagpb import PbLink, PbNode, encode_node
from nearcast.content.directory import build_symlink
from nearcast.content.export import materialise
from nearcast.content.importer import import_path
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import Store
from nearcast.content.unixfs import DataType, UnixFsData, encode_unixfs
from nearcast.errors import (
    ChangedError,
    DiskFullError,
    IntegrityError,
    LimitError,
    NotFoundError,
    StoreError,
    UsageError,
)


def keep(store: Store, blocks: MemoryBlocks) -> None:
    with store.batch() as batch:
        for cid, data in blocks.blocks.items():
            batch.put_block(cid, data)


def folder_of(blocks: MemoryBlocks, *links: tuple[str, Cid]) -> Cid:
    """A directory with any names, also such as our own writer refuses."""
    data = encode_unixfs(UnixFsData(DataType.DIRECTORY))
    return blocks.node(encode_node(PbNode(tuple(PbLink(cid, name, 1) for name, cid in links), data)))


@pytest.fixture
def there(tmp_path: Path) -> Path:
    place = tmp_path / "there"
    place.mkdir()
    return place


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "below" / "empty").mkdir(parents=True)
    (folder / "a").write_bytes(b"small")
    (folder / "none").write_bytes(b"")
    (folder / "below" / "large").write_bytes(Keystream("export").read(3 * LEAF_BYTES + 1))
    (folder / "link").symlink_to("below/large")
    (folder / "out").symlink_to("/etc/passwd")
    return folder


def picture(folder: Path) -> dict[str, object]:
    """Every path below, with what is there."""
    found: dict[str, object] = {}
    for path in folder.rglob("*"):
        value: object = "folder"
        if path.is_symlink():
            value = os.readlink(path)
        elif path.is_file():
            value = sha256(path.read_bytes()).digest()
        found[str(path.relative_to(folder))] = value
    return found


@pytest.mark.parametrize("in_place", [True, False])
def test_a_tree_comes_back_as_it_was(store: Store, tree: Path, there: Path, in_place: bool) -> None:
    root = import_path(store, tree, in_place=in_place).root
    reports: list[tuple[int, int]] = []
    exported = materialise(store, root, there / "copy", progress=lambda *done: reports.append(done))
    assert picture(there / "copy") == picture(tree)
    assert (exported.files, exported.folders, exported.symlinks) == (3, 3, 2)
    assert exported.size_bytes == 3 * LEAF_BYTES + 6
    assert reports[-1] == (exported.size_bytes, 3)
    assert os.listdir(there) == ["copy"]


@pytest.mark.parametrize("size_bytes", [0, 5, LEAF_BYTES, 2 * LEAF_BYTES + 7])
def test_a_single_file(store: Store, tmp_path: Path, there: Path, size_bytes: int) -> None:
    (tmp_path / "file").write_bytes(Keystream("single").read(size_bytes))
    root = import_path(store, tmp_path / "file", in_place=True).root
    materialise(store, root, there / "copy")
    assert (there / "copy").read_bytes() == (tmp_path / "file").read_bytes()
    assert os.listdir(there) == ["copy"]


def test_a_file_in_blocks_and_a_symlink_alone(store: Store, blocks: MemoryBlocks, there: Path) -> None:
    data = Keystream("v0").read(5000)
    root = balanced_v0(blocks, data, leaf_bytes=100)
    cid, block = build_symlink("elsewhere")
    blocks.add([(cid, block)])
    keep(store, blocks)
    materialise(store, root, there / "copy")
    assert (there / "copy").read_bytes() == data
    materialise(store, cid, there / "link")
    assert os.readlink(there / "link") == "elsewhere"


def test_without_the_kernels_copy(store: Store, tmp_path: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def across_filesystems(*_: object) -> int:
        raise OSError(18, "Invalid cross-device link")

    (tmp_path / "file").write_bytes(Keystream("sendfile").read(2 * LEAF_BYTES + 7))
    root = import_path(store, tmp_path / "file", in_place=True).root
    monkeypatch.setattr(os, "copy_file_range", across_filesystems)
    materialise(store, root, there / "copy")
    assert (there / "copy").read_bytes() == (tmp_path / "file").read_bytes()


@pytest.mark.parametrize("name", ["..", ".", "/etc/passwd", "a/b", "../out", "a\0b"])
def test_a_hostile_name_is_refused(store: Store, blocks: MemoryBlocks, there: Path, name: str) -> None:
    root = folder_of(blocks, ("fine", blocks.raw(b"x")), (name, blocks.raw(b"evil")))
    keep(store, blocks)
    with pytest.raises(IntegrityError, match="which no file may be called"):
        materialise(store, root, there / "copy")
    assert os.listdir(there) == []
    assert not (there.parent / "out").exists()


def test_nothing_is_written_through_a_symlink(store: Store, blocks: MemoryBlocks, there: Path, tmp_path: Path) -> None:
    """A folder of the same name as a symlink beside it: names are unique in one block, so it takes two levels."""
    victim = tmp_path / "victim"
    victim.mkdir()
    link, block = build_symlink(str(victim))
    blocks.add([(link, block)])
    inside = folder_of(blocks, ("door", link), ("file", blocks.raw(b"x")))
    root = folder_of(blocks, ("door", link), ("inside", inside), ("zfile", blocks.raw(b"y")))
    keep(store, blocks)
    materialise(store, root, there / "copy")
    assert os.listdir(victim) == []
    assert (there / "copy" / "inside" / "door").is_symlink()
    with pytest.raises(UsageError):
        materialise(store, root, there / "copy" / "door")
    materialise(store, root, there / "copy" / "door", overwrite=True)
    assert os.listdir(victim) == []
    assert not (there / "copy" / "door").is_symlink()


def test_an_existing_destination(store: Store, tree: Path, there: Path) -> None:
    root = import_path(store, tree, in_place=True).root
    file = import_path(store, tree / "a", in_place=True).root
    (there / "file").write_bytes(b"precious")
    (there / "dangling").symlink_to("nowhere")
    for name in ("file", "dangling"):
        for cid in (root, file):
            with pytest.raises(UsageError, match="exists already"):
                materialise(store, cid, there / name)
    assert (there / "file").read_bytes() == b"precious"
    for cid, kind in ((root, "folder"), (root, "folder"), (file, "file"), (file, "file"), (root, "folder")):
        materialise(store, cid, there / "file", overwrite=True)
        assert (there / "file").is_dir() == (kind == "folder")
    assert picture(there / "file") == picture(tree)
    assert sorted(os.listdir(there)) == ["dangling", "file"]


def test_a_gap_leaves_nothing_behind(store: Store, blocks: MemoryBlocks, there: Path) -> None:
    gone = Cid(1, 0x55, 0x12, bytes(32))
    root = folder_of(blocks, ("a", blocks.raw(b"x")), ("gone", gone))
    keep(store, blocks)
    with pytest.raises(MissingBlockError):
        materialise(store, root, there / "copy")
    assert os.listdir(there) == []


def test_a_shared_file_that_changed(store: Store, tree: Path, there: Path) -> None:
    root = import_path(store, tree, in_place=True).root
    with (tree / "below" / "large").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ChangedError):
        materialise(store, root, there / "copy")
    assert os.listdir(there) == []


def test_a_tree_without_end(store: Store, blocks: MemoryBlocks, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty blocks that use each other twice are a tree of a milliard folders."""
    monkeypatch.setattr(export_module, "ENTRIES_MAX", 1000)
    root = blocks.raw(b"x")
    for _ in range(30):
        root = folder_of(blocks, ("l", root), ("r", root))
    keep(store, blocks)
    with pytest.raises(LimitError):
        materialise(store, root, there / "copy")
    assert os.listdir(there) == []


def test_a_tree_that_is_only_depth(store: Store, blocks: MemoryBlocks, there: Path) -> None:
    root = blocks.raw(b"x")
    for _ in range(300):
        root = folder_of(blocks, ("d", root))
    keep(store, blocks)
    with pytest.raises(LimitError):
        materialise(store, root, there / "copy")
    assert os.listdir(there) == []


def test_a_file_larger_than_the_disk(store: Store, blocks: MemoryBlocks, there: Path) -> None:
    """A pebibyte of the same leaf: refused before the first byte is written."""
    part: Part = raw_leaf(blocks, bytes(LEAF_BYTES))
    for _ in range(3):
        part = inner(blocks, [part] * 1000)
    keep(store, blocks)
    with pytest.raises(DiskFullError):
        materialise(store, part.cid, there / "copy")
    assert os.listdir(there) == []


def test_a_name_that_the_disk_refuses(store: Store, blocks: MemoryBlocks, there: Path) -> None:
    root = folder_of(blocks, ("n" * 300, blocks.raw(b"x")))
    keep(store, blocks)
    with pytest.raises(StoreError, match="cannot write"):
        materialise(store, root, there / "copy")
    assert os.listdir(there) == []


def test_a_destination_in_no_folder(store: Store, blocks: MemoryBlocks, there: Path) -> None:
    cid = blocks.raw(b"x")
    keep(store, blocks)
    with pytest.raises(NotFoundError, match="no folder"):
        materialise(store, cid, there / "absent" / "copy")


def test_a_block_of_another_codec(store: Store, blocks: MemoryBlocks, there: Path) -> None:
    strange = Cid(1, 0x71, 0x12, blocks.raw(b"\xa0").digest)
    blocks.blocks[strange] = b"\xa0"
    keep(store, blocks)
    with pytest.raises(IntegrityError):
        materialise(store, strange, there / "copy")

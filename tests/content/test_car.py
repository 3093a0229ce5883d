"""CAR files: what goes out comes in again elsewhere; what is broken leaves nothing behind."""

import io
import os
from hashlib import sha256
from pathlib import Path

import libipld
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.content.conftest import Keystream, MemoryBlocks, open_store
from tests.content.foreign import balanced_v0

from nearcast.content import batches as batches_module
from nearcast.content.blocks import MissingBlockError
from nearcast.content.car import export_car, import_car
from nearcast.content.carformat import (
    HEADER_BYTES_MAX,
    ROOTS_MAX,
    SECTION_BYTES_MAX,
    encode_header,
    encode_section_head,
    read_blocks,
    read_header,
)
from nearcast.content.cid import DAG_CBOR, DAG_PB, IDENTITY, RAW, SHA2_256, Cid, encode_varint, raw_cid, read_varint
from nearcast.content.dagpb import PbLink, PbNode, encode_node
from nearcast.content.importer import import_path
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.reader import file_size, read_range, resolve, walk_blocks
from nearcast.content.store import Store
from nearcast.content.unixfs import DataType, UnixFsData, encode_unixfs
from nearcast.errors import IntegrityError, LimitError, NearcastError, StoreError


def section(cid: Cid, data: bytes) -> bytes:
    return encode_section_head(cid, len(data)) + data


def leaf(data: bytes) -> tuple[Cid, bytes]:
    return raw_cid(sha256(data).digest()), data


def car_of(blocks: MemoryBlocks, root: Cid) -> bytes:
    return encode_header([root]) + b"".join(section(cid, data) for cid, data in walk_blocks(blocks, root))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "below").mkdir(parents=True)
    (folder / "a").write_bytes(b"same bytes")
    (folder / "below" / "b").write_bytes(b"same bytes")
    (folder / "below" / "large").write_bytes(Keystream("car").read(2 * LEAF_BYTES + 3))
    (folder / "link").symlink_to("a")
    return folder


def test_out_of_one_store_and_into_another(store: Store, tree: Path, tmp_path: Path) -> None:
    root = import_path(store, tree, in_place=True).root
    out = io.BytesIO()
    summary = export_car(store, root, out)
    assert summary.blocks == 8  # 2 folders, the same small file once, a symlink, a file's node and its 3 leaves
    again = io.BytesIO()
    export_car(store, root, again)
    assert again.getvalue() == out.getvalue()
    out.seek(0)
    with open_store(tmp_path / "other") as other:
        assert import_car(other, out, name="from afar").roots == (root,)
        assert [(pin.root, pin.name) for pin in other.pins()] == [(root, "from afar")]
        large = resolve(other.get_block, root, "below/large").cid
        size = file_size(other.get_block, large)
        assert b"".join(read_range(other.get_block, large, 0, size)) == (tree / "below" / "large").read_bytes()
        back = io.BytesIO()
        export_car(other, root, back)
        assert back.getvalue() == out.getvalue()


def test_blocks_stand_depth_first_and_once(store: Store, tree: Path) -> None:
    root = import_path(store, tree, in_place=True).root
    out = io.BytesIO()
    export_car(store, root, out)
    out.seek(0)
    assert read_header(out) == (root,)
    blocks = list(read_blocks(out))
    assert [cid for cid, _ in blocks] == [cid for cid, _ in walk_blocks(store.get_block, root)]
    assert len({cid for cid, _ in blocks}) == len(blocks)


def test_identity_blocks_are_left_out_and_passed_over(store: Store) -> None:
    inline = Cid(1, RAW, IDENTITY, b"inline")
    block = encode_node(PbNode((PbLink(inline, "a", 6),), encode_unixfs(UnixFsData(DataType.DIRECTORY))))
    root = Cid(1, DAG_PB, SHA2_256, sha256(block).digest())
    given = encode_header([root]) + section(root, block) + section(inline, b"inline")
    assert import_car(store, io.BytesIO(given)).blocks == 1
    out = io.BytesIO()
    export_car(store, root, out)
    assert out.getvalue() == encode_header([root]) + section(root, block)


def test_a_v0_file_of_somebody_else(store: Store, blocks: MemoryBlocks) -> None:
    data = Keystream("v0 car").read(5000)
    root = balanced_v0(blocks, data, leaf_bytes=100)
    given = car_of(blocks, root)
    assert import_car(store, io.BytesIO(given)).roots == (root,)
    assert b"".join(read_range(store.get_block, root, 0, 5000)) == data
    out = io.BytesIO()
    export_car(store, root, out)
    assert out.getvalue() == given


@pytest.mark.parametrize("count", [1, 30, 300])
def test_the_header_is_canonical_dag_cbor(count: int) -> None:
    roots = [raw_cid(bytes([number % 256]) * 32) for number in range(count)]
    stream = io.BytesIO(encode_header(roots))
    assert read_header(stream) == tuple(roots)
    _, start = read_varint(encode_header(roots), 0)
    assert libipld.decode_dag_cbor(encode_header(roots)[start:])["roots"] == [root.to_bytes() for root in roots]


ONE, TWO = leaf(b"one"), leaf(b"two")
SOUND = encode_header([ONE[0]]) + section(*ONE) + section(*TWO)


def cbor_header(body: bytes) -> bytes:
    return encode_varint(len(body)) + body


CORRUPT = {
    "empty": b"",
    "no CAR": b"hello, this is not a CAR file at all",
    "version 2": cbor_header(b"\xa1\x67version\x02"),
    "no roots": cbor_header(b"\xa2\x65roots\x80\x67version\x01"),
    "roots that are no CIDs": cbor_header(b"\xa2\x65roots\x81\x01\x67version\x01"),
    "a root with another hash": cbor_header(
        b"\xa2\x65roots\x81\xd8\x2a\x58\x25\x00\x01\x55\x1b\x20" + bytes(32) + b"\x67version\x01"
    ),
    "an unknown field": cbor_header(b"\xa3\x61a\x01\x65roots\x80\x67version\x01"),
    "a list for a header": cbor_header(b"\x80"),
    "nested without end": cbor_header(b"\x81" * 20_000),
    "a root that is no file": encode_header([Cid(1, DAG_CBOR, SHA2_256, sha256(b"\xa0").digest())])
    + section(Cid(1, DAG_CBOR, SHA2_256, sha256(b"\xa0").digest()), b"\xa0"),
    "a root that is absent": encode_header([TWO[0]]) + section(*ONE),
    "a root of dag-pb that is no UnixFS": encode_header([Cid(1, DAG_PB, SHA2_256, sha256(b"x").digest())])
    + section(Cid(1, DAG_PB, SHA2_256, sha256(b"x").digest()), b"x"),
    "other bytes than the name says": encode_header([ONE[0]]) + section(*ONE) + section(TWO[0], b"tow"),
    "a section without a CID": SOUND + b"\x03abc",
    "an empty section": SOUND + b"\x00",
    "a padded length": SOUND + b"\x80\x00",
    "an identity block that lies": SOUND + section(Cid(1, RAW, IDENTITY, b"x"), b"y"),
}


@pytest.mark.parametrize("flaw", CORRUPT)
def test_a_corrupt_car_keeps_nothing(store: Store, flaw: str) -> None:
    with pytest.raises(IntegrityError):
        import_car(store, io.BytesIO(CORRUPT[flaw]))
    assert store.pins() == []
    assert not store.has(ONE[0])


EXCESSIVE = {
    "a header": encode_varint(HEADER_BYTES_MAX + 1),
    "a section": SOUND + encode_varint(SECTION_BYTES_MAX + 1),
    "a length": SOUND + b"\xff" * 9 + b"\x01",
    "a block": SOUND + section(Cid(1, RAW, SHA2_256, bytes(32)), bytes((2 << 20) + 1)),
}


@pytest.mark.parametrize("excess", EXCESSIVE)
def test_a_car_over_a_limit_keeps_nothing(store: Store, excess: str) -> None:
    with pytest.raises(LimitError):
        import_car(store, io.BytesIO(EXCESSIVE[excess]))
    assert not store.has(ONE[0])


def test_more_roots_than_are_allowed(store: Store) -> None:
    header = encode_header([ONE[0]] * (ROOTS_MAX + 1))
    with pytest.raises(IntegrityError, match="1024 roots"):
        read_header(io.BytesIO(header))


def test_a_car_cut_anywhere_keeps_nothing(store: Store, blocks: MemoryBlocks) -> None:
    """Also between two sections, where nothing but the DAG itself shows that something is missing."""
    whole = car_of(blocks, balanced_v0(blocks, Keystream("cut").read(50), leaf_bytes=10))
    for end in range(len(whole)):
        with pytest.raises(IntegrityError):
            import_car(store, io.BytesIO(whole[:end]))
        assert store.pins() == []
        assert not any(store.has(cid) for cid in blocks.blocks)
    import_car(store, io.BytesIO(whole))


def test_a_failure_after_some_commits_drops_them_again(
    store: Store, blocks: MemoryBlocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches_module, "BATCH_BLOCKS_MAX", 3)
    whole = car_of(blocks, balanced_v0(blocks, Keystream("commits").read(500), leaf_bytes=10))
    with pytest.raises(IntegrityError):
        import_car(store, io.BytesIO(whole[:-1]))
    assert not any(store.has(cid) for cid in blocks.blocks)
    import_car(store, io.BytesIO(whole))
    assert all(store.has(cid) for cid in blocks.blocks)


def test_a_failure_loses_nothing_that_was_there(store: Store) -> None:
    import_car(store, io.BytesIO(SOUND), name="kept")
    with pytest.raises(IntegrityError):
        import_car(store, io.BytesIO(SOUND + b"\x03abc"))
    assert [(pin.root, pin.name) for pin in store.pins()] == [(ONE[0], "kept")]
    assert store.get_block(ONE[0]) == b"one"


def test_a_stream_that_hands_out_little_at_a_time(store: Store) -> None:
    class Trickling(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self._inner = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed: any writable buffer
            piece = self._inner.read(min(2, len(buffer)))
            buffer[: len(piece)] = piece
            return len(piece)

    stream = Trickling(SOUND)
    assert import_car(store, stream).blocks == 2  # type: ignore[arg-type]  # a raw stream is one for our purpose


def test_errors_of_the_stream_are_ours(store: Store, tmp_path: Path) -> None:
    import_car(store, io.BytesIO(SOUND))
    with (tmp_path / "file").open("wb") as writable, pytest.raises(StoreError, match="cannot read the CAR"):
        import_car(store, writable)
    with (tmp_path / "file").open("rb") as readable, pytest.raises(StoreError, match="cannot write the CAR"):
        export_car(store, ONE[0], readable)


def test_exporting_what_is_not_here(store: Store) -> None:
    out = io.BytesIO()
    with pytest.raises(MissingBlockError):
        export_car(store, TWO[0], out)
    assert out.getvalue() == b""


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda tail: SOUND + tail))
def test_arbitrary_bytes_give_blocks_or_our_error(data: bytes) -> None:
    stream = io.BytesIO(data)
    try:
        read_header(stream)
        found = list(read_blocks(stream))
    except NearcastError as error:
        assert error.exit_code == IntegrityError.exit_code  # noqa: PT017 - either outcome is right, both are checked
    else:
        assert all(cid.is_identity or sha256(block).digest() == cid.digest for cid, block in found)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=8))
def test_written_blocks_are_read_back(datas: list[bytes]) -> None:
    pairs = [leaf(data) for data in datas]
    stream = io.BytesIO(encode_header([pairs[0][0]]) + b"".join(section(*pair) for pair in pairs))
    assert read_header(stream) == (pairs[0][0],)
    assert list(read_blocks(stream)) == pairs


def test_a_large_file_through_a_pipe(store: Store, tmp_path: Path) -> None:
    """A pipe cannot seek, and gives what it has: import reads once from front to back."""
    data = Keystream("pipe").read(3 * LEAF_BYTES)
    (tmp_path / "file").write_bytes(data)
    root = import_path(store, tmp_path / "file", in_place=True).root
    with (tmp_path / "car").open("wb") as out:
        export_car(store, root, out)
    with open_store(tmp_path / "other") as other, os.popen(f"cat '{tmp_path / 'car'}'") as pipe:
        import_car(other, pipe.buffer)  # type: ignore[attr-defined]  # os.popen wraps a text stream
        assert b"".join(read_range(other.get_block, root, 0, len(data))) == data

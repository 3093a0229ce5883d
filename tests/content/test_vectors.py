"""The published CIDs of the profile unixfs-v1-2025 (IPIP-0499): what everybody else computes for the same bytes."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.content.conftest import Keystream, MemoryBlocks
from tests.content.foreign import pb_leaf, version_0

from nearcast.content.cid import parse_cid, raw_cid
from nearcast.content.dag import build_file_dag
from nearcast.content.directory import DirectoryDag, build_directory, build_symlink
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.nodes import DirectoryNode, Entry
from nearcast.content.reader import resolve
from nearcast.errors import UsageError

ALPHABET = "abcdefghijklmnopqrstuvwxyz01234567890-_"
FILES_MAX = 1 << 30


def root_of_keystream(seed: str, size_bytes: int) -> str:
    digests = b"".join(sha256(piece).digest() for piece in Keystream(seed).pieces(size_bytes, LEAF_BYTES))
    return str(build_file_dag(digests, size_bytes).root)


def directory_of_names(names: int, length: int, last_length: int) -> DirectoryDag:
    """As Kubo's test makes it: names cut from the first MiB of keystream, every file holding the byte x."""
    source = Keystream("hamt-unixfs-v1-2025").read(1 << 20)
    lengths = [length] * (names - 1) + [last_length]
    leaf = raw_cid(sha256(b"x").digest())
    entries: list[Entry] = []
    position = 0
    for size in lengths:
        name = "".join(ALPHABET[byte % len(ALPHABET)] for byte in source[position : position + size])
        entries.append(Entry(name, leaf, 1))
        position += size
    return build_directory(entries)


def test_a_line_of_text_is_its_own_leaf() -> None:
    data = b"hello world"
    dag = build_file_dag(sha256(data).digest(), len(data))
    assert str(dag.root) == "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
    assert dag.nodes == ()


def test_one_leaf_and_one_byte_more() -> None:
    assert (
        root_of_keystream("chunk-v1-seed", LEAF_BYTES) == "bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta"
    )
    assert (
        root_of_keystream("chunk-v1-seed", LEAF_BYTES + 1)
        == "bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64"
    )


def test_the_largest_basic_and_the_smallest_sharded_directory() -> None:
    basic = directory_of_names(4766, 11, 21)
    assert str(basic.root) == "bafybeic3h7rwruealwxkacabdy45jivq2crwz6bufb5ljwupn36gicplx4"
    assert len(basic.nodes) == 1
    sharded = directory_of_names(4766, 11, 22)
    assert str(sharded.root) == "bafybeiegvuterwurhdtkikfhbxcldohmxp566vpjdofhzmnhv6o4freidu"
    assert len(sharded.nodes) > 256


def test_the_empty_directory_that_everybody_knows() -> None:
    assert str(build_directory([]).root) == "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"


ASCII, HELLO = b"hello application/vnd.ipld.car\n", b"hello world\n"


def raw_entry(name: str, data: bytes) -> Entry:
    return Entry(name, raw_cid(sha256(data).digest()), len(data))


def test_the_directories_of_the_specification() -> None:
    """specs.ipfs.tech/unixfs, "Directory Test Vectors": one nested, one with a file of many blocks."""
    below = build_directory([raw_entry("hello.txt", HELLO), raw_entry("ascii.txt", ASCII)])
    assert str(below.root) == "bafybeiggghzz6dlue3m6nb2dttnbrygxh3lrjl5764f2m4gq7dgzdt55o4"
    above = build_directory([Entry("subdir", below.root, below.tsize)])
    assert str(above.root) == "bafybeietjm63oynimmv5yyqay33nui4y4wx6u3peezwetxgiwvfmelutzu"
    multiblock = parse_cid("bafybeigcisqd7m5nf3qmuvjdbakl5bdnh4ocrmacaqkpuh77qjvggmt2sa")
    flat = [raw_entry("hello.txt", HELLO), raw_entry("ascii.txt", ASCII), raw_entry("ascii-copy.txt", ASCII)]
    folder = build_directory([*flat, Entry("multiblock.txt", multiblock, 1271)])
    assert str(folder.root) == "bafybeihchr7vmgjaasntayyatmp5sv6xza57iy2h4xj7g46bpjij6yhrmy"


def test_the_symlink_of_the_specification(blocks: MemoryBlocks) -> None:
    """A v0 directory with a file, "content", and a symlink to it; also the empty file that everybody knows."""
    cid, block = build_symlink("foo")
    assert str(version_0(cid)) == "QmTB8BaCJdCH5H3k7GrxJsxgDNmNYGGR71C58ERkivXoj5"
    file = pb_leaf(blocks, b"content\n")
    assert str(file.cid) == "Qme2y5HA5kvo2jAx13UsnV5bQJVijiAJCPvaW3JGQWhvJZ"
    folder = build_directory([Entry("foo", file.cid, file.tsize), Entry("bar", version_0(cid), len(block))])
    assert str(version_0(folder.root)) == "QmWvY6FaqFMS89YAQ9NAPjVP4WZKA1qbHbicc9HeSKQTgt"
    nothing = build_file_dag(sha256(b"").digest(), 0)
    assert str(nothing.root) == "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    assert resolve(blocks, parse_cid("bafyaabakaieac"), "").node == DirectoryNode(())


def test_identity_cids_at_their_limit() -> None:
    """IPIP-0512: 128 times the letter B is accepted, 129 times is not."""
    assert parse_cid("bafkqbaabijbeeqscij" + "beeqscij" * 24 + "bee").digest == b"B" * 128
    with pytest.raises(UsageError, match="at most 128"):
        parse_cid("f0155008101" + "42" * 129)


def test_every_file_of_the_shared_vectors(shared_data: Path) -> None:
    """Includes a file of 1 GiB and one of a byte more: 1024 and 1025 leaves, one level and two. Hashed in one pass."""
    vectors: dict[str, Any] = json.loads((shared_data / "ipip-499-vectors.json").read_text())
    expected: dict[str, dict[int, str]] = {}
    for vector in vectors["files"]:
        if "text" in vector:
            data = vector["text"].encode()
            assert build_file_dag(sha256(data).digest(), len(data)).root == parse_cid(vector["cid"])
        else:
            expected.setdefault(vector["seed"], {})[vector["bytes"]] = vector["cid"]
    assert FILES_MAX in expected["v1-2025-seed"]
    for seed, sizes in expected.items():
        assert roots_of_prefixes(seed, sorted(sizes)) == sizes


def roots_of_prefixes(seed: str, sizes: list[int]) -> dict[int, str]:
    """The roots of the keystream's first so many bytes, for each size, from one pass over it."""
    roots: dict[int, str] = {}
    full = b""
    stream = Keystream(seed)
    for index in range(-(-max(sizes) // LEAF_BYTES)):
        leaf = stream.read(LEAF_BYTES)
        for size in sizes:
            if 0 < size - index * LEAF_BYTES <= LEAF_BYTES:
                last = sha256(leaf[: size - index * LEAF_BYTES]).digest()
                roots[size] = str(build_file_dag(full + last, size).root)
        full += sha256(leaf).digest()
    return roots


@pytest.mark.parametrize("case", [0, 1])
def test_every_directory_of_the_shared_vectors(shared_data: Path, case: int) -> None:
    vectors: dict[str, Any] = json.loads((shared_data / "ipip-499-vectors.json").read_text())
    assert len(vectors["directories"]["cases"]) == 2
    assert vectors["directories"]["alphabet"] == ALPHABET
    vector = vectors["directories"]["cases"][case]
    built = directory_of_names(vector["names"], vector["length"], vector["last_length"])
    assert str(built.root) == vector["cid"]
    assert (len(built.nodes) == 1) == (vector["layout"] == "basic")

"""What several content tests need: blocks in memory, and the bytes that the published vectors are made of."""

import os
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from nearcast.clock import SystemClock
from nearcast.content.blocks import MissingBlockError, check_block
from nearcast.content.cid import Cid, dag_pb_cid, raw_cid
from nearcast.content.store import Store


class MemoryBlocks:
    """Blocks by name; calling it is a `GetBlock`. It counts the reads, so that a test can bound them."""

    def __init__(self) -> None:
        self.blocks: dict[Cid, bytes] = {}
        self.reads: list[Cid] = []

    def __call__(self, cid: Cid) -> bytes:
        self.reads.append(cid)
        try:
            return self.blocks[cid.v1]
        except KeyError:
            raise MissingBlockError(cid) from None

    def raw(self, data: bytes) -> Cid:
        cid = raw_cid(sha256(data).digest())
        self.blocks[cid] = data
        return cid

    def node(self, data: bytes) -> Cid:
        cid = dag_pb_cid(sha256(data).digest())
        self.blocks[cid] = data
        return cid

    def add(self, nodes: Iterable[tuple[Cid, bytes]]) -> None:
        for cid, data in nodes:
            check_block(cid, data)
            self.blocks[cid.v1] = data


@pytest.fixture
def blocks() -> MemoryBlocks:
    return MemoryBlocks()


class Keystream:
    """ChaCha20's keystream under sha256(seed) and a zero nonce: the input of Kubo's own vectors."""

    def __init__(self, seed: str) -> None:
        key = sha256(seed.encode()).digest()
        self._encryptor = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()

    def read(self, size_bytes: int) -> bytes:
        return self._encryptor.update(bytes(size_bytes))

    def pieces(self, size_bytes: int, piece_bytes: int) -> Iterator[bytes]:
        for start in range(0, size_bytes, piece_bytes):
            yield self.read(min(piece_bytes, size_bytes - start))


@pytest.fixture
def shared_data() -> Path:
    """The folder of shared vectors; the test is skipped, saying so, where it is not at hand."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("NEARCAST_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no shared vectors at {folder}: set NEARCAST_SHARED_DATA")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "data") as opened:
        yield opened


def open_store(data_dir: Path) -> Store:
    return Store.open(data_dir, quota_bytes=1 << 30, clock=SystemClock())

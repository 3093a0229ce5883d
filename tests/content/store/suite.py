"""What the store's tests share: a store in a folder of its own, and content to put into it."""

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from nearcast.clock import SystemClock
from nearcast.content.cid import Cid, dag_pb_cid, raw_cid
from nearcast.content.dag import FileDag, build_file_dag
from nearcast.content.dagpb import PbLink, PbNode, encode_node
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import Store, guard_of

QUOTA_BYTES = 1 << 30


@dataclass
class Shelf:
    """One data folder: opens its store, collects the events, and makes content for it."""

    folder: Path
    events: list[tuple[str, str]] = field(default_factory=list)
    quota_bytes: int = QUOTA_BYTES

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    def open(self) -> Store:
        return Store.open(
            self.data_dir,
            quota_bytes=self.quota_bytes,
            clock=SystemClock(),
            listener=lambda event, line: self.events.append((event, line)),
        )

    def user_file(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def put(self, store: Store, *blocks: tuple[Cid, bytes], pin: Cid | None = None) -> None:
        with store.batch() as batch:
            for cid, data in blocks:
                batch.put_block(cid, data)
            if pin is not None:
                batch.pin(pin, "pinned")

    def put_flat(self, store: Store, data: bytes, *, pin: bool = False) -> FileDag:
        dag = dag_of(data)
        path, file = store.temporary_file()
        with file:
            file.write(data)
        with store.batch() as batch:
            batch.put_file(dag, path)
            if pin:
                batch.pin(dag.root, "flat")
        return dag

    def share(self, store: Store, path: Path, *, pin: bool = True) -> FileDag:
        dag = dag_of(path.read_bytes())
        with store.batch() as batch:
            batch.put_reference(dag, path, guard_of(path.stat()))
            if pin:
                batch.pin(dag.root, path.name)
        return dag


def dag_of(data: bytes) -> FileDag:
    leaves = [data[start : start + LEAF_BYTES] for start in range(0, max(1, len(data)), LEAF_BYTES)]
    return build_file_dag(b"".join(sha256(leaf).digest() for leaf in leaves), len(data))


def raw_block(data: bytes) -> tuple[Cid, bytes]:
    return raw_cid(sha256(data).digest()), data


def linking_block(*children: Cid) -> tuple[Cid, bytes]:
    """A dag-pb block with these links (it need not be a UnixFS node to hold them)."""
    data = encode_node(PbNode(tuple(PbLink(child, f"{index:06d}", 0) for index, child in enumerate(children)), None))
    return dag_pb_cid(sha256(data).digest()), data

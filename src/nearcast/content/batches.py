"""A long import as a row of commits: each is large enough to be cheap, and small enough to be held in memory."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from nearcast.content.cid import Cid
from nearcast.content.dag import FileDag
from nearcast.content.store import Batch, Store
from nearcast.content.store.types import FileGuard

BATCH_BLOCKS_MAX = 20_000  # measured: they wait for their commit in 50 MB, and more per commit is no faster
BATCH_BYTES_MAX = 256 << 20  # two packs

# Raises RefusedError for a block that this node must not take in.
Refuse = Callable[[Cid], None]


class Batches:
    """Writes to one batch after another. Leaving the block commits the last one, or on an error rolls it back.

    Batches that were committed before an error stay, as content that nothing refers to. Until the last one pins a root
    nothing holds the others, so whoever uses this pauses eviction. `refuse` is asked of every block, leaves of files
    too, before it is stored.
    """

    def __init__(self, store: Store, refuse: Refuse | None = None) -> None:
        self._store = store
        self._refuse = refuse
        self._context = store.batch()
        self._batch: Batch
        self._blocks = 0
        self._bytes = 0

    def __enter__(self) -> "Batches":
        self._batch = self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.__exit__(kind, error, trace)

    def put_block(self, cid: Cid, data: bytes) -> None:
        """Stores a block that was hashed here."""
        if self._refuse is not None:
            self._refuse(cid)
        self._batch.put_block(cid, data, verified=True)
        self._spend(len(data))

    def put_reference(self, dag: FileDag, path: str, guard: FileGuard) -> None:
        self._check(dag)
        self._batch.put_reference(dag, Path(path), guard)
        self._spend(len(dag.leaves.digests))

    def put_file(self, dag: FileDag, temporary: Path) -> None:
        """Takes a finished temporary file over."""
        self._check(dag)
        self._batch.put_file(dag, temporary)
        self._spend(len(dag.leaves.digests))

    def pin(self, root: Cid, name: str) -> None:
        self._batch.pin(root, name)

    def _check(self, dag: FileDag) -> None:
        if self._refuse is not None:
            for index in range(len(dag.leaves)):
                self._refuse(dag.leaves.cid(index))
            for cid, _ in dag.nodes:
                self._refuse(cid)

    def _spend(self, size_bytes: int) -> None:
        self._blocks += 1
        self._bytes += size_bytes
        if self._blocks >= BATCH_BLOCKS_MAX or self._bytes >= BATCH_BYTES_MAX:
            self._blocks = self._bytes = 0
            self._context.__exit__(None, None, None)
            self._context = self._store.batch()
            self._batch = self._context.__enter__()

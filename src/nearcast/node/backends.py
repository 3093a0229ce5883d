"""A node's backends as sources of its downloads, and what the node may say of them.

Having a backend makes nobody an origin: only a node that governance recognised for a publisher's namespace is one.
Without that its bytes are what every cache's are, and are booked so.
"""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from nearcast.content.backends.base import Backend
from nearcast.content.backends.index import BackendIndex, KnownBackend
from nearcast.content.backends.opening import reopen
from nearcast.content.cid import Cid
from nearcast.delivery.backend_source import BackendSource
from nearcast.delivery.messages import Holding
from nearcast.delivery.source import Source
from nearcast.errors import NearcastError
from nearcast.telemetry import Telemetry

Role = Literal["origin", "cache"]


def _nobody_is_recognised() -> bool:
    return False


class BackendSources:
    """Close it with the node. What a command adds or removes meanwhile is seen at once. Thread-safe."""

    def __init__(
        self, data_dir: Path, telemetry: Telemetry, *, is_recognised: Callable[[], bool] = _nobody_is_recognised
    ) -> None:
        """`is_recognised`: whether governance recognises this node's operator now; quick, from what is known.

        Raises StoreError.
        """
        self._index = BackendIndex(data_dir)
        self._telemetry = telemetry
        self._is_recognised = is_recognised
        self._source = BackendSource(self._index, self._opened, telemetry)
        self._open: dict[int, tuple[KnownBackend, Backend]] = {}

    def close(self) -> None:
        self._index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def knows(self, root: Cid) -> bool:
        """Whether a backend has this folder, file, node or leaf, as far as is known. Some 20 us. Raises StoreError."""
        return bool(self._index.holders(root))

    def roots(self) -> list[Cid]:
        """Of what the backends have. Raises StoreError."""
        return [each.root for each in self._index.backends() if each.root is not None]

    def sources(self, root: Cid) -> list[Source]:
        """The backends, as one source, if any has it. Nothing is asked of them here. Raises StoreError."""
        return [self._source] if self.knows(root) else []

    def holding(self, root: Cid) -> Holding | None:
        """What to tell whoever asks for it: "all" where no file is known to have changed. None: no backend has it."""
        holders = self._index.holders(root)
        if not holders:
            return None
        files = self._index.files_named(root)
        if files:
            return Holding("all", files[0].object.size_bytes)
        whole = [each for each in holders if not self._index.count_changed(each)]
        backends = [self._index.backend(each) for each in whole or holders]
        sizes = [each.size_bytes for each in backends if each is not None and each.root == root.v1]
        return Holding("all" if whole else "some", sizes[0] if sizes else None)

    def role_of(self, root: Cid) -> Role:
        """As what this node serves it."""
        return "origin" if self._is_recognised() and self.knows(root) else "cache"

    def status(self) -> dict[str, Any]:
        """How many, and how much; nothing of where they are."""
        known = self._index.backends()
        return {
            "backends": len(known),
            "files": sum(each.files for each in known),
            "size": sum(each.size_bytes for each in known),
        }

    def _opened(self, backend_id: int) -> Backend | None:
        known = self._index.backend(backend_id)
        if known is None:  # removed a moment ago
            self._open.pop(backend_id, None)
            return None
        opened = self._open.get(backend_id)
        if opened is not None and (opened[0].address, opened[0].only) == (known.address, known.only):
            return opened[1]
        try:
            backend = reopen(known.address, known.only)
        except NearcastError as error:
            self._telemetry.event("backend-failed", backend=backend_id, key="", reason=error.message)
            return None
        self._open[backend_id] = known, backend
        return backend

"""The packs of a store: who may append to which, and which of their blocks are dead.

A batch checks a pack out, so no two ever write to the same one, and a batch that fails cuts its packs back. The index
is the truth about what is live; the `.dead` file beside a pack repeats the offsets of removed blocks, so that a
rebuild of the index does not bring them back. It is not synced: after a power cut a rebuild may revive a block as
cached content.
"""

import struct
import threading
from collections.abc import Iterable

from nearcast.content.store.disk import sync_folder
from nearcast.content.store.layout import Layout
from nearcast.content.store.pack import PACK_BYTES_TARGET, PackWriter

OPEN_PACKS_MAX = 4  # unfinished packs that wait for the next batch; more batches at once start packs of their own
_OFFSET = struct.Struct("<Q")


class PackSet:
    """Unfinished packs, by number and length."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._lock = threading.Lock()
        self._free: dict[int, int] = {}
        self._busy: set[int] = set()
        self._next = max(layout.pack_numbers(), default=0) + 1

    def offer(self, number: int, size_bytes: int) -> None:
        """This pack may be appended to at `size_bytes`, if it is not full."""
        with self._lock:
            self._busy.discard(number)
            self._next = max(self._next, number + 1)
            self._free.pop(number, None)
            if size_bytes < PACK_BYTES_TARGET and len(self._free) < OPEN_PACKS_MAX:
                self._free[number] = size_bytes

    def check_out(self) -> PackWriter:
        """A pack for one batch alone, until `offer`. Raises OSError."""
        with self._lock:
            if self._free:
                number = max(self._free, key=self._free.__getitem__)  # the fullest, so that it is done with soon
                size_bytes = self._free.pop(number)
            else:
                number, size_bytes = self._next, 0
                self._next += 1
            self._busy.add(number)
        try:
            return PackWriter(self._layout.pack(number), number, size_bytes)
        except OSError:
            with self._lock:
                self._busy.discard(number)
            raise

    def withdraw(self, number: int) -> bool:
        """Takes a pack out of use for good, unless a batch has it: then False."""
        with self._lock:
            self._free.pop(number, None)
            return number not in self._busy

    @property
    def is_busy(self) -> bool:
        """Whether some batch has a pack."""
        return bool(self._busy)

    def bury(self, number: int, offsets: Iterable[int]) -> None:
        """Notes that the blocks at these offsets are dead."""
        data = b"".join(_OFFSET.pack(offset) for offset in offsets)
        if self._layout.pack(number).exists():
            with open(self._layout.dead(number), "ab") as file:
                file.write(data)

    def buried(self, number: int) -> set[int]:
        """The offsets of dead blocks; a torn last entry is left out."""
        path = self._layout.dead(number)
        data = path.read_bytes() if path.exists() else b""
        whole = len(data) - len(data) % _OFFSET.size
        return {offset for (offset,) in _OFFSET.iter_unpack(data[:whole])}


class PackSession:
    """The packs that one batch appends to."""

    def __init__(self, packs: PackSet) -> None:
        self._packs = packs
        self._open: list[tuple[PackWriter, int]] = []

    def append(self, frames: list[tuple[bytes, bytes]]) -> tuple[int, list[int]]:
        """(pack, offset of each frame's data) after appending frames of (head, data). Raises OSError."""
        if not self._open or self._open[-1][0].size_bytes >= PACK_BYTES_TARGET:
            writer = self._packs.check_out()
            self._open.append((writer, writer.size_bytes))
        writer = self._open[-1][0]
        position = writer.size_bytes
        offsets: list[int] = []
        parts: list[bytes] = []
        for head, data in frames:
            offsets.append(position + len(head))
            position += len(head) + len(data)
            parts += (head, data)
        writer.append(parts, position - writer.size_bytes)
        return writer.number, offsets

    def sync(self) -> dict[int, int]:
        """Makes everything appended durable; each pack's length."""
        for writer, _ in self._open:
            writer.sync()
        if any(writer.is_new for writer, _ in self._open):
            sync_folder(self._open[0][0].path.parent)
        return {writer.number: writer.size_bytes for writer, _ in self._open}

    def close(self, *, keep: bool) -> None:
        """Gives the packs back; cut to what they were, unless `keep`."""
        for writer, start in self._open:
            if not keep:
                writer.truncate(start)
            writer.close()
            self._packs.offer(writer.number, writer.size_bytes)
        self._open.clear()


def remove_pack(layout: Layout, number: int) -> None:
    for path in (layout.pack(number), layout.dead(number), layout.retired(number)):
        path.unlink(missing_ok=True)

"""A bounded cache of open files. A descriptor is not closed while a reader is inside it."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

OPEN_MAX = 128  # of the 1,024 that a process usually may have; sockets need the rest


class OpenFile:
    """A descriptor and how many are using it."""

    __slots__ = ("descriptor", "retired", "users")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.users = 1
        self.retired = False


class Descriptors:
    """Files opened for reading, by a key (the path, and for the user's files its guard)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[Hashable, OpenFile] = OrderedDict()

    def take(self, key: Hashable, path: Callable[[], Any]) -> OpenFile:
        """An open file, to be given back. Raises OSError when it cannot be opened."""
        with self._lock:
            known = self._open.get(key)
            if known is not None:
                known.users += 1
                self._open.move_to_end(key)
                return known
        opened = OpenFile(os.open(path(), os.O_RDONLY))
        with self._lock:
            if key in self._open:
                opened.retired = True  # another thread was quicker: ours is closed when given back
            else:
                self._open[key] = opened
                if len(self._open) > OPEN_MAX:
                    self._retire(next(iter(self._open)))
        return opened

    def give_back(self, opened: OpenFile) -> None:
        with self._lock:
            opened.users -= 1
            if opened.retired and not opened.users:
                os.close(opened.descriptor)

    def forget(self, keys: list[Any]) -> None:
        """Closes these as soon as nobody reads from them: the files are gone or have another name."""
        with self._lock:
            for key in keys:
                if key in self._open:
                    self._retire(key)

    def close(self) -> None:
        with self._lock:
            for key in list(self._open):
                self._retire(key)

    def _retire(self, key: Hashable) -> None:
        opened = self._open.pop(key)
        opened.retired = True
        if not opened.users:
            os.close(opened.descriptor)

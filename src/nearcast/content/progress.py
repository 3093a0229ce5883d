"""How far an import or export is, told a few times a second however fast it goes."""

import time
from collections.abc import Callable

ProgressCallback = Callable[[int, int], None]
"""`callback(bytes_done, files_done)`, from the thread that called."""

PROGRESS_INTERVAL_S = 0.1  # a bar that moves ten times a second looks smooth


class Progress:
    """Counts bytes and files that are done."""

    def __init__(self, callback: ProgressCallback | None) -> None:
        self.bytes = 0
        self.files = 0
        self._callback = callback
        self._due_s = 0.0

    def add(self, size_bytes: int, files: int = 0) -> None:
        self.bytes += size_bytes
        self.files += files
        self.tick()

    def tick(self, bytes_in_flight: int = 0) -> None:
        """Reports if the last report is old enough."""
        if self._callback is not None and time.monotonic() >= self._due_s:
            self.report(bytes_in_flight)

    def report(self, bytes_in_flight: int = 0) -> None:
        """Reports now."""
        if self._callback is not None:
            self._due_s = time.monotonic() + PROGRESS_INTERVAL_S
            self._callback(self.bytes + bytes_in_flight, self.files)

"""Lines said while a node serves, by a thread of their own: whoever reads them slowly, or not at all, holds up nobody.

A pipe that nobody reads is full after 64 KiB, and the next print would stop the event loop, and the node with it. So
lines wait in a bounded queue; when it is full, further ones are dropped and counted, and when the reader has gone away
(a closed pipe), nothing is said any more and the node goes on serving.
"""

import queue
import threading
from collections.abc import Callable

LINES_WAITING_MAX = 1024  # guess: a second of a busy node; about 200 KB
CLOSE_TIMEOUT_S = 1.0  # a reader that still stands still at the end does not hold up the end


class LiveLines:
    """Calls `say` for each value, in order, in its own thread."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(LINES_WAITING_MAX)
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="live lines", daemon=True)
        self._thread.start()

    def put(self, say: Callable[[], None]) -> None:
        """Have it said soon; never waits."""
        try:
            self._waiting.put_nowait(say)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Wait until everything was said, but not for a reader that does not read."""
        try:
            self._waiting.put(None, timeout=CLOSE_TIMEOUT_S)
        except queue.Full:
            return
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        is_heard = True
        while (say := self._waiting.get()) is not None:
            if is_heard:
                try:
                    say()
                except OSError:  # the reader has gone away
                    is_heard = False

"""A body that waits for its client: a named pipe between this process and granian.

granian's `response_stream` takes everything at once and queues it without bound when the client is slower than we are
(measured: 1 GiB of memory for one client at 1 MB/s; its issue 885). Its `response_file` reads only as fast as the
client takes, and what it reads may be a pipe: so we write into a pipe, and a slow client costs PIPE_BYTES. A client
that goes away closes the reading end, and the next write fails. A body that ends early closes the writing end, and
granian breaks the connection off because the promised Content-Length is not reached.

The pipe has a name (a FIFO) rather than a number under /dev/fd: granian opens it some time later, in a thread of its
own, and by then a number could mean another file. Invariant: the name is gone before our writing end is, so nobody can
open a pipe that nobody will ever write to.
"""

import asyncio
import fcntl
import itertools
import os
import shutil
import tempfile
import termios
from array import array
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from nearcast.errors import UnavailableError

PIPE_BYTES = 512 << 10  # measured: 256 KiB is slower on a busy machine, 1 MiB (all that Linux allows) no faster
PIPES_MAX = 256  # guess: bodies in flight; each costs 4 descriptors and twice PIPE_BYTES
OPENED_WITHIN_S = 30.0  # granian opens a file at once; if it did not by then, the client had gone before
STALLED_S = 10.0  # a client that took nothing for so long makes room when another needs its pipe; guess
OPEN_POLL_S = 0.002  # granian takes less than 1 ms
_SET_SIZE = getattr(fcntl, "F_SETPIPE_SZ", None)  # Linux only; elsewhere 64 KiB is what one gets


class BusyError(UnavailableError):
    """The node has as much to do as it may."""


class ClientGoneError(UnavailableError):
    """Whoever asked does not listen any more."""


class Pipe:
    """The writing half. granian opens `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.capacity_bytes = 1 << 16  # what pipes have elsewhere, at most
        self.written_bytes = 0
        self._waiting: asyncio.Future[None] | None = None
        self._waiting_since_s = 0.0
        os.mkfifo(path, 0o600)
        # A reader of our own lets the writing end be opened now, and keeps early writes from failing.
        self._reader: int | None = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self.writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if _SET_SIZE is not None:
            with suppress(OSError):  # over the user's share of pipe memory: a small pipe works too
                fcntl.fcntl(self.writer, _SET_SIZE, PIPE_BYTES)
            self.capacity_bytes = fcntl.fcntl(self.writer, fcntl.F_GETPIPE_SZ)

    async def write(self, data: bytes | memoryview) -> None:
        """Hands `data` on, waiting while the client is slow. Raises ClientGoneError."""
        rest = memoryview(data)
        while rest:
            try:
                count = os.write(self.writer, rest)
            except BlockingIOError:
                await self.room()
            except BrokenPipeError as error:
                raise ClientGoneError("the client went away") from error
            else:
                rest = rest[count:]
                self.took(count)

    def took(self, count_bytes: int) -> None:
        """So many bytes went in. More than fit at once: somebody took some out, so granian has opened the pipe."""
        self.written_bytes += count_bytes
        if self.written_bytes > self.capacity_bytes:
            self._opened()

    async def finished(self) -> None:
        """Waits until granian has begun to read, which a short body may be over before. Raises ClientGoneError."""
        for _ in range(int(OPENED_WITHIN_S / OPEN_POLL_S)):
            if self._reader is None or _unread_bytes(self._reader) < self.written_bytes:
                return
            await asyncio.sleep(OPEN_POLL_S)
        raise ClientGoneError("the client went away before its answer began")

    def close(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self.writer)
        self._opened()

    def _opened(self) -> None:
        """granian reads: from now on a client that goes away shows as a failing write."""
        if self._reader is not None:
            os.close(self._reader)
            self._reader = None

    async def room(self) -> None:
        """Waits until the pipe takes more. Raises ClientGoneError when granian does not open it in good time."""
        loop = asyncio.get_running_loop()
        writable: asyncio.Future[None] = loop.create_future()
        loop.add_writer(self.writer, _wake, writable)
        self._waiting, self._waiting_since_s = writable, loop.time()
        try:
            if self._reader is None:
                await writable
                return
            async with asyncio.timeout(OPENED_WITHIN_S):
                await writable
        except TimeoutError:
            raise ClientGoneError("the client went away before its answer began") from None
        finally:
            self._waiting = None
            loop.remove_writer(self.writer)

    def stalled_s(self) -> float:
        """How long the client has not taken anything; 0 when it is not waited for."""
        is_waiting = self._waiting is not None and not self._waiting.done()
        return asyncio.get_running_loop().time() - self._waiting_since_s if is_waiting else 0.0

    def give_up(self) -> None:
        """Whoever waits for room is told that the client went away."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ClientGoneError("the client took nothing while others waited"))


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


class Pipes:
    """A private folder of pipes, made when the first one is needed."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._numbers = itertools.count()
        self._open: set[Pipe] = set()

    def close(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    @asynccontextmanager
    async def pipe(self) -> AsyncGenerator[Pipe, None]:
        """A new pipe. Raises BusyError when PIPES_MAX bodies are in flight, or no descriptor is left.

        A client may stand still as long as it likes (a paused film), until its pipe is needed for another one.
        """
        if len(self._open) >= PIPES_MAX and not self._make_room():
            raise BusyError(f"{PIPES_MAX} downloads are running already", fix="try again in a moment")
        try:
            self._folder = self._folder or Path(tempfile.mkdtemp(prefix="nearcast-http-"))
            pipe = Pipe(self._folder / f"{next(self._numbers):x}")
        except OSError as error:
            raise BusyError(f"this node can open no pipe: {error.strerror}", fix="try again in a moment") from error
        self._open.add(pipe)
        try:
            yield pipe
        finally:
            self._open.discard(pipe)
            pipe.close()

    def _make_room(self) -> bool:
        """Gives the client up that has stood still the longest, if there is one."""
        stalled = max(self._open, key=Pipe.stalled_s, default=None)
        if stalled is None or stalled.stalled_s() < STALLED_S:
            return False
        self._open.discard(stalled)
        stalled.give_up()
        return True


def _unread_bytes(reader: int) -> int:
    return int(array("i", fcntl.ioctl(reader, termios.FIONREAD, array("i", [0]).tobytes()))[0])

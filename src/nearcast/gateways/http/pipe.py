"""A body that waits for its client: a named pipe between this process and granian.

granian's `response_stream` takes everything at once and queues it without bound when the client is slower than we are
(measured: 1 GiB of memory for one client at 1 MB/s; its issue 885). Its `response_file` reads only as fast as the
client takes, and what it reads may be a pipe: so we write into a pipe, and a slow client costs PIPE_BYTES. A client
that goes away closes the reading end, and the next write fails. A body that ends early closes the writing end, and
granian breaks the connection off because the promised Content-Length is not reached.

The pipe has a name (a FIFO) rather than a number under /dev/fd: granian opens it some time later, in a thread of its
own, and by then a number could mean another file. Invariant: the name is gone before our writing end is, so nobody can
open a pipe that nobody will ever write to.

Measured for 1 GiB on 2 busy cores, with nginx and sendfile at 1.0-1.5 GB/s: granian's response_file 1.1-1.9 GB/s;
copying through a pipe of 1 MiB in steps of 128 KiB 0.7-1.0 GB/s, no faster from a thread of its own; splicing into it
0.8-1.1 GB/s. So the store's own files go by response_file. In-place files are copied: splice hands pages over by
reference, and a page that is changed while it waits in the pipe would be sent changed.
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
from nearcast.gateways.http.open_file import OpenFile

PIPE_BYTES = 1 << 20  # what Linux allows without privilege; measured: 256 KiB is a third slower on a busy machine
STEP_BYTES = 128 << 10  # what granian reads at once; measured: larger steps leave the processor's cache
PIPES_MAX = 256  # guess: bodies in flight; each costs 4 descriptors and PIPE_BYTES
OPENED_WITHIN_S = 30.0  # granian opens a file at once; if it did not by then, the client had gone before
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
        self.written_bytes = 0
        os.mkfifo(path, 0o600)
        # A reader of our own lets the writing end be opened now, and keeps early writes from failing.
        self._reader: int | None = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if _SET_SIZE is not None:
            with suppress(OSError):  # over the user's share of pipe memory: a small pipe works too
                fcntl.fcntl(self._writer, _SET_SIZE, PIPE_BYTES)

    async def write(self, data: bytes | memoryview) -> None:
        """Hands `data` on, waiting while the client is slow. Raises ClientGoneError."""
        rest = memoryview(data)
        self.written_bytes += len(rest)
        had_to_wait = False
        while rest:
            try:
                rest = rest[os.write(self._writer, rest) :]
            except BlockingIOError:
                await self._room()
                had_to_wait = True
            except BrokenPipeError as error:
                raise ClientGoneError("the client went away") from error
            else:
                if had_to_wait:
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
        os.close(self._writer)
        self._opened()

    def _opened(self) -> None:
        """Somebody took bytes out of a full pipe: granian reads. A client that goes now shows as a failing write."""
        if self._reader is not None:
            os.close(self._reader)
            self._reader = None

    async def _room(self) -> None:
        loop = asyncio.get_running_loop()
        writable = asyncio.Event()
        loop.add_writer(self._writer, writable.set)
        try:
            async with asyncio.timeout(OPENED_WITHIN_S if self._reader is not None else None):
                await writable.wait()
        except TimeoutError:
            raise ClientGoneError("the client went away before its answer began") from None
        finally:
            loop.remove_writer(self._writer)


class Pipes:
    """A private folder of pipes."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="nearcast-http-"))
        self._numbers = itertools.count()
        self._open = 0

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    @asynccontextmanager
    async def pipe(self) -> AsyncGenerator[Pipe, None]:
        """A new pipe. Raises BusyError when PIPES_MAX bodies are in flight, or no descriptor is left."""
        if self._open >= PIPES_MAX:
            raise BusyError(f"{PIPES_MAX} downloads are running already", fix="try again in a moment")
        try:
            pipe = Pipe(self._folder / f"{next(self._numbers):x}")
        except OSError as error:
            raise BusyError("this node is out of file descriptors", fix="try again in a moment") from error
        self._open += 1
        try:
            yield pipe
        finally:
            self._open -= 1
            pipe.close()


def _unread_bytes(reader: int) -> int:
    return int(array("i", fcntl.ioctl(reader, termios.FIONREAD, array("i", [0]).tobytes()))[0])


async def pour_file(pipe: Pipe, file: OpenFile, start: int, end: int) -> None:
    """Sends start..end of a file that may change: no byte is written that was read after a change.

    Raises ChangedError, ClientGoneError.
    """
    buffer = memoryview(bytearray(min(STEP_BYTES, end - start)))
    position = start
    while position < end:
        step = buffer[: min(len(buffer), end - position)]
        taken = file.read_cached_into(step, position)
        if taken == 0:
            taken = await asyncio.to_thread(file.read_into, step, position)
        file.check()
        await pipe.write(step[:taken])
        position += taken

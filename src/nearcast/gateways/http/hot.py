"""What was asked for a moment ago, ready to be sent again.

This is the gateway's fast path. It runs in granian's own thread, without waiting and without the event loop, for a
plain GET of something small, of something that the client has already, or of a short range of something large that the
system has in memory; everything else is left to the loop. The loop alone writes here, this thread only reads, and every
step of either is one operation of the interpreter.

An entry is believed for FRESH_S. Then one request goes the long way, through the loop, and renews or drops it, while
the others are still answered from it: what was removed from the store is gone after that time. A file shared in place
is believed only as long as its guard holds, which is checked for every request.
"""

from dataclasses import dataclass, field

from nearcast.client import Client
from nearcast.clock import Clock
from nearcast.gateways.http.files import File, in_place_path, open_guarded
from nearcast.gateways.http.headers import Headers, not_modified
from nearcast.gateways.http.open_file import OpenFile
from nearcast.gateways.http.ranges import UnsatisfiableRangeError, select_range
from nearcast.gateways.http.request import Scope
from nearcast.gateways.http.response import SMALL_BYTES
from nearcast.gateways.http.sending import Proto

FRESH_S = 1.0  # how long something removed may still be served; guess
ENTRIES_MAX = 4096  # guess
BYTES_MAX = 32 << 20  # of bodies; an idle node is to stay under 120 MB in all
OPEN_FILES_MAX = 64  # of the process's descriptors, often 1024


@dataclass(slots=True, eq=False)
class HotFile:
    """A file with its headers made: small with its `body`, large with the open `file` it starts in at `offset`.

    `guarded` is a file shared in place; it is unchanged while it has the `ctime_ns` it was found with. Everything that
    happens to a file moves that time: a write, a new length, a new name, a deletion.
    """

    etag: str
    headers: Headers
    not_modified: Headers
    size_bytes: int
    body: bytes | None
    file: OpenFile | None
    offset: int
    guarded: OpenFile | None
    ctime_ns: int
    fresh_until_s: float
    is_used: bool = field(default=False)


class HotFiles:
    """Entries by the path they were asked by. Over a bound, the oldest goes that was not used since it was last met."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.monotonic_s
        self._entries: dict[str, HotFile] = {}
        self._bytes = 0
        self._open_files = 0
        self._buffer = bytearray()

    def answer(self, scope: Scope, proto: Proto) -> tuple[int, int] | None:
        """Answers if it can at once: (status, bytes of body); None when it did nothing. One thread at a time."""
        entry = self._entries.get(scope.path)
        if entry is None or scope.method != "GET" or scope.query_string:
            return None
        now_s = self._now()
        if now_s >= entry.fresh_until_s:
            entry.fresh_until_s = now_s + FRESH_S
            return None
        get = scope.headers.get
        if get("service-worker") is not None or "application/vnd" in get("accept", "") or not _is_unchanged(entry):
            return None
        entry.is_used = True
        condition = get("if-none-match")
        if condition is not None:
            if condition != entry.etag:
                return None  # a list, a weak tag, another tag: the loop knows all forms
            proto.response_bytes(304, entry.not_modified, b"")
            return 304, 0
        span = get("range")
        if span is not None:
            return self._answer_range(entry, span, proto) if get("if-range") is None else None
        if entry.body is None:
            return None
        proto.response_bytes(200, entry.headers, entry.body)
        return 200, entry.size_bytes

    def keep(self, path: str, client: Client, file: File, headers: Headers, body: bytes | None) -> None:
        """Remembers a file that was just sent, whole or in part; `headers` are the whole one's. Raises ChangedError."""
        if body is not None and len(body) > SMALL_BYTES:
            return
        entry = self._entry(client, file, headers, body)
        if entry is None:
            return
        self.drop(path)
        self._entries[path] = entry
        self._bytes += len(body or b"")
        self._open_files += entry.file is not None or entry.guarded is not None
        while self._bytes > BYTES_MAX or len(self._entries) > ENTRIES_MAX or self._open_files > OPEN_FILES_MAX:
            self._evict_one()

    def drop(self, path: str) -> None:
        """Forgets what was asked for by this path."""
        entry = self._entries.pop(path, None)
        if entry is not None:
            self._bytes -= len(entry.body or b"")
            self._open_files -= entry.file is not None or entry.guarded is not None

    def clear(self) -> None:
        """Forgets everything, at once."""
        for path in list(self._entries):
            self.drop(path)

    def _answer_range(self, entry: HotFile, header: str, proto: Proto) -> tuple[int, int] | None:
        if entry.file is None:
            return None
        try:
            span = select_range(header, entry.size_bytes)
        except UnsatisfiableRangeError:
            return None
        if span is None or span.end - span.start > SMALL_BYTES:
            return None
        size_bytes = span.end - span.start
        # granian copies the body, so one buffer serves all answers, as long as they ask for pieces of one size.
        if len(self._buffer) != size_bytes:
            self._buffer = bytearray(size_bytes)
        if entry.file.read_cached_into(self._buffer, entry.offset + span.start) != size_bytes:
            return None
        if not _is_unchanged(entry):
            return None
        headers = [*entry.headers, ("content-range", span.content_range(entry.size_bytes))]
        proto.response_bytes(206, headers, self._buffer)
        return 206, size_bytes

    def _entry(self, client: Client, file: File, headers: Headers, body: bytes | None) -> HotFile | None:
        extent = client.extent(file.cid)
        is_in_place = in_place_path(client, file.cid) is not None
        if extent is None and (body is None or is_in_place):
            return None
        opened = open_guarded(client, file.cid, extent.path) if extent and (body is None or is_in_place) else None
        return HotFile(
            etag=file.etag,
            headers=[*headers, ("content-length", str(file.size_bytes))] if body is not None else headers,
            not_modified=not_modified(file.etag, hit=True),
            size_bytes=file.size_bytes,
            body=body,
            file=opened if body is None else None,
            offset=extent.offset if extent is not None else 0,
            guarded=opened if is_in_place else None,
            ctime_ns=opened.ctime_ns() if opened is not None else 0,
            fresh_until_s=self._now() + FRESH_S,
        )

    def _evict_one(self) -> None:
        """The second chance (CLOCK): a used entry goes to the back of the queue once."""
        for _ in range(len(self._entries)):
            path = next(iter(self._entries))
            if not self._entries[path].is_used:
                break
            entry = self._entries.pop(path)
            entry.is_used = False
            self._entries[path] = entry
        self.drop(next(iter(self._entries)))


def _is_unchanged(entry: HotFile) -> bool:
    return entry.guarded is None or entry.guarded.ctime_ns() == entry.ctime_ns

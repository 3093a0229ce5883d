"""What was asked for a moment ago, ready to be sent again.

This is the gateway's fast path. It runs in granian's own thread, without waiting and without the event loop, for a
plain GET of something small, of something that the client has already, or of a short range of something large that the
system has in memory; everything else is left to the loop. The loop alone writes here, this thread only reads, and every
step of either is one operation of the interpreter.

An entry is believed for FRESH_S, then the loop looks again: what was removed from the store is gone after that time.
A file shared in place is believed only as long as its guard holds, which is checked for every request.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from nearcast.client import Client
from nearcast.clock import Clock
from nearcast.content.store.types import FileGuard, guard_of
from nearcast.errors import ChangedError
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
    """A file with its headers made: small with its `body`, large with the open `file` it starts in at `offset`."""

    etag: str
    headers: Headers
    not_modified: Headers
    size_bytes: int
    body: bytes | None
    file: OpenFile | None
    offset: int
    in_place: str | None
    guard: FileGuard | None
    fresh_until_s: float
    is_used: bool = field(default=False)


class HotFiles:
    """Entries by the path they were asked by. Over a bound, the oldest goes that was not used since it was last met."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.monotonic_s
        self._entries: dict[str, HotFile] = {}
        self._bytes = 0
        self._open_files = 0

    def answer(self, scope: Scope, proto: Proto) -> tuple[int, int] | None:
        """Answers if it can at once: (status, bytes of body); None when it did nothing. Any thread."""
        entry = self._entries.get(scope.path)
        if entry is None or scope.method != "GET" or scope.query_string or self._now() >= entry.fresh_until_s:
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
            return _answer_range(entry, span, proto) if get("if-range") is None else None
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
        self._drop(path)
        self._entries[path] = entry
        self._bytes += len(body or b"")
        self._open_files += entry.file is not None
        while self._bytes > BYTES_MAX or len(self._entries) > ENTRIES_MAX or self._open_files > OPEN_FILES_MAX:
            self._evict_one()

    def clear(self) -> None:
        """Forgets everything, at once."""
        for path in list(self._entries):
            self._drop(path)

    def _entry(self, client: Client, file: File, headers: Headers, body: bytes | None) -> HotFile | None:
        extent = client.extent(file.cid)
        in_place = in_place_path(client, file.cid)
        if extent is None and (body is None or in_place is not None):
            return None
        guard = _guard(in_place) if in_place is not None else None
        opened = open_guarded(client, file.cid, extent.path) if extent is not None and body is None else None
        client.extent(file.cid)  # still unchanged, so `guard` is the look of the file as it was shared
        return HotFile(
            etag=file.etag,
            headers=[*headers, ("content-length", str(file.size_bytes))] if body is not None else headers,
            not_modified=not_modified(file.etag, hit=True),
            size_bytes=file.size_bytes,
            body=body,
            file=opened,
            offset=extent.offset if extent is not None else 0,
            in_place=str(in_place) if in_place is not None else None,
            guard=guard,
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
        self._drop(next(iter(self._entries)))

    def _drop(self, path: str) -> None:
        entry = self._entries.pop(path, None)
        if entry is not None:
            self._bytes -= len(entry.body or b"")
            self._open_files -= entry.file is not None


def _guard(path: Path) -> FileGuard:
    try:
        return guard_of(os.stat(path))
    except OSError as error:
        raise ChangedError("a file shared in place is gone") from error


def _is_unchanged(entry: HotFile) -> bool:
    if entry.in_place is None:
        return True
    try:
        return guard_of(os.stat(entry.in_place)) == entry.guard
    except OSError:
        return False


def _answer_range(entry: HotFile, header: str, proto: Proto) -> tuple[int, int] | None:
    if entry.file is None:
        return None
    try:
        span = select_range(header, entry.size_bytes)
    except UnsatisfiableRangeError:
        return None
    if span is None or span.end - span.start > SMALL_BYTES:
        return None
    data = entry.file.read_cached(span.end - span.start, entry.offset + span.start)
    if data is None:
        return None
    proto.response_bytes(206, [*entry.headers, ("content-range", span.content_range(entry.size_bytes))], data)
    return 206, len(data)

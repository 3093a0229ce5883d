"""The answer that carries a file: conditional, whole or a range; from memory, from the disk, or while it is fetched."""

from dataclasses import dataclass
from pathlib import Path

from nearcast.client import Client
from nearcast.content.cid import Cid
from nearcast.content.nodes import FileNode, RawLeaf
from nearcast.errors import IntegrityError, NotFoundError
from nearcast.gateways.http.conditions import none_match, range_applies
from nearcast.gateways.http.content_types import SNIFF_BYTES, content_type, needs_sniffing
from nearcast.gateways.http.headers import Headers, content_headers, disposition, not_modified, roots
from nearcast.gateways.http.open_file import OpenFile
from nearcast.gateways.http.ranges import ByteRange, select_range
from nearcast.gateways.http.request import Request
from nearcast.gateways.http.response import SMALL_BYTES, Body, Cache, GuardedBody, Response, StoredBody, StreamBody


@dataclass(frozen=True, slots=True)
class File:
    """A file that was found: `path` is the whole path it was asked by, `name` the last of it ("" for a bare CID)."""

    root: Cid
    cid: Cid
    node: FileNode | RawLeaf
    path: str
    name: str
    was_here: bool

    @property
    def size_bytes(self) -> int:
        return len(self.node.data) if isinstance(self.node, RawLeaf) else self.node.size_bytes

    @property
    def etag(self) -> str:
        return f'"{self.cid}"'


async def file_response(client: Client, request: Request, file: File, *, fetch: bool) -> Response:
    """Raises UnsatisfiableRangeError, and whatever reading raises before its first byte."""
    hit = file.was_here and bytes_are_here(client, file)
    cache: Cache = "hit" if hit else "miss"
    if none_match(request.header("if-none-match"), file.etag):
        return Response(304, not_modified(file.etag, hit=hit), cache=cache)
    headers = await _headers(client, request, file, fetch=fetch, hit=hit)
    wanted = _wanted_range(request, file)
    if request.is_head:
        return Response(200, headers, cache=cache, whole_bytes=file.size_bytes)
    if wanted is None:
        return Response(200, headers, await file_body(client, file, 0, file.size_bytes, fetch=fetch), cache)
    headers.append(("content-range", wanted.content_range(file.size_bytes)))
    return Response(206, headers, await file_body(client, file, wanted.start, wanted.end, fetch=fetch), cache)


def asked_bytes(request: Request, file: File) -> int:
    """How many of the file's bytes the answer will carry. Raises UnsatisfiableRangeError."""
    if request.is_head or none_match(request.header("if-none-match"), file.etag):
        return 0
    wanted = _wanted_range(request, file)
    return file.size_bytes if wanted is None else wanted.end - wanted.start


async def file_body(client: Client, file: File, start: int, end: int, *, fetch: bool) -> Body:
    """The bytes start..end, end not included, however they are best sent."""
    if isinstance(file.node, RawLeaf):
        return file.node.data[start:end]
    if not file.node.children:
        return file.node.inline[start:end]
    if end - start <= SMALL_BYTES:
        return await _read(client, file.cid, start, end, fetch=fetch)
    extent = client.extent(file.cid)
    if extent is None:
        if not (fetch or range_is_here(client, file.cid, start, end)):
            raise NotFoundError(f"bytes {start}-{end} of {file.cid} are not on this node")
        return StreamBody(client.read(file.cid, start, end, fetch=fetch), end - start)
    start, end = extent.offset + start, extent.offset + end
    if in_place_path(client, file.cid) is None:
        return StoredBody(extent.path, start, end)
    return GuardedBody(open_guarded(client, file.cid, extent.path), start, end)


def open_guarded(client: Client, cid: Cid, path: Path) -> OpenFile:
    """Opens the file that lay at `path` a moment ago. Raises ChangedError.

    The guard is checked on the path before and after, so what was opened in between is the file that was checked.
    """
    opened = OpenFile(path)
    client.extent(cid)
    return opened


def in_place_path(client: Client, cid: Cid) -> Path | None:
    """The user's own file that holds these bytes, if that is where they are."""
    stat = client.store.stat(cid)
    return stat.in_place if stat is not None else None


def bytes_are_here(client: Client, file: File) -> bool:
    """Whether no peer is needed for the file's bytes. Raises ChangedError when they were here once."""
    if isinstance(file.node, RawLeaf) or not file.node.children or client.extent(file.cid) is not None:
        return True
    stat = client.store.stat(file.cid)
    if stat is None or stat.kind != "partial":
        return stat is not None and stat.complete
    table = client.store.leaf_table(file.cid)
    return table is not None and client.store.available_leaves(file.cid) == [(0, len(table))]


def range_is_here(client: Client, cid: Cid, start: int, end: int) -> bool:
    """Whether so much of a file that has only partly arrived is here; True for one that lies here in blocks."""
    table = client.store.leaf_table(cid)
    if table is None:
        return True
    first, count = table.covering(start, end)
    return any(at <= first and first + count <= at + have for at, have in client.store.available_leaves(cid))


async def _headers(client: Client, request: Request, file: File, *, fetch: bool, hit: bool) -> Headers:
    name = request.query.get("filename") or file.name
    head = b""
    if needs_sniffing(name):
        head = await _read(client, file.cid, 0, min(SNIFF_BYTES, file.size_bytes), fetch=fetch)
    headers = content_headers(content_type(name, head), file.etag, file.path, hit=hit)
    headers.append(("accept-ranges", "bytes"))
    if file.cid == file.root:
        headers.append(roots(file.root))
    attachment = request.query.get("download") == "true"
    if attachment or "filename" in request.query:
        headers.append(disposition(name or str(file.cid), attachment=attachment))
    return headers


def _wanted_range(request: Request, file: File) -> ByteRange | None:
    """RFC 9110 14.2: Range counts for GET alone, and not where If-Range names other bytes."""
    if request.is_head or not range_applies(request.header("if-range"), file.etag):
        return None
    return select_range(request.header("range"), file.size_bytes)


async def _read(client: Client, cid: Cid, start: int, end: int, *, fetch: bool) -> bytes:
    data = b"".join([piece async for piece in client.read(cid, start, end, fetch=fetch)])
    if len(data) != end - start:
        raise IntegrityError(f"{cid} ends at byte {start + len(data)}, its root says {end} or more")
    return data

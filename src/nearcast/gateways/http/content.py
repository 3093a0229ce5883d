"""Everything below /ipfs/: which thing a path means, and which answer it gets.

Whom the node fetches for is decided here. For everybody else, what is not here is a 404 at once. So it is for strangers
where content is sold: to fetch may cost this node money, and whoever asks has not paid yet.
"""

import asyncio
from itertools import islice
from urllib.parse import quote

from nearcast.client import Client
from nearcast.content.cid import DAG_PB, RAW, Cid, parse_cid
from nearcast.content.nodes import DirectoryNode, FileNode, RawLeaf, ShardNode, SymlinkNode
from nearcast.content.reader import Resolved
from nearcast.errors import NearcastError, NotFoundError, UsageError
from nearcast.gateways.http.conditions import none_match
from nearcast.gateways.http.errors import NotCachedError, undisplayable
from nearcast.gateways.http.files import File, asked_bytes, file_response
from nearcast.gateways.http.headers import PAGE_POLICY, REVALIDATED, content_headers, page_headers
from nearcast.gateways.http.hot import HotFiles
from nearcast.gateways.http.listed import Blacklist, ListCheck
from nearcast.gateways.http.listing import ENTRIES_MAX, described, listing_etag, listing_page
from nearcast.gateways.http.payment import Payments, sold
from nearcast.gateways.http.request import Request
from nearcast.gateways.http.response import Cache, Response, body_bytes
from nearcast.gateways.http.trustless import form_of, raw_response

PREFIX = "/ipfs/"
INDEX = "index.html"
QUERY_SAFE = "%/?:@!$&'()*+,;=~-._"  # RFC 3986: what may stand in a query as it is


class Contents:
    """The content part of the gateway. `fetch` is the policy: "local", "always" or "never"."""

    def __init__(
        self, client: Client, hot: HotFiles, fetch: str, blacklist: Blacklist | None, payments: Payments | None
    ) -> None:
        self._client = client
        self._hot = hot
        self._fetch = fetch
        self._check = ListCheck(blacklist, client.store)
        self._payments = payments

    async def response(self, request: Request) -> Response:
        """The answer to a GET or HEAD below /ipfs/. Raises what error_response turns into an answer."""
        try:
            return await self._response(request)
        except NearcastError:
            self._hot.drop(request.path)
            raise

    async def _response(self, request: Request) -> Response:
        text, slash, path = request.path.removeprefix(PREFIX).partition("/")
        if not text:
            raise UsageError("a content name (CID) is missing", fix="the address is /ipfs/CID or /ipfs/CID/path")
        root = parse_cid(text)
        self._check.name(root)
        if request.header("service-worker") == "script" and not path.strip("/"):
            # It would control every other site on this node: the path gateway specification wants it refused.
            raise UsageError("a service worker for all of /ipfs/ is refused")
        if form_of(request) == "raw":
            return await self._raw(request, root, path)
        if root.codec not in (RAW, DAG_PB):
            raise undisplayable(root)
        resolved, was_here = await self._resolve(request, root, path)
        match resolved.node:
            case DirectoryNode() | ShardNode():
                if not (path or slash).endswith("/"):
                    return _to_slash(request)
                return await self._folder(request, root, resolved, was_here)
            case SymlinkNode() as link:
                return _symlink(request, resolved.cid, link.target, was_here)
            case FileNode() | RawLeaf() as node:
                return await self._file(
                    request, File(root, resolved.cid, node, request.path, _name(resolved.path), was_here)
                )

    def may_fetch(self, request: Request, cid: Cid) -> bool:
        """Whether the node fetches this for this client; what it has behind it, for everybody."""
        if request.header("cache-control") == "only-if-cached":
            return False
        may_cost = request.is_local or self._payments is None  # it may spend this node's money
        is_trusted = may_cost and (self._fetch == "always" or (self._fetch == "local" and request.is_local))
        return is_trusted or self._client.has_behind(cid)

    def name_of(self, request: Request) -> str:
        """What was asked for, in a word: the last part of the path."""
        return request.path.rstrip("/").rpartition("/")[2]

    async def _resolve(self, request: Request, root: Cid, path: str) -> tuple[Resolved, bool]:
        """What the path leads to, and whether it was here.

        Raises NotFoundError, NotCachedError, ListedError and the client's.
        """
        try:
            resolved, was_here = await self._client.resolve(root, path, fetch=False), True
        except NotFoundError as error:
            if not self.may_fetch(request, root):
                raise _not_for_you(request, error) from error
            resolved, was_here = await self._client.resolve(root, path, fetch=True), False
        self._check.resolved(resolved)
        return resolved, was_here

    async def _raw(self, request: Request, root: Cid, path: str) -> Response:
        cid = (await self._resolve(request, root, path))[0].cid if path else root
        fetch = self.may_fetch(request, cid)
        was_here = cid.is_identity or self._client.store.has(cid)
        try:
            response = await raw_response(self._client, request, cid, request.path, fetch=fetch, hit=was_here)
        except NotFoundError as error:
            raise (error if fetch else _not_for_you(request, error)) from error

        async def prepare() -> Response:
            return response

        is_paid = response.status == 200 and not request.is_head and not cid.is_identity
        return await sold(self._payments, request, root, (body_bytes(response) or 0) if is_paid else 0, prepare)

    async def _file(self, request: Request, file: File) -> Response:
        self._check.file(file.cid, file.node)

        async def prepare() -> Response:
            return await self._whole_file(request, file)

        return await sold(self._payments, request, file.root, asked_bytes(request, file), prepare)

    async def _whole_file(self, request: Request, file: File) -> Response:
        """The answer, without a word about money; it is remembered for whoever is answered for free."""
        response = await file_response(self._client, request, file, fetch=self.may_fetch(request, file.cid))
        if (
            response.cache == "hit"
            and request.method == "GET"
            and not request.raw_query
            and response.status in (200, 206)
        ):
            headers = [header for header in response.headers if header[0] != "content-range"]
            body = response.body if response.status == 200 and isinstance(response.body, bytes) else None
            self._hot.keep(request.path, self._client, file, headers, body)
        return response

    async def _folder(self, request: Request, root: Cid, folder: Resolved, was_here: bool) -> Response:
        index = await self._index(request, root, folder)
        if index is not None:
            return index
        cache: Cache = "hit" if was_here else "miss"
        etag = listing_etag(folder.cid)
        headers = content_headers("text/html; charset=utf-8", etag, request.path, hit=was_here, immutable=False)
        if none_match(request.header("if-none-match"), etag):
            return Response(304, [header for header in headers if header[0] != "content-type"], cache=cache)
        fetch = self.may_fetch(request, folder.cid)
        entries = await self._client.entries(folder.cid, fetch=fetch, limit=ENTRIES_MAX + 1)
        listed = await asyncio.to_thread(described, islice(entries, ENTRIES_MAX), self._client.store.get_block)
        page = listing_page(request.path, folder.cid, listed, is_cut=len(entries) > ENTRIES_MAX)
        return Response(200, [*headers, PAGE_POLICY], page.encode(), cache)

    async def _index(self, request: Request, root: Cid, folder: Resolved) -> Response | None:
        """The folder's index.html, if it has one."""
        if isinstance(folder.node, DirectoryNode) and all(entry.name != INDEX for entry in folder.node.entries):
            return None
        try:
            index, was_here = await self._resolve(request, root, f"{folder.path}/{INDEX}")
        except NotFoundError:
            if isinstance(folder.node, DirectoryNode):
                raise  # it is listed, but nobody has it
            return None
        if not isinstance(index.node, FileNode | RawLeaf):
            return None
        return await self._file(request, File(root, index.cid, index.node, request.path, INDEX, was_here))


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _not_for_you(request: Request, error: NotFoundError) -> NotFoundError:
    """The miss of a client that the node does not fetch for."""
    if request.header("cache-control") == "only-if-cached":
        return NotCachedError(error.message)
    fix = error.fix or "ask the node that shared it, or fetch it with one of your own: nearcast get CID"
    return NotFoundError(error.message, fix=fix)


def _to_slash(request: Request) -> Response:
    """Relative links of a folder's page only work behind a slash. The path is our own /ipfs/…: it cannot lead away."""
    query = f"?{quote(request.raw_query, safe=QUERY_SAFE)}" if request.raw_query else ""
    headers = page_headers("text/plain; charset=utf-8", cache_control=REVALIDATED, cors=True)
    return Response(
        301, [*headers, ("location", f"{quote(request.path)}/{query}")], b"this folder's address ends in /\n"
    )


def _symlink(request: Request, cid: Cid, target: str, was_here: bool) -> Response:
    """A link is its target's text, as other gateways show it: nothing here follows it."""
    headers = content_headers("inode/symlink", f'"{cid}"', request.path, hit=was_here)
    return Response(200, headers, target.encode(), "hit" if was_here else "miss")

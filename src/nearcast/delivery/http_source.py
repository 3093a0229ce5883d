"""Web servers as sources: any one that holds the same file, and IPFS's trustless gateways.

A plain server (nginx, S3, `python3 -m http.server`) has the file's bytes and knows nothing of blocks. Leaves are
contiguous slices of the file, so a span of leaves is one Range request, checked against the leaf table that came from
somebody else (RFC 9110, 14). A URL like `https://host/ipfs/CID` names a gateway instead: every block has a URL of its
own there (`/ipfs/CID?format=raw`, https://specs.ipfs.tech/http-gateways/trustless-gateway/), so a gateway can be the
only source. As with every source, whoever takes the bytes verifies them.
"""

import asyncio
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from nearcast.content.blocks import BLOCK_BYTES_MAX, check_block
from nearcast.content.cid import Cid, parse_cid
from nearcast.delivery.http_exchange import HttpExchange
from nearcast.delivery.purchase import Purchase
from nearcast.delivery.session import NodeWalk
from nearcast.delivery.source import REQUESTS_IN_FLIGHT, STALL_TIMEOUT_S, NodesWanted, Span, TakeLeaf, TakeNode
from nearcast.errors import NearcastError, NotFoundError, UnavailableError, UsageError
from nearcast.tasks import leading_error

BLOCKS_AHEAD = 8  # nodes asked of a gateway at a time; guess: hides a round trip of 50 ms at 2 MiB per 10 ms


class HttpSource:
    """Source of delivery/source.py."""

    purchase: Purchase | None = None  # money is not taken over HTTP here

    def __init__(self, url: str, *, stall_timeout_s: float = STALL_TIMEOUT_S) -> None:
        """Raises UsageError when `url` is not an http or https URL."""
        parts = _web_address(url)
        self._url = url
        self._gateway = _gateway_of(url)
        self._exchange = HttpExchange(stall_timeout_s)
        self.name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self.gives_nodes = self._gateway is not None
        self.requests_in_flight = REQUESTS_IN_FLIGHT

    async def nodes(self, want: NodesWanted, take: TakeNode) -> None:
        """Walks the DAG itself, some blocks ahead. What the taker has already is fetched too: the walk needs it."""
        if self._gateway is None:
            raise UnavailableError("a plain web server has no nodes")
        walk = NodeWalk(want.root, want.path, shallow=want.shallow)
        ahead: dict[Cid, bytes] = {}
        async with self._exchange.session():  # one connection for all of them
            while walk.expected is not None:
                cid = walk.expected
                if cid not in ahead:
                    ahead = await self._blocks(walk.upcoming(BLOCKS_AHEAD))
                data = ahead.pop(cid)
                if walk.accepted < want.skip:
                    check_block(cid, data)
                else:
                    await take(data)
                walk.accept(data)

    async def leaves(self, spans: Sequence[Span], take: TakeLeaf) -> None:
        position = 0
        for span in spans:
            wanted = self._by_block if self._gateway is not None else self._by_range
            if not await wanted(span, position, take):
                return
            position += span.count

    async def _blocks(self, cids: list[Cid]) -> dict[Cid, bytes]:
        """Several blocks at once; the first one must come, the others may."""
        blocks: dict[Cid, bytes] = {}

        async def bring(cid: Cid) -> None:
            try:
                blocks[cid] = await self._block(cid)
            except NearcastError:
                if cid == cids[0]:
                    raise

        try:
            async with asyncio.TaskGroup() as group:
                for cid in cids:
                    group.create_task(bring(cid))
        except BaseExceptionGroup as failures:
            raise leading_error(failures) from None
        return blocks

    async def _block(self, cid: Cid) -> bytes:
        async with self._exchange.get(f"{self._gateway}/ipfs/{cid}?format=raw") as body:
            return await body.read_all(BLOCK_BYTES_MAX)

    async def _by_block(self, span: Span, position: int, take: TakeLeaf) -> bool:
        """Leaf after leaf from a gateway. False when the taker has enough."""
        for index in range(span.count):
            cid = span.cid if span.leaves is None else span.leaves.cid(span.first + index)
            try:
                data = await self._block(cid)
            except NotFoundError:
                data = None
            if not await take(position + index, data):
                return False
        return True

    async def _by_range(self, span: Span, position: int, take: TakeLeaf) -> bool:
        """The span as one byte range. False when the taker has enough."""
        if span.leaves is None:
            async with self._exchange.get(self._url) as body:
                return await take(position, await body.read_all(BLOCK_BYTES_MAX))
        first, _ = span.leaves.span(span.first)
        end = sum(span.leaves.span(span.first + span.count - 1))
        if first == end:
            return await take(position, b"")  # an empty file: there is nothing to ask for
        async with self._exchange.get(self._url, first=first, end=end) as body:
            if body.total_bytes not in (None, span.leaves.size_bytes):
                raise NotFoundError(f"it has another file: {body.total_bytes} bytes, not {span.leaves.size_bytes}")
            for index in range(span.count):
                _, size_bytes = span.leaves.span(span.first + index)
                if not await take(position + index, await body.read_exactly(size_bytes)):
                    return False
        return True


def _web_address(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname:
            return parts
    except ValueError:  # an IPv6 address without its end, and the like
        pass
    raise UsageError(f"not a web address: {url}", fix="it begins with http:// or https://")


def _gateway_of(url: str) -> str | None:
    """`https://host` of `https://host/ipfs/CID…`; None when the URL is not of that form."""
    before, found, after = url.partition("/ipfs/")
    try:
        parse_cid(after.partition("/")[0].partition("?")[0])
    except UsageError:
        return None
    return before if found else None

"""Answers for clients that verify by themselves: single raw blocks.

Source: https://specs.ipfs.tech/http-gateways/trustless-gateway/. What the URL asks for beats the Accept header
(IPIP-0523).
"""

from typing import Literal

from nearcast.client import Client
from nearcast.content.cid import Cid
from nearcast.errors import UsageError
from nearcast.gateways.http.conditions import none_match
from nearcast.gateways.http.errors import NotAcceptableError
from nearcast.gateways.http.headers import content_headers, disposition, not_modified, roots
from nearcast.gateways.http.request import Request
from nearcast.gateways.http.response import Cache, Response

RAW_TYPE = "application/vnd.ipld.raw"
Form = Literal["page", "raw"]
_KNOWN_ELSEWHERE = ("car", "tar", "ipns-record", "dag-json", "dag-cbor", "json", "cbor")


def form_of(request: Request) -> Form:
    """What shape the content is to have. Raises NotAcceptableError for known shapes that we do not make, UsageError."""
    asked = request.query.get("format")
    if asked == "raw" or (asked is None and request.accepts(RAW_TYPE)):
        return "raw"
    if asked in _KNOWN_ELSEWHERE:
        raise NotAcceptableError(f"this node does not hand out content as {asked}", fix="use format=raw, or no format")
    if asked is not None:
        raise UsageError(f"format={asked} is unknown", fix="use format=raw, or no format")
    return "page"


async def raw_response(client: Client, request: Request, cid: Cid, path: str, *, fetch: bool, hit: bool) -> Response:
    """The block itself. Raises what Client.block raises."""
    cache: Cache = "hit" if hit else "miss"
    etag = f'"{cid}.raw"'
    if none_match(request.header("if-none-match"), etag):
        return Response(304, not_modified(etag, hit=hit), cache=cache)
    data = await client.block(cid, fetch=fetch)
    headers = content_headers(RAW_TYPE, etag, path, hit=hit)
    headers += [disposition(f"{cid}.bin", attachment=True), roots(cid), ("accept-ranges", "none")]
    return Response(200, headers, data, cache)

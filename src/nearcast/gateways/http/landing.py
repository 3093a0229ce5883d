"""The start page: what this node shares."""

import asyncio
import json
import re
from collections.abc import Sequence
from html import escape
from ipaddress import ip_address

from nearcast.content.cid import Cid
from nearcast.content.store import Store
from nearcast.errors import RefusedError
from nearcast.gateways.http.headers import REVALIDATED, UNCACHED, page_headers
from nearcast.gateways.http.listing import short
from nearcast.gateways.http.page import icon, page, size_text
from nearcast.gateways.http.request import Request
from nearcast.gateways.http.response import Response

SHARES_MAX = 500  # guess: a page still shows them well
LOCAL_ENDINGS = (".local", ".home.arpa", ".localhost")  # RFC 6762, RFC 8375, RFC 6761: nobody outside can own them
ICON_CACHED = "public, max-age=86400"

Share = tuple[str, Cid, int | None]
"""Name, root and size in bytes of something that this node shares."""


async def landing_response(store: Store, request: Request) -> Response:
    """The page, or the same as JSON. No CORS header: what a node shares is not for every web page to read.

    Raises RefusedError for a request that a web page made, or one for a host name that can be anybody's: a page whose
    name its owner lets point to this machine (DNS rebinding) would read it as its own.
    """
    if not is_asked_by_a_person(request.header("host") or "", request.header("sec-fetch-mode")):
        raise RefusedError("what this node shares is shown to people, at the machine's own address only")
    pins = await asyncio.to_thread(store.pins)
    newest = sorted(pins, key=lambda pin: -pin.created_unix_s)[:SHARES_MAX]
    shares = [(pin.name, pin.root, _size_bytes(store, pin.root)) for pin in newest]
    if request.accepts("application/json"):
        rows = [{"name": name, "cid": str(root), "size_bytes": size} for name, root, size in shares]
        headers = page_headers("application/json", cache_control=REVALIDATED, cors=False)
        return Response(200, headers, json.dumps({"shares": rows}).encode())
    headers = page_headers("text/html; charset=utf-8", cache_control=REVALIDATED, cors=False)
    return Response(200, headers, landing_page(shares, total=len(pins)).encode())


def is_asked_by_a_person(host: str, fetch_mode: str | None) -> bool:
    """Whether an address (or a name of the local network) was typed or followed, not asked for by a script."""
    name = re.sub(r":\d+$", "", host).strip("[]").lower()
    try:
        ip_address(name)
        is_ours = True
    except ValueError:
        is_ours = "." not in name or name.endswith(LOCAL_ENDINGS)
    return is_ours and fetch_mode in (None, "navigate")


def health_response() -> Response:
    """For whoever watches the node: it answers, so it runs."""
    headers = page_headers("application/json", cache_control=UNCACHED, cors=False)
    return Response(200, headers, b'{"status": "ok"}\n')


def whereabouts_response(peer: str) -> Response:
    """For other nodes, which know this address from a registry: how to connect to the node, as links have it."""
    headers = page_headers("application/json", cache_control=UNCACHED, cors=False)
    return Response(200, headers, json.dumps({"peer": peer}).encode() + b"\n")


def icon_response() -> Response:
    """Browsers ask for it whatever they look at."""
    return Response(200, page_headers("image/svg+xml", cache_control=ICON_CACHED, cors=False), icon())


def _size_bytes(store: Store, root: Cid) -> int | None:
    """A file's size; a folder's is not known without walking it."""
    stat = store.stat(root)
    return stat.size_bytes if stat is not None and stat.kind in ("flat", "in place") else None


def landing_page(shares: Sequence[Share], *, total: int) -> str:
    """The page at `/`. `total` counts also what is not among `shares`."""
    rows = "\n".join(_row(*share) for share in shares)
    note = f'<p class="note">Only the newest {len(shares)} of {total} are shown.</p>' if total > len(shares) else ""
    table = f"""<table><thead><tr><th>Name</th><th>Content</th><th class="size">Size</th></tr></thead>
<tbody>
{rows}
</tbody></table>"""
    empty = """<p class="reason">Nothing is shared here yet. On the machine that runs this node, type</p>
<pre>nearcast share ./my-folder</pre>"""
    body = f"""<main>
<h1>This is a Nearcast node</h1>
<p class="reason">It hands out files that have a permanent name: the hash of their bytes. Whoever receives one checks
every byte against that name, so it does not matter who it came from.</p>
<h2>Shared by this node</h2>
{table if shares else empty}
{note}
<footer>Anything else by its name: <code>/ipfs/CID</code></footer>
</main>"""
    return page("Nearcast node", body)


def _row(name: str, root: Cid, size_bytes: int | None) -> str:
    shown = escape(name.encode("utf-8", "replace").decode()) or "(no name)"
    return (
        f'<tr><td class="name"><a href="/ipfs/{root}"><bdi>{shown}</bdi></a></td>'
        f'<td class="type"><code>{escape(short(root))}</code></td><td class="size">{size_text(size_bytes)}</td></tr>'
    )

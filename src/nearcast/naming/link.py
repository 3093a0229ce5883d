"""Links: what a publisher hands to a reader. A name of content, and who was holding it when the link was made.

    nearcast://ENDPOINT-ID@host:port,host:port/CID/path/in/it#name

Several holders are joined by `+`; a link without any, `nearcast:///CID`, is found by asking around. All its characters
pass through a shell unquoted. The holders are only hints: the CID alone says what the bytes must be. `name` is what to
call the thing on disk. `parse_link` also takes a bare CID, `CID/path`, `/ipfs/CID/path`, `ipfs://CID/path`, and the
address of a gateway, `http://host/ipfs/CID/path`, which then serves as a holder of its own.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from nearcast.content.cid import Cid, parse_cid
from nearcast.errors import NearcastError, UsageError
from nearcast.overlay.peers import format_peer, parse_peer
from nearcast.transport.base import PeerAddress

SCHEME = "nearcast://"
LINK_CHARACTERS_MAX = 8192  # a dozen holders with six addresses each, and a long path
HOLDERS_MAX = 32
_SAFE = "/-._~!$&'()*+,;=:@"  # RFC 3986 pchar, so that only what must be escaped is


@dataclass(frozen=True, slots=True)
class Link:
    """What to get, and where to ask first. `path` has no slash at either end; `gateways` are base URLs."""

    root: Cid
    path: str = ""
    name: str = ""
    peers: tuple[PeerAddress, ...] = ()
    gateways: tuple[str, ...] = ()

    @property
    def suggested_name(self) -> str:
        """What to call it on disk: the given name, the last part of the path, or the CID."""
        last = self.path.rpartition("/")[2] or self.name or str(self.root)
        return last if _is_file_name(last) else str(self.root)

    def __str__(self) -> str:
        holders = "+".join(quote(format_peer(peer), safe="@:,.-") for peer in self.peers)
        path = "/" + quote(self.path, safe="/-._~") if self.path else ""
        name = "#" + quote(self.name, safe="-._~") if self.name else ""
        return f"{SCHEME}{holders}/{self.root}{path}{name}"


def parse_link(text: str) -> Link:
    """Raises UsageError, saying what is wrong with the text, when it is none of the forms above."""
    text = text.strip()
    if len(text) > LINK_CHARACTERS_MAX:
        raise UsageError(f"not a link: {len(text)} characters, the limit is {LINK_CHARACTERS_MAX}")
    if text.startswith(SCHEME):
        return _parse_own(text)
    if re.match(r"https?://", text):
        return _parse_gateway_url(text)
    if "://" in text and not text.startswith("ipfs://"):
        raise UsageError(
            f"not a link: {text[:40]!r}", fix="a link starts with nearcast://, ipfs:// or http://, or is a CID"
        )
    root, path = _root_and_path(text.removeprefix("ipfs://").removeprefix("/ipfs/"))
    return Link(root, path)


def gateway_path(root: Cid, path: str) -> str:
    """`/ipfs/CID/path`, escaped for a URL."""
    return f"/ipfs/{root}" + ("/" + quote(path, safe=_SAFE) if path else "")


def _parse_own(text: str) -> Link:
    body, _, name = text.removeprefix(SCHEME).partition("#")
    holders, slash, rest = body.partition("/")
    if not slash or not rest:
        raise UsageError("not a link: it names no content", fix="a link looks like nearcast://ID@host:port/CID")
    peers = tuple(parse_peer(unquote(item)) for item in holders.split("+") if item)
    if len(peers) > HOLDERS_MAX:
        raise UsageError(f"not a link: {len(peers)} holders, the limit is {HOLDERS_MAX}")
    root, path = _root_and_path(unquote(rest))
    return Link(root, path, unquote(name), peers)


def _parse_gateway_url(text: str) -> Link:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises on an impossible port
    except ValueError as error:
        raise UsageError(f"not a link: {error}") from error
    if not parts.hostname or not parts.path.startswith("/ipfs/"):
        raise UsageError(
            f"not a link: {text[:60]!r} has no /ipfs/CID in it", fix="give a gateway address like http://host/ipfs/CID"
        )
    root, path = _root_and_path(unquote(parts.path.removeprefix("/ipfs/")))
    return Link(root, path, unquote(parts.fragment), gateways=(f"{parts.scheme}://{parts.netloc}",))


def _root_and_path(text: str) -> tuple[Cid, str]:
    cid_text, _, path = text.partition("/")
    try:
        return parse_cid(cid_text).v1, path.strip("/")
    except UsageError:
        raise
    except NearcastError as error:
        raise UsageError(error.message) from error


def _is_file_name(name: str) -> bool:
    return name not in ("", ".", "..") and not any(c in name for c in "/\\\0")

"""The headers of an answer.

Every value that comes from outside (names, paths) is percent-encoded to ASCII before it gets here, so that no name can
end a header and begin another. Kubo's HTTP client drops a peer whose headers exceed 2 KiB in all (boxo httpnet,
MaxResponseHeaderBytes), so long paths are left out rather than sent.
"""

from urllib.parse import quote

from nearcast.content.cid import Cid

Headers = list[tuple[str, str]]

IMMUTABLE = "public, max-age=29030400, immutable"  # 48 weeks, as the gateway specification has it
UNCACHED = "no-store"
REVALIDATED = "no-cache"
PATH_CHARACTERS_MAX = 900  # of X-Ipfs-Path; with the longest file name (255 bytes, encoded 765) all stay under 2 KiB
NAME_BYTES_MAX = 255  # of a file name in Content-Disposition: what file systems take
_CORS = [
    ("access-control-allow-origin", "*"),
    (
        "access-control-expose-headers",
        "Content-Length, Content-Range, X-Ipfs-Path, X-Ipfs-Roots, Cache-Status, Payment-Required, Payment-Response",
    ),
]
_SERVER = ("server", "nearcast")
_NOSNIFF = ("x-content-type-options", "nosniff")
# Our own pages bring their style along and need nothing else: a name that slips through escaping still cannot run.
PAGE_POLICY = (
    "content-security-policy",
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'",
)


def cache_status(hit: bool) -> tuple[str, str]:
    """RFC 9211: whether the bytes were here, or had to come from a peer."""
    return ("cache-status", "nearcast; hit" if hit else "nearcast; fwd=miss")


def content_headers(content_type: str, etag: str, path: str, *, hit: bool, immutable: bool = True) -> Headers:
    """What every answer with content carries; Content-Length and ranges come on top."""
    headers = [
        ("content-type", content_type),
        ("etag", etag),
        ("cache-control", IMMUTABLE if immutable else REVALIDATED),
        cache_status(hit),
        _NOSNIFF,
        _SERVER,
        *_CORS,
    ]
    encoded = quote(path)
    if len(encoded) <= PATH_CHARACTERS_MAX:
        headers.append(("x-ipfs-path", encoded))
    return headers


def not_modified(etag: str, *, hit: bool) -> Headers:
    """For 304: what the client has is right, and stays so."""
    return [("etag", etag), ("cache-control", IMMUTABLE), cache_status(hit), _SERVER, *_CORS]


def page_headers(content_type: str, *, cache_control: str, cors: bool) -> Headers:
    """For pages of our own: listings, errors, the start page."""
    headers = [("content-type", content_type), ("cache-control", cache_control), _NOSNIFF, _SERVER, PAGE_POLICY]
    return [*headers, ("referrer-policy", "no-referrer"), *(_CORS if cors else [])]


def roots(*cids: Cid) -> tuple[str, str]:
    """X-Ipfs-Roots: the CIDs along the path."""
    return ("x-ipfs-roots", ",".join(map(str, cids)))


def disposition(name: str, *, attachment: bool) -> tuple[str, str]:
    """Content-Disposition with `name` in both forms of RFC 6266: plain for old programs, UTF-8 for the rest."""
    kind = "attachment" if attachment else "inline"
    whole = name.encode("utf-8", "replace")[:NAME_BYTES_MAX].decode("utf-8", "ignore")
    plain = "".join(letter if " " <= letter < "\x7f" and letter not in '"\\%;' else "_" for letter in whole)
    if plain == whole:
        return ("content-disposition", f'{kind}; filename="{plain}"')
    return ("content-disposition", f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(whole, safe='')}")


def preflight_headers() -> Headers:
    """The answer to OPTIONS: pages of any origin may read what is public anyway."""
    return [
        ("allow", "GET, HEAD, OPTIONS"),
        ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
        (
            "access-control-allow-headers",
            "Content-Type, Range, If-Range, If-None-Match, Cache-Control, Accept, Payment-Signature",
        ),
        ("access-control-max-age", "86400"),
        _SERVER,
        *_CORS,
    ]

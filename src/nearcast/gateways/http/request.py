"""A request as the gateway sees it, and the line that is told about it afterwards.

granian hands out the path percent-decoded (invalid UTF-8 replaced) and the query raw.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import parse_qsl

from nearcast.errors import UsageError

PATH_CHARACTERS_MAX = 8192  # guess: what common servers take in a request line
QUERY_FIELDS_MAX = 32  # guess: the gateway knows nine

# A proxy on this machine makes everybody look local; these headers give it away.
_PROXY_HEADERS = ("forwarded", "via", "x-forwarded-for", "x-real-ip")


class RequestHeaders(Protocol):
    """Names in lower case."""

    def get(self, key: str, default: Any = None) -> Any: ...

    def keys(self) -> list[str]: ...


class Scope(Protocol):
    """What RSGI (https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md) tells of a request."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def query_string(self) -> str: ...

    @property
    def client(self) -> str: ...

    @property
    def headers(self) -> RequestHeaders: ...


@dataclass(frozen=True, slots=True)
class RequestLine:
    """One answered request, for whoever prints or counts them. `cache` is "hit", "miss" or "-"."""

    client: str
    method: str
    path: str
    status: int
    size_bytes: int
    duration_s: float
    cache: str


@dataclass(frozen=True, slots=True)
class Request:
    """A GET or HEAD. `path` is decoded; `query` keeps the first value of each field."""

    method: str
    path: str
    raw_query: str
    query: Mapping[str, str]
    headers: RequestHeaders
    is_local: bool

    def header(self, name: str) -> str | None:
        value = self.headers.get(name)
        return value if isinstance(value, str) else None

    def accepts(self, content_type: str) -> bool:
        """Whether the Accept header names this very type; `*/*` does not count."""
        listed = (part.partition(";")[0].strip().lower() for part in (self.header("accept") or "").split(","))
        return content_type in listed

    @property
    def is_head(self) -> bool:
        return self.method == "HEAD"


def read_request(scope: Scope) -> Request:
    """The request as it came; its query is not read yet."""
    return Request(scope.method, scope.path, scope.query_string, {}, scope.headers, is_local(scope))


def checked(request: Request) -> Request:
    """The request with its query, once its size is found bearable. Raises UsageError."""
    if len(request.path) > PATH_CHARACTERS_MAX or len(request.raw_query) > PATH_CHARACTERS_MAX:
        raise UsageError(f"the address is longer than {PATH_CHARACTERS_MAX} characters")
    try:
        fields = parse_qsl(request.raw_query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError as error:
        raise UsageError(f"the query has more than {QUERY_FIELDS_MAX} fields") from error
    return replace(request, query=dict(reversed(fields)))


def client_host(client: str) -> str:
    """The address without the port, of `127.0.0.1:5` or `[::1]:5`."""
    return client.rpartition(":")[0].strip("[]")


def is_loopback(client: str) -> bool:
    """Whether `address:port`, IPv6 with or without brackets, IPv4 perhaps mapped into it, is on this machine."""
    try:
        address = ip_address(client_host(client))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_local(scope: Scope) -> bool:
    """Whether a request comes from this machine, and not through a proxy on it."""
    return is_loopback(scope.client) and all(scope.headers.get(name) is None for name in _PROXY_HEADERS)
